"""Crops of a whole data set in a folder of .npy files, read through the page cache.

Chapter 03 trains from it. `build_crops` makes the folder.

Layout of the folder, N crops of side S:

| file | shape, type | |
|---|---|---|
| `images.npy` | (N, S, S, 3) uint8 | RGB |
| `masks.npy` | (N, S, S) uint8 | 0 where not known |
| `has_mask.npy` | (N,) bool | |
| `keypoints_3d.npy`, `keypoints_2d.npy` | (N, 21, 3), (N, 21, 2) float32 | NaN where not known |
| `K.npy`, `bone_length.npy` | (N, 3, 3), (N,) float32 | NaN where not known |
| `identity.npy` | (N,) int64 | |
| `handedness.npy` | (N,) uint8 | 0 right, 1 left |
| `source.npy` | (N,) int16 | position in the stamp's list of sources |
| `stamp.json` | | what the crops were made of; written last |
"""

import json
from pathlib import Path

import numpy as np

from peclr_utils.datasets.sample import HandSample
from peclr_utils.skeleton import NUM_KEYPOINTS

FORMAT_VERSION = 1
STAMP = "stamp.json"
HANDEDNESS = ("right", "left")


def layout(count: int, size: int) -> dict[str, tuple[tuple[int, ...], type]]:
    """Name, shape and type of every file of a crop set.

    Args:
        count: number of crops.
        size: their side in pixels.

    Returns:
        name without ".npy" -> (shape, dtype).
    """
    return {
        "images": ((count, size, size, 3), np.uint8),
        "masks": ((count, size, size), np.uint8),
        "has_mask": ((count,), np.bool_),
        "keypoints_3d": ((count, NUM_KEYPOINTS, 3), np.float32),
        "keypoints_2d": ((count, NUM_KEYPOINTS, 2), np.float32),
        "K": ((count, 3, 3), np.float32),
        "bone_length": ((count,), np.float32),
        "identity": ((count,), np.int64),
        "handedness": ((count,), np.uint8),
        "source": ((count,), np.int16),
    }


class CropSet:
    """A data set of crops that lie in a folder, memory-mapped.

    Opening it reads only headers; an item copies only its own row. Pickling carries the path, not the
    pictures, so it can be handed to loader workers. Fields of many crops at once are arrays:
    `crops.images[indices]`.

    Args:
        path: folder that `build_crops` made.

    Attributes:
        path: the folder.
        size: side of the crops in pixels.
        stamp: what the crops were made of, as `build_crops` wrote it.
        images, masks, has_mask, keypoints_3d, keypoints_2d, K, bone_length, handedness: read-only arrays, see
            the module.
        identities: (N,) int64.
        sources: names of the data sets that the crops come from.
        source_index: (N,) position in `sources`.
        source: all the names, joined by "+".

    Raises:
        FileNotFoundError: if there is no crop set at `path`.
        ValueError: if the folder is half built, cut short or of another version.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.stamp = read_stamp(self.path)
        count, self.size = int(self.stamp["count"]), int(self.stamp["size"])
        fields = {
            name: _open(self.path, name, *expected) for name, expected in layout(count, self.size).items()
        }
        self.images, self.masks, self.has_mask = fields["images"], fields["masks"], fields["has_mask"]
        self.keypoints_3d, self.keypoints_2d = fields["keypoints_3d"], fields["keypoints_2d"]
        self.K, self.bone_length = fields["K"], fields["bone_length"]
        self.identities, self.handedness = fields["identity"], fields["handedness"]
        self.source_index = fields["source"]
        self.sources: tuple[str, ...] = tuple(self.stamp["sources"])
        self.source = "+".join(self.sources)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> HandSample:
        if not -len(self) <= index < len(self):
            raise IndexError(f"crop set {self.path}: index {index} outside 0..{len(self) - 1}")
        index = int(index) % len(self)
        length = float(self.bone_length[index])
        source = self.sources[self.source_index[index]]
        return HandSample(
            image=self.images[index].copy(),
            identity=int(self.identities[index]),
            source=source,
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


def read_stamp(path: Path) -> dict:
    """Read what a folder of crops was made of.

    Args:
        path: the folder.

    Returns:
        The stamp: version, count, size, factor, sources and fingerprint of the data set.

    Raises:
        FileNotFoundError: if there is no folder or it has no stamp.
        ValueError: if the stamp cannot be read or is of another version.
    """
    file = path / STAMP
    if not path.is_dir():
        raise FileNotFoundError(
            f"no crop set at {path}; make one with crops.build_crops(dataset, path, size)"
        )
    if not file.is_file():
        raise FileNotFoundError(f"{path} has no {STAMP}: not a crop set, or one that was never finished")
    try:
        stamp = json.loads(file.read_text(encoding="utf-8"))
        version = stamp["version"]
    except (json.JSONDecodeError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{file} is damaged ({error}); delete the folder and build the crops again"
        ) from error
    if version != FORMAT_VERSION:
        raise ValueError(
            f"{file}: version {version} of the format, expected {FORMAT_VERSION}; build the crops again"
        )
    return stamp


def _open(path: Path, name: str, shape: tuple[int, ...], dtype: type) -> np.ndarray:
    file = path / f"{name}.npy"
    try:
        array = np.load(file, mmap_mode="r")
    except FileNotFoundError as error:
        raise ValueError(
            f"crop set {path}: {file.name} is missing; delete the folder and build it again"
        ) from error
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(
            f"crop set {path}: {file.name} is damaged or cut short ({error}); "
            "delete the folder and build it again"
        ) from error
    if array.shape != shape or array.dtype != dtype:
        raise ValueError(
            f"crop set {path}: {file.name} should be {shape} {np.dtype(dtype)}, "
            f"found {array.shape} {array.dtype}; delete the folder and build it again"
        )
    # A plain view of the map: indexing np.memmap itself costs ten times as much.
    return array.view(np.ndarray)


def _known(row: np.ndarray) -> np.ndarray | None:
    return None if np.isnan(row).all() else row.copy()
