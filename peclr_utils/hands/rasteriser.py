"""Which triangle is seen where: exact coverage and a depth buffer, in NumPy.

Chapter 01 shows what it draws. There is no graphics library underneath: every triangle is cut into rows of
samples by its edge equations, all rows of all triangles at once, and a depth buffer keeps the nearest
sample.

**Convention**: camera frame with x right, y down, z forward, metres. Pixel centres lie at integers. A
picture is drawn `supersample` times larger and averaged; sample j of pixel x lies at x + (j + 0.5) /
supersample - 0.5, so picture, mask and projected keypoints agree without a half-pixel shift. Triangles are
wound so that (b - a) x (c - a) points out of the body; those that turn away from the camera are never
drawn.
"""

import functools
from dataclasses import dataclass

import cv2
import numpy as np

NEAR = 0.02  # metres: triangles with a corner nearer than this to the camera plane are dropped
CONTINUOUS = 0.004  # depths within a pixel that differ by less than this share belong to one surface


@dataclass(frozen=True)
class Samples:
    """The visible samples of a mesh, one entry each, in order of rows within triangles.

    Args:
        pixel: (N,) flat index of the pixel, row by row.
        share: (N,) float32, the share of the pixel that the sample stands for. They add up to its coverage.
        corners: (3, N) vertex indices of the triangle seen there.
        weights: (3, N) float32 perspective-correct barycentric weights of those corners.
        depth: (N,) float32 metres.
    """

    pixel: np.ndarray
    share: np.ndarray
    corners: np.ndarray
    weights: np.ndarray
    depth: np.ndarray


