"""What a network predicts in windows over an image, and how many of them agree on a hand.

Chapter 05 shows the search; `finding` crops again what is likely.

**Convention.** Boxes are (..., 4): x1, y1, x2, y2 in pixels.
"""

from typing import NamedTuple

import numpy as np
import torch

from peclr_utils.augmentation import to_batch
from peclr_utils.datasets.sample import mirror_box
from peclr_utils.inference.cutting import Cut, square_cut
from peclr_utils.inference.inputs import HandImage
from peclr_utils.inference.sliding import windows
from peclr_utils.models import PoseNetwork25D
from peclr_utils.training.device import autocast, choose_dtype

POSSIBLE = 0.2
"""Presence from which a window votes; low, because windows beside a hand are less sure, and agree still."""

AGREES = 0.5
"""Intersection over union above which two predicted boxes are about one hand."""

STEP = 0.6, 1.7
"""Least and largest side of a crop over that of the crop before it: a prediction without a hand in view may
have any size, or none."""


class WindowPredictions(NamedTuple):
    """The hands that may be in one image: what its windows show, the most likely first."""

    presence: np.ndarray  # (N,) from 0 to 1
    box: np.ndarray  # (N, 4) of the predicted keypoints, pixels of the given image, for left hands too
    cuts: list[Cut]  # N crops that fit them, in pixels of the image as the network sees it

    def votes(self, box: np.ndarray) -> float:
        """Count the windows that predict a hand in this box (4,), each by its presence."""
        return float(self.presence[overlap(self.box, box) > AGREES].sum())

    def starts(self, most: int) -> list[tuple[float, Cut]]:
        """The most likely hands, at most `most`: presence, and crop. No two are about one hand."""
        kept: list[int] = []
        for number, box in enumerate(self.box):
            if len(kept) < most and not (overlap(self.box[kept], box) > AGREES).any():
                kept.append(number)
        return [(float(self.presence[number]), self.cuts[number]) for number in kept]


def predict_windows(
    network: PoseNetwork25D, given: HandImage, smallest: float, batch_size: int
) -> WindowPredictions:
    """Predict the hand in every window over an image.

    Args:
        network: one with `knows_presence`, in evaluation mode.
        given: the image.
        smallest: see `windows`.
        batch_size: windows at once.

    Returns:
        The windows' predictions with at least `POSSIBLE` presence; the best one in any case, so that there is
        a place to look at more closely.
    """
    size, like = network.image_size, next(network.parameters())
    presence, points, centres, sides = [], [], [], []
    for level in windows(given.image, size, network.view_factor, smallest):
        for start in range(0, len(level.centre), batch_size):
            some = slice(start, start + batch_size)
            batch = to_batch(level.cut(some), like.device).to(like.dtype)
            # Half precision is enough to find hands, and windows are many.
            with autocast(like.device, choose_dtype("auto", like.device)):
                seen = network(batch)
            presence.append(torch.sigmoid(seen.presence.float()).cpu().double().numpy())
            uv = seen.keypoints_2d.cpu().double().numpy() - (size - 1) / 2
            points.append(level.centre[some, None] + uv * level.side / size)
        centres.append(level.centre)
        sides.append(np.full(len(level.centre), level.side))
    presence, points, centres, sides = map(np.concatenate, (presence, points, centres, sides))
    lost = np.isnan(presence) | ~np.isfinite(points).all(axis=(1, 2))
    presence = np.where(lost, 0.0, presence)
    order = np.argsort(-presence, kind="stable")[: max(1, np.count_nonzero(presence >= POSSIBLE))]
    presence, points, lost, side = presence[order], points[order], lost[order], sides[order]
    # A prediction that isn't finite leaves the window as it is.
    points[lost] = centres[order][lost, None]
    middle = points.mean(axis=1)
    wanted = 2 * network.view_factor * np.linalg.norm(points - middle[:, None], axis=2).max(axis=1)
    wanted = np.where(lost, side, np.clip(wanted, STEP[0] * side, STEP[1] * side))
    cuts = [square_cut(*each, size) for each in zip(middle, wanted, strict=True)]
    box = np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1)
    box = mirror_box(box.T, given.image.shape[1]).T if given.is_left else box
    return WindowPredictions(presence, box, cuts)


def overlap(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (..., 4), broadcast."""
    shared, area, _ = shared_area(one, other)
    return shared / np.maximum(area, 1e-12)


def shared_area(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Areas of boxes (..., 4), broadcast: what two share, their union, and the smaller one."""
    low, high = np.maximum(one[..., :2], other[..., :2]), np.minimum(one[..., 2:], other[..., 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=-1)
    areas = np.prod(one[..., 2:] - one[..., :2], axis=-1), np.prod(other[..., 2:] - other[..., :2], axis=-1)
    return shared, areas[0] + areas[1] - shared, np.minimum(*areas)
