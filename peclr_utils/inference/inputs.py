"""The pictures to predict, from whatever they were given as, each with its camera, bone, box and side.

**Convention.** A left hand's picture is mirrored here (x to W - 1 - x), with its K and its box, so that
everything after sees right hands only.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from peclr_utils.datasets.image_folder import ImageFolderHands
from peclr_utils.datasets.images import read_image
from peclr_utils.datasets.mirror import mirror
from peclr_utils.datasets.sample import HandDataset, HandSample
from peclr_utils.inference.geometry import default_intrinsics

AVERAGE = "average"
"""Asks for the average adult's bone where a length is asked for."""

AVERAGE_BONE = 0.0446
"""Metres: the middle finger's proximal phalanx, mean of 66 adults of 19 to 78 years, in X-rays.

Buryanov and Kotiuk 2010, "Proportions of Hand Segments", Int. J. Morphol. 28(3), 755-758; standard deviation
3.8 mm. That is the bone's own length. A network counts in the bone between the two keypoints it was trained
on, and data sets put these in different places: for a network trained on FreiHAND, the mean of that data
set's `scale` is the better average.
"""

LONGEST_BONE = 0.2
"""Metres; a longer one was meant in millimetres or centimetres."""

Source = str | Path | np.ndarray | HandSample | HandDataset | Sequence[Any]


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture and all that is known about it; mirrored if it shows a left hand.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        K: (3, 3) float64 intrinsics.
        K_is_default: whether K was not given.
        bone_length: metres, or None.
        bone_is_average: whether that is `AVERAGE_BONE`.
        box: (4,) float64 around the hand, or None.
        is_left: whether it is mirrored.
        name: for messages.
    """

    image: np.ndarray
    K: np.ndarray
    K_is_default: bool
    bone_length: float | None
    bone_is_average: bool
    box: np.ndarray | None
    is_left: bool
    name: str


def is_single(source: Source) -> bool:
    """Whether a source is one picture: a file, an array (H, W, 3) or a sample.

    Raises:
        TypeError: if it is nothing that holds pictures.
    """
    if isinstance(source, str | os.PathLike):
        return not Path(source).expanduser().is_dir()
    if isinstance(source, np.ndarray):
        return source.ndim != 4
    if isinstance(source, HandSample):
        return True
    holds_many = hasattr(source, "__getitem__") and hasattr(source, "__len__")
    if holds_many and not isinstance(source, torch.Tensor):
        return False
    raise TypeError(
        "predict: expected a picture as a (H, W, 3) uint8 array, a file, a folder, a list of these, a batch "
        f"(N, H, W, 3) or a data set, found {type(source).__name__}"
    )


def pictures(source: Source, K: Any, scale: Any, box: Any, is_left: Any) -> Iterator[Picture]:
    """Go through the pictures of a source, one at a time.

    Args:
        source, K, scale, box, is_left: see `predict`.

    Raises:
        FileNotFoundError, TypeError, ValueError: see `predict`.
    """
    if is_single(source):
        items: Any = [source]
    elif isinstance(source, str | os.PathLike):
        items = ImageFolderHands(source)
    else:
        items = source
    count = len(items)
    average = isinstance(scale, str)
    if average and scale != AVERAGE:
        raise ValueError(f"scale: expected metres or {AVERAGE!r}, found {scale!r}")
    given = {
        "K": _spread("K", K, (3, 3), count),
        "scale": _spread("scale", AVERAGE_BONE if average else scale, (), count),
        "box": _spread("box", box, (4,), count),
    }
    left = _spread("is_left", is_left, (), count)
    for index in range(count):
        sample = _sample(items[index], index)
        values = {name: None if rows is None else rows[index] for name, rows in given.items()}
        yield _picture(sample, **values, average=average, left=bool(left[index]))


def _spread(name: str, value: Any, shape: tuple[int, ...], count: int) -> np.ndarray | None:
    """One value for each picture, whether one for all was given or one each."""
    if value is None:
        return None
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: expected numbers of shape {shape}, found {value!r}") from None
    if array.shape == shape:
        return np.broadcast_to(array, (count, *shape))
    if array.shape != (count, *shape):
        raise ValueError(
            f"{name}: expected shape {shape}, or {(count, *shape)} with one for each picture, "
            f"found {array.shape}"
        )
    return array


def _sample(item: Any, index: int) -> HandSample:
    if isinstance(item, HandSample):
        return item
    if isinstance(item, str | os.PathLike):
        path = Path(item).expanduser()
        return HandSample(image=read_image(path), identity=index, source="file", name=str(item))
    if not isinstance(item, np.ndarray):
        raise TypeError(f"picture {index}: expected a uint8 array or a file, found {type(item).__name__}")
    where = f"picture {index}: expected RGB of shape (H, W, 3) uint8, found {item.shape} {item.dtype}"
    if item.ndim == 2 or item.shape[-1] == 1:
        raise ValueError(f"{where}; that is a grey picture: repeat it for red, green and blue")
    if item.ndim != 3 or item.shape[2] != 3 or item.dtype != np.uint8 or not item.size:
        raise ValueError(where)
    return HandSample(image=item, identity=index, source="array", name=f"picture {index}")


def _picture(
    sample: HandSample,
    K: np.ndarray | None,
    scale: np.ndarray | None,
    box: np.ndarray | None,
    average: bool,
    left: bool,
) -> Picture:
    height, width = sample.image.shape[:2]
    name = sample.name or f"a sample of {sample.source}"
    left = left or sample.handedness == "left"
    K = sample.K if K is None else K
    length = sample.bone_length if scale is None else float(scale)
    K_is_default = K is None
    K = default_intrinsics(width, height) if K is None else np.asarray(K, dtype=np.float64)
    _check_intrinsics(K, name)
    if length is not None and not 0 < length < LONGEST_BONE:
        raise ValueError(
            f"{name}: scale must be a bone's length in metres, above 0 and below {LONGEST_BONE:g}, "
            f"found {length:g}"
        )
    if box is not None:
        _check_box(box, width, height, name)
    image = sample.image
    if left:
        mirrored = mirror(HandSample(image=image, identity=0, source=sample.source, K=K))
        image, K = mirrored.image, mirrored.K
        box = None if box is None else np.array([width - 1 - box[2], box[1], width - 1 - box[0], box[3]])
    return Picture(image, K, K_is_default, length, average, box, left, name)


def _check_intrinsics(K: np.ndarray, name: str) -> None:
    if not (np.isfinite(K).all() and K[0, 0] > 0 and K[1, 1] > 0 and (K[2] == [0, 0, 1]).all()):
        raise ValueError(
            f"{name}: K must be [[fx, s, cx], [0, fy, cy], [0, 0, 1]] in pixels with positive focal lengths, "
            f"found {K.tolist()}"
        )


def _check_box(box: np.ndarray, width: int, height: int, name: str) -> None:
    x1, y1, x2, y2 = box
    found = f"found {', '.join(f'{value:g}' for value in box)}"
    if not (np.isfinite(box).all() and x1 < x2 and y1 < y2):
        raise ValueError(f"{name}: box must be x1, y1, x2, y2 with x1 < x2 and y1 < y2, {found}")
    if x2 <= 0 or y2 <= 0 or x1 >= width or y1 >= height:
        raise ValueError(
            f"{name}: the box lies outside the picture, which is {width} x {height} pixels; {found}"
        )
