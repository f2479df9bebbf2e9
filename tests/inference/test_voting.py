"""What windows show: how many of them agree on a hand, and where to look more closely."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from peclr_utils.augmentation import to_batch
from peclr_utils.crops.cropping import warp
from peclr_utils.inference import find_hands, finding
from peclr_utils.inference.cutting import square_cut
from peclr_utils.inference.inputs import hand_images, other_side
from peclr_utils.inference.prediction import run
from peclr_utils.inference.voting import AGREES, POSSIBLE, WindowPredictions, overlap, predict_windows
from peclr_utils.models import PoseNetwork25D

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
    seen = predict_windows(DiscNetwork(), own, 0.2, 64)
    assert seen.votes(disc_box(*disc[:3])) > finding.VOTES
    assert np.abs(seen.box[0] - disc_box(*disc[:3])).max() < 6
    assert seen.votes(disc_box(60, 240, disc[2])) == 0
    assert seen.votes(disc_box(*disc[:2], 2 * disc[2])) == 0
    assert predict_windows(DiscNetwork(), other, 0.2, 64).votes(disc_box(*disc[:3])) < 0.1


def test_the_most_likely_hands_come_first_and_each_once():
    discs = [(80, 80, 45, "right"), (300, 90, 50, "right"), (200, 230, 40, "right")]
    seen = predict_windows(DiscNetwork(), sides(picture(*discs))[0], 0.15, 64)
    assert (np.diff(seen.presence) <= 0).all() and (seen.presence >= POSSIBLE).all()
    scores, cuts = zip(*seen.starts(9), strict=True)
    assert list(scores) == sorted(scores, reverse=True) and len(seen.starts(2)) == 2
    # The crop of each disc, about its centre, is among them.
    for x, y, radius, _ in discs:
        wanted = disc_box(x, y, radius * REACH * FACTOR)
        assert max(overlap(cut.box, wanted) for cut in cuts) > 0.8


@given(BOXES)
def test_no_two_starts_are_about_one_hand(boxes):
    seen = WindowPredictions(np.linspace(0.9, 0.3, len(boxes)), boxes, list(range(len(boxes))))
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
    seen = predict_windows(DiscNetwork(), sides(picture())[0], 0.2, 64)
    assert len(seen.presence) == len(seen.starts(3)) == 1 and seen.presence[0] < POSSIBLE


@pytest.mark.parametrize("value", [0.0, np.inf, np.nan])
def test_predictions_without_a_size_leave_a_crop_that_can_be_cut(value):
    """All points in one place, at infinity, or not a number."""

    class Sizeless(DiscNetwork):
        def forward(self, images, K=None):
            output = super().forward(images, K)
            points = torch.full_like(output.keypoints_2d, value) + SIZE / 2
            return output._replace(keypoints_2d=points, presence=torch.full_like(output.presence, 3.0))

    image = picture((200, 150, 60, "right"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cuts = [cut for _, cut in predict_windows(Sizeless(), sides(image)[0], 0.2, 64).starts(99)]
    assert find_hands(Sizeless(), image) == [] or value == 0
    assert cuts and all(np.linalg.matrix_rank(cut.affine) == 3 for cut in cuts)


def test_turned_copies_in_one_batch_are_what_the_network_sees_in_each(monkeypatch):
    """The median of keypoints and depth, and how far the copies lie from it, from four passes one by one."""
    torch.manual_seed(0)
    network = PoseNetwork25D("resnet18").eval()
    network.image_size, network.view_factor, network.any_angle = 32, FACTOR, True
    image, given = picture((200, 150, 60, "right")), sides(picture((200, 150, 60, "right")))[0]
    cut = square_cut(np.array([190.0, 140.0]), 170.0, 32)
    with torch.inference_mode():
        (seen,) = run(network, [given], [cut], 32)
        crop = to_batch(warp(image, cut.affine, 32)[None])
        K, points, depths, roots = torch.as_tensor(cut.affine @ given.K), [], [], []
        for turns in range(4):
            quarter = torch.tensor([[0.0, 1, 0], [-1, 0, 31], [0, 0, 1]], dtype=torch.float64)
            turn = torch.linalg.matrix_power(quarter, turns)
            out = network(torch.rot90(crop, turns, (2, 3)), (turn @ K)[None].float())
            back = torch.linalg.inv(turn)
            points.append((out.keypoints_2d[0].double() @ back[:2, :2].T + back[:2, 2]).numpy())
            depths.append(out.relative_depth[0].double().numpy())
            roots.append(float(out.root_depth[0]))
    middle = np.median(points, axis=0)
    np.testing.assert_allclose(seen.keypoints_2d, middle, atol=1e-3)
    assert seen.spread == pytest.approx(np.linalg.norm(points - middle, axis=2).mean(), rel=1e-4)
    z = np.median(depths, axis=0) + np.median(roots)
    np.testing.assert_allclose(seen.keypoints_3d[:, 2], z, rtol=1e-3, atol=1e-4)
    projected = seen.keypoints_3d @ K.numpy().T
    np.testing.assert_allclose(projected[:, :2] / projected[:, 2:], middle, atol=1e-3)
