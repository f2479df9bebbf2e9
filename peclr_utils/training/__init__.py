"""Pre-training and fine-tuning: one readable loop each, on a small engine.

Chapter 03 runs `pretrain`, chapter 04 `finetune`.
"""

import warnings

from peclr_utils.training.config import FinetuneConfig, PretrainConfig
from peclr_utils.training.engine import NonFiniteLossError
from peclr_utils.training.finetune import FinetuneResult, finetune
from peclr_utils.training.label_fractions import LabelFractionsConfig, run_label_fractions
from peclr_utils.training.predict import Predictions, extract_features, predict_dataset
from peclr_utils.training.pretrain import PretrainResult, pretrain
from peclr_utils.training.results import load_results, markdown, summarise
from peclr_utils.training.runlog import read_log
from peclr_utils.training.sources import open_crops

# `python -m peclr_utils.training.pretrain` runs a module that this package has imported already. Python warns
# that state might then exist twice; these modules have none.
warnings.filterwarnings("ignore", f".*{__name__}.*found in sys.modules after import", RuntimeWarning)

__all__ = [
    "FinetuneConfig",
    "FinetuneResult",
    "LabelFractionsConfig",
    "NonFiniteLossError",
    "Predictions",
    "PretrainConfig",
    "PretrainResult",
    "extract_features",
    "finetune",
    "load_results",
    "markdown",
    "open_crops",
    "predict_dataset",
    "pretrain",
    "read_log",
    "run_label_fractions",
    "summarise",
]
