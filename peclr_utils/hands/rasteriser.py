"""Which triangle is seen where: exact coverage and a depth buffer, in NumPy.

Chapter 01 shows its images. Edge equations cut all triangles at once into rows of samples, and a depth
buffer keeps the nearest sample.

**Convention.** Camera frame with x right, y down, z forward, metres; pixel centres at integers. Sample j of
pixel x lies at x + (j + 0.5) / supersample - 0.5, so image, mask and projected keypoints agree without a
half-pixel shift. Triangles are wound so that (b - a) x (c - a) points out of the body; those that face away
from the camera are not drawn.
"""

import functools
from dataclasses import dataclass, replace

import numpy as np

NEAR = 0.02  # metres: triangles with a corner nearer than this to the camera plane are dropped
CONTINUOUS = 0.004  # depths within a pixel that differ by less than this share belong to one surface

FAST = "wrap"  # numpy's fastest way to take elements, for indices that are known to be in range


@dataclass(frozen=True, eq=False)
class Samples:
    """The visible samples of a mesh."""

    box: tuple[int, int, int, int]  # top, left, height, width of the part of the image that holds them
    pixel: np.ndarray  # (P,) flat index of each covered pixel within the box, row by row
    slot: np.ndarray  # (N,) which of these pixels each sample belongs to
    share: np.ndarray  # (N,) float32 share of its pixel that the sample stands for; their sum is the coverage
    corners: np.ndarray  # (3, N) vertex indices of the triangle seen there
    weights: np.ndarray  # (3, N) float32 perspective-correct barycentric weights of those corners
    depth: np.ndarray  # (N,) float32 metres

    def sum(self, values: np.ndarray) -> np.ndarray:
        """(P,) float32 sums for the covered pixels of the samples' (N,) values, weighted by their shares."""
        return np.bincount(self.slot, values * self.share, minlength=len(self.pixel)).astype(np.float32)

    def spread(self, values: np.ndarray) -> np.ndarray:
        """(height, width) image of the box with the covered pixels' (P,) values, 0 where nothing is seen."""
        _, _, height, width = self.box
        image = np.zeros(height * width, dtype=values.dtype)
        image[self.pixel] = values
        return image.reshape(height, width)


def rasterise(
    vertices: np.ndarray, faces: np.ndarray, K: np.ndarray, size: tuple[int, int], supersample: int = 2
) -> Samples:
    """Find which triangle is seen where.

    Args:
        vertices: (V, 3) float64, camera frame, metres.
        faces: (F, 3) vertex indices, wound outwards.
        K: (3, 3) intrinsics; pixel centres at integers.
        size: (H, W) of the image.
        supersample: samples per pixel along each axis.

    Returns:
        The nearest sample at each covered position; a single one, at its centre, for each pixel that one
        continuous surface covers, which saves most of the shading.
    """
    faces = faces[(vertices[:, 2] > NEAR)[faces].all(axis=1)]
    inverse_depth = 1.0 / np.maximum(vertices[:, 2], NEAR)
    triangles = _front_facing(vertices, inverse_depth, faces, K, supersample)
    grid = size[0] * supersample, size[1] * supersample
    face, row_y, start, count = _rows(triangles.x, triangles.y, grid)
    if len(face) == 0:
        none, empty = np.zeros(0, dtype=np.int64), np.zeros((3, 0), dtype=np.float32)
        return Samples((0, 0, 1, 1), none, none, empty[0], empty.astype(np.int64), empty, empty[0])
    top, left = int(row_y.min()) // supersample, int(start.min()) // supersample
    height = int(row_y.max()) // supersample + 1 - top
    width = int((start + count).max() - 1) // supersample + 1 - left

    x, y = left * supersample, top * supersample  # the sample that becomes the origin
    c = triangles.c + triangles.a * x + triangles.b * y
    triangles = replace(triangles, x=triangles.x - x, y=triangles.y - y, c=c)
    rows = face, row_y - y, start - x, count
    nearest, packed = _nearest(triangles, rows, (height * supersample, width * supersample))
    pixel, slot, index, column, line, whole = _choose(nearest, supersample)
    face = face.take(packed.take(index).astype(np.int32))
    corners, weights, depth = triangles.weights(face, column, line, inverse_depth)
    share = np.full(len(slot), 1.0 / supersample**2, dtype=np.float32)
    share[:whole] = 1.0
    return Samples((top, left, height, width), pixel, slot, share, corners, weights, depth)


