"""A sample seen in a mirror: a left hand as a right one, and back.

Networks for one hand learn right hands only; FreiHAND holds nothing else. Chapter 01 mirrors a hand.

**Convention.** The picture's columns are reversed: x goes to W - 1 - x with pixel centres at integers. In
space X goes to -X, and K becomes F K D with F that reversal as a 3x3 matrix and D = diag(-1, 1, 1), so that
projecting the mirrored points lands on the mirrored pixels.
"""

from dataclasses import replace

import numpy as np

from peclr_utils.datasets.sample import HandSample


def mirror(sample: HandSample) -> HandSample:
    """Return the sample as its mirror image; applied twice it gives the sample back.

    Args:
        sample: any sample.

    Returns:
        The same with image, mask, keypoints, outline and K mirrored and the other handedness.
    """
    width = sample.image.shape[1]
    return replace(
        sample,
        image=np.ascontiguousarray(sample.image[:, ::-1]),
        handedness="left" if sample.handedness == "right" else "right",
        keypoints_3d=None if sample.keypoints_3d is None else sample.keypoints_3d * np.float32([-1, 1, 1]),
        keypoints_2d=mirror_points(sample.keypoints_2d, width),
        K=None if sample.K is None else _mirror_intrinsics(sample.K, width),
        mask=None if sample.mask is None else np.ascontiguousarray(sample.mask[:, ::-1]),
        outline=mirror_points(sample.outline, width),
    )


def mirror_points(points: np.ndarray | None, width: int) -> np.ndarray | None:
    """Mirror pixels (..., 2 or more columns, x first) of a picture `width` wide; None stays None."""
    if points is None:
        return None
    return np.concatenate([width - 1 - points[..., :1], points[..., 1:]], -1).astype(points.dtype)


def _mirror_intrinsics(K: np.ndarray, width: int) -> np.ndarray:
    reversal = np.array([[-1, 0, width - 1], [0, 1, 0], [0, 0, 1]], np.float64)
    return (reversal @ K.astype(np.float64) @ np.diag([-1.0, 1.0, 1.0])).astype(K.dtype)
