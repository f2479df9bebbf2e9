"""Networks into files, each whole or not there at all.

Chapters 03 and 04 save with it.
"""

import glob
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from peclr_utils.models import ContrastiveModel, PoseNetwork25D
from peclr_utils.weights.architecture import find_architecture
from peclr_utils.weights.layouts import ENCODER, FORMAT, LABELS, VIEW
from peclr_utils.weights.reading import SAFETENSORS


def _write_whole(path: str | Path, write: Callable[[Path], Any]) -> Path:
    """Write a temporary file, which then takes the file's place."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        with temporary.open("r+b") as file:
            # Else a machine that loses power may have renamed a file whose content never reached the disk.
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def remove_leftovers(path: str | Path) -> None:
    """Remove what a process left that was killed while it wrote a file; nobody else may be writing it now.

    Args:
        path: the file itself, which stays.
    """
    path = Path(path)
    for temporary in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        temporary.unlink(missing_ok=True)


def _describe(model: nn.Module, path: str | Path) -> dict[str, Any]:
    """What a file of ours says of a network: its labels and its tensors, contiguous and on the CPU."""
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    kind = {ContrastiveModel: "contrastive", PoseNetwork25D: "pose"}.get(type(model), "encoder")
    encoder = _encoder_part(state, kind)
    labels = {"kind": kind, "arch": find_architecture(encoder, str(path))}
    if isinstance(model, PoseNetwork25D):
        labels["keypoint_order"] = model.keypoint_order
        labels |= {name: value for name in VIEW if (value := getattr(model, name)) is not None}
    return {"format": FORMAT, **labels, "model": state}


def _encoder_part(state: Mapping[str, Tensor], kind: str) -> dict[str, Tensor]:
    prefix = ENCODER[kind]
    part = {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}
    return {key: value for key, value in part.items() if not key.startswith("fc.")}


def save_checkpoint(
    path: str | Path,
    model: nn.Module,
    *,
    config: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Path:
    """Write a checkpoint so that the file is always whole.

    It goes into a temporary file first, which then takes its place.

    Args:
        path: the file; its folder is made when missing.
        model: a `ContrastiveModel`, a `PoseNetwork25D` or an encoder.
        config: the run's settings as plain values.
        training: what a resumed run needs, or None.
        extra: further plain values or tensors.

    Returns:
        The path.

    Raises:
        ValueError: if the model is none of these, or the file's name ends in `.safetensors`.
    """
    if Path(path).suffix == SAFETENSORS:
        raise ValueError(
            f"{path}: expected a file of torch.save, which holds settings beside the tensors; found the "
            f"suffix {SAFETENSORS}. Call save_safetensors or name the file .pt"
        )
    checkpoint = {
        **_describe(model, path),
        "config": dict(config or {}),
        "training": None if training is None else dict(training),
        "extra": dict(extra or {}),
    }
    return _write_whole(path, lambda file: torch.save(checkpoint, file))


def save_safetensors(path: str | Path, model: nn.Module) -> Path:
    """Write a network as `.safetensors`; what else a checkpoint says of it goes into the metadata.

    Args:
        path: the file, ending in `.safetensors`; its folder is made when missing.
        model: a `ContrastiveModel`, a `PoseNetwork25D` or an encoder.

    Returns:
        The path.

    Raises:
        ValueError: if the model is none of these, or the file's name ends otherwise.
    """
    if Path(path).suffix != SAFETENSORS:
        raise ValueError(
            f"{path}: expected a name that ends in {SAFETENSORS}, by which the loaders tell these files. "
            "Rename it"
        )
    described = _describe(model, path)
    labels = {label: str(described[label]) for label in LABELS if label in described}
    # "format" is what other libraries look for: tensors of PyTorch.
    metadata = {"format": "pt", "peclr_utils": FORMAT, **labels}
    return _write_whole(path, lambda file: save_file(described["model"], file, metadata))


def save_encoder(path: str | Path, model: nn.Module) -> Path:
    """Write an encoder under torchvision's names, for use without this package.

    A torchvision ResNet takes them with `fc = torch.nn.Identity()`, or all but its `fc` with `strict=False`.

    Args:
        path: the file; `.safetensors` is written so, any other suffix as a plain state dict by `torch.save`.
        model: an encoder, or the `ContrastiveModel` or `PoseNetwork25D` whose encoder it shall be.

    Returns:
        The path.

    Raises:
        ValueError: if the model has no such encoder.
    """
    described = _describe(model, path)
    state = _encoder_part(described["model"], described["kind"])
    if Path(path).suffix != SAFETENSORS:
        return _write_whole(path, lambda file: torch.save(state, file))
    metadata = {"format": "pt", "peclr_utils": FORMAT, "kind": "encoder", "arch": described["arch"]}
    return _write_whole(path, lambda file: save_file(state, file, metadata))
