"""The images to predict, from whatever they were given as, each with its camera, bone, box and side.

**Convention.** A left hand's image is mirrored here (x to W - 1 - x), with its K and its box, so that
everything after sees right hands only.
"""

import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from peclr_utils.boxes import check_box
from peclr_utils.datasets import HandDataset, HandSample, ImageFolderHands, mirror
from peclr_utils.datasets.images import read_image
from peclr_utils.models import DEFAULT_K

AVERAGE = "average"
"""Asks for the average adult's bone where a length is expected."""

AVERAGE_BONE = 0.0446
"""Metres: the middle finger's proximal phalanx, mean of 66 adults aged 19 to 78, in X-rays.

Buryanov and Kotiuk 2010, "Proportions of Hand Segments", Int. J. Morphol. 28(3), 755-758; standard deviation
3.8 mm. That is the bone's own length. A network's unit is the distance between two keypoints of the data set
it was trained on, which data sets place differently: for a network trained on FreiHAND, the mean of that data
set's `scale` is the better average.
"""

CROP_SIZE = 224
"""Side of the published networks' crops in pixels, and of FreiHAND's images."""

SHORTEST_BONE, LONGEST_BONE = 0.005, 0.2
"""Metres; other lengths were probably given in another unit."""

FARTHEST_CENTRE = 0.08
"""Share of an image's side by which a camera's principal point may miss its centre without a warning."""

Source = str | Path | np.ndarray | torch.Tensor | HandSample | HandDataset | Sequence[Any]
"""One image or many; Pillow's images count too."""


@dataclass(frozen=True, eq=False)
class HandImage:
    """One hand in one image and all that is known about it; mirrored if it is a left hand."""

    image: np.ndarray  # (H, W, 3) uint8 RGB
    K: np.ndarray  # (3, 3) float64 intrinsics
    K_is_default: bool  # no K was given
    K_is_doubtful: bool  # the given K seems to belong to another image
    bone_length: float | None  # metres
    bone_is_average: bool  # the length is AVERAGE_BONE
    box: np.ndarray | None  # (4,) float64 around the hand
    is_left: bool  # the image is mirrored
    name: str  # for messages
    index: int  # position in the source, or in the boxes of one image
    doubt: str  # what was probably not meant


def is_single(source: Source) -> bool:
    """Whether a source is one image: a file, an array, a Pillow image or a sample; TypeError if no source."""
    if isinstance(source, str | os.PathLike):
        return not Path(source).expanduser().is_dir()
    if isinstance(source, np.ndarray | torch.Tensor):
        return source.ndim != 4
    if isinstance(source, HandSample) or hasattr(source, "convert"):
        return True
    if hasattr(source, "__getitem__") and hasattr(source, "__len__"):
        return False
    raise TypeError(
        "predict: expected an image (an array, a tensor, a Pillow image or a file), a folder, a list of "
        f"these, a batch of four dimensions or a data set, found {type(source).__name__}"
    )


def hand_images(
    source: Source, K: Any, scale: Any, box: Any, is_left: Any, told: bool = True
) -> Iterator[HandImage | Exception]:
    """Yield the hands of a source, or the error of an image that can't be used; arguments as in `predict`.

    With `told` False the boxes and sides of samples are not used.
    """
    items: Any = source
    single = is_single(source)
    if single:
        items = [source]
    elif isinstance(source, str | os.PathLike):
        items = ImageFolderHands(source)
    average = isinstance(scale, str)
    if average and scale != AVERAGE:
        raise ValueError(f"scale: expected metres or {AVERAGE!r}, found {scale!r}")
    boxes = _boxes(box, len(items), single)
    hands = len(boxes[0]) if single else len(items)  # that a length or a side may be given for
    scales = _one_each("scale", AVERAGE_BONE if average else scale, (), hands)
    lefts = _one_each("is_left", is_left, (), hands)
    Ks, doubted = _one_each("K", K, (3, 3), len(items)), False
    for k, around in enumerate(boxes):
        given: HandImage | Exception
        sample = None
        for number, one in enumerate(around):
            hand = number if single else k
            try:
                if sample is None:
                    sample = _sample(items[k], k)
                    sample = sample if told else replace(sample, box=None, handedness="right")
                given = _hand_image(sample, Ks[k], scales[hand], one, average, bool(lefts[hand]), hand)
            except (ValueError, TypeError, OSError) as error:
                given = error
            if not doubted and isinstance(given, HandImage) and given.doubt:
                warnings.warn(given.doubt, stacklevel=4)
                doubted = True
            yield given


def _boxes(box: Any, count: int, single: bool) -> list[list[np.ndarray | None]]:
    """The boxes of each image; [None] for one without."""
    if box is not None and not isinstance(box, Sequence | np.ndarray | torch.Tensor):
        raise TypeError(f"box: expected (4,) or (n, 4) numbers, found {type(box).__name__}")
    if box is None or (len(box) and np.ndim(box[0]) == 0 and box[0] is not None):
        each = [box] * count
    else:
        each = [box] if single else list(box)
    if len(each) != count:
        raise ValueError(f"box: expected one entry for each of {count} images, found {len(each)}")
    boxes = []
    for one in each:
        array = np.full((1, 4), np.nan) if one is None else np.asarray(one)
        if array.dtype.kind not in "iuf" or array.ndim > 2 or array.shape[-1:] != (4,):
            expected = "(4,) for each image, or (n, 4) for n hands in it"
            raise ValueError(f"box: expected numbers of shape {expected}, found {array.shape} {array.dtype}")
        boxes.append([None] if one is None else list(np.atleast_2d(array).astype(np.float64)))
    return boxes


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
    name = f"image {index}"
    return HandSample(to_rgb(item, name), identity=index, source="array", name=name)


