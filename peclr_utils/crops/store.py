"""A data set of packed crops: the layout of its folder, and `CropSet`, which reads it.

Chapter 03 trains from one; `pack` makes it.

Layout of the folder, N crops of side S; NumPy alone reads the arrays (`np.load(path, mmap_mode="r")`):

| file | content |
|---|---|
| `stamp.json` | what the crops were made of, and the names of their sources |
| `images.npy` | (N, S, S, 3) uint8, RGB |
| `masks.npy` | (N, S, S) uint8, 0 where unknown; present only if any crop has a mask |
| `index.npy` | (N,) records of `RECORD`: everything else about a crop |
| `done.npy` | (N / CHUNK rounded up,) uint8, 1 for each chunk of crops that is finished |
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from peclr_utils.datasets.sample import HandSample
from peclr_utils.skeleton import NUM_KEYPOINTS

FORMAT_VERSION = 3
STAMP, IMAGES, MASKS, INDEX, DONE = "stamp.json", "images.npy", "masks.npy", "index.npy", "done.npy"
CHUNK = 64  # crops that are made, written and marked as done together: a part of the format
HANDEDNESS = ("right", "left")

# 472 bytes. In this order every field is aligned without padding bytes, whose values would be undefined.
RECORD = np.dtype(
    [
        ("identity", np.int64),
        ("keypoints_3d", np.float32, (NUM_KEYPOINTS, 3)),  # NaN where unknown, like the next three
        ("keypoints_2d", np.float32, (NUM_KEYPOINTS, 2)),
        ("K", np.float32, (3, 3)),
        ("bone_length", np.float32),
        ("source", np.int16),  # position in the stamp's list of sources
        ("handedness", np.uint8),  # position in HANDEDNESS
        ("has_mask", np.bool_),
    ]
)


class CropSet:
    """A data set of packed crops, memory-mapped.

    Reading an item copies only its own row. Pickling carries the path, not the images, so a set can be sent
    to loader workers. Fields of many crops at once are arrays: `crops.images[indices]`.

    Args:
        path: folder that `pack` made.

    Attributes:
        path: the folder.
        size: side of the crops in pixels.
        factor: how much wider than the hand they are, see `peclr_utils.crops.crop_box`.
        images: (N, S, S, 3) uint8, read-only like the other arrays.
        masks: (N, S, S) uint8, 0 where unknown; None if no crop has a mask.
        has_mask: (N,) bool.
        keypoints_3d, keypoints_2d, K, bone_length: (N, ...) float32, NaN where unknown.
        handedness: (N,) uint8, 0 right, 1 left.
        identities: (N,) int64.
        sources: names of the data sets that the crops come from.
        source_index: (N,) position in `sources`.
        source: the names in alphabetical order, joined by "+".

    Raises:
        FileNotFoundError: if there is no crop set at `path`.
        ValueError: if it is unfinished or of another version, or a file is missing or truncated.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        stamp, arrays = open_folder(self.path)
        if not arrays[DONE].all():
            raise ValueError(f"crop set {path} is unfinished; delete the folder and pack it again")
        self.size, self.factor = stamp["size"], stamp["factor"]
        self.sources, self.source = tuple(stamp["sources"]), "+".join(sorted(stamp["sources"]))
        self.images, self.masks, index = arrays[IMAGES], arrays.get(MASKS), arrays[INDEX]
        self.has_mask, self.handedness = index["has_mask"], index["handedness"]
        self.keypoints_3d, self.keypoints_2d = index["keypoints_3d"], index["keypoints_2d"]
        self.K, self.bone_length = index["K"], index["bone_length"]
        self.identities, self.source_index = index["identity"], index["source"]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> HandSample:
        index = range(len(self))[index]  # an index from the end, or IndexError
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
        return CropSet, (self.path,)


def _known(row: np.ndarray) -> np.ndarray | None:
    return None if np.isnan(row).all() else row.copy()


def layout(count: int, size: int) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Shape and dtype of each array, by file name."""
    byte, chunks = np.dtype(np.uint8), -(-count // CHUNK)
    images, masks = (count, size, size, 3), (count, size, size)
    return {IMAGES: (images, byte), MASKS: (masks, byte), INDEX: ((count,), RECORD), DONE: ((chunks,), byte)}


def open_folder(path: Path, mode: str = "r") -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Open a finished or unfinished crop set: its stamp, and memory maps of its arrays by file name.

    Raises:
        FileNotFoundError: if the folder or its stamp is missing.
        ValueError: if the stamp is damaged or of another version, or an array is missing or truncated.
    """
    name = STAMP
    if not (path / name).is_file():
        raise FileNotFoundError(f"{path} is not a crop set: {name} is missing; pack into an empty folder")
    try:
        stamp, arrays = json.loads((path / name).read_text(encoding="utf-8")), {}
        if stamp["version"] != FORMAT_VERSION:
            raise ValueError(f"expected format version {FORMAT_VERSION}, found {stamp['version']}")
        for name in [IMAGES, INDEX, DONE] + [MASKS] * stamp["masks"]:
            # A plain view of the map: indexing np.memmap itself costs ten times as much.
            arrays[name] = np.lib.format.open_memmap(path / name, mode).view(np.ndarray)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path / name} is missing, truncated or outdated ({error}); delete the folder and pack it again"
        ) from error
    return stamp, arrays