def rasterise(
    vertices: np.ndarray, faces: np.ndarray, K: np.ndarray, size: tuple[int, int], supersample: int = 2
) -> Samples:
    """Find which triangle is seen where.

    Args:
        vertices: (V, 3) camera frame, metres.
        faces: (F, 3) vertex indices, wound outwards.
        K: (3, 3) intrinsics; pixel centres at integers.
        size: (H, W) of the picture.
        supersample: samples per pixel along each axis.

    Returns:
        The nearest sample at each covered position. A pixel wholly covered by one continuous surface is
        represented by a single sample at its centre, which saves most of the shading.
    """
    fine_K = np.array(
        [[supersample, 0, (supersample - 1) / 2], [0, supersample, (supersample - 1) / 2], [0, 0, 1]]
    )
    K = fine_K @ np.asarray(K, dtype=np.float64)
    height, width = size[0] * supersample, size[1] * supersample
    vertices = np.asarray(vertices, dtype=np.float64)
    faces = faces[(vertices[:, 2] > NEAR)[faces].all(axis=1)]
    inverse_depth = 1.0 / np.maximum(vertices[:, 2], NEAR)
    x = (K[0, 0] * vertices[:, 0] + K[0, 1] * vertices[:, 1]) * inverse_depth + K[0, 2]
    y = K[1, 1] * vertices[:, 1] * inverse_depth + K[1, 2]
    corners = np.ascontiguousarray(faces.T)
    x, y, inverse_depth = x.take(corners), y.take(corners), inverse_depth.take(corners)

    # Edge function i is the weight of corner i times the area; all three are positive inside a front-facing
    # triangle.
    a = y[[2, 0, 1]] - y[[1, 2, 0]]
    b = x[[1, 2, 0]] - x[[2, 0, 1]]
    c = y[[1, 2, 0]] * x[[2, 0, 1]] - x[[1, 2, 0]] * y[[2, 0, 1]]
    area = c.sum(axis=0)
    facing = np.flatnonzero(area > 1e-9)
    corners, y, a, b, c, share = (v.take(facing, axis=1) for v in (corners, y, a, b, c, inverse_depth))
    share = share / area.take(facing)

    # Weights divided by depth are linear on the screen, and they add up to 1/z: larger is nearer.
    face, row_y, start, count = _rows(y, a, b, c, (height, width))
    right = (a * share).take(face, axis=1)
    down = (b * share).take(face, axis=1)
    level = right * start + down * row_y + (c * share).take(face, axis=1)
    right, down, level = right.astype(np.float32), down.astype(np.float32), level.astype(np.float32)

    row = np.repeat(np.arange(len(count)), count)
    position = np.arange(len(row))
    before = np.cumsum(count) - count
    index = (row_y * width + start - before).take(row) + position
    step = (position - before.take(row)).astype(np.float32)
    near = right.sum(axis=0).take(row) * step + level.sum(axis=0).take(row)
    nearest = np.zeros(height * width, dtype=np.float32)
    np.maximum.at(nearest, index, near)

    plain = _plain_pixels(nearest.reshape(height, width), supersample)
    seen = np.flatnonzero(nearest.take(index) == near)
    pixel_of, is_middle = _sample_grid(size[0], size[1], supersample)
    index = index.take(seen)
    pixel = pixel_of.take(index)
    whole = plain.take(pixel)
    kept = np.flatnonzero(is_middle.take(index) | ~whole)
    pixel, whole, seen = pixel.take(kept), whole.take(kept), seen.take(kept)
    row, step = row.take(seen), step.take(seen)

    to_centre = np.float32((supersample - 1) / 2 - supersample // 2) * whole
    weights = right.take(row, axis=1) * (step + to_centre) + down.take(row, axis=1) * to_centre
    weights += level.take(row, axis=1)
    depth = 1.0 / weights.sum(axis=0)
    share = np.where(whole, np.float32(1.0), np.float32(1.0 / supersample**2))
    return Samples(pixel, share, corners.take(face.take(row), axis=1), weights * depth, depth)


@functools.cache
def _sample_grid(height: int, width: int, supersample: int) -> tuple[np.ndarray, np.ndarray]:
    """For each sample of the grid, its pixel's flat index, and whether it is nearest to the centre."""
    y, x = np.indices((height * supersample, width * supersample))
    middle = (x % supersample == supersample // 2) & (y % supersample == supersample // 2)
    return ((y // supersample) * width + x // supersample).ravel(), middle.ravel()


def _plain_pixels(nearest: np.ndarray, supersample: int) -> np.ndarray:
    """(H * W,) whether all samples of a pixel see one continuous surface, from the inverse depths."""
    block = np.ones((supersample, supersample), dtype=np.uint8)
    low = cv2.erode(nearest, block, anchor=(0, 0))[::supersample, ::supersample]
    high = cv2.dilate(nearest, block, anchor=(0, 0))[::supersample, ::supersample]
    return ((low > 0) & (high - low < CONTINUOUS * high)).ravel()


def _rows(y, a, b, c, size: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """Cut triangles into rows of samples: each row's triangle, its y, its first x, how many samples."""
    height, width = size
    first = np.clip(np.ceil(y.min(axis=0)), 0, height).astype(np.int64)
    last = np.clip(np.ceil(y.max(axis=0)), 0, height).astype(np.int64)
    rows = np.maximum(last - first, 0)
    face = np.repeat(np.arange(len(rows)), rows)
    row_y = np.arange(len(face)) - (np.cumsum(rows) - rows - first)[face]
    # Where each edge's line crosses each row: edges with a > 0 bound it on the left, a < 0 on the right.
    left_edge, right_edge = a > 0, a < 0
    divisor = np.where(a == 0, -1.0, -a)
    gradient, offset = b / divisor, c / divisor
    left = np.full(len(face), -1.0)
    right = np.full(len(face), float(width))
    for i in range(3):
        crossing = gradient[i].take(face) * row_y + offset[i].take(face)
        np.maximum(left, crossing, out=left, where=left_edge[i].take(face))
        np.minimum(right, crossing, out=right, where=right_edge[i].take(face))
    left = np.ceil(np.clip(left, 0, width)).astype(np.int64)
    right = np.ceil(np.clip(right, 0, width)).astype(np.int64)
    count = right - left
    kept = np.flatnonzero(count > 0)
    return face[kept], row_y[kept], left[kept], count[kept]