def to_rgb(image: Any, name: str) -> np.ndarray:
    """Convert an image to (H, W, 3) uint8 RGB, as `read_image` returns it.

    Args:
        image: a Pillow image; or an array or tensor, uint8 or float from 0 to 1: (H, W), or with 1, 3 (RGB)
            or 4 (RGBA) channels, which come last or first.
        name: for messages.

    Raises:
        TypeError: if it is none of these.
        ValueError: if its shape or values are others; says what to do.
    """
    if hasattr(image, "convert"):
        from PIL import ImageOps  # there, since the caller made one

        image = ImageOps.exif_transpose(image)
        deep = image.mode[0] in "IF"  # 16 bits become 8 as in `read_image`; Pillow would clip them
        image = np.asarray(image if deep else image.convert("RGB"))
        image = (image >> 8).clip(0, 255).astype(np.uint8) if deep and image.dtype.kind in "iu" else image
    if isinstance(image, torch.Tensor):
        image = image.detach().cpu()
        image = (image.float() if image.is_floating_point() else image).numpy()
    if not isinstance(image, np.ndarray):
        expected = "an array, a tensor, a Pillow image or a file"
        raise TypeError(f"{name}: expected {expected}, found {type(image).__name__}")
    expected = f"{name}: expected RGB of shape (H, W, 3), uint8 or float from 0 to 1"
    found = f"{expected}, found {image.shape} {image.dtype}"
    channels = (1, 3, 4)
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim == 3 and image.shape[2] not in channels and image.shape[0] in channels:
        image = image.transpose(1, 2, 0)
    if image.ndim != 3 or image.shape[2] not in channels or not image.size:
        raise ValueError(found)
    if image.dtype.kind == "f":
        if not (image.min() >= 0 and image.max() <= 1):
            values = f"from {image.min():.3g} to {image.max():.3g}"
            raise ValueError(f"{found} {values}; divide by 255, and don't normalise: predict does")
        image = np.round(image * 255).astype(np.uint8)
    if image.dtype != np.uint8:
        raise ValueError(f"{found}; convert it (16 bits: image >> 8)")
    return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else np.ascontiguousarray(image[..., :3])


def _hand_image(
    sample: HandSample,
    K: Any,
    scale: Any,
    box: np.ndarray | None,
    average: bool,
    is_left: bool,
    index: int,
) -> HandImage:
    height, width = sample.image.shape[:2]
    name = sample.name or f"a sample of {sample.source}"
    K_is_doubtful = K is not None and not _fits(K, width, height)
    K, length = sample.K if K is None else K, sample.bone_length if scale is None else float(scale)
    K_is_default = K is None
    K = default_intrinsics(width, height) if K_is_default else np.asarray(K, dtype=np.float64)
    if not (np.isfinite(K).all() and K[0, 0] > 0 and K[1, 1] > 0 and (K[2] == [0, 0, 1]).all()):
        expected = "[[fx, s, cx], [0, fy, cy], [0, 0, 1]] in pixels with positive focal lengths"
        raise ValueError(f"{name}: K must be {expected}, found {K.tolist()}")
    if length is not None and not SHORTEST_BONE < length < LONGEST_BONE:
        expected = f"a bone in metres, from {SHORTEST_BONE:g} to {LONGEST_BONE:g}"
        raise ValueError(f"{name}: scale must be the length of {expected}, found {length:g}")
    doubt = _doubt(name, K, width, height) if K_is_doubtful else ""
    box = sample.box if box is None else box
    if box is not None:
        box = np.asarray(box, dtype=np.float64)
        doubt = check_box(box, (width, height), name) or doubt
    right = HandImage(
        sample.image, K, K_is_default, K_is_doubtful, length, average, box, False, name, index, doubt
    )
    return other_side(right) if is_left or sample.handedness == "left" else right


def other_side(given: HandImage) -> HandImage:
    """The same image as if it showed a hand of the other side: mirrored."""
    plain = HandSample(given.image, identity=0, source="", K=given.K, box=given.box)
    mirrored = mirror(plain)
    return replace(given, image=mirrored.image, K=mirrored.K, box=mirrored.box, is_left=not given.is_left)


def default_intrinsics(width: int, height: int) -> np.ndarray:
    """K of an unknown camera: `DEFAULT_K`, scaled with the image's largest central square; (3, 3) float64."""
    side = min(width, height)
    stretch, x, y = side / CROP_SIZE, (width - side) / 2, (height - side) / 2
    return np.array([[stretch, 0, x], [0, stretch, y], [0, 0, 1]]) @ np.array(DEFAULT_K)


def _fits(K: np.ndarray, width: int, height: int) -> bool:
    """Whether a camera looks at the middle of an image, under an angle from 1 to 170 degrees."""
    size = np.array([width, height])
    off = np.abs((K[:2, 2] + 0.5) / size - 0.5).max()
    wide = size.max() / (2 * K[0, 0]) if K[0, 0] else np.inf
    return off <= FARTHEST_CENTRE and 0.009 < wide < 11.5


def _doubt(name: str, K: np.ndarray, width: int, height: int) -> str:
    cx, cy, focal = K[0, 2], K[1, 2], K[0, 0]
    return (
        f"{name}: K doesn't fit an image of {width} x {height} pixels: its focal length is {focal:g} "
        f"and its principal point ({cx:g}, {cy:g}), as of an image of {2 * cx:.0f} x {2 * cy:.0f}. If the "
        "image was resized, multiply K's first two rows by new width / old width; if it was cut out, give a "
        "HandSample with its own K. Until then, the distance is a guess"
    )
