"""Move a projection as its image was moved, and undo it: the heart of PeCLR.

Chapter 02 derives the two maps; chapter 03 trains with them.

**Convention.** A projection (B, D) is read as D/2 points in the plane: consecutive pairs (x, y), y down as in
the image. Angles are in degrees, positive turns the image counter-clockwise on screen (as in OpenCV); shifts
are motions of the *content*, right and down positive, as a fraction of the crop's side. A view is rotated
first and shifted second, so undoing shifts back first and rotates back second.
"""

import torch
from torch import Tensor
from torch.nn.functional import normalize


def _as_points(projection: Tensor) -> Tensor:
    if projection.ndim != 2 or projection.shape[1] % 2:
        raise ValueError(f"projection: expected (B, D) with D even, found {tuple(projection.shape)}")
    return projection.reshape(len(projection), -1, 2)


def rotate_points(points: Tensor, angle: Tensor) -> Tensor:
    """Turn point sets about their centroids, as `cv2.getRotationMatrix2D` turns an image.

    The centroid is detached: no gradient flows through it.

    Args:
        points: (B, N, 2), x right and y down.
        angle: (B,) degrees; by +angle a point goes x' = cos x + sin y, y' = -sin x + cos y.

    Returns:
        (B, N, 2).
    """
    if angle.shape != points.shape[:1]:
        raise ValueError(f"rotate_points: expected angle ({len(points)},), found {tuple(angle.shape)}")
    radians = torch.deg2rad(angle).to(points.dtype)
    cos, sin = radians.cos()[:, None], radians.sin()[:, None]
    centre = points.detach().mean(dim=1, keepdim=True)
    x, y = (points - centre).unbind(-1)
    return torch.stack([cos * x + sin * y, cos * y - sin * x], dim=-1) + centre


def translate_points(points: Tensor, shift: Tensor) -> Tensor:
    """Shift point sets by a fraction of their extent (largest minus smallest coordinate) along each axis.

    The extent is detached: no gradient flows through it.

    Args:
        points: (B, N, 2).
        shift: (B, 2) fractions of the extent.

    Returns:
        (B, N, 2).
    """
    if shift.shape != (len(points), 2):
        raise ValueError(f"translate_points: expected shift ({len(points)}, 2), found {tuple(shift.shape)}")
    fixed = points.detach()
    extent = fixed.amax(dim=1) - fixed.amin(dim=1)
    return points + (shift.to(points.dtype) * extent)[:, None]


def undo_on_projection(projection: Tensor, angle: Tensor, shift: Tensor) -> Tensor:
    """Undo a view's rotation and shift on its projection (Spurr et al. 2021).

    L2-normalise; translate by minus the shift times the points' extent; rotate by minus the angle about the
    points' centroid; L2-normalise. If the network is equivariant, all views of one image then agree.

    Args:
        projection: (B, D), normalised or not, D even.
        angle: (B,) degrees, positive counter-clockwise on screen.
        shift: (B, 2) motion of the content, fraction of the crop's side, right and down positive.

    Returns:
        (B, D), rows of length one.
    """
    points = translate_points(_as_points(normalize(projection)), -shift)
    return normalize(rotate_points(points, -angle).flatten(1))


def apply_to_projection(projection: Tensor, angle: Tensor, shift: Tensor) -> Tensor:
    """Move a projection as a view's rotation and shift move its image.

    The inverse of `undo_on_projection`, with the same arguments, result and errors.
    """
    points = rotate_points(_as_points(normalize(projection)), angle)
    return normalize(translate_points(points, shift).flatten(1))


def relative_equivariance_error(reference: Tensor, moved: Tensor, angle: Tensor, shift: Tensor) -> Tensor:
    """Mean distance between an image's projection and its moved image's, once the motion is undone.

    As a fraction of the mean distance between different images: an untrained network gives nearly the same
    projection for all images, so its plain distance is small and meaningless; this one is about 1.

    Args:
        reference: (B, D) projections of the original images, at least two.
        moved: (B, D) projections of the same images rotated by `angle`, then shifted by `shift`.
        angle: (B,) degrees.
        shift: (B, 2) fractions of the crop's side.

    Returns:
        Scalar: 0 for a perfectly equivariant network, about 1 for one that can't tell two images apart.
    """
    if reference.shape != moved.shape or len(reference) < 2:
        found = f"{tuple(reference.shape)} and {tuple(moved.shape)}"
        raise ValueError(f"relative_equivariance_error: expected two (B, D) with B > 1, found {found}")
    undone = undo_on_projection(moved, angle, shift)
    distances = torch.cdist(normalize(reference), undone, compute_mode="donot_use_mm_for_euclid_dist")
    own = distances.diagonal()
    others = (distances.sum() - own.sum()) / (distances.numel() - len(own))
    return own.mean() / others.clamp_min(torch.finfo(others.dtype).tiny)
