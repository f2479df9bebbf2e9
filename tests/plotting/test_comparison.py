import numpy as np
import pytest

from peclr_utils.plotting.comparison import plot_side_views


@pytest.fixture
def hand(rng):
    return rng.normal(0, 0.05, size=(21, 3)) + [0, 0, 0.5]


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
