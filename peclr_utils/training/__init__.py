"""Pre-training and fine-tuning: one readable loop each.

Chapter 03 runs `pretrain`, chapter 04 `finetune`. What the authors' published code does differently is in
`authors` (their batches), `optim` (their optimiser) and `augmentation.authors_views` (their views);
`PretrainConfig.as_authors()` switches all of it on.
"""

import warnings

from peclr_utils.settings import NonFiniteLossError
from peclr_utils.training.config import FinetuneConfig, PretrainConfig
from peclr_utils.training.finetune import finetune
from peclr_utils.training.log import read_log
from peclr_utils.training.predict import Predictions, extract_features, predict_dataset
from peclr_utils.training.pretrain import pretrain

# `python -m peclr_utils.training.pretrain` runs a module that this package has already imported. Python warns
# that its state might then exist twice; these modules have none.
warnings.filterwarnings("ignore", f".*{__name__}.*found in sys.modules after import", RuntimeWarning)

__all__ = [
    "FinetuneConfig",
    "NonFiniteLossError",
    "Predictions",
    "PretrainConfig",
    "extract_features",
    "finetune",
    "predict_dataset",
    "pretrain",
    "read_log",
]
