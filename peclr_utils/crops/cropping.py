"""Square crops around the hand, with its labels moved along.

Chapter 01 draws the box and the crop.

**Convention.** Pixels (x, y), centres at integers; a crop's affine maps image to crop pixels. The centre of
the box lands at ((size - 1) / 2, (size - 1) / 2), and its side becomes `size` pixels.
"""

from dataclasses import replace

import numpy as np

from peclr_utils.camera import transform_intrinsics, transform_points
from peclr_utils.crops.warping import warp
from peclr_utils.datasets.sample import HandSample

WHOLE_IMAGE = 1.2  # the factor that shows an image without points as it is; the default of training's views


def crop_box(sample: HandSample, factor: float = 1.0) -> tuple[np.ndarray, float]:
    """Find the square around a hand: mean keypoint, and twice the largest distance from it.

    Without keypoints the outline is used; non-finite points are ignored. A sample with neither is taken to
    show one hand that fills it: with the factor `WHOLE_IMAGE` the box is the square on its longer side.

    Args:
        sample: any sample.
        factor: how much wider than the keypoints; 1.3 leaves room for skin and fingertips.

    Returns:
        centre: (2,) float64 pixels.
        side: pixels.

    Raises:
        ValueError: if the factor is not positive, or there are no two different finite points.
    """
    if not factor > 0:
        raise ValueError(f"crop_box: factor must be positive, found {factor}")
    points = sample.keypoints_2d if sample.keypoints_2d is not None else sample.outline
    if points is None:
        height, width = sample.image.shape[:2]
        return np.array([(width - 1) / 2, (height - 1) / 2]), max(height, width) * factor / WHOLE_IMAGE
    points = np.asarray(points, dtype=np.float64)
    points = points[np.isfinite(points).all(axis=1)]
    if not (points != points[:1]).any():
        raise ValueError(f"crop_box: {sample.name!r} of {sample.source} has no two different finite points")
    centre = points.mean(axis=0)
    radius = np.linalg.norm(points - centre, axis=1).max()
    return centre, float(2 * factor * radius)


def crop_matrix(centre: np.ndarray, side: float, size: int) -> np.ndarray:
    """Affine from the image to a crop.

    Args:
        centre: (2,) centre of the box in pixels.
        side: side of the box in pixels.
        size: side of the crop in pixels.

    Returns:
        (3, 3) float64, source to output pixels.
    """
    scale = size / side
    x, y = (size - 1) / 2 - scale * np.asarray(centre, dtype=np.float64)
    return np.array([[scale, 0, x], [0, scale, y], [0, 0, 1]])


def crop(sample: HandSample, size: int, factor: float = 1.3) -> HandSample:
    """Cut the square around a hand out of its image, by one antialiased warp.

    The box may reach beyond the image: there the crop is black and the mask 0; it is never squeezed.

    Args:
        sample: any sample.
        size: side of the crop in pixels.
        factor: see `crop_box`.

    Returns:
        The sample with image (size, size, 3), mask, keypoints_2d, outline and K of the crop. The 3D keypoints
        stay the same, because K' = A K projects them into the crop.
    """
    return warp_sample(sample, crop_matrix(*crop_box(sample, factor), size), size)


def warp_sample(
    sample: HandSample, matrix: np.ndarray, size: int, image: np.ndarray | None = None
) -> HandSample:
    """Warp a sample's image, and move its labels along.

    Args:
        sample: any sample.
        matrix: (3, 3), source to output pixels.
        size: side of the output in pixels.
        image: (size, size, 3) uint8, the warped image if it is already known.

    Returns:
        The sample with image, mask, keypoints_2d, outline and K' = A K of the output, and no box; the rest
        stays.
    """
    return replace(
        sample,
        image=warp(sample.image, matrix, size) if image is None else image,
        mask=None if sample.mask is None else warp(sample.mask, matrix, size),
        keypoints_2d=_moved(sample.keypoints_2d, matrix),
        outline=_moved(sample.outline, matrix),
        box=None,
        K=None if sample.K is None else transform_intrinsics(matrix, sample.K).astype(np.float32),
    )


def _moved(points: np.ndarray | None, matrix: np.ndarray) -> np.ndarray | None:
    return None if points is None else transform_points(matrix, points.astype(np.float64)).astype(np.float32)