@dataclass(frozen=True, eq=False)
class _Triangles:
    """Triangles on the grid of samples; all arrays are (3, F), one row per corner."""

    corners: np.ndarray  # vertex indices
    x: np.ndarray  # places, in samples
    y: np.ndarray
    a: np.ndarray  # a x + b y + c is the corner's weight times twice the area, positive inside
    b: np.ndarray
    c: np.ndarray
    share: np.ndarray  # times this, it is the weight over the corner's depth: linear on screen, sums to 1/z

    def weights(
        self, face: np.ndarray, x: np.ndarray, y: np.ndarray, inverse_depth: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(3, N) corners, (3, N) perspective-correct weights and (N,) depths at (N,) places in triangles."""
        corners = self.corners.take(face, axis=1, mode=FAST)
        # Relative to the first corner the numbers are small, so single precision is enough.
        dx = (x - self.x[0].take(face)).astype(np.float32)
        dy = (y - self.y[0].take(face)).astype(np.float32)
        weights, down = (
            (v * self.share).astype(np.float32).take(face, axis=1, mode=FAST) for v in (self.a, self.b)
        )
        weights *= dx
        down *= dy
        weights += down
        weights[0] += inverse_depth.astype(np.float32).take(corners[0])
        depth = 1.0 / weights.sum(axis=0)
        weights *= depth
        return corners, weights, depth


def _front_facing(
    vertices: np.ndarray, inverse_depth: np.ndarray, faces: np.ndarray, K: np.ndarray, supersample: int
) -> _Triangles:
    """Project (V, 3) vertices, and keep the triangles that face the camera."""
    shift = (supersample - 1) / 2
    x = (K[0, 0] * vertices[:, 0] + K[0, 1] * vertices[:, 1]) * inverse_depth + K[0, 2]
    y = K[1, 1] * vertices[:, 1] * inverse_depth + K[1, 2]
    corners = faces.T.astype(np.intp)
    x, y = (x * supersample + shift).take(corners), (y * supersample + shift).take(corners)
    c = y[[1, 2, 0]] * x[[2, 0, 1]] - x[[1, 2, 0]] * y[[2, 0, 1]]
    area = c.sum(axis=0)
    facing = np.flatnonzero(area > 1e-9)
    corners, x, y, c = (v.take(facing, axis=1) for v in (corners, x, y, c))
    a = y[[2, 0, 1]] - y[[1, 2, 0]]
    b = x[[1, 2, 0]] - x[[2, 0, 1]]
    return _Triangles(corners, x, y, a, b, c, inverse_depth.take(corners) / area.take(facing))


def _rows(x: np.ndarray, y: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """Cut (3, F) triangles into rows of samples: each row's triangle, y, first x, and length."""
    # A triangle lies between its long edge, from its highest to its lowest corner, and two short ones.
    # Neighbours compute their edge from the same corners in the same order, so they leave no gap.
    height, width = size
    downwards = np.argsort(y, axis=0, kind="stable")
    x, y = (np.take_along_axis(corners, downwards, axis=0) for corners in (x, y))
    first, middle, last = np.clip(np.ceil(y), 0, height).astype(np.int64)
    rise = y[[1, 2, 2]] - y[[0, 1, 0]]
    # Upper short, lower short and long edge; one without rise has no rows.
    slope = (x[[1, 2, 2]] - x[[0, 1, 0]]) / np.where(rise > 0, rise, 1.0)
    start = x[[0, 1, 0]] - slope * y[[0, 1, 0]]
    rows = last - first
    face = np.repeat(np.arange(len(rows)), rows)
    row_y = np.arange(len(face)) + (first - np.cumsum(rows) + rows).take(face)
    short = face + len(rows) * (row_y >= middle.take(face))
    a = slope.ravel().take(short) * row_y + start.ravel().take(short)
    b = slope[2].take(face) * row_y + start[2].take(face)
    left = np.ceil(np.clip(np.minimum(a, b), 0, width)).astype(np.int64)
    count = np.ceil(np.clip(np.maximum(a, b), 0, width)).astype(np.int64) - left
    kept = np.flatnonzero(count)
    return face.take(kept), row_y.take(kept), left.take(kept), count.take(kept)


def _nearest(
    triangles: _Triangles, rows: tuple[np.ndarray, ...], size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """The largest inverse depths: (H, W) float32, 0 off the mesh; (H * W,) int64, with row numbers."""
    face, y, start, count = rows
    slope_x, slope_y, level = (
        (v * triangles.share).sum(axis=0) for v in (triangles.a, triangles.b, triangles.c)
    )
    slope = slope_x.take(face)
    before = np.cumsum(count) - count
    level = slope * (start - before) + slope_y.take(face) * y + level.take(face)
    row = np.repeat(np.arange(len(face)), count)
    position = np.arange(len(row))
    index = (y * size[1] + start - before).take(row, mode=FAST)
    index += position
    # In place, because fresh memory costs more than the arithmetic.
    near = slope.take(row, mode=FAST)
    near *= position
    near += level.take(row, mode=FAST)
    # The bits of positive floats, read as integers, keep the floats' order. With the row in the lower half,
    # the largest integer is the nearest sample and gives its row.
    packed = near.astype(np.float32).view(np.int32).astype(np.int64)
    packed <<= 32
    packed |= row
    largest = np.zeros(size[0] * size[1], dtype=np.int64)
    np.maximum.at(largest, index, packed)
    nearest = (largest >> 32).astype(np.int32).view(np.float32)
    return nearest.reshape(size), largest


def _choose(nearest: np.ndarray, supersample: int) -> tuple[np.ndarray, ...]:
    """Which samples to shade, from the inverse depths of all."""
    step, width = supersample, nearest.shape[1]
    low, high = (_over_pixels(extreme, nearest, step) for extreme in (np.minimum, np.maximum))
    pixel = np.flatnonzero(high > 0)
    low, high = low.take(pixel), high.take(pixel)
    plain = (low > 0) & (high - low < CONTINUOUS * high)
    inner, edge = np.flatnonzero(plain), np.flatnonzero(~plain)
    line, column = np.divmod(pixel, width // step)
    line, column = line * step, column * step

    middle, to_centre = step // 2, (step - 1) / 2
    inner_line, inner_column = line.take(inner), column.take(inner)
    offset_y, offset_x = np.divmod(np.arange(step**2), step)
    edge_line = (line.take(edge)[:, None] + offset_y).ravel()
    edge_column = (column.take(edge)[:, None] + offset_x).ravel()
    edge_index = edge_line * width + edge_column
    covered = np.flatnonzero(nearest.take(edge_index) > 0)
    slot = np.concatenate([inner, edge.take(covered // step**2)])
    inner_index = (inner_line + middle) * width + inner_column + middle  # near the pixel's centre
    index = np.concatenate([inner_index, edge_index.take(covered)])
    column = np.concatenate([inner_column + to_centre, edge_column.take(covered)])
    line = np.concatenate([inner_line + to_centre, edge_line.take(covered)])
    # The first samples, len(inner) of them, each stand for a pixel that one continuous surface covers.
    return pixel, slot, index, column, line, len(inner)


def _over_pixels(extreme: np.ufunc, samples: np.ndarray, step: int) -> np.ndarray:
    """(H * W,) minimum or maximum of each pixel's samples, from the grid of all."""
    rows = functools.reduce(extreme, [samples[k::step] for k in range(step)])
    return functools.reduce(extreme, [rows[:, k::step] for k in range(step)]).ravel()
