"""Windows over an image, in all sizes that its hands may have.

Chapter 05 shows them; `voting` predicts in them.

**Convention.** Windows are squares, given by their centre and side in pixels of the image, pixel centres at
integers.
"""

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np

from peclr_utils.inference.cutting import USUAL_REACH

RATIO = 1.5
"""Side of one size of windows over the next smaller one's; presence is learnt from 0.75 to 1.33."""

STRIDE = 0.25
"""Distance of neighbouring windows as a share of their side; presence is learnt for shifts up to 0.1."""

LEAST_SIDE = 64
"""Pixels of the smallest windows, or `size` if that is less: magnified texture looks like small hands."""


class Windows(NamedTuple):
    """Windows of one size over an image."""

    resized: np.ndarray  # (H, W, 3) uint8, the image with a black border, in which a window has `size` pixels
    corner: np.ndarray  # (N, 2) int, the first x and y of each window in it
    size: int  # pixels
    centre: np.ndarray  # (N, 2) pixels of the image
    side: float  # pixels of the image

    def cut(self, some: slice) -> np.ndarray:
        """Cut some of the windows out: (n, size, size, 3) uint8."""
        return np.stack([self.resized[y : y + self.size, x : x + self.size] for x, y in self.corner[some]])

    @property
    def crops(self) -> np.ndarray:
        """(N, size, size, 3) uint8, all windows: up to 16 times as much memory as `resized`."""
        return self.cut(slice(None))


def windows(image: np.ndarray, size: int, view_factor: float, smallest: float) -> Iterator[Windows]:
    """Lay windows over an image, from hands as large as the image to small ones.

    Args:
        image: (H, W, 3) uint8 RGB.
        size: side of a crop in pixels.
        view_factor: see `PoseNetwork25D`; a crop is about 2 * 0.63 * view_factor times as wide as its hand.
        smallest: the smallest hand to look for, as a share of the image's shorter side.

    Yields:
        All windows of one size, which cover the image; beyond its edge they are black. The largest size
        always comes; the others have at least `LEAST_SIDE` pixels.
    """
    height, width = image.shape[:2]
    per_hand = 2 * USUAL_REACH * view_factor
    last = max(per_hand * smallest * min(height, width) / RATIO**0.5, min(size, LEAST_SIDE))
    sides = [per_hand * max(height, width)]
    while sides[-1] / RATIO > last:
        sides.append(sides[-1] / RATIO)
    for side in sides:
        scale = size / side
        # One resize for all windows of a size, which are then cut out of it.
        small = (max(1, round(width * scale)), max(1, round(height * scale)))
        shrunk = cv2.resize(image, small, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        padded = cv2.copyMakeBorder(shrunk, size, size, size, size, cv2.BORDER_CONSTANT)
        across, down = (_places(length, size) for length in small)
        grid = np.stack(np.meshgrid(across, down), axis=-1).reshape(-1, 2)
        centre = (grid + size / 2) / small * (width, height) - 0.5
        yield Windows(padded, grid + size, size, centre, side)


def _places(length: int, size: int) -> np.ndarray:
    """Where windows of `size` begin along an axis of `length`: the hands in them lie inside the image."""
    inside = 0.3 * size  # of a hand in the middle of its window, from its centre to its edge
    # Two at least, so that more than one window can show a hand as large as the image.
    low = min(inside, length / 2 - STRIDE * size / 4)
    high = max(length - inside, length / 2 + STRIDE * size / 4)
    count = int(np.ceil((high - low) / (STRIDE * size))) + 1
    return np.unique(np.round(np.linspace(low, high, count) - size / 2).astype(int))
