"""Find the hands in an image: windows over it, the hands they predict cropped again until the crop stays.

Chapter 05 shows each step. It takes a network that was trained to say whether a hand is in its place
(`PoseNetwork25D.knows_presence`), which knows right hands: left ones are found in the mirrored image.

**Convention.** Windows and crops are squares, given by their centre and side in pixels of the image, pixel
centres at integers.
"""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from peclr_utils.camera import transform_points
from peclr_utils.inference.cutting import Cut, square_cut
from peclr_utils.inference.inputs import HandImage, Source, hand_images, is_single, other_side
from peclr_utils.inference.prediction import HandPrediction, Seen, evaluating, make_prediction, run
from peclr_utils.inference.voting import POSSIBLE, STEP, WindowPredictions, predict_windows, shared_area
from peclr_utils.models import PoseNetwork25D

ROUNDS = 4
"""Largest number of successive crops."""

STAYS = 0.05
"""Share of its side by which a crop may move or grow and count as the same."""

SAME, WITHIN = 0.3, 0.6
"""Two found boxes are one hand if they share this much of their union, or of the smaller one."""

LIKELY = 0.6
"""Presence from which a hand counts as found; data/weights/README.md says how it was chosen."""

VOTES = 3.0
"""What the presences of the windows that agree on a hand add up to at least, so four windows do: a
hand looks like one in several windows of neighbouring places and sizes, most other things in one or two."""

ALIKE = 0.1
"""Largest `HandPrediction.spread` of a hand that counts as found: what isn't a hand is seen differently in
each turned copy of a crop."""

SMALLEST = 0.2
"""The smallest hand that is looked for, as a share of the image's shorter side."""

MOST = 4
"""Largest number of hands to find in an image."""


class Found(NamedTuple):
    """One crop of an image, and what a network sees in it."""

    given: HandImage
    cut: Cut
    seen: Seen


def find_hands(
    network: PoseNetwork25D,
    image: Source,
    K: Any = None,
    scale: Any = None,
    *,
    smallest: float = SMALLEST,
    most: int = MOST,
    batch_size: int = 64,
) -> list[HandPrediction]:
    """Find the hands in one image or many, right and left ones.

    Args:
        network: one that knows whether a hand is in its place; left in the mode it was in.
        image, K, scale: as in `predict`; boxes and sides of samples are not used.
        smallest: the smallest hand to look for, as a share of an image's shorter side. Windows for smaller
            hands are many: half the size takes four times as long.
        most: the largest number of hands to find in an image.
        batch_size: windows at once.

    Returns:
        The hands in the order of the images, the most likely of an image first. `index` says which image a
        hand is in. Images that can't be used are skipped with one warning.

    Raises:
        ValueError: if the network doesn't know presence, `smallest` isn't from 0.02 to 1, or `most` isn't
            positive; or as `predict`.
    """
    each = list(search(network, image, K, scale, smallest=smallest, most=most, batch_size=batch_size))
    skipped = [one for one in each if isinstance(one, Exception)]
    if skipped and is_single(image):
        raise skipped[0]
    if skipped:
        reasons = "; ".join(map(str, skipped[:5])) + "; ..." * (len(skipped) > 5)
        warnings.warn(f"Skipped {len(skipped)} images: {reasons}", stacklevel=2)
    return [hand for one in each if not isinstance(one, Exception) for hand in one]


def crop_again(
    network: PoseNetwork25D,
    image: Source,
    centre: Sequence[float] | np.ndarray,
    side: float,
    K: Any = None,
    scale: Any = None,
    is_left: bool = False,
) -> list[HandPrediction]:
    """Crop a square, predict, and crop again as the prediction says, until the crop stays.

    `find_hands` does this from the hands that its windows predict, and keeps the crop with the highest
    presence; this returns all.

    Args:
        network: one that knows whether a hand is in its place.
        image, K, scale: of one image, as in `predict`.
        centre: (2,) of the first square, pixels of the image.
        side: of the first square, pixels.
        is_left: whether a left hand is looked for.

    Returns:
        A prediction for each crop, in order, at most `ROUNDS`. `box` is the square that was cropped.
    """
    given = next(hand_images(image, K, scale, None, is_left, False))
    if isinstance(given, Exception):
        raise given
    x, y = centre
    middle = np.array([given.image.shape[1] - 1 - x if is_left else x, y], dtype=np.float64)
    with evaluating(network), torch.inference_mode():
        (crops,) = _settle(network, [(given, square_cut(middle, side, network.image_size))])
    return [make_prediction(one.given, one.seen, network.keypoint_order, one.cut) for one in crops]


def search(
    network: PoseNetwork25D,
    image: Source,
    K: Any = None,
    scale: Any = None,
    *,
    smallest: float = SMALLEST,
    most: int = MOST,
    batch_size: int = 64,
) -> Iterator[list[HandPrediction] | Exception]:
    """Do what `find_hands` does, image by image: yields the hands of each, or why it can't be used."""
    check_search(network, smallest, most)
    for given in hand_images(image, K, scale, None, False, False):
        if isinstance(given, Exception):
            yield given
            continue
        with evaluating(network), torch.inference_mode():
            hands = find_in(network, [given, other_side(given)], smallest, most, batch_size)
        yield hands


def check_search(network: PoseNetwork25D, smallest: float, most: int) -> None:
    """Raise ValueError as `find_hands` does if a network can't search or the limits are wrong."""
    if not getattr(network, "knows_presence", False) or None in (network.image_size, network.view_factor):
        raise ValueError(
            "find_hands: this network can't tell whether a hand is in its place; give predict a box, or use "
            "a network that was fine-tuned with absent > 0 (films are always searched)"
        )
    if not 0.02 <= smallest <= 1:
        raise ValueError(f"find_hands: smallest must be from 0.02 to 1, found {smallest}")
    if most < 1:
        raise ValueError(f"find_hands: most must be at least 1, found {most}")


