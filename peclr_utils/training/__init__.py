"""Pre-training and fine-tuning: one readable loop each, on a small engine.

Chapter 03 runs `pretrain`, chapter 04 `finetune`; `run_paper` is the paper's whole experiment. What the
authors' published code does otherwise lies in `authors` (their batches), `layerwise` (their optimiser) and
`peclr_utils.augmentation.authors` (their views); `PretrainConfig(authors_exact=True)` switches it on.
"""

import warnings

from peclr_utils.training.authors import AuthorsPairBatches, WholePictures
from peclr_utils.training.config import FinetuneConfig, PretrainConfig
from peclr_utils.training.finetune import FinetuneResult, finetune
from peclr_utils.training.label_fractions import LabelFractionsConfig, run_label_fractions
from peclr_utils.training.layerwise import LayerwiseAdam, scaled_gradient
from peclr_utils.training.optimisation import NonFiniteLossError
from peclr_utils.training.paper import PaperConfig, PaperResult, run_paper
from peclr_utils.training.predict import Predictions, extract_features, predict_dataset
from peclr_utils.training.pretrain import PretrainResult, pretrain
from peclr_utils.training.probe_encoders import ProbeConfig, probe_encoders
from peclr_utils.training.results import load_results, markdown, summarise
from peclr_utils.training.runlog import read_log
from peclr_utils.training.sources import open_crops

# `python -m peclr_utils.training.pretrain` runs a module that this package has imported already. Python warns
# that state might then exist twice; these modules have none.
warnings.filterwarnings("ignore", f".*{__name__}.*found in sys.modules after import", RuntimeWarning)

__all__ = [
    "AuthorsPairBatches",
    "FinetuneConfig",
    "FinetuneResult",
    "LabelFractionsConfig",
    "LayerwiseAdam",
    "NonFiniteLossError",
    "PaperConfig",
    "PaperResult",
    "Predictions",
    "PretrainConfig",
    "PretrainResult",
    "ProbeConfig",
    "WholePictures",
    "extract_features",
    "finetune",
    "load_results",
    "markdown",
    "open_crops",
    "predict_dataset",
    "pretrain",
    "probe_encoders",
    "read_log",
    "run_label_fractions",
    "run_paper",
    "scaled_gradient",
    "summarise",
]
