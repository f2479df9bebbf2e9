"""Square crops around the hand, with everything known about it moved along.

Chapter 01 draws the box and the crop.

**Convention.** Pixels (x, y), centres at integers; a crop's affine maps picture to crop pixels. The box's
centre comes to lie at ((size - 1) / 2, (size - 1) / 2), and its side becomes `size` pixels.
"""

from dataclasses import replace

import numpy as np

from peclr_utils.camera import transform_intrinsics, transform_points
from peclr_utils.crops.warping import warp
from peclr_utils.datasets.sample import HandSample

WHOLE_PICTURE = WHOLE_IMAGE = 1.2
"""The factor that shows a picture without points as it is; training's views have it by default."""


def crop_box(sample: HandSample, factor: float = 1.0) -> tuple[np.ndarray, float]:
    """Find the square around a hand: mean keypoint, and twice the largest distance from it.

    The keypoints count if they are known, otherwise the outline (points that are not finite are left out). A
    sample with neither is taken to show one hand that fills it: with the factor `WHOLE_PICTURE` the box is
    the square on the picture's longer side.

    Args:
        sample: any sample.
        factor: how much wider than the keypoints; 1.3 leaves room for skin and fingertips.

    Returns:
        centre: (2,) float64 pixels.
        side: pixels.

    Raises:
        ValueError: if the factor is not positive, or all points coincide or are not finite.
    """
    if not factor > 0:
        raise ValueError(f"crop_box: factor must be positive, found {factor}")
    points = sample.keypoints_2d if sample.keypoints_2d is not None else sample.outline
    height, width = sample.image.shape[:2]
    if points is None:
        return np.array([(width - 1) / 2, (height - 1) / 2]), max(height, width) * factor / WHOLE_PICTURE
    points = np.asarray(points, dtype=np.float64)
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        raise ValueError(
            f"crop_box: sample {sample.name!r} of {sample.source} has no finite point to crop by"
        )
    centre = points.mean(axis=0)
    radius = np.linalg.norm(points - centre, axis=1).max()
    if not radius > 0:
        raise ValueError(
            f"crop_box: all points of sample {sample.name!r} of {sample.source} lie at {centre.tolist()}; "
            "a box needs at least two different points"
        )
    return centre, float(2 * factor * radius)


def crop_matrix(centre: np.ndarray, side: float, size: int) -> np.ndarray:
    """Affine from the picture to a crop.

    Args:
        centre: (2,) centre of the box in pixels.
        side: side of the box in pixels.
        size: side of the crop in pixels.

    Returns:
        (3, 3) float64, source to output pixels.
    """
    if not (side > 0 and size > 0):
        raise ValueError(f"crop_matrix: side and size must be positive, found {side} and {size}")
    scale = size / side
    middle = (size - 1) / 2
    return np.array(
        [[scale, 0, middle - scale * centre[0]], [0, scale, middle - scale * centre[1]], [0, 0, 1]]
    )


def crop(sample: HandSample, size: int, factor: float = 1.3) -> HandSample:
    """Cut the square around a hand out of its picture, by one antialiased warp.

    The box may reach beyond the picture: it is black there, and the mask 0, and the crop is never squeezed.
    The 3D keypoints stay as they are, for K' = A K projects them into the crop.

    Args:
        sample: any sample.
        size: side of the crop in pixels.
        factor: see `crop_box`.

    Returns:
        The sample with image (size, size, 3), mask, keypoints_2d, K and outline of the crop.
    """
    return warp_sample(sample, crop_matrix(*crop_box(sample, factor), size), size)


def warp_sample(
    sample: HandSample, matrix: np.ndarray, size: int, image: np.ndarray | None = None
) -> HandSample:
    """Warp a sample's picture, and move everything known about it along.

    Args:
        sample: any sample.
        matrix: (3, 3), source to output pixels.
        size: side of the output in pixels.
        image: (size, size, 3) uint8 what the picture becomes; None warps it.

    Returns:
        The sample with image, mask, keypoints_2d, outline and K' = A K of the output; the rest stays.
    """
    return replace(
        sample,
        image=warp(sample.image, matrix, size) if image is None else image,
        mask=None if sample.mask is None else warp(sample.mask, matrix, size),
        keypoints_2d=_moved(sample.keypoints_2d, matrix),
        outline=_moved(sample.outline, matrix),
        K=None if sample.K is None else transform_intrinsics(matrix, sample.K).astype(np.float32),
    )


def _moved(points: np.ndarray | None, matrix: np.ndarray) -> np.ndarray | None:
    if points is None:
        return None
    return transform_points(matrix, points.astype(np.float64)).astype(np.float32)
