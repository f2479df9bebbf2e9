"""Errors in the image, in sides of the hand's box, for hands that are labelled there only.

Chapter 05 uses it for photographs.
"""

from dataclasses import dataclass, field

import numpy as np

from peclr_utils.evaluation.checks import ArrayLike, as_float64
from peclr_utils.skeleton import NUM_KEYPOINTS

THRESHOLD = 0.2
"""Share of the box's side within which a keypoint counts as found."""


@dataclass(frozen=True, eq=False)
class ImageEvaluation:
    """What `evaluate_in_image` finds; lengths in sides of each hand's box.

    Attributes:
        error: mean distance over all known keypoints.
        pck: share of the known keypoints within `THRESHOLD`.
        per_keypoint_error: (21,) mean over hands, NaN for keypoints that are never known.
        per_keypoint_pck: (21,) likewise.
        per_hand_error: (N,) mean over each hand's known keypoints.
        per_hand_pck: (N,) likewise.
    """

    error: float
    pck: float
    per_keypoint_error: np.ndarray = field(repr=False)
    per_keypoint_pck: np.ndarray = field(repr=False)
    per_hand_error: np.ndarray = field(repr=False)
    per_hand_pck: np.ndarray = field(repr=False)

    def __str__(self) -> str:
        hands = len(self.per_hand_error)
        return (
            f"{hands} hands, in the image: error {self.error:.3f} box sides, PCK@{THRESHOLD} {self.pck:.3f}"
        )


def evaluate_in_image(pred: ArrayLike, gt: ArrayLike) -> ImageEvaluation:
    """Score 2D keypoints; those that are not known don't count.

    A hand's box is that of its known true keypoints; its side is the longer one.

    Args:
        pred: (N, 21, 2) pixels.
        gt: (N, 21, 2) pixels of the same images, NaN where not known.

    Raises:
        ValueError: on a wrong shape, different lengths, no hands, NaN in `pred`, or a hand without two known
            keypoints at different places.
    """
    predicted = as_float64(pred, "pred", (NUM_KEYPOINTS, 2))
    true = np.asarray(gt, dtype=np.float64)
    if true.shape != predicted.shape:
        raise ValueError(f"pred, gt: expected one shape, found {predicted.shape} and {true.shape}")
    known = np.isfinite(true).all(axis=2)
    points = np.where(known[..., None], true, np.nan)
    low, high = (
        np.where(known[..., None], true, np.inf).min(1),
        np.where(known[..., None], true, -np.inf).max(1),
    )
    side = (high - low).max(axis=1)
    if not (side > 0).all():
        raise ValueError(
            f"gt: hand {int(np.argmin(side > 0))} has no two known keypoints at different places"
        )
    distance = np.linalg.norm(predicted - points, axis=2) / side[:, None]
    found = np.where(known, distance <= THRESHOLD, np.nan)
    counts = known.sum(axis=0)

    def over_hands(values: np.ndarray) -> np.ndarray:
        return np.where(counts > 0, np.nansum(values, axis=0) / np.maximum(counts, 1), np.nan)

    return ImageEvaluation(
        error=float(distance[known].mean()),
        pck=float(found[known].mean()),
        per_keypoint_error=over_hands(distance),
        per_keypoint_pck=over_hands(found),
        per_hand_error=np.nansum(distance, axis=1) / known.sum(axis=1),
        per_hand_pck=np.nansum(found, axis=1) / known.sum(axis=1),
    )
