"""The square around a hand, and one antialiased warp that cuts it out of a uint8 image.

Chapter 01 draws the box and the crop; appendix A2 compares the warp with a plain bilinear one.

**Convention.** Pixels (x, y), centres at integers; an affine is a 3x3 matrix from source to output pixels, as
`cv2.warpAffine` takes it. A crop has the centre of its box at ((size - 1) / 2, (size - 1) / 2), and the box's
side becomes `size` pixels. Outside the image everything is black.

Bilinear interpolation reads four source pixels. Where an output pixel covers more, it skips the rest, and
fine texture turns into noise. A view that shrinks by `s > 1.5` is therefore read from a smoothed image:
averaged over boxes of `reduce` pixels, then by taps (side, 1 - 2 side, side) along both axes, chosen so that
box, taps and bilinear kernel together have the variance s^2 / 6 of the triangle of an antialiased bilinear
resize (a third more just above s = 2, where boxes of two start).
"""

import math
from dataclasses import replace

import cv2
import numpy as np

from peclr_utils.camera import transform_intrinsics, transform_points
from peclr_utils.datasets.sample import HandSample

WHOLE_IMAGE = 1.2  # the factor that shows an image without points as it is; the default of training's views

ANTIALIAS_ABOVE = 1.5  # source pixels per output pixel up to which bilinear interpolation is good enough

FLOAT_WARP = int(cv2.__version__.split(".")[0]) >= 5
"""OpenCV 5 interpolates in float; 4.x rounds positions to 1/32 pixel, up to 6 grey levels off on noise."""

