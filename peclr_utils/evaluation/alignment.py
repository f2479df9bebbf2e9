"""Alignment of a predicted hand with the true one before measuring: Procrustes, or the root alone.

Chapter 05 derives the alignment from the singular values and shows what mirroring changes.

The steps and their order are those of FreiHAND's evaluator, so that both agree to the last digits: centre,
divide by the norm, rotate, scale by the sum of the singular values, then by the true norm, then shift.

**Convention.** Any length unit, any frame; the result lies in the frame and unit of the truth.
"""

import numpy as np

from peclr_utils.evaluation.checks import ArrayLike, as_pair
from peclr_utils.skeleton import ROOT

NORM_EPSILON = 1e-8
"""The official evaluator adds this to a norm before dividing, which defines hands without extent."""


def procrustes_align(pred: ArrayLike, gt: ArrayLike, proper_rotation: bool = False) -> np.ndarray:
    """Shift, scale and rotate each predicted hand onto the true one so that squared distances are smallest.

    Both hands are centred and divided by their Frobenius norm + 1e-8. The singular value decomposition
    U S Vᵀ of (true)ᵀ (predicted) gives the orthogonal matrix U Vᵀ and the scale, trace of S; the result is
    shifted and scaled to the true hand. U Vᵀ may mirror the hand, as in FreiHAND's evaluator. With
    `proper_rotation` it may not: where det(U Vᵀ) = -1, the direction of the smallest singular value is
    flipped (Umeyama 1991).

    A hand without extent (all keypoints in one place) becomes 21 copies of the true hand's mean. A flat hand
    fits equally well mirrored or not, and its distances are the same either way.

    Args:
        pred: (..., J, 3), any length unit.
        gt: (..., J, 3), any length unit in which 1e-8 is negligible; metres in FreiHAND.
        proper_rotation: only rotations, no mirroring.

    Returns:
        (..., J, 3) float64, in the frame and unit of `gt`.
    """
    predicted, true = as_pair(pred, gt)
    centre = true.mean(-2, keepdims=True)
    true_shape, true_norm = _unit_shape(true - centre)
    predicted_shape, _ = _unit_shape(predicted - predicted.mean(-2, keepdims=True))

    u, singular, vt = np.linalg.svd(true_shape.swapaxes(-1, -2) @ predicted_shape)
    if proper_rotation:
        signs = np.ones_like(singular)
        signs[..., -1] = np.sign(np.linalg.det(u) * np.linalg.det(vt))
        u, singular = u * signs[..., None, :], singular * signs
    rotation = u @ vt
    scale = singular.sum(-1)[..., None, None]
    return predicted_shape @ rotation.swapaxes(-1, -2) * scale * true_norm + centre


def align_root(pred: ArrayLike, gt: ArrayLike, root: int = ROOT) -> np.ndarray:
    """Shift each predicted hand so that its root lies on the true one.

    Args:
        pred, gt: (..., J, C), in one unit; the result is float64.
        root: the keypoint to align: the wrist, or whatever a paper uses (middle MCP: 9).
    """
    predicted, true = as_pair(pred, gt)
    return predicted - predicted[..., root : root + 1, :] + true[..., root : root + 1, :]


def _unit_shape(centred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    norm = np.linalg.norm(centred, axis=(-2, -1), keepdims=True) + NORM_EPSILON
    return centred / norm, norm
