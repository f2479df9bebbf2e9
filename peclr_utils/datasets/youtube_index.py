"""YouTube3DHands' label file, `youtube_{split}.json`, streamed once into two compact files.

The training file has gigabytes and does not fit into memory as Python objects. It is read in a stream, one
hand at a time, into a memory-mapped array of vertices and a small table of everything else. Both are kept in
the folder `.peclr_utils` beside the data or, where that can't be written to, in the user's cache.
"""

import hashlib
import os
import reprlib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from tqdm.auto import tqdm

from peclr_utils.files import atomic, write_text

CACHE = ".peclr_utils"
"""Name of the folder beside the data."""

VERTICES = 778
"""Vertices of MANO's mesh."""

_PROGRESS_FROM = 50_000_000  # bytes
_HAND_BYTES = VERTICES * 3 * 4
_IMAGE = "an id of its own, a file name as name, and a positive width and height"
_ANNOTATION = f"an id, an image's id as image_id, is_left 0 or 1, and {VERTICES} x 3 finite vertices"


@dataclass(frozen=True)
class YouTubeIndex:
    """The content of one label file, I images and A annotations.

    Attributes:
        names: (I,) bytes, the frames' file names in UTF-8.
        sizes: (I, 2) int32, width and height that the vertices refer to.
        image: (A,) int64, position of each annotation's image.
        is_left: (A,) bool.
        ids: (A,) int64, the annotations' ids.
        vertices_path: file of (A, 778, 3) float32 and nothing else, image pixels and depth at the same scale.
    """

    names: np.ndarray
    sizes: np.ndarray
    image: np.ndarray
    is_left: np.ndarray
    ids: np.ndarray
    vertices_path: Path

    def vertices(self, annotation: int) -> np.ndarray:
        """Vertices of one annotation, (778, 3) float32; opens the file anew, so workers share nothing."""
        mesh = np.fromfile(self.vertices_path, "<f4", VERTICES * 3, offset=annotation * _HAND_BYTES)
        return mesh.reshape(VERTICES, 3)


def open_index(path: Path, cache: Path | str | None = None) -> YouTubeIndex:
    """Open the compact files made from a label file, or make them; damaged ones are made again.

    Args:
        path: the label file.
        cache: where to keep the compact files; None takes `.peclr_utils` beside the label file or, where that
            can't be written to, a folder in the user's cache.

    Raises:
        ValueError: if the label file is damaged or lacks what is needed; names the entry.
        OSError: if no folder can be written to.
    """
    folder, state = path.parent.resolve(), path.stat()
    name = f"{path.stem}_{state.st_size}_{state.st_mtime_ns}.npz"
    key = hashlib.blake2b(str(folder).encode(), digest_size=6).hexdigest()
    place = folder / CACHE
    if cache is not None:
        place = Path(cache).expanduser()
    elif not (place / name).is_file() and not os.access(folder, os.W_OK):
        place = Path.home() / ".cache" / "peclr_utils" / f"{folder.name}-{key}"
    table = place / name
    with suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):  # not there, or damaged
        return _read_compact(table)
    write_text(place / ".gitignore", "*\n")  # keeps the folder out of a repository around it
    with atomic(_vertices_path(table)) as vertices:
        arrays = _stream(path, vertices)
    with atomic(table) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)
    for stale in place.glob(f"{path.stem}_*"):
        if stale not in (table, _vertices_path(table)):
            stale.unlink()
    return _read_compact(table)


def _vertices_path(table: Path) -> Path:
    return table.with_suffix(".vertices")


def _read_compact(table: Path) -> YouTubeIndex:
    with np.load(table) as arrays:
        index = YouTubeIndex(**arrays, vertices_path=_vertices_path(table))
    if index.vertices_path.stat().st_size != len(index.ids) * _HAND_BYTES:
        raise ValueError(f"{index.vertices_path}: cut short")
    return index


def _stream(path: Path, vertices: Path) -> dict[str, np.ndarray]:
    """Write the vertices into a file and return the table."""
    import ijson

    rows = []
    try:
        positions, names, sizes = _read_images(path)
        with path.open("rb") as raw, _shown(raw, path) as file, vertices.open("wb") as out:
            for entry in ijson.items(file, "annotations.item", use_float=True):
                with _checked(f"{path}: annotation number {len(rows)}", entry, _ANNOTATION):
                    mesh = np.array(entry["vertices"], "<f4")
                    if mesh.shape != (VERTICES, 3) or not np.isfinite(mesh).all():
                        raise ValueError
                    if entry["is_left"] not in (0, 1):
                        raise ValueError
                    rows.append((positions[entry["image_id"]], int(entry["is_left"]), int(entry["id"])))
                    out.write(mesh.tobytes())
    except (ijson.JSONError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path}: not valid JSON, probably cut short ({reason}); copy it again") from None
    if not rows:
        raise ValueError(f"{path}: expected lists named 'images' and 'annotations', found no annotations")
    table = np.array(rows, np.int64)
    return {
        "names": np.array([name.encode() for name in names]),
        "sizes": np.array(sizes, np.int32),
        "image": table[:, 0],
        "is_left": table[:, 1].astype(bool),
        "ids": table[:, 2],
    }


def _read_images(path: Path) -> tuple[dict[int, int], list[str], list[tuple[int, int]]]:
    """Each image's position by id, its name and its (width, height); reads no further than their list."""
    import ijson

    positions: dict[int, int] = {}
    names, sizes = [], []
    with path.open("rb") as file:
        entries = next(ijson.items(file, "images", use_float=True), [])
    for entry in entries:
        where = f"{path}: image number {len(names)}"
        with _checked(where, entry, _IMAGE):
            key, name, size = int(entry["id"]), entry["name"], (int(entry["width"]), int(entry["height"]))
            if key in positions or not isinstance(name, str) or min(size) <= 0:
                raise ValueError
            positions[key] = len(names)
            names.append(name)
            sizes.append(size)
    return positions, names, sizes


@contextmanager
def _checked(where: str, entry: object, expected: str) -> Iterator[None]:
    """Turn whatever goes wrong while an entry is read into an error that names it."""
    try:
        yield
    except (KeyError, TypeError, ValueError, OverflowError):
        raise ValueError(f"{where}: expected {expected}, found {reprlib.repr(entry)}") from None


def _shown(file: BinaryIO, path: Path) -> object:
    """Show a progress bar while the file is read, unless it is small."""
    size = path.stat().st_size
    return tqdm.wrapattr(file, "read", total=size, desc=path.name, disable=size < _PROGRESS_FROM, leave=False)
