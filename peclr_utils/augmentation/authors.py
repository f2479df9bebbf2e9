"""The views that the authors' published code makes, step by step, with what is wrong about them.

Chapter 02 names the differences; `training.authors` trains on these views where `authors_exact` is set. For
everything else take `AugmentationConfig.peclr()`.

A view is made from the whole picture and the hand's points, in this order:

1. *Turn* the whole picture by a whole number of degrees about the mean point, cut to whole pixels.
2. *Crop* a square about the turned points' mean, again cut to whole pixels. Half its side is the largest
   distance of a point from there, times `radius`, cut to whole pixels. Its top left corner moves right and
   down by `jitter`, never left or up; where it would lie left of or above the picture it is set to 0, so that
   the square shows another place; what lies beyond the right and bottom edges is missing.
3. *Resize* what is left to a square view by area, which squeezes a crop that was cut off.
4. *Recolour* in OpenCV's 8-bit HSV, of which the channels are taken to be blue, green, red while they are
   red, green, blue: hue and saturation shrink towards zero, which stands for blue and grey.

**Convention.** RGB uint8 (H, W, 3); pixels (x, y). Angles in degrees, positive turns the picture
counter-clockwise on screen. Motions are of the content, right and down positive.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class AuthorsAugmentation:
    """Ranges that the authors draw from; all uniform.

    Attributes:
        rotation: degrees; the angle is drawn in [-rotation, rotation) and rounded down.
        radius: (low, high) of half the crop's side, as a multiple of the largest distance from the mean.
        jitter: pixels of the picture; the corner moves by 0 to jitter - 1 along each axis.
        hue: (low, high) of hue's factor.
        saturation: (low, high) of saturation's factor.
        value: (low, high) of value's factor.
        value_offset: (low, high) of what is added to value, of 255.

    Raises:
        ValueError: if a range is reversed or negative.
    """

    rotation: float = 45.0
    radius: tuple[float, float] = (0.9, 1.5)
    jitter: int = 15
    hue: tuple[float, float] = (0.01, 1.0)
    saturation: tuple[float, float] = (0.01, 1.0)
    value: tuple[float, float] = (0.5, 1.0)
    value_offset: tuple[float, float] = (5.0, 20.0)

    def __post_init__(self) -> None:
        for name in ("radius", "hue", "saturation", "value", "value_offset"):
            low, high = getattr(self, name)
            if not 0 <= low <= high:
                raise ValueError(f"authors' augmentation: {name} must be 0 <= low <= high, found {low, high}")
        if self.rotation < 0 or self.jitter < 0:
            raise ValueError(
                "authors' augmentation: rotation and jitter must not be negative, "
                f"found {self.rotation} and {self.jitter}"
            )


@dataclass(frozen=True, eq=False)
class AuthorsParameters:
    """Everything that was drawn for B views.

    Attributes:
        angle: (B,) whole degrees.
        radius: (B,) half the crop's side over the largest distance from the mean point.
        jitter: (B, 2) int64, pixels of the picture by which the crop's corner moves right and down.
        hue, saturation, value: (B,) factors.
        value_offset: (B,) added to value, of 255.
    """

    angle: np.ndarray
    radius: np.ndarray
    jitter: np.ndarray
    hue: np.ndarray
    saturation: np.ndarray
    value: np.ndarray
    value_offset: np.ndarray

    def __len__(self) -> int:
        return len(self.angle)

    def __getitem__(self, index: slice | np.ndarray | Sequence[int]) -> "AuthorsParameters":
        """Some of the views."""
        return AuthorsParameters(**{name: value[index] for name, value in vars(self).items()})


class AuthorsView(NamedTuple):
    """A view, and how the authors say that its content moved.

    Attributes:
        image: (S, S, 3) uint8 RGB.
        motion: (2,) whole pixels of the picture *before* it was resized, never positive: from where the
            content would be in a crop of this size about the mean point.
    """

    image: np.ndarray
    motion: np.ndarray


def sample_authors_parameters(
    config: AuthorsAugmentation, count: int, rng: np.random.Generator
) -> AuthorsParameters:
    """Draw the parameters of some views; n views and then m are the n + m views drawn at once.

    Args:
        config: what to draw from.
        count: number of views.
        rng: the generator, which is moved on.

    Returns:
        Parameters of `count` views.
    """
    turn, reach = (-config.rotation, config.rotation), (0.0, config.jitter)
    ranges = (
        turn, config.radius, reach, reach, config.hue, config.saturation, config.value, config.value_offset
    )  # fmt: skip
    low, high = np.array(ranges, dtype=np.float64).T
    angle, radius, x, y, hue, saturation, value, offset = (
        low + (high - low) * rng.random((count, len(ranges)))
    ).T
    jitter = np.stack([x, y], axis=1).astype(np.int64)
    return AuthorsParameters(np.floor(angle), radius, jitter, hue, saturation, value, offset)


def apply_authors(
    image: np.ndarray, points: np.ndarray, params: AuthorsParameters, index: int = 0, out_size: int = 128
) -> AuthorsView:
    """Make one view of a picture as the authors' code does.

    Args:
        image: (H, W, 3) uint8, the whole picture.
        points: (N, 2) pixels; the authors take the 21 keypoints.
        params: of some views.
        index: which of them.
        out_size: side of the view.

    Returns:
        The view, and the motion that the authors undo.

    Raises:
        ValueError: if a point is not finite, or nothing of the picture lies in the crop.
    """
    if not np.isfinite(points).all():
        raise ValueError("authors' augmentation: expected finite points, found NaN or infinity")
    # Torch's float32, as in the authors' code: a sum in another order could fall on another whole pixel.
    seen = torch.as_tensor(np.asarray(points, dtype=np.float32))
    image, seen = _turn(image, seen, float(params.angle[index]))
    part, motion = _crop(image, seen, float(params.radius[index]), params.jitter[index])
    view = cv2.resize(part, (out_size, out_size), interpolation=cv2.INTER_AREA)
    factors = (params.hue, params.saturation, params.value, params.value_offset)
    return AuthorsView(_recolour(view, *(float(factor[index]) for factor in factors)), motion)


def _centre(points: Tensor) -> tuple[int, int]:
    """The mean point, cut towards zero."""
    return int(points[:, 0].mean()), int(points[:, 1].mean())


def _turn(image: np.ndarray, points: Tensor, angle: float) -> tuple[np.ndarray, Tensor]:
    x, y = _centre(points)
    matrix = cv2.getRotationMatrix2D((max(x, 0), max(y, 0)), angle, 1.0)
    height, width = image.shape[:2]
    turned = points.double().numpy() @ matrix[:, :2].T + matrix[:, 2]
    return cv2.warpAffine(image, matrix, (width, height)), torch.as_tensor(turned.astype(np.float32))


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
        raise ValueError(
            f"authors' augmentation: a crop of side {2 * half} at ({left}, {top}) shows nothing of a picture "
            f"of {image.shape[1]} x {image.shape[0]} pixels; their code stops here too"
        )
    return part, middle - [left, top]


def _recolour(image: np.ndarray, hue: float, saturation: float, value: float, offset: float) -> np.ndarray:
    # The picture is RGB: red and blue change places, so hues run backwards.
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV) * np.array([hue, saturation, value])
    hsv[..., 2] += offset
    return cv2.cvtColor(np.clip(hsv, 0, 255).astype(np.uint8), cv2.COLOR_HSV2BGR)
