import numpy as np
import pytest

from peclr_utils.plotting.comparison import plot_hands_in_rows, plot_side_views

TITLES = ["a", "b", "c"]


@pytest.fixture
def images(rng):
    return rng.integers(0, 255, size=(3, 32, 32, 3)).astype(np.uint8)


@pytest.fixture
def keypoints(rng):
    return rng.uniform(0, 31, size=(3, 21, 2))


@pytest.fixture
def hand(rng):
    return rng.normal(0, 0.05, size=(21, 3)) + [0, 0, 0.5]


def test_every_row_shows_every_image_with_its_own_limits_name_and_captions(images, keypoints):
    rows = {"one": keypoints, "two": keypoints + 100}
    figure = plot_hands_in_rows(images, rows, captions={"two": TITLES})
    assert {(ax.get_xlim(), ax.get_ylim()) for ax in figure.axes} == {((-0.5, 31.5), (31.5, -0.5))}
    assert [figure.axes[k].get_ylabel() for k in (0, 3)] == ["one", "two"]
    assert [ax.get_xlabel() for ax in figure.axes[3:]] == TITLES


def test_the_side_view_shows_depth_across_and_y_down_in_centimetres(hand):
    figure = plot_side_views({"one": [hand]}, hand)
    bones = figure.axes[0].collections[1].get_segments()
    np.testing.assert_allclose(bones[0], 100 * hand[[0, 1]][:, [2, 1]])
    bottom, top = figure.axes[0].get_ylim()
    assert bottom > top


def test_all_side_views_have_one_scale_and_hold_every_hand(hand):
    far = hand + [0, 0, 0.2]
    figure = plot_side_views({"one": [hand, far], "two": [far, hand]}, hand, heads=["near", "far"])
    limits = {(ax.get_xlim(), ax.get_ylim()) for ax in figure.axes}
    assert len(limits) == 1
    (low, high), _ = limits.pop()
    assert low < 100 * hand[:, 2].min()
    assert high > 100 * far[:, 2].max()
