"""What windows show: how many of them agree on a hand, and where to look more closely."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from peclr_utils.inference import find_hands, finding
from peclr_utils.inference.inputs import hand_images, other_side
from peclr_utils.inference.sightings import AGREES, POSSIBLE, Sightings, look, overlap

from .test_finding import FACTOR, REACH, SIZE, DiscNetwork, picture

BOXES = st.lists(
    st.tuples(*[st.floats(-50, 50)] * 2, *[st.floats(1, 60)] * 2).map(
        lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
    ),
    min_size=1,
    max_size=6,
).map(np.array)


def sides(image):
    image = next(hand_images(image, None, None, None, False, False))
    return image, other_side(image)


def disc_box(x, y, radius):
    return np.array([x - radius, y - radius, x + radius, y + radius], dtype=float)


@given(BOXES, BOXES)
def test_overlap_of_many_boxes_is_that_of_each_pair(one, other):
    table = overlap(one[:, None], other)
    for i, j in np.ndindex(*table.shape):
        width = min(one[i, 2], other[j, 2]) - max(one[i, 0], other[j, 0])
        height = min(one[i, 3], other[j, 3]) - max(one[i, 1], other[j, 1])
        shared = max(width, 0) * max(height, 0)
        areas = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (one[i], other[j]))
        assert table[i, j] == pytest.approx(shared / (areas - shared))
    np.testing.assert_allclose(table, overlap(other[:, None], one).T)


@pytest.mark.parametrize("disc", [(150, 120, 50, "right"), (260, 130, 40, "left")])
def test_windows_agree_where_the_hand_is_and_nowhere_else(disc):
    """In pixels of the image as it is given, for left hands too."""
    own, other = sides(picture(disc))[:: 1 if disc[3] == "right" else -1]
    seen = look(DiscNetwork(), own, 0.2, 64)
    assert seen.votes(disc_box(*disc[:3])) > finding.VOTES
    assert seen.votes(disc_box(60, 240, disc[2])) == 0
    assert seen.votes(disc_box(*disc[:2], 2 * disc[2])) == 0
    assert look(DiscNetwork(), other, 0.2, 64).votes(disc_box(*disc[:3])) < 0.1


def test_the_most_likely_hands_come_first_and_each_once():
    discs = [(80, 80, 45, "right"), (300, 90, 50, "right"), (200, 230, 40, "right")]
    seen = look(DiscNetwork(), sides(picture(*discs))[0], 0.15, 64)
    assert (np.diff(seen.presence) <= 0).all() and (seen.presence >= POSSIBLE).all()
    scores, cuts = zip(*seen.starts(9), strict=True)
    assert list(scores) == sorted(scores, reverse=True) and len(seen.starts(2)) == 2
    # The crop of each disc, about its centre, is among them.
    for x, y, radius, _ in discs:
        wanted = disc_box(x, y, radius * REACH * FACTOR)
        assert max(overlap(cut.box, wanted) for cut in cuts) > 0.8


@given(BOXES)
def test_no_two_starts_are_about_one_hand(boxes):
    seen = Sightings(np.linspace(0.9, 0.3, len(boxes)), boxes, list(range(len(boxes))))
    kept = boxes[[number for _, number in seen.starts(9)]]
    pairs = overlap(kept[:, None], kept)[~np.eye(len(kept), dtype=bool)]
    assert (pairs <= AGREES).all()
    # Whatever was left out agrees with one that was kept.
    assert (overlap(boxes[:, None], kept).max(axis=1) > AGREES).all()


class OneWindow(DiscNetwork):
    """Sees a hand in a disc only where it lies in the middle of the view and has the size of training."""

    def forward(self, images, K=None):
        output = super().forward(images, K)
        middle = output.keypoints_2d.mean(dim=1, keepdim=True)
        reach = (output.keypoints_2d - middle).norm(dim=2).amax(dim=1)
        near = (middle[:, 0] - (SIZE - 1) / 2).norm(dim=1) < 0.06 * SIZE
        near &= (2 * FACTOR * reach / SIZE).log().abs() < 0.1
        return output._replace(presence=torch.where(near, 6.0, -6.0))


def test_what_few_windows_see_is_no_hand(monkeypatch):
    image = picture((200, 150, 60, "right"))
    assert find_hands(OneWindow(), image) == []
    monkeypatch.setattr(finding, "VOTES", 0.0)
    assert find_hands(OneWindow(), image)


def test_the_best_window_counts_however_unlikely_it_is():
    """So that `predict` without a box has a place to look at more closely."""
    seen = look(DiscNetwork(), sides(picture())[0], 0.2, 64)
    assert len(seen.presence) == len(seen.starts(3)) == 1 and seen.presence[0] < POSSIBLE
