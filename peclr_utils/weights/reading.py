"""A file's content as a dict, without running anything in it.

Chapter 03 reads the checkpoint of a stopped run with it.
"""

import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from peclr_utils.weights.foreign import read_foreign
from peclr_utils.weights.layouts import FORMAT, LABELS

logger = logging.getLogger("peclr_utils.weights")

SAFETENSORS = ".safetensors"
"""The suffix by which these files are told from those of `torch.save`."""

NAMED = 5
"""How many foreign classes are named."""

MISTAKEN = {
    b"\x1f\x8b": "an archive, as the authors publish theirs: unpack it (tar -xzf) and name the file in it",
    b"BZh": "a compressed archive: unpack it and name the file in it",
    b"\xfd7zXZ": "a compressed archive: unpack it and name the file in it",
    b"version https://git-lfs": "a Git LFS pointer to the file, not the file: fetch it with `git lfs pull`",
    b"<": "a web page that was saved in the file's place: fetch the file itself",
}
"""What people name in a checkpoint's place, by how it begins."""


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a file of `torch.save` or a `.safetensors` file without running anything in it.

    `torch.load(weights_only=True)` reads it. Where that refuses a file for classes that are not torch's, as
    in PyTorch Lightning's checkpoints, only its `state_dict` is read, which must consist of tensors: no
    foreign class is imported, made or run. That is said, with their names.

    Args:
        path: the file.

    Returns:
        Its dict, on the CPU. Of a file with foreign classes: {"state_dict": ...}. Of a `.safetensors` file: a
        checkpoint of this project if its metadata say so, otherwise {"state_dict": ...}.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read, or is no dict.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such checkpoint")
    if path.suffix == SAFETENSORS:
        return _read_safetensors(path)
    try:
        with warnings.catch_warnings():
            # Of pickles and archives torch refuses a moment later.
            warnings.simplefilter("ignore")
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # foreign classes, or damage, of which torch tells in half a dozen ways
        return _without_foreign_classes(path)
    if not isinstance(checkpoint, dict):
        raise ValueError(f"{path}: expected a dict, found {type(checkpoint).__name__}. Save a state dict")
    return checkpoint


def _without_foreign_classes(path: Path) -> dict[str, Any]:
    try:
        state, foreign = read_foreign(path)
    except Exception as error:  # a damaged or hostile file raises anything
        # Not torch's reason, which advises to switch the protection off.
        if mistake := _mistake(path):
            raise ValueError(f"{path}: this is {mistake}") from None
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(
            f"{path}: cannot be read as a checkpoint of tensors and plain values ({reason}). Fetch the file "
            "again, or save a state dict where it was made"
        ) from None
    more = f" and {len(foreign) - NAMED} more" if len(foreign) > NAMED else ""
    logger.warning(
        "%s: read its state_dict only. The file also names %s%s; nothing of that was imported or run.",
        path,
        ", ".join(map(repr, foreign[:NAMED])) or "nothing foreign",
        more,
    )
    return {"state_dict": state}


def _mistake(path: Path) -> str:
    """What a file that is no checkpoint seems to be, and what to do; "" if that is not known."""
    with path.open("rb") as file:
        start = file.read(64).lstrip()
    return next((mistake for sign, mistake in MISTAKEN.items() if start.startswith(sign)), "")


def _read_safetensors(path: Path) -> dict[str, Any]:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}
    except (SafetensorError, OSError, ValueError) as error:
        if mistake := _mistake(path):
            raise ValueError(f"{path}: this is {mistake}") from None
        raise ValueError(f"{path}: cannot be read as safetensors ({error}). Fetch the file again") from None
    if metadata.get("peclr_utils") != FORMAT:
        return {"state_dict": tensors}
    labels = {label: metadata[label] for label in LABELS if label in metadata}
    return {"format": FORMAT, **labels, "model": tensors}
