"""What a folder of packed crops consists of: its files, their checksums and its stamp.

Chapter 03 trains from one. `pack` makes it, `CropSet` reads it.

Layout of the folder, N crops of side S:

| file | content |
|---|---|
| `images.npy` | (N, S, S, 3) uint8, RGB |
| `masks.npy` | (N, S, S) uint8, 0 where not known; only there if any crop has a mask |
| `index.npy` | (N,) records of `RECORD`: everything else about a crop |
| `checksums.npy` | (N / CHUNK rounded up,) uint32, one for the images and masks of each chunk of crops |
| `stamp.json` | what the crops were made of, and the checksums of index, checksums and stamp; written last |

NumPy alone can read them: `np.load(folder / "images.npy", mmap_mode="r")`.
"""

import io
import json
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from peclr_utils.skeleton import NUM_KEYPOINTS

FORMAT_VERSION = 2
IMAGES, MASKS, INDEX, CHECKSUMS = "images.npy", "masks.npy", "index.npy", "checksums.npy"
STAMP = "stamp.json"

CHUNK = 64
"""Crops that are made, written, noted as done and checked together: a part of the format."""

HANDEDNESS = ("right", "left")

# 472 bytes. In this order every field is aligned without padding, whose bytes would be left to chance.
RECORD = np.dtype(
    [
        ("identity", np.int64),
        ("keypoints_3d", np.float32, (NUM_KEYPOINTS, 3)),  # NaN where not known, like the next three
        ("keypoints_2d", np.float32, (NUM_KEYPOINTS, 2)),
        ("K", np.float32, (3, 3)),
        ("bone_length", np.float32),
        ("source", np.int16),  # position in the stamp's list of sources
        ("handedness", np.uint8),  # position in HANDEDNESS
        ("has_mask", np.bool_),
    ]
)


def shape_of(name: str, count: int, size: int) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of one of the arrays.

    Args:
        name: of the file.
        count: number of crops.
        size: their side in pixels.
    """
    return {
        IMAGES: ((count, size, size, 3), np.dtype(np.uint8)),
        MASKS: ((count, size, size), np.dtype(np.uint8)),
        INDEX: ((count,), RECORD),
        CHECKSUMS: ((-(-count // CHUNK),), np.dtype(np.uint32)),
    }[name]


def header(name: str, count: int, size: int) -> bytes:
    """The bytes that an array's file begins with; its length does not depend on what follows."""
    shape, dtype = shape_of(name, count, size)
    buffer = io.BytesIO()
    description = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, description)
    return buffer.getvalue()


def file_size(name: str, count: int, size: int) -> int:
    """Bytes of an array's file."""
    shape, dtype = shape_of(name, count, size)
    return len(header(name, count, size)) + int(np.prod(shape, dtype=np.int64)) * dtype.itemsize


def chunk_range(number: int, count: int) -> range:
    """The crops of a chunk."""
    return range(number * CHUNK, min((number + 1) * CHUNK, count))


def pixel_checksum(images: np.ndarray, masks: np.ndarray | None) -> int:
    """Checksum of a chunk's pixels; `masks` is None where none of its crops has a mask."""
    checksum = zlib.crc32(np.ascontiguousarray(images))
    return checksum if masks is None else zlib.crc32(np.ascontiguousarray(masks), checksum)


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write a file that is either whole or not there, also if the machine stops meanwhile."""
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8") as file:
        json.dump(values, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def sealed(stamp: dict[str, Any]) -> dict[str, Any]:
    """Add a stamp's checksum of itself."""
    return {**stamp, "checksum": zlib.crc32(json.dumps(stamp, sort_keys=True).encode())}


def read_stamp(path: Path) -> dict[str, Any]:
    """Read what a folder of crops was made of.

    Args:
        path: the folder.

    Returns:
        The stamp: version, count, size, factor, sources, checksums and a description of the data set.

    Raises:
        FileNotFoundError: if there is no folder or it has no stamp.
        ValueError: if the stamp cannot be read or is of another version.
    """
    file = path / STAMP
    if not path.is_dir():
        raise FileNotFoundError(f"no crop set at {path}; make one with crops.pack(dataset, path)")
    if not file.is_file():
        raise FileNotFoundError(f"{path} has no {STAMP}: not a crop set, or one that was never finished")
    try:
        stamp = json.loads(file.read_text(encoding="utf-8"))
        version = stamp["version"]
        content = {name: value for name, value in stamp.items() if name != "checksum"}
        if version == FORMAT_VERSION and sealed(content) != stamp:
            raise ValueError("its checksum is another one")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file} is damaged ({error}); delete the folder and pack it again") from error
    if version != FORMAT_VERSION:
        raise ValueError(
            f"{file}: version {version} of the format, expected {FORMAT_VERSION}; pack the crops again"
        )
    return stamp