def find_in(
    network: PoseNetwork25D,
    sides: Sequence[HandImage],
    smallest: float,
    most: int,
    batch_size: int = 64,
    least: float = LIKELY,
) -> list[HandPrediction]:
    """Find the hands in one image.

    Args:
        network: one with `knows_presence`, in evaluation mode.
        sides: the image as it is, and mirrored, to find left hands.
        smallest: see `windows`.
        most: the largest number of hands to return.
        batch_size: windows at once.
        least: presence from which a hand counts. With 0 the likeliest ones come back in any case, without
            votes of windows or agreement of turned copies.

    Returns:
        The hands found, the most likely first.
    """
    windows = {given.is_left: predict_windows(network, given, smallest, batch_size) for given in sides}
    starts = [
        (score, given, cut) for given in sides for score, cut in windows[given.is_left].starts(3 * most)
    ]
    starts = sorted(starts, key=lambda start: -start[0])[: 4 * most]
    return best_hands(network, [start[1:] for start in starts], most, least, windows if least else None)


def best_hands(
    network: PoseNetwork25D,
    starts: Sequence[tuple[HandImage, Cut]],
    most: int,
    least: float = LIKELY,
    windows: Mapping[bool, WindowPredictions] | None = None,
) -> list[HandPrediction]:
    """Crop from each start until the crop stays; the likely hands, each once, the most likely first.

    Starts that lead to one hand are told apart by the turned copies of their best crops: a single crop is
    often sure of a hand that it sees half. With `windows`, the copies are cropped once more, where they see
    the hand: a hand is seen there again, while what only looks like one is often seen elsewhere then.

    `windows` are the predictions in the windows over the image (False) and its mirror image (True). Hands for
    which they have too few votes are left out.
    """
    size, factor = network.image_size, network.view_factor
    found = [max(crops, key=lambda one: one.seen.presence) for crops in _settle(network, starts)]
    for again in (False, True) if windows else (False,):
        if not found:
            return []
        cuts = [(_again(one, factor, size) if again else None) or one.cut for one in found]
        given = [one.given for one in found]
        found = list(map(Found, given, cuts, run(network, given, cuts, size)))
        found = [one for one in found if one.seen.presence >= min(POSSIBLE, least)]
    hands = [make_prediction(one.given, one.seen, network.keypoint_order, one.cut) for one in found]
    return each_once((hand for hand in hands if _is_found(hand, least) and _has_votes(hand, windows)), most)


def _has_votes(hand: HandPrediction, windows: Mapping[bool, WindowPredictions] | None) -> bool:
    """Whether enough windows predict this hand; True without windows."""
    return windows is None or windows[hand.is_left].votes(_box(hand)) >= VOTES


def _is_found(hand: HandPrediction, least: float) -> bool:
    """Whether a hand is likely, and seen the same in turned copies; any hand if `least` is 0."""
    alike = hand.spread is None or hand.spread <= ALIKE
    return hand.presence >= least and (alike or least == 0)


def each_once(hands: Iterable[HandPrediction], most: int) -> list[HandPrediction]:
    """The most likely hands, each once, the most likely first."""
    kept: list[HandPrediction] = []
    for hand in sorted(hands, key=lambda hand: -hand.presence):
        if not any(is_same(_box(hand), _box(other)) for other in kept):
            kept.append(hand)
    return kept[:most]


def _settle(network: PoseNetwork25D, starts: Sequence[tuple[HandImage, Cut]]) -> list[list[Found]]:
    """Crop, predict and crop again until the crop stays: for each start, what each of its crops gave."""
    crops: list[list[Found]] = [[] for _ in starts]
    moving = dict(enumerate(starts))
    for _ in range(ROUNDS):
        if not moving:
            break
        given, cuts = zip(*moving.values(), strict=True)
        seen = run(network, given, cuts, network.image_size, once=True)
        following = {}
        for key, (image, cut), one in zip(moving, moving.values(), seen, strict=True):
            crops[key].append(found := Found(image, cut, one))
            again = _again(found, network.view_factor, network.image_size)
            if again is not None:
                following[key] = (image, again)
        moving = following
    return crops


def _again(one: Found, view_factor: float, size: int) -> Cut | None:
    """The crop that training would cut if the prediction were the label; None if it is the same."""
    if not np.isfinite(one.seen.keypoints_2d).all():
        return None
    points = transform_points(np.linalg.inv(one.cut.affine), one.seen.keypoints_2d)
    before = size / one.cut.affine[0, 0]
    centre = points.mean(axis=0)
    wanted = 2 * view_factor * np.linalg.norm(points - centre, axis=1).max()
    side = float(np.clip(wanted, STEP[0] * before, STEP[1] * before))
    middle = transform_points(np.linalg.inv(one.cut.affine), np.full((1, 2), (size - 1) / 2))[0]
    if np.abs(centre - middle).max() < STAYS * before and abs(side / before - 1) < STAYS:
        return None
    height, width = one.given.image.shape[:2]
    if not ((-side / 2 < centre) & (centre < np.array([width, height]) + side / 2)).all():
        return None
    return square_cut(centre, side, size)


def _box(hand: HandPrediction) -> np.ndarray:
    """(4,) the box of a hand's keypoints."""
    return np.concatenate([hand.keypoints_2d.min(axis=0), hand.keypoints_2d.max(axis=0)])


def is_same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two found boxes (4,) x1, y1, x2, y2 are one hand."""
    shared, area, smaller = shared_area(one, other)
    return bool(shared > SAME * area or shared > WITHIN * smaller)
