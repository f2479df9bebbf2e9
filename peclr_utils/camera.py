"""The pinhole camera, what a 2D affine does to it, 3D to 2.5D and back, and random directions to look from.

Chapter 01 derives everything here.

**Convention.** 3D points are in metres in the camera's frame: x right, y down, z forward. Pixels are (x, y)
with pixel *centres* at integers. An affine is a 3x3 matrix from source to output pixels. `K` is [[fx, s, cx],
[0, fy, cy], [0, 0, 1]]. 2.5D keypoints are (u, v, depth relative to the wrist in reference bones), after
Iqbal et al. 2018 (arXiv 1804.09534); the reference bone is middle MCP to middle PIP.

All functions but `random_rotations` take NumPy arrays or torch tensors, with any leading batch dimensions,
and return the same kind.
"""

from typing import TypeVar

import numpy as np
import torch

from peclr_utils.skeleton import REFERENCE_BONE, ROOT

Array = TypeVar("Array", np.ndarray, torch.Tensor)

EPSILON = 1e-8
"""Lower bound of the quadratic's leading coefficient and discriminant, as in the authors' network."""


def _library(array: Array):
    return torch if isinstance(array, torch.Tensor) else np


def _homogeneous(points: Array) -> Array:
    xp = _library(points)
    return xp.concatenate([points, xp.ones_like(points[..., :1])], -1)


def _swap(matrix: Array) -> Array:
    return matrix.swapaxes(-1, -2)


def _inverse(matrix: Array) -> Array:
    if not isinstance(matrix, torch.Tensor):
        return np.linalg.inv(matrix)
    if torch.compiler.is_exporting():
        # ONNX has no inverse: cross products of the rows, over the determinant.
        adjugate = _swap(torch.linalg.cross(matrix.roll(-1, -2), matrix.roll(-2, -2)))
        return adjugate / (matrix @ adjugate)[..., :1, :1]
    # On a GPU, checking for an inverse would wait for all queued work.
    return torch.linalg.inv_ex(matrix, check_errors=not matrix.is_cuda).inverse


def project(points: Array, K: Array) -> Array:
    """Project 3D points into the image.

    Args:
        points: (..., N, 3) metres, camera frame, z > 0.
        K: (..., 3, 3) intrinsics in pixels.

    Returns:
        (..., N, 2) pixels. Points with z <= 0 have no image; their result is not meaningful.
    """
    rays = points @ _swap(K)
    return rays[..., :2] / rays[..., 2:]


def rays(uv: Array, K: Array) -> Array:
    """Directions K^-1 (u, v, 1) of pixels, scaled to depth one.

    Args:
        uv: (..., N, 2) pixels.
        K: (..., 3, 3) intrinsics in pixels.

    Returns:
        (..., N, 3) with third coordinate 1.
    """
    return _homogeneous(uv) @ _swap(_inverse(K))


def unproject(uv: Array, depth: Array, K: Array) -> Array:
    """Find the 3D points at given depths behind pixels; the inverse of `project`.

    Args:
        uv: (..., N, 2) pixels.
        depth: (..., N) depth z in metres.
        K: (..., 3, 3) intrinsics in pixels.

    Returns:
        (..., N, 3) metres, camera frame.
    """
    return rays(uv, K) * depth[..., None]


def transform_points(affine: Array, uv: Array) -> Array:
    """Move pixels by an affine.

    Args:
        affine: (..., 3, 3), source to output pixels, last row (0, 0, 1).
        uv: (..., N, 2) source pixels.

    Returns:
        (..., N, 2) output pixels.
    """
    return (_homogeneous(uv) @ _swap(affine))[..., :2]


def transform_intrinsics(affine: Array, K: Array) -> Array:
    """The intrinsics of the image that an affine makes: K' = A K.

    Projecting with K' lands where the affine moves the old projection, exactly, with the 3D points untouched.
    After a rotation of the image K' is no longer upper triangular; every function here allows that.

    Args:
        affine: (..., 3, 3), source to output pixels.
        K: (..., 3, 3) intrinsics of the source image.

    Returns:
        (..., 3, 3) intrinsics of the output image.
    """
    return affine @ K


def bone_length(points: Array, bone: tuple[int, int] = REFERENCE_BONE) -> Array:
    """Length of one bone, by default FreiHAND's `scale`.

    Args:
        points: (..., 21, 3) metres.
        bone: indices of the bone's two keypoints.

    Returns:
        (...,) metres.
    """
    return ((points[..., bone[0], :] - points[..., bone[1], :]) ** 2).sum(-1) ** 0.5


def to_25d(points: Array, K: Array, bone: tuple[int, int] = REFERENCE_BONE) -> Array:
    """Reduce 3D keypoints to 2.5D: pixels, and depth relative to the wrist (Iqbal et al. 2018).

    Args:
        points: (..., 21, 3) metres, camera frame.
        K: (..., 3, 3) intrinsics in pixels.
        bone: the reference bone.

    Returns:
        (..., 21, 3): u and v in pixels, relative depth in bone lengths (0 for the wrist).
    """
    length = bone_length(points, bone)
    if not bool((length > 0).all()):
        raise ValueError(f"to_25d: bone {bone} must have a positive length in every hand, found {length}")
    relative = (points[..., 2] - points[..., ROOT : ROOT + 1, 2]) / length[..., None]
    return _library(points).concatenate([project(points, K), relative[..., None]], -1)


