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
    vertices = np.asarray(vertices, dtype=np.float64)
    if (vertices[:, 2] <= NEAR).any():
        faces = faces[(vertices[:, 2] > NEAR)[faces].all(axis=1)]
    inverse_depth = 1.0 / np.maximum(vertices[:, 2], NEAR)
    shift = (supersample - 1) / 2
    x = (K[0, 0] * vertices[:, 0] + K[0, 1] * vertices[:, 1]) * inverse_depth + K[0, 2]
    y = K[1, 1] * vertices[:, 1] * inverse_depth + K[1, 2]
    corners = np.ascontiguousarray(faces.T)
    x, y = (x * supersample + shift).take(corners), (y * supersample + shift).take(corners)

    # Edge function i is the weight of corner i times the area; all three are positive inside a
    # front-facing triangle.
    a = y[[2, 0, 1]] - y[[1, 2, 0]]
    b = x[[1, 2, 0]] - x[[2, 0, 1]]
    c = y[[1, 2, 0]] * x[[2, 0, 1]] - x[[1, 2, 0]] * y[[2, 0, 1]]
    area = c.sum(axis=0)
    facing = np.flatnonzero(area > 1e-9)
    corners, x, y, a, b, c = (v.take(facing, axis=1) for v in (corners, x, y, a, b, c))
    share = inverse_depth.take(corners) / area.take(facing)

    face, row_y, start, count = _rows(y, a, b, c, (size[0] * supersample, size[1] * supersample))
    if len(face) == 0:
        empty = np.zeros((3, 0), dtype=np.float32)
        return Samples(face, empty[0], empty.astype(np.int64), empty, empty[0])
    # The buffer covers the body's box only, in whole pixels.
    top, left = int(row_y.min()) // supersample, int(start.min()) // supersample
    height = int(row_y.max()) // supersample + 1 - top
    width = int((start + count).max() - 1) // supersample + 1 - left
    row_y, start = row_y - top * supersample, start - left * supersample
    x, y = x - left * supersample, y - top * supersample
    c = c + a * (left * supersample) + b * (top * supersample)

    # Weights divided by depth are linear on the screen, and they add up to 1/z: larger is nearer.
    slope_x, slope_y, level = ((v * share).sum(axis=0) for v in (a, b, c))
    row_near = slope_x.take(face) * start + slope_y.take(face) * row_y + level.take(face)
    row = np.repeat(np.arange(len(count)), count)
    before = np.cumsum(count) - count
    column = np.arange(len(row)) + (start - before).take(row)
    index = (row_y * (width * supersample)).take(row) + column
    step = (column - start.take(row)).astype(np.float32)
    near = slope_x.astype(np.float32).take(face).take(row) * step + row_near.astype(np.float32).take(row)
    nearest = np.zeros((height * supersample, width * supersample), dtype=np.float32)
    np.maximum.at(nearest.ravel(), index, near)

    plain = _plain_pixels(nearest, supersample)
    seen = np.flatnonzero(nearest.take(index) == near)
    row, column = row.take(seen), column.take(seen)
    row_pixel, row_middle = (row_y // supersample) * width, row_y % supersample == supersample // 2
    across = np.arange(width * supersample)
    pixel = row_pixel.take(row) + (across // supersample).take(column)
    whole = plain.take(pixel)
    middle = row_middle.take(row) & (across % supersample == supersample // 2).take(column)
    kept = np.flatnonzero(middle | ~whole)
    pixel, whole, row, column = pixel.take(kept), whole.take(kept), row.take(kept), column.take(kept)

    # Relative to the first corner the numbers are small, so single precision is enough.
    face = face.take(row)
    to_centre = (shift - supersample // 2) * whole
    dx = (column + to_centre - x[0].take(face)).astype(np.float32)
    dy = (row_y.take(row) + to_centre - y[0].take(face)).astype(np.float32)
    right, down = ((v * share).astype(np.float32).take(face, axis=1) for v in (a, b))
    weights = right * dx + down * dy
    corners = corners.take(face, axis=1)
    weights[0] += inverse_depth.astype(np.float32).take(corners[0])
    depth = 1.0 / weights.sum(axis=0)
    return Samples(
        pixel=(pixel // width + top) * size[1] + pixel % width + left,
        share=np.where(whole, np.float32(1.0), np.float32(1.0 / supersample**2)),
        corners=corners,
        weights=weights * depth,
        depth=depth,
    )


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
