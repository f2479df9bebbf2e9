"""The views that the authors' published code makes, step by step, mistakes included.

Appendix A2 shows the differences; training uses these views where `authors_exact` is set.

A view is made from the whole image and the hand's points, in this order:

1. *Rotate* the whole image by whole degrees about the mean point, truncated to whole pixels.
2. *Crop* a square about the rotated points' mean, again truncated. Half its side is the largest distance of a
   point from there, times `radius`, truncated. Its top left corner moves right and down by `jitter`, never
   left or up; where it would lie left of or above the image it is set to 0, so that the square shows another
   place; what lies beyond the right and bottom edges is missing.
3. *Resize* what is left to a square view by area, which squeezes a crop that was cut off.
4. *Recolour* in OpenCV's 8-bit HSV, taking the channels to be blue, green, red although they are red, green,
   blue: hue and saturation shrink towards zero, which stands for blue and grey.

**Convention.** RGB uint8 (H, W, 3); pixels (x, y). Angles in degrees, positive turns the image
counter-clockwise on screen. Motions are of the content, right and down positive.
"""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from peclr_utils.augmentation.parameters import draw_uniformly


@dataclass(frozen=True)
class AuthorsAugmentation:
    """Ranges that the authors draw from; all uniform, pairs are (low, high)."""

    rotation: float = 45.0  # degrees; the angle is drawn in [-rotation, rotation) and rounded down
    radius: tuple[float, float] = (0.9, 1.5)  # half the crop's side, over the largest distance from the mean
    jitter: int = 15  # pixels of the image; the corner moves by 0 to jitter - 1 along each axis
    hue: tuple[float, float] = (0.01, 1.0)  # this and the next two are factors of the channels
    saturation: tuple[float, float] = (0.01, 1.0)
    value: tuple[float, float] = (0.5, 1.0)
    value_offset: tuple[float, float] = (5.0, 20.0)  # added to value, out of 255


@dataclass(frozen=True, eq=False)
class AuthorsParameters:
    """What was drawn for B views: (B,) each, jitter (B, 2) int64; angles in whole degrees."""

    angle: np.ndarray
    radius: np.ndarray
    jitter: np.ndarray
    hue: np.ndarray
    saturation: np.ndarray
    value: np.ndarray
    value_offset: np.ndarray


class AuthorsView(NamedTuple):
    """A view, and how the authors say that its content moved."""

    image: np.ndarray  # (S, S, 3) uint8 RGB
    # (2,) whole pixels of the image *before* it was resized, never positive: from where the content would be
    # in a crop of this size about the mean point.
    motion: np.ndarray


def sample_authors_parameters(
    config: AuthorsAugmentation, count: int, rng: np.random.Generator
) -> AuthorsParameters:
    """Draw the parameters of `count` views; n views and then m are the n + m views drawn at once."""
    ranges = [(-config.rotation, config.rotation), config.radius, (0.0, config.jitter), (0.0, config.jitter)]
    ranges += [config.hue, config.saturation, config.value, config.value_offset]
    angle, radius, x, y, *colour = draw_uniformly(ranges, count, rng)
    return AuthorsParameters(np.floor(angle), radius, np.stack([x, y], axis=1).astype(np.int64), *colour)


def apply_authors(
    image: np.ndarray, points: np.ndarray, params: AuthorsParameters, index: int = 0, out_size: int = 128
) -> AuthorsView:
    """Make one view of an image as the authors' code does.

    Args:
        image: (H, W, 3) uint8, the whole image.
        points: (N, 2) pixels; the authors take the 21 keypoints.
        params: parameters of some views.
        index: which of them to apply.
        out_size: side of the view.

    Raises:
        ValueError: if a point is not finite, or nothing of the image lies in the crop.
    """
    if not np.isfinite(points).all():
        raise ValueError("authors' augmentation: expected finite points, found NaN or infinity")
    # Torch's float32, as in the authors' code: a sum in another order could be truncated to another pixel.
    seen = torch.as_tensor(np.asarray(points, dtype=np.float32))
    image, seen = _rotate(image, seen, float(params.angle[index]))
    part, motion = _crop(image, seen, float(params.radius[index]), params.jitter[index])
    view = cv2.resize(part, (out_size, out_size), interpolation=cv2.INTER_AREA)
    # The image is RGB: red and blue are swapped, so hues run backwards.
    factors = np.array([params.hue[index], params.saturation[index], params.value[index]])
    hsv = cv2.cvtColor(view, cv2.COLOR_BGR2HSV) * factors + [0, 0, params.value_offset[index]]
    return AuthorsView(cv2.cvtColor(np.clip(hsv, 0, 255).astype(np.uint8), cv2.COLOR_HSV2BGR), motion)


def _centre(points: Tensor) -> tuple[int, int]:
    """The mean point, truncated towards zero."""
    return int(points[:, 0].mean()), int(points[:, 1].mean())


def _rotate(image: np.ndarray, points: Tensor, angle: float) -> tuple[np.ndarray, Tensor]:
    x, y = _centre(points)
    matrix = cv2.getRotationMatrix2D((max(x, 0), max(y, 0)), angle, 1.0)
    height, width = image.shape[:2]
    rotated = points.double().numpy() @ matrix[:, :2].T + matrix[:, 2]
    return cv2.warpAffine(image, matrix, (width, height)), torch.as_tensor(rotated.astype(np.float32))


def _crop(
    image: np.ndarray, points: Tensor, radius: float, jitter: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    x, y = _centre(points)
    farthest = ((points[:, 1] - y) ** 2 + (points[:, 0] - x) ** 2).max() ** 0.5
    half = int(farthest * radius)  # still in float32
    middle = np.array([x, y]) - half
    left, top = np.maximum(middle + jitter, 0).tolist()
    part = image[top : top + 2 * half, left : left + 2 * half]
    if part.size == 0:
        where = f"a crop of side {2 * half} at ({left}, {top}), which lies outside the image"
        raise ValueError(f"authors' augmentation: found {where} {image.shape}; their code fails here too")
    return part, middle - [left, top]
