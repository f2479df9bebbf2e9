"""Which triangle is seen where: exact coverage and a depth buffer, in NumPy.

Chapter 01 shows what it draws. There is no graphics library underneath: every triangle is cut into rows of
samples by its edge equations, all rows of all triangles at once, and a depth buffer keeps the nearest
sample.

**Convention.** Camera frame with x right, y down, z forward, metres. Pixel centres lie at integers. A
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


@dataclass(frozen=True, eq=False)
class Samples:
    """The visible samples of a mesh.

    Attributes:
        box: (top, left, height, width) of the part of the picture that holds them, pixels.
        pixel: (P,) flat index of each covered pixel within the box, row by row.
        slot: (N,) which of these pixels each sample belongs to.
        share: (N,) float32, the share of the pixel that the sample stands for. They add up to its coverage.
        corners: (3, N) vertex indices of the triangle seen there.
        weights: (3, N) float32 perspective-correct barycentric weights of those corners.
        depth: (N,) float32 metres.
    """

    box: tuple[int, int, int, int]
    pixel: np.ndarray
    slot: np.ndarray
    share: np.ndarray
    corners: np.ndarray
    weights: np.ndarray
    depth: np.ndarray

    def sum(self, values: np.ndarray) -> np.ndarray:
        """(P,) float32 sum of the samples' (N,) values in each covered pixel, by their shares."""
        return np.bincount(self.slot, values * self.share, minlength=len(self.pixel)).astype(np.float32)

    def spread(self, values: np.ndarray) -> np.ndarray:
        """(height, width, ...) the box, with (P, ...) values at the covered pixels and 0 elsewhere."""
        _, _, height, width = self.box
        picture = np.zeros((height * width, *values.shape[1:]), dtype=values.dtype)
        picture[self.pixel] = values
        return picture.reshape(height, width, *values.shape[1:])


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

    face, row_y, start, count = _rows(x, y, (size[0] * supersample, size[1] * supersample))
    if len(face) == 0:
        none, empty = np.zeros(0, dtype=np.int64), np.zeros((3, 0), dtype=np.float32)
        return Samples((0, 0, 1, 1), none, none, empty[0], empty.astype(np.int64), empty, empty[0])
    top, left = int(row_y.min()) // supersample, int(start.min()) // supersample
    height = int(row_y.max()) // supersample + 1 - top
    width = int((start + count).max() - 1) // supersample + 1 - left
    row_y, start = row_y - top * supersample, start - left * supersample
    x, y = x - left * supersample, y - top * supersample
    c = c + a * (left * supersample) + b * (top * supersample)

    # Weights divided by depth are linear on the screen, and they add up to 1/z: larger is nearer.
    slope_x, slope_y, level = ((v * share).sum(axis=0) for v in (a, b, c))
    slope = slope_x.take(face)
    before = np.cumsum(count) - count
    level = slope * (start - before) + slope_y.take(face) * row_y + level.take(face)
    position = np.arange(int(count.sum()))
    index = np.repeat(row_y * (width * supersample) + start - before, count) + position
    near = (np.repeat(slope, count) * position + np.repeat(level, count)).astype(np.float32)
    nearest = np.zeros((height * supersample, width * supersample), dtype=np.float32)
    np.maximum.at(nearest.ravel(), index, near)
    seen = np.flatnonzero(nearest.take(index) == near)
    seen_face = np.full(nearest.size, -1)
    seen_face[index.take(seen)] = np.repeat(face, count).take(seen)

    pixel, slot, column, line, whole = _choose(nearest, supersample)
    middle = np.where(whole, supersample // 2, 0)
    face = seen_face.take((line + middle) * (width * supersample) + column + middle)
    found = np.flatnonzero(face >= 0)
    face, slot, column, line, whole = (v.take(found) for v in (face, slot, column, line, whole))

    # Relative to the first corner the numbers are small, so single precision is enough.
    to_centre = shift * whole
    dx = (column + to_centre - x[0].take(face)).astype(np.float32)
    dy = (line + to_centre - y[0].take(face)).astype(np.float32)
    right, down = ((v * share).astype(np.float32).take(face, axis=1) for v in (a, b))
    weights = right * dx + down * dy
    corners = corners.take(face, axis=1)
    weights[0] += inverse_depth.astype(np.float32).take(corners[0])
    depth = 1.0 / weights.sum(axis=0)
    share = np.where(whole, np.float32(1.0), np.float32(1.0 / supersample**2))
    return Samples((top, left, height, width), pixel, slot, share, corners, weights * depth, depth)


def _choose(nearest: np.ndarray, supersample: int) -> tuple[np.ndarray, ...]:
    """Which samples to shade, from the inverse depths of all.

    Returns:
        pixel: (P,) flat indices of the covered pixels.
        slot: (M,) which of them each candidate belongs to.
        column, line: (M,) the candidate's place in the sample grid; its pixel's first sample if `whole`.
        whole: (M,) whether one sample stands for the whole pixel, as one continuous surface covers it.
    """
    block = np.ones((supersample, supersample), dtype=np.uint8)
    low = cv2.erode(nearest, block, anchor=(0, 0))[::supersample, ::supersample].ravel()
    high = cv2.dilate(nearest, block, anchor=(0, 0))[::supersample, ::supersample].ravel()
    pixel = np.flatnonzero(high > 0)
    low, high = low.take(pixel), high.take(pixel)
    plain = (low > 0) & (high - low < CONTINUOUS * high)
    width = nearest.shape[1] // supersample
    line, column = np.divmod(pixel, width)
    line, column = line * supersample, column * supersample
    inner, edge = np.flatnonzero(plain), np.flatnonzero(~plain)
    offset_y, offset_x = np.divmod(np.arange(supersample**2), supersample)
    edge_line = (line.take(edge)[:, None] + offset_y).ravel()
    edge_column = (column.take(edge)[:, None] + offset_x).ravel()
    slot = np.concatenate([inner, np.repeat(edge, supersample**2)])
    column = np.concatenate([column.take(inner), edge_column])
    line = np.concatenate([line.take(inner), edge_line])
    return pixel, slot, column, line, np.arange(len(slot)) < len(inner)


def _rows(x: np.ndarray, y: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """Cut (3, F) triangles into rows of samples: each row's triangle, y, first x, and length.

    A triangle lies between its long edge, from its highest to its lowest corner, and two short ones.
    Neighbours compute the edge they share from the same corners in the same order, so no sample falls
    between them.
    """
    height, width = size
    order = np.argsort(y, axis=0)
    x, y = np.take_along_axis(x, order, axis=0), np.take_along_axis(y, order, axis=0)
    first, middle, last = np.clip(np.ceil(y), 0, height).astype(np.int64)
    rise = y[[1, 2, 2]] - y[[0, 1, 0]]
    # Upper short, lower short and long edge; one without rise has no rows.
    slope = (x[[1, 2, 2]] - x[[0, 1, 0]]) / np.where(rise > 0, rise, 1.0)
    start = x[[0, 1, 0]] - slope * y[[0, 1, 0]]
    rows = last - first
    face = np.repeat(np.arange(len(rows)), rows)
    row_y = np.arange(len(face)) + np.repeat(first - np.cumsum(rows) + rows, rows)
    short = face + len(rows) * (row_y >= middle.take(face))
    a = slope.ravel().take(short) * row_y + start.ravel().take(short)
    b = slope[2].take(face) * row_y + start[2].take(face)
    left = np.ceil(np.clip(np.minimum(a, b), 0, width)).astype(np.int64)
    count = np.ceil(np.clip(np.maximum(a, b), 0, width)).astype(np.int64) - left
    kept = np.flatnonzero(count)
    return face.take(kept), row_y.take(kept), left.take(kept), count.take(kept)
