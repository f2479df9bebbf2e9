"""FreiHAND's label files: `{training,evaluation}_{K,xyz,scale}.json`, parsed once into a compact file.

Chapter 01 writes such files and opens them again.
"""

import json
import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from peclr_utils.datasets import cache

SHAPES: dict[str, tuple[int, ...]] = {"K": (3, 3), "xyz": (21, 3), "scale": ()}
"""Shape of one entry of each file."""

CACHED_FROM = 1_000_000
"""Bytes of JSON from which a compact file is worth writing; less than that parses in milliseconds."""

_VERSION = 1
_NUMBERS_AND_SPACE = b"0123456789.+-eE \n\r\t"


@dataclass(frozen=True)
class Labels:
    """Labels of one part of FreiHAND, one row for each id.

    Attributes:
        K: (N, 3, 3) float32, pixels.
        xyz: (N, 21, 3) float32, metres, or None.
        scale: (N,) float32, metres, or None.
    """

    K: np.ndarray
    xyz: np.ndarray | None
    scale: np.ndarray | None


def label_path(root: Path, part: str, kind: str) -> Path:
    """Path of one label file; `part` is "training" or "evaluation", `kind` a key of SHAPES."""
    return root / f"{part}_{kind}.json"


def load_labels(root: Path, part: str, cache_folder: Path | str | None = None) -> Labels:
    """Load the labels of one part, from the compact file if there is a valid one.

    Args:
        root: FreiHAND's folder.
        part: "training", which needs all three files, or "evaluation", which needs only K.
        cache_folder: where to keep the compact file; None chooses (see `cache`).

    Raises:
        FileNotFoundError: if a file that is needed is missing.
        ValueError: if a file is damaged, has entries of a wrong shape, or the files' lengths differ.
    """
    present = _present(root, part)
    if sum(path.stat().st_size for path in present.values()) < CACHED_FROM:
        return _parse(present)
    name = f"freihand_{part}_{cache.stamp(list(present.values()), _VERSION)}.npz"
    places = cache.folders(root, cache_folder)
    labels = _read_compact(cache.find(places, name))
    if labels is None:
        labels = _parse(present)
        try:
            _write_compact(labels, cache.writable(places), name, part)
        except OSError as error:
            warnings.warn(f"{root}: labels are parsed anew at each opening; {error}", stacklevel=3)
    return labels


