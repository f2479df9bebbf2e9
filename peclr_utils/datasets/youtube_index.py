"""YouTube3DHands' label file, `youtube_{split}.json`, streamed once into two compact files.

The training file has gigabytes and does not fit into memory as Python objects. It is read in a stream, one
annotation at a time, into a memory-mapped array of vertices and a small table of everything else.
"""

import os
import reprlib
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from tqdm.auto import tqdm

from peclr_utils.datasets import cache

VERTICES = 778
"""Vertices of MANO's mesh."""

_VERSION = 1
_SHOW_PROGRESS_FROM = 50_000_000
_LARGEST_ID = 2**63 - 1
_LARGEST_SIDE = 2**31 - 1


@dataclass(frozen=True)
class YouTubeIndex:
    """The content of one label file, I images and A annotations.

    Attributes:
        names: (I,) bytes, the frames' file names in UTF-8.
        sizes: (I, 2) int32, width and height that the vertices refer to.
        image: (A,) int64, position of each annotation's image.
        is_left: (A,) bool.
        ids: (A,) int64, the annotations' ids.
        vertices_path: .npy file with (A, 778, 3) float32, image pixels and depth at the same scale.
    """

    names: np.ndarray
    sizes: np.ndarray
    image: np.ndarray
    is_left: np.ndarray
    ids: np.ndarray
    vertices_path: Path

    def vertices(self, annotation: int) -> np.ndarray:
        """Vertices of one annotation, (778, 3) float32; opens the file anew, so workers share nothing."""
        return np.array(np.load(self.vertices_path, mmap_mode="r")[annotation])


def open_index(path: Path, root: Path, cache_folder: Path | str | None = None) -> YouTubeIndex:
    """Open the compact files made from a label file, or make them; damaged ones are made again.

    Args:
        path: the label file.
        root: the data's folder.
        cache_folder: where to keep the compact files; None chooses (see `cache`).

    Raises:
        ValueError: if the label file is damaged or lacks what is needed; names the entry.
        OSError: if no folder can be written to.
    """
    stem = f"{path.stem}_{cache.stamp([path], _VERSION)}"
    vertices_name, table_name = f"{stem}.vertices.npy", f"{stem}.index.npz"
    places = cache.folders(root, cache_folder)
    index = _find_compact(path, places, table_name, vertices_name)
    if index is not None:
        return index
    place = cache.writable(places)
    with cache.atomic(place / vertices_name) as vertices:
        arrays = _stream(path, vertices)
    with cache.atomic(place / table_name) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)
    cache.remove_stale(place, f"{path.stem}_", keep=[vertices_name, table_name])
    return YouTubeIndex(**arrays, vertices_path=place / vertices_name)


def _find_compact(path: Path, places: Sequence[Path], table: str, vertices: str) -> YouTubeIndex | None:
    """Open the first whole pair of compact files; say so where there are only damaged ones."""
    damaged = []
    for place in places:
        if not (place / table).is_file():
            continue
        try:
            return _read_compact(place / table, place / vertices)
        except cache.DAMAGE as error:
            damaged.append(f"{place / table} or its vertices ({str(error) or type(error).__name__})")
    if damaged:
        warnings.warn(f"{path}: read again, for damaged is {', '.join(damaged)}", stacklevel=4)
    return None


def _read_compact(table: Path, vertices: Path) -> YouTubeIndex:
    """Open a pair of compact files; raises one of `cache.DAMAGE` if one of them is cut short."""
    with table.open("rb") as file, np.load(file) as arrays:
        names = ("names", "sizes", "image", "is_left", "ids")
        index = YouTubeIndex(**{name: arrays[name] for name in names}, vertices_path=vertices)
    # Mapping the file into memory reads nothing, but notices if its end is missing.
    shape = np.load(vertices, mmap_mode="r").shape
    if shape != (len(index.ids), VERTICES, 3):
        raise ValueError(f"{vertices.name}: expected {len(index.ids)} hands, found shape {shape}")
    return index


def _stream(path: Path, vertices: Path) -> dict[str, np.ndarray]:
    """Write the vertices into a file and return the table."""
    import ijson

    try:
        positions, names, sizes = _images(path)
        annotations = []
        with path.open("rb") as raw, _shown(raw, path) as file, vertices.open("wb") as out:
            _write_header(out, 0)
            for entry in ijson.items(file, "annotations.item", use_float=True):
                where = _where(path, "annotation", entry, len(annotations))
                annotations.append(_annotation(entry, positions, where))
                out.write(_vertices(entry, where).tobytes())
            _write_header(out, len(annotations))
    except (ijson.JSONError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"{path}: not valid JSON, probably cut short ({reason}); copy the file again"
        ) from None
    if not annotations:
        raise ValueError(f"{path}: expected a list of hands named 'annotations', found none")
    table = np.array(annotations, np.int64)
    return {
        "names": np.array([name.encode() for name in names]),
        "sizes": np.array(sizes, np.int32),
        "image": table[:, 0],
        "is_left": table[:, 1].astype(bool),
        "ids": table[:, 2],
    }


