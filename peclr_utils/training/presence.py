"""Views that teach a network whether a hand is where it should be: near it, away from it, or without a hand.

Chapter 05 finds hands with what is learnt from them.

| kind | what the view shows | presence | pose |
|---|---|---|---|
| in place | the hand as training draws it | 1 | learnt |
| near | shifted by 0.1 to 0.3 of the view, or somewhat too large or small | ignored | learnt |
| off-centre | shifted by 0.4 to 0.6 | 0 | ignored |
| wrong scale | less than half as large as it should be, or more than twice | 0 | ignored |
| mirrored | the other hand: a left one is found in the mirrored image | 0 | ignored |
| no hand | a background alone; black if the crop has no mask or none is painted | 0 | ignored |

The pose of near hands lets a second crop correct a first one that is a little off.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from peclr_utils.augmentation import ViewParameters

NEAR_SHIFT, FAR_SHIFT = (0.1, 0.3), (0.4, 0.6)
NEAR_SCALE, SMALL_SCALE, LARGE_SCALE = (0.6, 1.7), (0.3, 0.48), (2.1, 3.5)
KINDS = ("in place", "near", "off-centre", "wrong scale", "mirrored", "no hand")
AWAY = ("off-centre", "wrong scale", "mirrored", "no hand")


class Placed(NamedTuple):
    """Parameters of B views, and what each shows."""

    parameters: ViewParameters
    kind: np.ndarray  # (B,) positions in KINDS
    presence: np.ndarray  # (B,) float64: 1, 0, or NaN where the loss ignores it

    @property
    def mirrored(self) -> np.ndarray:
        """(B,) bool: whose views are mirrored, which the parameters don't say."""
        return self.kind == KINDS.index("mirrored")

    @property
    def posed(self) -> np.ndarray:
        """(B,) bool: whose pose is learnt."""
        return self.kind <= KINDS.index("near")


def misplace(parameters: ViewParameters, share: float, margin: float, rng: np.random.Generator) -> Placed:
    """Move some views away from their hands.

    Args:
        parameters: of B views in place.
        share: of the views to move away, split evenly among `AWAY`; half as many again are moved near.
        margin: how many times wider than a view of scale 1 the crops are, as in `AugmentationConfig`.
        rng: where the randomness comes from. Every view takes the same number of draws.

    Returns:
        The parameters, changed where a view was moved, and what each view shows.
    """
    count = len(parameters)
    chances = [1 - 1.5 * share, share / 2, *[share / len(AWAY)] * len(AWAY)]
    draws = rng.random((count, 5))
    kind = np.searchsorted(np.cumsum(chances), draws[:, 0], side="right").clip(max=len(KINDS) - 1)
    is_kind = {name: kind == number for number, name in enumerate(KINDS)}

    def between(limits: tuple[float, float], column: int) -> np.ndarray:
        return limits[0] + (limits[1] - limits[0]) * draws[:, column]

    turn = 2 * np.pi * draws[:, 1]
    heading = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    shift = parameters.shift.copy()
    for name, limits in (("near", NEAR_SHIFT), ("off-centre", FAR_SHIFT)):
        shift[is_kind[name]] = (heading * between(limits, 2)[:, None])[is_kind[name]]
    # Far enough for the hand to leave the view, whatever its scale.
    shift[is_kind["no hand"]] = 10.0 * heading[is_kind["no hand"]]
    # What is left is the background that the view's own is exchanged with, so it must be exchanged.
    unpainted = is_kind["no hand"] & (parameters.background < 0)
    background = np.where(unpainted, (draws[:, 2] * 2**31).astype(np.int64), parameters.background)
    small = draws[:, 4] < 0.5
    scale = parameters.scale.copy()
    scale[is_kind["near"]] = margin * between(NEAR_SCALE, 3)[is_kind["near"]]
    wrong = np.where(small, between(SMALL_SCALE, 3), between(LARGE_SCALE, 3))
    scale[is_kind["wrong scale"]] = margin * wrong[is_kind["wrong scale"]]
    presence = np.where(is_kind["in place"], 1.0, np.where(is_kind["near"], np.nan, 0.0))
    return Placed(replace(parameters, shift=shift, scale=scale, background=background), kind, presence)
