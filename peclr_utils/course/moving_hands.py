"""Chapter 02 and appendix A2: the hands that they move, and what they measure in the pixels of a view.

**Convention.** Images (H, W, 3) uint8 RGB; pixels (x, y). Angles in degrees.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from peclr_utils.augmentation import apply_opencv
from peclr_utils.augmentation.photometry import LUMA
from peclr_utils.datasets import HandDataset, HandSample, open_source
from peclr_utils.widgets import view_parameters

_IQ = np.array([[0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])


def hands_with_masks(data: Sequence[str], seed: int, border: float = 0.62) -> HandDataset:
    """Open the first data set with 3D keypoints and masks; without one, render 64 upright hands.

    Args:
        data: source names.
        seed: of the rendered hands.
        border: how far their images reach beyond the usual ones; see `SyntheticHands`.
    """
    rendered = f"synthetic:64?seed={seed}&view=40,15&border={border}"
    sets = (open_source(name) for name in [*data, rendered])
    return next(hands for hands in sets if hands[0].keypoints_3d is not None and hands[0].mask is not None)


def disc(image: np.ndarray) -> np.ndarray:
    """(S, S) bool: the largest disc in a square image, whose content stays in it when the image turns."""
    middle = (len(image) - 1) / 2
    y, x = np.mgrid[: len(image), : len(image)] - middle
    return x**2 + y**2 < (0.95 * middle) ** 2


def edge_direction(image: np.ndarray) -> float:
    """Prevailing direction of the edges in the disc, counter-clockwise from the right, modulo 180 degrees."""
    grey = cv2.GaussianBlur((image @ LUMA).astype(np.float32), (0, 0), 2)
    gx, gy = (cv2.Sobel(grey, cv2.CV_32F, *axis) * disc(image) for axis in ((1, 0), (0, 1)))
    # Gradients point across the edges; doubled angles make opposite gradients agree.
    across = 0.5 * np.arctan2(2 * (gx * gy).sum(), (gx * gx - gy * gy).sum())
    return float(90 - np.rad2deg(across))


def hue_angle(image: np.ndarray) -> float:
    """Hue of the disc's mean colour: the angle of its I and Q (YIQ), as `AugmentationConfig.hue` turns it."""
    i, q = _IQ @ image[disc(image)].mean(axis=0)
    return float(np.rad2deg(np.arctan2(q, i)))


def responses(
    crops: Sequence[HandSample], angles: Sequence[float], scale: float
) -> dict[tuple[str, str], np.ndarray]:
    """Turn crops and their hues, and follow `edge_direction` and `hue_angle` of the views.

    Args:
        crops: N square crops.
        angles: A degrees, in steps below 90; one of them is 0.
        scale: magnification of the views.

    Returns:
        By what turns and what is measured: degrees (A, N) by which the measurement changes.
    """
    turns = {"the image turns": "angle", "the hue turns": "hue"}
    measurements = {"its edges turn": edge_direction, "its mean hue turns": hue_angle}
    changes = {}
    for turn, name in turns.items():
        views = [view_parameters(scale=scale, **{name: value}) for value in angles]
        images = [[apply_opencv(one.image, view, 128) for one in crops] for view in views]
        for label, measure in measurements.items():
            # Directions repeat after 180 degrees: follow them from angle to angle.
            found = np.unwrap([list(map(measure, row)) for row in images], period=180, axis=0)
            changes[turn, label] = found - found[list(angles).index(0)]
    return changes


def draw_measurements(image: np.ndarray) -> np.ndarray:
    """Draw `edge_direction` into a copy as a white line, and fill the corners with the disc's mean colour."""
    inside, radians = disc(image), np.deg2rad(edge_direction(image))
    drawn = np.where(inside[..., None], image, image[inside].mean(axis=0)).astype(np.uint8)
    middle = (len(image) - 1) / 2
    reach = 0.85 * middle * np.array([np.cos(radians), -np.sin(radians)])
    ends = [np.rint(16 * (middle + end)).astype(int).tolist() for end in (-reach, reach)]
    return cv2.line(drawn, *ends, (255, 255, 255), 2, cv2.LINE_AA, 4)


def paint_dot(point: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Paint a soft white dot on black at a sub-pixel (x, y), in an image of a size (H, W)."""
    y, x = np.mgrid[: size[0], : size[1]]
    dot = 255 * np.exp(-((x - point[0]) ** 2 + (y - point[1]) ** 2) / (2 * 4.0**2))
    return np.repeat(dot.round().astype(np.uint8)[..., None], 3, axis=2)


def centre_of_mass(image: np.ndarray) -> np.ndarray:
    """Where the light of an image is on average: (2,) pixels."""
    light = image.sum(axis=2, dtype=np.float64)
    y, x = np.mgrid[: len(light), : light.shape[1]]
    return np.array([(x * light).sum(), (y * light).sum()]) / light.sum()