Affine = tuple[tuple[float, float, float], tuple[float, float, float]]
"""The upper two rows of a 3x3 matrix as plain numbers: NumPy's small arrays would cost more than the warp."""


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
    """Affine (3, 3) from pixels of the image to those of a crop with side `size`.

    `centre` (2,) and `side` are the box's, in pixels of the image.
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


def shrink(matrix: np.ndarray) -> np.ndarray:
    """Source pixels per output pixel of (..., 3, 3) matrices, (...,), in the direction that shrinks most."""
    # The largest singular value of a 2x2 matrix in closed form; of the inverse it is over the determinant.
    (a, b), (c, d) = np.moveaxis(np.asarray(matrix, dtype=np.float64)[..., :2, :2], (-2, -1), (0, 1))
    return (np.hypot(a + d, b - c) + np.hypot(a - d, b + c)) / (2 * np.abs(a * d - b * c))


def antialias(shrink: float) -> tuple[int, float]:
    """Choose how to smooth an image before a warp to `shrink` source pixels per output pixel.

    Returns:
        reduce: side of the boxes that are averaged into one pixel, 1 for none.
        side: weight of the outer two of three taps, 0 for none; a multiple of 1/256, exact in 8 bits.
    """
    if shrink <= ANTIALIAS_ABOVE:
        return 1, 0.0
    reduce = math.ceil(shrink / 2)
    missing = (shrink**2 / 6 - (reduce**2 - 1) / 12 - reduce**2 / 6) / reduce**2
    return reduce, round(min(max(missing / 2, 0), 0.25) * 256) / 256


def warp(image: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """Warp an image into a square one, antialiased, by one interpolation.

    Where it shrinks by no more than 1.5 the result is the bilinear interpolation, within 0.6 grey levels.

    Args:
        image: (H, W) or (H, W, C) uint8, C up to 4.
        matrix: (3, 3), source to output pixels.
        size: side of the output in pixels.

    Returns:
        (size, size) or (size, size, C) uint8; black where the output lies outside the image.

    Raises:
        TypeError: if the image is not uint8.
        ValueError: if the matrix is not an invertible 3x3, or shrinks the whole image to less than a pixel.
    """
    if image.dtype != np.uint8:
        raise TypeError(f"warp: expected a uint8 image, found {image.dtype}; multiply by 255 and convert")
    if np.shape(matrix) != (3, 3):
        raise ValueError(f"warp: expected a (3, 3) matrix, source to output pixels, found {np.shape(matrix)}")
    inverse, longest = _inverse(matrix), max(image.shape[:2])
    (a, b, _), (c, d, _) = inverse
    shrinks = (math.hypot(a + d, b - c) + math.hypot(a - d, b + c)) / 2  # the same as `shrink`, in less time
    if image.size and shrinks > max(longest, 2):
        raise ValueError(
            f"warp: {shrinks:.0f} pixels would become one, but the image's longer side has {longest}; is a "
            "keypoint or a box far outside the image?"
        )
    channels = image.shape[2:]
    if shrinks > ANTIALIAS_ABOVE:
        image, inverse = _smooth(image, inverse, size, shrinks)
    if image.size == 0:
        return np.zeros((size, size, *channels), dtype=np.uint8)
    if not FLOAT_WARP:
        return _bilinear(image, inverse, size).reshape(size, size, *channels)
    # OpenCV warps four channels twice as fast as three.
    padded = cv2.cvtColor(image, cv2.COLOR_RGB2RGBA) if channels == (3,) else image
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(padded, np.array(inverse), (size, size), flags=flags)
    if channels == (3,):
        return cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB)
    return warped.reshape(size, size, *channels)


def _inverse(matrix: np.ndarray) -> Affine:
    (a, b, x), (c, d, y) = np.asarray(matrix, dtype=np.float64)[:2].tolist()
    determinant = a * d - b * c
    if determinant == 0 or not math.isfinite(determinant + x + y):
        raise ValueError(f"warp: the matrix cannot be inverted: {np.asarray(matrix).tolist()}")
    a, b, c, d = d / determinant, -b / determinant, -c / determinant, a / determinant
    return (a, b, -(a * x + b * y)), (c, d, -(c * x + d * y))


def _smooth(image: np.ndarray, inverse: Affine, size: int, shrinks: float) -> tuple[np.ndarray, Affine]:
    """Smooth the part of the image that the output shows; return it and the output-to-part matrix."""
    reduce, side = antialias(shrinks)
    (left, right), (top, bottom) = (
        _shown(row, size, length, reduce) for row, length in zip(inverse, image.shape[1::-1], strict=True)
    )
    part = image[top:bottom, left:right]
    if part.size and reduce > 1:
        below, beside = -part.shape[0] % reduce, -part.shape[1] % reduce
        if below or beside:
            part = cv2.copyMakeBorder(part, 0, below, 0, beside, cv2.BORDER_CONSTANT, value=(0, 0, 0, 0))
        boxes = part.shape[1] // reduce, part.shape[0] // reduce
        part = cv2.resize(part, boxes, interpolation=cv2.INTER_AREA)
    if part.size and side > 0:
        taps = np.array([side, 1 - 2 * side, side])
        part = cv2.sepFilter2D(part, -1, taps, taps, borderType=cv2.BORDER_CONSTANT)
    to_part = (
        (a / reduce, b / reduce, (c - start + 0.5) / reduce - 0.5)
        for (a, b, c), start in zip(inverse, (left, top), strict=True)
    )
    return part, tuple(to_part)


def _shown(row: tuple[float, float, float], size: int, length: int, reduce: int) -> tuple[int, int]:
    """The pixels that an output reads along an axis, from the edge of a box on."""
    along_x, along_y, start = row
    ends, reach = (along_x * (size - 1), along_y * (size - 1)), 4 * reduce
    first = math.floor(start + sum(min(end, 0.0) for end in ends) - reach)
    last = math.ceil(start + sum(max(end, 0.0) for end in ends) + reach)
    return max(first, 0) // reduce * reduce, min(max(last, 0), length)


def _bilinear(image: np.ndarray, inverse: Affine, size: int) -> np.ndarray:
    """Interpolate in float32 by hand, for OpenCV 4, whose `warpAffine` rounds positions."""
    y, x = np.mgrid[:size, :size]
    (a, b, c), (d, e, f) = inverse
    x, y = a * x + b * y + c, d * x + e * y + f
    left, top = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    fx, fy = (x - left).astype(np.float32), (y - top).astype(np.float32)
    height, width, *channels = image.shape
    padded = np.pad(image, ((2, 2), (2, 2), *[(0, 0)] * len(channels)))
    column, row = left.clip(-2, width) + 2, top.clip(-2, height) + 2
    total = np.zeros((size, size, *channels), dtype=np.float32)
    for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
        weight = (fx if dx else 1 - fx) * (fy if dy else 1 - fy)
        total += padded[row + dy, column + dx] * weight.reshape(size, size, *[1] * len(channels))
    return np.rint(total).astype(np.uint8)
