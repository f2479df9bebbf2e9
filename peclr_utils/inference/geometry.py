"""Which square of an image a network sees: the two crops of the authors' evaluation, and their boxes.

Chapter 05 predicts with it.

**Convention.** A box is (x1, y1, x2, y2) in pixels of the image, x2 and y2 on the far side. An affine is a
3x3 matrix from image to crop pixels. A box's centre goes to (size / 2, size / 2), as in the authors' code:
half a pixel further than in `peclr_utils.crops`, and what the published weights were trained with.
"""

import numpy as np

from peclr_utils.camera import transform_points
from peclr_utils.models import DEFAULT_K

CROP_SIZE = 224
"""Side of the published networks' crops in pixels, and of FreiHAND's images."""

FIRST_SHARE = 0.33
"""Share of an image's side in which the hand is first looked for, about the centre."""

HAND_SHARE = 0.7
"""Share of a crop's side that the larger side of a hand's box takes."""


def central_square(width: int, height: int) -> np.ndarray:
    """The largest square about an image's centre, in place of FreiHAND's box (0, 0, 224, 224).

    Args:
        width, height: of the image in pixels.

    Returns:
        (4,) float64 box; (0, 0, 224, 224) for an image of 224 x 224.
    """
    side = min(width, height)
    return np.array([width - side, height - side, width + side, height + side]) / 2


def default_intrinsics(width: int, height: int) -> np.ndarray:
    """Intrinsics to guess for an image of an unknown camera.

    The published K belongs to a 224 x 224 image. On another one it is scaled with that image's
    `central_square`, so that the angle of view of the square's side stays the same (about 32 degrees).

    Args:
        width, height: of the image in pixels.

    Returns:
        (3, 3) float64; `models.DEFAULT_K` for 224 x 224.
    """
    x1, y1, x2, _ = central_square(width, height)
    stretch = (x2 - x1) / CROP_SIZE
    return np.array([[stretch, 0, x1], [0, stretch, y1], [0, 0, 1]]) @ np.array(DEFAULT_K)


def shrink_box(box: np.ndarray, share: float) -> np.ndarray:
    """Make a box square on its larger side and scale it about its centre.

    Args:
        box: (4,).
        share: new side over old larger side.

    Returns:
        (4,) float64 box.
    """
    low, high = np.asarray(box[:2], dtype=np.float64), np.asarray(box[2:], dtype=np.float64)
    half = share * (high - low).max() / 2
    centre = (low + high) / 2
    return np.concatenate([centre - half, centre + half])


def crop_affine(box: np.ndarray, size: int = CROP_SIZE) -> np.ndarray:
    """Affine of the crop around a box: its centre to the crop's, its larger side to 0.7 of the crop's.

    Args:
        box: (4,), its larger side positive.
        size: side of the crop in pixels.

    Returns:
        (3, 3) float64, image to crop pixels.
    """
    x1, y1, x2, y2 = np.asarray(box, dtype=np.float64)
    scale = HAND_SHARE * size / max(x2 - x1, y2 - y1)
    x, y = size / 2 - scale * (x1 + x2) / 2, size / 2 - scale * (y1 + y2) / 2
    return np.array([[scale, 0, x], [0, scale, y], [0, 0, 1]])


def first_box(width: int, height: int, box: np.ndarray | None = None) -> np.ndarray:
    """The box of the first crop: the given one as it is, or the middle third of the image's square.

    Args:
        width, height: of the image in pixels.
        box: (4,) around the hand, if known.

    Returns:
        (4,) float64 box.
    """
    if box is None:
        return shrink_box(central_square(width, height), FIRST_SHARE)
    return np.asarray(box, dtype=np.float64)


def predicted_box(keypoints_2d: np.ndarray, affine: np.ndarray) -> np.ndarray | None:
    """The box of predicted keypoints, in the image: for the second crop.

    Its sides are truncated to whole pixels of the crop (towards zero) before it is moved back to the image.

    Args:
        keypoints_2d: (21, 2) pixels of the first crop, the palm's included.
        affine: (3, 3) of the first crop.

    Returns:
        (4,) float64 box in pixels of the image; None if it has no size or a keypoint is not finite.
    """
    if not np.isfinite(keypoints_2d).all():
        return None
    corners = np.trunc(np.stack([keypoints_2d.min(axis=0), keypoints_2d.max(axis=0)]).astype(np.float64))
    if not (corners[1] > corners[0]).any():
        return None
    return transform_points(np.linalg.inv(affine), corners).ravel()