def _images(path: Path) -> tuple[dict[int, int], list[str], list[tuple[int, int]]]:
    """Read the list of images, which may come before or after the annotations, and stop at its end."""
    import ijson

    positions: dict[int, int] = {}
    names: list[str] = []
    sizes: list[tuple[int, int]] = []
    with path.open("rb") as file:
        for image in _items_until_end(ijson.parse(file, use_float=True), "images"):
            where = _where(path, "image", image, len(names))
            key, name, width, height = _fields(image, ("id", "name", "width", "height"), where)
            if not isinstance(name, str):
                raise ValueError(f"{where}: expected a file's name as name, found {_shortened(name)}")
            if key in positions:
                raise ValueError(f"{where}: its id is given twice")
            if not all(_is_whole(side, 1, _LARGEST_SIDE) for side in (width, height)):
                found = f"{_shortened(width)} x {_shortened(height)}"
                raise ValueError(f"{where}: expected a positive width and height, found {found}")
            positions[key] = len(names)
            names.append(name)
            sizes.append((width, height))
    if not names:
        raise ValueError(f"{path}: expected a list of frames named 'images', found none")
    return positions, names, sizes


def _items_until_end(events: Iterator[tuple[str, str, object]], key: str) -> Iterator[dict]:
    """Build the entries of the list `key`; unlike `ijson.items` this doesn't read on after the list."""
    import ijson

    builder = None
    item = f"{key}.item"
    for prefix, event, value in events:
        if prefix == key and event == "end_array":
            return
        if prefix == item and builder is None:
            builder = ijson.ObjectBuilder()
        if builder is not None:
            builder.event(event, value)
            if prefix == item and event not in ("start_map", "map_key", "start_array"):
                yield builder.value
                builder = None


def _where(path: Path, kind: str, entry: object, position: int) -> str:
    """Say which entry an error is about: by its id, or by its position where that can't be told."""
    where = f"{path}: {kind} number {position}"
    if not isinstance(entry, dict):
        raise ValueError(f"{where}: expected an object with fields, found {_shortened(entry)}")
    if "id" not in entry:
        return where
    if not _is_whole(entry["id"], -_LARGEST_ID, _LARGEST_ID):
        raise ValueError(f"{where}: its id must be a whole number, found {_shortened(entry['id'])}")
    return f"{path}: {kind} {entry['id']}"


def _annotation(entry: dict, positions: dict[int, int], where: str) -> tuple[int, bool, int]:
    image_id, is_left, key = _fields(entry, ("image_id", "is_left", "id"), where)
    if not _is_whole(image_id, -_LARGEST_ID, _LARGEST_ID):
        raise ValueError(f"{where}: its image_id must be a whole number, found {_shortened(image_id)}")
    if image_id not in positions:
        raise ValueError(f"{where}: its image_id {image_id} is not among the images")
    if is_left not in (0, 1):
        raise ValueError(f"{where}: is_left must be 0 or 1, found {_shortened(is_left)}")
    return positions[image_id], bool(is_left), key


def _is_whole(value: object, least: int, most: int) -> bool:
    """Whether a JSON value is a whole number within bounds, 64.0 among them; true and false are none."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and least <= value <= most and value == int(value)


def _shortened(value: object) -> str:
    """A value found in the file, as JSON has it and no longer than a line."""
    return "null" if value is None else reprlib.repr(value)


def _vertices(entry: dict, where: str) -> np.ndarray:
    (found,) = _fields(entry, ("vertices",), where)
    try:
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused below
            vertices = np.array(found, "<f4")
    except (ValueError, TypeError, OverflowError):
        raise ValueError(f"{where}: vertices must be {VERTICES} x 3 numbers, found others") from None
    if vertices.shape != (VERTICES, 3):
        raise ValueError(f"{where}: vertices must be of shape {(VERTICES, 3)}, found {vertices.shape}")
    if not np.isfinite(vertices).all():
        raise ValueError(f"{where}: vertices must be finite")
    return vertices


def _fields(entry: dict, names: tuple[str, ...], where: str) -> list:
    missing = [name for name in names if name not in entry]
    if missing:
        raise ValueError(f"{where}: {', '.join(missing)} missing, found {', '.join(entry)}")
    return [entry[name] for name in names]


def _write_header(file: BinaryIO, count: int) -> None:
    """Write the .npy header; NumPy leaves room in it for a longer first axis, so it can be written over."""
    end = file.tell()
    file.seek(0)
    header = {"descr": "<f4", "fortran_order": False, "shape": (count, VERTICES, 3)}
    np.lib.format.write_array_header_1_0(file, header)
    file.seek(max(end, file.tell()))


def _shown(file: BinaryIO, path: Path) -> AbstractContextManager[BinaryIO]:
    """Show a progress bar while the file is read, unless it is small."""
    size = os.path.getsize(path)
    quiet = size < _SHOW_PROGRESS_FROM
    return tqdm.wrapattr(file, "read", total=size, desc=f"{path.name}, once", disable=quiet, leave=False)