def read_array(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Read a JSON list of equally shaped arrays of numbers.

    Python's parser is slow at a nested list of two million numbers. So the brackets are compared with the
    expected ones as bytes, and then NumPy parses the numbers alone, in less than half the time.

    Args:
        path: the file.
        shape: expected shape of an entry.

    Returns:
        (N, *shape) float64.

    Raises:
        ValueError: if the file is not JSON or an entry has another shape or is not finite; names the first
            one.
    """
    text = path.read_bytes()
    brackets = text.translate(None, _NUMBERS_AND_SPACE)
    entry = _brackets(shape)
    count = (len(brackets) - 1) // (len(entry) + 1)
    between = b"," + text.translate(None, b"[] \n\r\t") + b","
    if count == 0 or brackets != b"[" + b",".join([entry] * count) + b"]" or b",," in between:
        return _read_slowly(path, text, shape)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # NumPy stops at what is no number, and only warns
            values = np.fromstring(text.translate(None, b"[]"), sep=",").reshape(count, *shape)
    except (ValueError, DeprecationWarning):
        return _read_slowly(path, text, shape)
    return values if np.isfinite(values).all() else _read_slowly(path, text, shape)


def _brackets(shape: tuple[int, ...]) -> bytes:
    if not shape:
        return b""
    return b"[" + b",".join([_brackets(shape[1:])] * shape[0]) + b"]"


def _read_slowly(path: Path, text: bytes, shape: tuple[int, ...]) -> np.ndarray:
    """Read entry by entry, to say what is wrong and where."""
    try:
        entries = json.loads(text)
    except ValueError as error:
        raise ValueError(
            f"{path}: not valid JSON, probably cut short ({error}); copy the file again"
        ) from None
    if not isinstance(entries, list) or not entries:
        raise ValueError(
            f"{path}: expected a list with one entry for each photograph, found {str(entries)[:40]}"
        )
    for position, entry in enumerate(entries):
        try:
            found = np.array(entry, np.float64)
        except (ValueError, TypeError):
            raise ValueError(
                f"{path}: entry {position}: expected numbers of shape {shape}, found others"
            ) from None
        if found.shape != shape:
            raise ValueError(f"{path}: entry {position}: expected shape {shape}, found {found.shape}")
        if not np.isfinite(found).all():
            raise ValueError(f"{path}: entry {position}: expected finite numbers, found {entry}")
    return np.array(entries, np.float64)


def _present(root: Path, part: str) -> dict[str, Path]:
    paths = {kind: label_path(root, part, kind) for kind in SHAPES}
    needed = SHAPES if part == "training" else ("K",)
    missing = [paths[kind].name for kind in needed if not paths[kind].is_file()]
    if missing:
        raise FileNotFoundError(f"{root}: {', '.join(missing)} missing; {explain_root(root)}")
    return {kind: path for kind, path in paths.items() if path.is_file()}


def _parse(present: dict[str, Path]) -> Labels:
    arrays = {kind: read_array(path, SHAPES[kind]).astype(np.float32) for kind, path in present.items()}
    if len({len(array) for array in arrays.values()}) > 1:
        lengths = ", ".join(f"{present[kind].name} has {len(array)}" for kind, array in arrays.items())
        raise ValueError(
            f"{next(iter(present.values())).parent}: label files of different lengths: {lengths}; "
            "they come from different releases or one is cut short"
        )
    return Labels(arrays["K"], arrays.get("xyz"), arrays.get("scale"))


def _read_compact(path: Path | None) -> Labels | None:
    if path is None:
        return None
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            return Labels(arrays["K"], arrays.get("xyz"), arrays.get("scale"))
    except cache.DAMAGE:
        return None  # a damaged compact file is simply made again


def _write_compact(labels: Labels, place: Path, name: str, part: str) -> None:
    arrays = {kind: array for kind, array in vars(labels).items() if array is not None}
    with cache.atomic(place / name) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)
    cache.remove_stale(place, f"freihand_{part}_", keep=[name])


def is_root(folder: Path) -> bool:
    """Whether the folder looks like FreiHAND's, whole or in parts."""
    return any(
        label_path(folder, part, kind).is_file() for part in ("training", "evaluation") for kind in SHAPES
    )


def explain_root(root: Path) -> str:
    """Say in a sentence what a folder that should be FreiHAND's is instead, and which one to name."""
    if not root.exists():
        return "there is no such folder"
    if not root.is_dir():
        return "this is a file; name the folder that FreiHAND was unpacked to"
    if is_root(root):
        found = sorted(path.name for path in root.glob("*_*.json"))
        return f"found only {', '.join(found)}; unpack FreiHAND's archive again"
    above = next((folder for folder in list(root.resolve().parents)[:2] if is_root(folder)), None)
    if above is not None:
        return f"FreiHAND's folder lies above the one named: {above}"
    below = next((folder for folder in _folders_below(root) if is_root(folder)), None)
    if below is not None:
        return f"FreiHAND's folder lies below the one named: {below}"
    return (
        "expected FreiHAND's folder, which holds training/, evaluation/ and training_K.json; "
        "data/README.md says where to get it"
    )


def _folders_below(root: Path, levels: int = 2) -> list[Path]:
    """Folders in a folder and in those, without asking for each of many files what it is."""
    try:
        with os.scandir(root) as entries:
            children = sorted(Path(entry.path) for entry in entries if entry.is_dir())
    except OSError:  # a folder one may not look into is not the right one
        return []
    deeper = [folder for child in children if levels > 1 for folder in _folders_below(child, levels - 1)]
    return [*children, *deeper]
