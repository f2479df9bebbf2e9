"""PeCLR as a course and a package: equivariant contrastive pre-training for 3D hand pose.

The modules, in the order data flows through them: `skeleton`, `camera`, `hands`, `datasets`, `crops`,
`augmentation`, `equivariance`, `losses`, `models`, `weights`, `inference`, `evaluation`, `training`,
`experiments`, `plotting`, `widgets`, `course`. Each is imported when its name is first used, so `import
peclr_utils` is fast.
"""

import importlib
from types import ModuleType

__version__ = "0.1.0"

_ROOMS = (
    "skeleton",
    "camera",
    "hands",
    "datasets",
    "crops",
    "augmentation",
    "equivariance",
    "losses",
    "losses_blockwise",
    "models",
    "weights",
    "inference",
    "evaluation",
    "training",
    "experiments",
    "plotting",
    "widgets",
    "course",
)


def __getattr__(name: str) -> ModuleType:
    if name in _ROOMS:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_ROOMS])
