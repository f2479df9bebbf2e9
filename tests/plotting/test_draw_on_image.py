"""A skeleton drawn into an image: where, in which colour, and without changing the original."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from peclr_utils.plotting import draw_skeleton_on_image
from peclr_utils.skeleton import FINGER_COLOURS


def spread_out(side: int) -> np.ndarray:
    """The wrist at the bottom, each finger one vertical column."""
    points = np.array([[side / 2, side - 8.0]] * 21)
    for k in range(1, 21):
        points[k] = [side * ((k - 1) // 4 + 0.5) / 5, side * (0.8 - 0.2 * ((k - 1) % 4))]
    return points


def rgb(colour: str) -> list[int]:
    return [round(255 * channel) for channel in to_rgb(colour)]


def test_the_original_is_not_modified():
    image = np.random.default_rng(0).integers(0, 256, (120, 90, 3), dtype=np.uint8)
    before = image.copy()
    drawn = draw_skeleton_on_image(image, spread_out(90))
    np.testing.assert_array_equal(image, before)
    assert drawn.shape == image.shape and drawn.dtype == np.uint8 and not np.shares_memory(drawn, image)
    assert (drawn != image).any()


@pytest.mark.parametrize("finger", range(5))
def test_bones_and_joints_have_the_rgb_colour_of_their_finger(finger):
    points = spread_out(560)
    drawn = draw_skeleton_on_image(np.zeros((560, 560, 3), np.uint8), points)
    expected = rgb(list(FINGER_COLOURS.values())[finger])
    tip, before = points[finger * 4 + 4], points[finger * 4 + 3]
    for x, y in (tip, before, (tip + before) / 2):
        np.testing.assert_array_equal(drawn[round(y), round(x)], expected)


def test_lines_are_smooth_and_centred_between_pixels():
    points = np.full((21, 2), np.nan)
    points[9], points[10] = [10.5, 5], [10.5, 200]
    drawn = draw_skeleton_on_image(np.zeros((224, 224, 3), np.uint8), points)
    row = drawn[100].sum(1).astype(float)
    assert row @ np.arange(224) / row.sum() == pytest.approx(10.5, abs=0.1)
    assert len(np.unique(drawn)) > 4


def test_only_the_bones_of_unknown_keypoints_are_not_drawn():
    points = spread_out(100)
    points[4] = np.nan
    black = np.zeros((100, 100, 3), np.uint8)
    drawn = draw_skeleton_on_image(black, points)
    assert not drawn[:18, :20].any()
    assert drawn[:30, 25:].any()
    np.testing.assert_array_equal(draw_skeleton_on_image(black, np.full((21, 2), np.nan)), black)


def test_keypoints_far_outside_are_cut_off():
    points = spread_out(64) + np.where(np.arange(21)[:, None] == 20, 1e12, 0)
    points[16] = -1e12
    assert draw_skeleton_on_image(np.zeros((64, 64, 3), np.uint8), points).any()
