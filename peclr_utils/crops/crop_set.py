"""Crops of a whole data set in a few files, read through the page cache.

Chapter 03 trains from it. `pack` makes the folder, `layout` says what is in it.
"""

import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from peclr_utils.crops.layout import (
    CHECKSUMS,
    CHUNK,
    HANDEDNESS,
    IMAGES,
    INDEX,
    MASKS,
    chunk_range,
    file_size,
    header,
    pixel_checksum,
    read_stamp,
    shape_of,
)
from peclr_utils.datasets.sample import HandSample

LOOKED_AT = 4
"""Chunks whose pixels are checked at each opening."""

READ_AT_ONCE = 1 << 20
"""Bytes of the index that are summed up at once."""

REMEDY = "delete the folder and pack it again"


class CropSet:
    """A data set of crops that lie in a folder, memory-mapped.

    Opening it checks that the files are whole: their sizes, the checksum of the index, and the checksums of
    the pixels of a few chunks of crops, or of all with `verify`. An item copies only its own row. Pickling
    carries the path, not the pictures, and what was unpickled opens the files when it is first used, without
    checking them again: so a set can be handed to loader workers. Fields of many crops at once are arrays:
    `crops.images[indices]`.

    Args:
        path: folder that `pack` made.
        verify: whether to read all pixels and compare their checksums; `python -m peclr_utils.crops PATH`
            does it, too.
        progress: whether to show a progress bar while verifying.

    Attributes:
        path: the folder.
        size: side of the crops in pixels.
        stamp: what the crops were made of, as `pack` wrote it.
        images: (N, S, S, 3) uint8, read-only as the other arrays are.
        masks: (N, S, S) uint8, 0 where not known; None if no crop has a mask.
        has_mask: (N,) bool.
        keypoints_3d, keypoints_2d, K, bone_length: (N, ...) float32, NaN where not known.
        handedness: (N,) uint8, 0 right, 1 left.
        identities: (N,) int64.
        sources: names of the data sets that the crops come from.
        source_index: (N,) position in `sources`.
        source: all the names, joined by "+".

    Raises:
        FileNotFoundError: if there is no crop set at `path`.
        ValueError: if the folder is half built, damaged, cut short or of another version.
    """

    size: int
    stamp: dict[str, Any]
    images: np.ndarray
    masks: np.ndarray | None
    has_mask: np.ndarray
    keypoints_3d: np.ndarray
    keypoints_2d: np.ndarray
    K: np.ndarray
    bone_length: np.ndarray
    handedness: np.ndarray
    identities: np.ndarray
    sources: tuple[str, ...]
    source_index: np.ndarray
    source: str

    def __init__(self, path: str | Path, verify: bool = False, progress: bool = True):
        self.path = Path(path)
        self._open()
        self._check_index()
        chunks = range(len(self._checksums))
        if not verify:
            chunks = np.unique(np.linspace(0, chunks[-1], LOOKED_AT).astype(int))
        bar = tqdm(chunks, f"verifying {self.path.name}", unit="chunk", disable=not (verify and progress))
        self._check_pixels(bar)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> HandSample:
        if not -len(self) <= index < len(self):
            raise IndexError(f"crop set {self.path}: index {index} outside 0..{len(self) - 1}")
        index = int(index) % len(self)
        length = float(self.bone_length[index])
        return HandSample(
            image=self.images[index].copy(),
            identity=int(self.identities[index]),
            source=self.sources[self.source_index[index]],
            handedness=HANDEDNESS[self.handedness[index]],
            keypoints_3d=_known(self.keypoints_3d[index]),
            keypoints_2d=_known(self.keypoints_2d[index]),
            K=_known(self.K[index]),
            bone_length=None if np.isnan(length) else length,
            mask=self.masks[index].copy() if self.has_mask[index] else None,
            name=f"{self.path.name}[{index}]",
        )

    def __repr__(self) -> str:
        return f"CropSet({str(self.path)!r}: {len(self)} crops of {self.size} px from {self.source})"

    def __reduce__(self):
        return _closed, (self.path, self.stamp["checksum"])

    def __getattr__(self, name: str) -> Any:
        # Python asks here only for what is missing: fields, in a set that was unpickled and not used yet.
        if name not in CropSet.__annotations__ or "stamp" in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        self._open(self.__dict__["_expected"])
        return getattr(self, name)

    def _open(self, expected: int | None = None) -> None:
        stamp = read_stamp(self.path)
        if expected not in (None, stamp["checksum"]):
            raise ValueError(f"crop set {self.path} was packed anew since it was opened; open it again")
        count, size = stamp["count"], stamp["size"]
        self.images = _map(self.path, IMAGES, count, size)
        self.masks = _map(self.path, MASKS, count, size) if stamp["masks"] else None
        index = _map(self.path, INDEX, count, size)
        self.has_mask, self.handedness = index["has_mask"], index["handedness"]
        self.keypoints_3d, self.keypoints_2d = index["keypoints_3d"], index["keypoints_2d"]
        self.K, self.bone_length = index["K"], index["bone_length"]
        self.identities, self.source_index = index["identity"], index["source"]
        self.size, self.sources, self.source = size, tuple(stamp["sources"]), "+".join(stamp["sources"])
        self._checksums = _map(self.path, CHECKSUMS, count, size)
        self.stamp = stamp

    def _check_index(self) -> None:
        for name, expected in self.stamp["checksums"].items():
            if file_checksum(self.path / name) != expected:
                raise ValueError(f"crop set {self.path}: {name} is damaged, its checksum is wrong; {REMEDY}")

    def _check_pixels(self, chunks: Iterable[int]) -> None:
        damaged = [number for number in chunks if not self._is_whole(int(number))]
        if damaged:
            first = chunk_range(int(damaged[0]), len(self))
            raise ValueError(
                f"crop set {self.path}: the pixels of {len(damaged)} of {len(self._checksums)} chunks of "
                f"{CHUNK} crops are damaged, the first are crops {first.start} to {first.stop - 1}; {REMEDY}"
            )

    def _is_whole(self, number: int) -> bool:
        rows = chunk_range(number, len(self))
        part = slice(rows.start, rows.stop)
        masks = self.masks[part] if self.has_mask[part].any() else None
        return pixel_checksum(self.images[part], masks) == self._checksums[number]