def root_depth_quadratic(
    points_25d: Array, K: Array, bone: tuple[int, int] = REFERENCE_BONE
) -> tuple[Array, Array, Array]:
    """Coefficients of a Z^2 + b Z + c = 0 for the root's depth Z in bone lengths (Iqbal et al., eq. 6).

    It states that the reference bone, with its two ends at depths Z + z_m and Z + z_n on their rays, has
    length one.

    Args:
        points_25d: (..., 21, 3) pixels and relative depth in bone lengths.
        K: (..., 3, 3) intrinsics in pixels.
        bone: the reference bone (m, n).

    Returns:
        a, b, c, each (...,).
    """
    m, n = bone
    ray, z = rays(points_25d[..., :2], K), points_25d[..., 2]
    x_m, y_m, z_m = ray[..., m, 0], ray[..., m, 1], z[..., m]
    x_n, y_n, z_n = ray[..., n, 0], ray[..., n, 1], z[..., n]
    a = (x_n - x_m) ** 2 + (y_n - y_m) ** 2
    cross = x_n * x_m + y_n * y_m
    b = 2 * (z_n * (x_n**2 + y_n**2 - cross) + z_m * (x_m**2 + y_m**2 - cross))
    c = (x_n * z_n - x_m * z_m) ** 2 + (y_n * z_n - y_m * z_m) ** 2 + (z_n - z_m) ** 2 - 1
    return a, b, c


def root_depth(points_25d: Array, K: Array, bone: tuple[int, int] = REFERENCE_BONE) -> Array:
    """Depth of the wrist from 2.5D keypoints, in bone lengths (Iqbal et al., eq. 7, larger root).

    The larger root is the true one where 2 a Z + b > 0 at the true depth Z. That fails for bones seen
    almost end-on (a few in a thousand random orientations, more the nearer the hand), whose two ends nearly
    share a ray: there the two roots trade places, and the formula does not apply. Coefficient a and the
    discriminant are kept above 1e-8, so that noisy 2.5D keypoints still give a finite depth.

    Args:
        points_25d: (..., 21, 3) pixels and relative depth in bone lengths.
        K: (..., 3, 3) intrinsics in pixels.
        bone: the reference bone.

    Returns:
        (...,) bone lengths.
    """
    xp = _library(points_25d)
    a, b, c = root_depth_quadratic(points_25d, K, bone)
    discriminant = xp.clip(b**2 - 4 * a * c, EPSILON, None)
    return (-b + xp.sqrt(discriminant)) / (2 * xp.clip(a, EPSILON, None))


_root_depth = root_depth  # `from_25d` has a parameter of that name


def from_25d(
    points_25d: Array,
    K: Array,
    bone_length: Array | float,
    root_depth: Array | float | None = None,
    bone: tuple[int, int] = REFERENCE_BONE,
) -> Array:
    """Lift 2.5D keypoints back to 3D; the inverse of `to_25d`.

    Args:
        points_25d: (..., 21, 3) pixels and relative depth in bone lengths.
        K: (..., 3, 3) intrinsics in pixels.
        bone_length: (...,) or a number, metres.
        root_depth: (...,) or a number, depth of the wrist in metres; None takes it from the quadratic
            (see `peclr_utils.camera.root_depth` for where that holds).
        bone: the reference bone.

    Returns:
        (..., 21, 3) metres, camera frame.
    """
    length = _per_hand(bone_length, points_25d, "bone_length")
    if root_depth is None:
        root = _root_depth(points_25d, K, bone) * length
    else:
        root = _per_hand(root_depth, points_25d, "root_depth")
    depth = points_25d[..., 2] * length[..., None] + root[..., None]
    return unproject(points_25d[..., :2], depth, K)


def _per_hand(value: Array | float, points: Array, name: str) -> Array:
    """Convert lengths to the points' library, and check that they don't broadcast into more hands."""
    if _library(points) is torch:
        lengths = torch.as_tensor(value, dtype=points.dtype, device=points.device)
    else:
        kind = points.dtype if np.issubdtype(points.dtype, np.floating) else np.float64
        lengths = np.asarray(value, dtype=kind)
    if lengths.ndim and lengths.shape != points.shape[:-2]:
        hands, found = tuple(points.shape[:-2]), tuple(lengths.shape)
        raise ValueError(f"from_25d: expected {name} as one number or of shape {hands}, found {found}")
    return lengths


def random_rotations(count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw uniformly distributed rotations (the Haar measure).

    Q of a QR decomposition of independent normal numbers, with R's diagonal made positive: otherwise Q would
    depend on how the decomposition chooses its signs, and some directions would be more likely.

    Args:
        count: how many.
        rng: source of randomness.

    Returns:
        (count, 3, 3) float64, determinant +1; `points @ R.swapaxes(1, 2)` turns (count, N, 3) points.
    """
    q, r = np.linalg.qr(rng.normal(size=(count, 3, 3)))
    q = q * np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None]
    # Where q mirrors, -q is a rotation.
    return q * np.linalg.det(q)[:, None, None]
