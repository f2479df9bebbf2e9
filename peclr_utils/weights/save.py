"""Networks to files, each written completely or not at all.

Chapters 03 and 04 save with it.
"""

import glob
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn

from peclr_utils.files import atomic
from peclr_utils.models import ContrastiveModel, PoseNetwork25D
from peclr_utils.weights.layouts import FORMAT, LABELS, OWN, VIEW
from peclr_utils.weights.load import find_architecture
from peclr_utils.weights.read import SAFETENSORS


def save_checkpoint(
    path: str | Path,
    model: nn.Module,
    *,
    config: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Path:
    """Write a checkpoint atomically: after a crash the file is the old one or the new one.

    Args:
        path: the file; its folder is made if necessary.
        model: a `ContrastiveModel`, a `PoseNetwork25D` or an encoder.
        config: the run's settings as plain values.
        training: what a resumed run needs, or None.
        extra: further plain values or tensors.

    Raises:
        ValueError: if the model is none of these, or the file's name ends in `.safetensors`.
        OSError: if it can't be written, for example on a full disk; the old file is kept.
    """
    if Path(path).suffix == SAFETENSORS:
        raise ValueError(f"{path}: {SAFETENSORS} holds no settings; name it .pt, or call save_safetensors")
    checkpoint = {
        **_describe(model, path),
        "config": dict(config or {}),
        "training": None if training is None else dict(training),
        "extra": dict(extra or {}),
    }
    return _write(path, lambda file: torch.save(checkpoint, file))


def save_safetensors(path: str | Path, model: nn.Module) -> Path:
    """Write a network as `.safetensors`, with the checkpoint's other labels as metadata.

    Args:
        path: the file, ending in `.safetensors`; its folder is made if necessary.
        model: as in `save_checkpoint`.
    """
    if Path(path).suffix != SAFETENSORS:
        raise ValueError(f"{path}: expected a name that ends in {SAFETENSORS}; the loaders go by it")
    return _write_safetensors(path, _describe(model, path))


def save_encoder(path: str | Path, model: nn.Module) -> Path:
    """Write an encoder under torchvision's names, for use without this package.

    A torchvision ResNet loads it with `fc = torch.nn.Identity()`, or all but its `fc` with `strict=False`.

    Args:
        path: the file: `.safetensors`, or any other suffix for a plain state dict by `torch.save`.
        model: an encoder, or the `ContrastiveModel` or `PoseNetwork25D` that contains it.
    """
    encoder = getattr(model, "backbone", getattr(model, "encoder", model))
    described = _describe(encoder, path)
    if Path(path).suffix != SAFETENSORS:
        return _write(path, lambda file: torch.save(described["model"], file))
    return _write_safetensors(path, described)


def remove_leftovers(path: str | Path) -> None:
    """Remove temporary files of processes killed while writing this file; no process may be writing it."""
    path = Path(path)
    for temporary in path.parent.glob(f".[0-9]*-????????-{glob.escape(path.name)}"):
        temporary.unlink(missing_ok=True)


def _describe(model: nn.Module, path: str | Path) -> dict[str, Any]:
    """A network's labels, and its tensors, contiguous and on the CPU."""
    kind = {ContrastiveModel: "contrastive", PoseNetwork25D: "pose"}.get(type(model), "encoder")
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    if kind == "encoder":
        state = {key: value for key, value in state.items() if not key.startswith("fc.")}
    labels = {"kind": kind, "arch": find_architecture(state, str(path), OWN[kind])}
    if isinstance(model, PoseNetwork25D):
        labels["keypoint_order"] = model.keypoint_order
        labels |= {name: value for name in VIEW if (value := getattr(model, name)) is not None}
        labels |= {name: True for name in ("knows_presence", "any_angle") if getattr(model, name)}
    return {"format": FORMAT, **labels, "model": state}


def _write(path: str | Path, write: Callable[[Path], Any]) -> Path:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with atomic(path) as temporary:
            write(temporary)
    except (OSError, RuntimeError, SafetensorError) as error:  # a full disk is each of them
        free = shutil.disk_usage(path.parent).free / 1e6
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise OSError(
            f"{path}: could not be written, with {free:,.0f} MB free ({reason}). What was there before is "
            "kept. Free some space, or check the folder's permissions, and run it again"
        ) from error
    return path


def _write_safetensors(path: str | Path, described: Mapping[str, Any]) -> Path:
    # "format" is what other libraries look for: tensors of PyTorch.
    metadata = {"format": "pt", "peclr_utils": described["format"]}
    metadata |= {label: str(described[label]) for label in LABELS if label in described}
    return _write(path, lambda file: save_file(described["model"], file, metadata))