def file_checksum(path: Path) -> int:
    """CRC-32 of a file."""
    checksum = 0
    with path.open("rb") as file:
        while block := file.read(READ_AT_ONCE):
            checksum = zlib.crc32(block, checksum)
    return checksum


def _closed(path: Path, checksum: int) -> CropSet:
    """A crop set that opens itself when it is first used."""
    crops = CropSet.__new__(CropSet)
    crops.path, crops._expected = path, checksum
    return crops


def _map(path: Path, name: str, count: int, size: int) -> np.ndarray:
    file, expected = path / name, file_size(name, count, size)
    if not file.is_file():
        raise ValueError(f"crop set {path}: {name} is missing; {REMEDY}")
    if file.stat().st_size != expected:
        raise ValueError(
            f"crop set {path}: {name} should have {expected:,} bytes, found {file.stat().st_size:,}; {REMEDY}"
        )
    start = header(name, count, size)
    with file.open("rb") as opened:
        if opened.read(len(start)) != start:
            raise ValueError(f"crop set {path}: {name} does not begin as it should; {REMEDY}")
    shape, dtype = shape_of(name, count, size)
    # A plain view of the map: indexing np.memmap itself costs ten times as much.
    return np.memmap(file, dtype, "r", offset=len(start), shape=shape).view(np.ndarray)


def _known(row: np.ndarray) -> np.ndarray | None:
    return None if np.isnan(row).all() else row.copy()
