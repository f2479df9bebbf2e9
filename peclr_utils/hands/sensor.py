"""What a camera does to a picture: a little blur, grain, compression.

Every picture that chapter 01 takes from `SyntheticHands` has gone through it.
"""

import functools
from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Sensor:
    """What the camera adds.

    Attributes:
        blur: standard deviation of a Gaussian blur, pixels of a picture of 224.
        noise: standard deviation of the grain, grey levels.
        noise_offset: where the grain is cut out of a fixed sheet of it.
        quality: JPEG quality, or None for no compression.
    """

    blur: float = 0.0
    noise: float = 0.0
    noise_offset: tuple[int, int] = (0, 0)
    quality: int | None = None


@functools.cache
def _grain_sheet(side: int = 512) -> np.ndarray:
    """One fixed sheet of standard normal grain, (side, side, 3) float32."""
    return np.random.default_rng(20210).standard_normal((side, side, 3), dtype=np.float32)


def _grain(offset: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) float32 grain cut from the sheet; drawing it anew would cost more than the hand's shading."""
    sheet = _grain_sheet()
    while len(sheet) < max(size):
        sheet = np.tile(sheet, (2, 2, 1))
    top, left = offset[0] % (len(sheet) - size[0] + 1), offset[1] % (len(sheet) - size[1] + 1)
    return sheet[top : top + size[0], left : left + size[1]]


def expose(image: np.ndarray, sensor: Sensor) -> np.ndarray:
    """Blur, grain and compression of one picture, (H, W, 3) uint8 in and out."""
    blur = sensor.blur * image.shape[0] / 224
    if blur > 0:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    if sensor.noise > 0:
        grain = _grain(sensor.noise_offset, image.shape[:2])
        image = cv2.addWeighted(image, 1.0, grain, sensor.noise, 0.0, dtype=cv2.CV_8U)
    if sensor.quality is not None:
        _, packed = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, sensor.quality])
        image = cv2.imdecode(packed, cv2.IMREAD_COLOR)
    return image
