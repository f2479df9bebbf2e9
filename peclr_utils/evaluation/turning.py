"""How a projection turns when its image turns, and what a read-out that turns with it can predict.

Chapter 03 trains the projections that they measure. Neither needs labels in 3D.

**Convention.** A projection (N, D) is read as D/2 points in the plane, x right and y down, as in
`peclr_utils.equivariance`. Degrees; positive turns counter-clockwise on screen.
"""

from typing import NamedTuple

import numpy as np

from peclr_utils.evaluation.checks import ArrayLike, as_float64

STRENGTHS = np.logspace(-3, 3, 25)
"""Strengths of regularisation that `equivariant_read_out` tries if none is given."""


class Turn(NamedTuple):
    """By how many degrees the points turn for each degree of the image."""

    slope: float  # median over the images: 1 for an equivariant projection, 0 for an invariant one
    low: float  # lower quartile
    high: float  # upper quartile
    per_image: np.ndarray  # (N,) slope of each image's points


def as_complex_points(projection: ArrayLike) -> np.ndarray:
    """Read projections (N, D) as points about their mean, x + iy; (N, D/2) complex128."""
    values = as_float64(projection, "projection")
    if values.ndim != 2 or values.shape[1] % 2 or not len(values):
        raise ValueError(f"projection: expected (N, D) with N > 0 and D even, found {values.shape}")
    points = values[:, ::2] + 1j * values[:, 1::2]
    return points - points.mean(axis=1, keepdims=True)


def turned_by(still: ArrayLike, moved: ArrayLike) -> np.ndarray:
    """The angle by which each image's points turned, in the least-squares sense.

    Args:
        still, moved: (N, D) projections of the images as they are, and turned.

    Returns:
        (N,) degrees from -180 to 180: the angle of sum(conj(a) b) over an image's points a and b about their
        means, which minimises sum |b - r a|² over all turns r.
    """
    before, after = as_complex_points(still), as_complex_points(moved)
    if before.shape != after.shape:
        raise ValueError(f"still and moved: expected one shape, found {before.shape} and {after.shape}")
    # y points down, so a counter-clockwise turn on screen lowers the complex angle.
    return -np.degrees(np.angle((before.conj() * after).sum(axis=1)))


def turn_of_points(still: ArrayLike, moved: ArrayLike, angles: ArrayLike) -> Turn:
    """The slope of the points' angle over the image's: 1 where the projection turns with the image.

    Each image's slope is that of the least-squares line through zero over its angles; turns are measured
    from -180 to 180 degrees, so angles far beyond 90 say less.

    Args:
        still: (N, D) projections of N images.
        moved: (A, N, D) projections of the same images turned by each of A angles.
        angles: (A,) degrees, not all 0.

    Returns:
        Median and quartiles of the images' slopes.
    """
    angles = as_float64(angles, "angles")
    if angles.ndim != 1 or len(moved) != len(angles) or not angles.any():
        raise ValueError(
            f"angles: expected one for each of the {len(moved)} turned sets of projections, not all 0, "
            f"found {angles.tolist()}"
        )
    turned = np.stack([turned_by(still, one) for one in moved])
    slopes = angles @ turned / (angles @ angles)
    low, middle, high = np.quantile(slopes, [0.25, 0.5, 0.75])
    return Turn(float(middle), float(low), float(high), slopes)


def equivariant_read_out(
    projection: ArrayLike, keypoints: ArrayLike, new_projection: ArrayLike, alpha: float | None = None
) -> np.ndarray:
    """Predict keypoints about their mean by one complex matrix from the projection's points.

    The matrix W minimises ||Y - Z W||² + alpha ||W||², with rows of Z and Y the points x + iy of a projection
    and the keypoints of its hand, each about their mean. Turning Z turns Z W: what it learns from labels at
    one angle holds at all angles where the projection turns with the image, and nowhere else.

    Args:
        projection: (N, D) projections of labelled images.
        keypoints: (N, 21, 2) their keypoints, x right and y down.
        new_projection: (M, D) projections to predict from.
        alpha: strength, relative to the mean of Z's squared singular values. None tries `STRENGTHS` and keeps
            the largest whose leave-one-out error is within a standard error of the smallest: labels at one
            angle don't show what fails at others, so of equally good fits the smoothest is the safest.

    Returns:
        (M, 21, 2) keypoints about their mean, in the labels' unit.
    """
    z, new = as_complex_points(projection), as_complex_points(new_projection)
    labels = as_float64(keypoints, "keypoints", np.shape(keypoints)[1:])
    if labels.ndim != 3 or labels.shape[2] != 2 or len(labels) != len(z) or new.shape[1] != z.shape[1]:
        raise ValueError(
            f"expected projections (N, D), (M, D) and keypoints (N, J, 2), found {np.shape(projection)}, "
            f"{np.shape(new_projection)} and {labels.shape}"
        )
    y = as_complex_points(labels.reshape(len(labels), -1))
    u, singular, vh = np.linalg.svd(z, full_matrices=False)
    squared, unit = singular**2, np.mean(singular**2)
    target = u.conj().T @ y

    if alpha is None:
        errors = np.stack([_leave_one_out(y, u, target, squared / (squared + a * unit)) for a in STRENGTHS])
        mean, best = errors.mean(axis=1), int(errors.mean(axis=1).argmin())
        limit = mean[best] + errors[best].std(ddof=1) / len(y) ** 0.5
        alpha = float(STRENGTHS[np.flatnonzero(mean <= limit).max()])
    if not alpha >= 0:
        raise ValueError(f"alpha must be 0 or more, found {alpha}")
    weights = vh.conj().T @ ((singular / (squared + alpha * unit))[:, None] * target)
    found = new @ weights
    return np.stack([found.real, found.imag], axis=-1)


def _leave_one_out(y: np.ndarray, u: np.ndarray, target: np.ndarray, shrunk: np.ndarray) -> np.ndarray:
    """Squared error of each row (N,) when it is left out of a ridge fit, in closed form."""
    left_in = y - u @ (shrunk[:, None] * target)
    leverage = (np.abs(u) ** 2) @ shrunk
    return (np.abs(left_in / (1 - leverage)[:, None]) ** 2).mean(axis=1)
