"""The images to predict, from whatever they were given as, each with its camera, bone, box and side.

**Convention.** A left hand's image is mirrored here (x to W - 1 - x), with its K and its box, so that
everything after sees right hands only.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from peclr_utils.datasets import HandDataset, HandSample, ImageFolderHands, mirror
from peclr_utils.datasets.images import read_image
from peclr_utils.inference.geometry import default_intrinsics

AVERAGE = "average"
"""Asks for the average adult's bone where a length is expected."""

AVERAGE_BONE = 0.0446
"""Metres: the middle finger's proximal phalanx, mean of 66 adults aged 19 to 78, in X-rays.

Buryanov and Kotiuk 2010, "Proportions of Hand Segments", Int. J. Morphol. 28(3), 755-758; standard deviation
3.8 mm. That is the bone's own length. A network's unit is the distance between two keypoints of the data set
it was trained on, which data sets place differently: for a network trained on FreiHAND, the mean of that data
set's `scale` is the better average.
"""

LONGEST_BONE = 0.2
"""Metres; a longer one was probably given in millimetres or centimetres."""

Source = str | Path | np.ndarray | HandSample | HandDataset | Sequence[Any]


@dataclass(frozen=True, eq=False)
class HandImage:
    """One image and all that is known about it; mirrored if it shows a left hand."""

    image: np.ndarray  # (H, W, 3) uint8 RGB
    K: np.ndarray  # (3, 3) float64 intrinsics
    K_is_default: bool  # no K was given
    bone_length: float | None  # metres
    bone_is_average: bool  # the length is AVERAGE_BONE
    box: np.ndarray | None  # (4,) float64 around the hand
    is_left: bool  # the image is mirrored
    name: str  # for messages


def is_single(source: Source) -> bool:
    """Whether a source is one image: a file, an array (H, W, 3) or a sample; TypeError if not a source."""
    if isinstance(source, str | os.PathLike):
        return not Path(source).expanduser().is_dir()
    if isinstance(source, np.ndarray):
        return source.ndim != 4
    if isinstance(source, HandSample):
        return True
    if hasattr(source, "__getitem__") and hasattr(source, "__len__") and not torch.is_tensor(source):
        return False
    raise TypeError(
        "predict: expected an image as a (H, W, 3) uint8 array, a file, a folder, a list of these, a batch "
        f"(N, H, W, 3) or a data set, found {type(source).__name__}"
    )


def hand_images(source: Source, K: Any, scale: Any, box: Any, is_left: Any) -> Iterator[HandImage]:
    """Yield the images of a source; arguments and errors are those of `predict`."""
    items: Any = source
    if is_single(source):
        items = [source]
    elif isinstance(source, str | os.PathLike):
        items = ImageFolderHands(source)
    average = isinstance(scale, str)
    if average and scale != AVERAGE:
        raise ValueError(f"scale: expected metres or {AVERAGE!r}, found {scale!r}")
    Ks = _one_each("K", K, (3, 3), len(items))
    scales = _one_each("scale", AVERAGE_BONE if average else scale, (), len(items))
    boxes = _one_each("box", box, (4,), len(items))
    lefts = _one_each("is_left", is_left, (), len(items))
    for k in range(len(items)):
        yield _hand_image(_sample(items[k], k), Ks[k], scales[k], boxes[k], average, bool(lefts[k]))


def _one_each(name: str, value: Any, shape: tuple[int, ...], count: int) -> Sequence[np.ndarray | None]:
    """One value for each image, from one for all or one each."""
    if value is None:
        return [None] * count
    array, each = np.asarray(value), (count, *shape)
    if array.dtype.kind not in "biuf" or array.shape not in (shape, each):
        found = f"{array.shape} {array.dtype}"
        raise ValueError(f"{name}: expected numbers of shape {shape} or {each}, found {found}")
    return np.broadcast_to(array.astype(np.float64), each)


def _sample(item: Any, index: int) -> HandSample:
    if isinstance(item, HandSample):
        return item
    if isinstance(item, str | os.PathLike):
        return HandSample(read_image(Path(item).expanduser()), identity=index, source="file", name=str(item))
    if not isinstance(item, np.ndarray):
        raise TypeError(f"image {index}: expected a uint8 array or a file, found {type(item).__name__}")
    if item.ndim != 3 or item.shape[2] != 3 or item.dtype != np.uint8 or not item.size:
        found = f"{item.shape} {item.dtype}; repeat a grey image for red, green and blue"
        raise ValueError(f"image {index}: expected RGB of shape (H, W, 3) uint8, found {found}")
    return HandSample(item, identity=index, source="array", name=f"image {index}")


def _hand_image(
    sample: HandSample, K: Any, scale: Any, box: np.ndarray | None, average: bool, is_left: bool
) -> HandImage:
    height, width = sample.image.shape[:2]
    name = sample.name or f"a sample of {sample.source}"
    K, length = sample.K if K is None else K, sample.bone_length if scale is None else float(scale)
    K_is_default = K is None
    K = default_intrinsics(width, height) if K_is_default else np.asarray(K, dtype=np.float64)
    if not (np.isfinite(K).all() and K[0, 0] > 0 and K[1, 1] > 0 and (K[2] == [0, 0, 1]).all()):
        expected = "[[fx, s, cx], [0, fy, cy], [0, 0, 1]] in pixels with positive focal lengths"
        raise ValueError(f"{name}: K must be {expected}, found {K.tolist()}")
    if length is not None and not 0 < length < LONGEST_BONE:
        raise ValueError(f"{name}: scale must be in metres, from 0 to {LONGEST_BONE:g}, found {length:g}")
    if box is not None:
        x1, y1, x2, y2 = box.tolist()
        if not (np.isfinite(box).all() and x1 < x2 and y1 < y2):
            raise ValueError(f"{name}: box must be x1, y1, x2, y2, x1 < x2, y1 < y2, found {box.tolist()}")
        if x2 <= 0 or y2 <= 0 or x1 >= width or y1 >= height:
            raise ValueError(
                f"{name}: box {box.tolist()} lies outside the image of {width} x {height} pixels"
            )
    image = sample.image
    is_left = is_left or sample.handedness == "left"
    if is_left:
        mirrored = mirror(HandSample(image, identity=0, source=sample.source, K=K))
        image, K, box = mirrored.image, mirrored.K, None if box is None else mirror_box(box, width)
    return HandImage(image, K, K_is_default, length, average, box, is_left, name)


def mirror_box(box: np.ndarray, width: int) -> np.ndarray:
    """A (4,) box x1, y1, x2, y2 of an image `width` wide, in the mirrored image."""
    return np.array([width - 1 - box[2], box[1], width - 1 - box[0], box[3]])
