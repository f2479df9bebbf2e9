"""What chapter 02 measures in the pixels of a view is what the view's parameters changed."""

import cv2
import numpy as np
import pytest

from peclr_utils.augmentation import apply_opencv
from peclr_utils.course.moving_hands import (
    centre_of_mass,
    draw_measurements,
    edge_direction,
    hands_with_masks,
    hue_angle,
    paint_dot,
    responses,
)
from peclr_utils.crops import crop
from peclr_utils.widgets import view_parameters


@pytest.fixture(scope="module")
def hand():
    """A crop wide enough that a turned view shows no corner."""
    return crop(hands_with_masks([], seed=3)[0], 128, 2.4)


def differ(a, b, period):
    return abs((a - b + period / 2) % period - period / 2)


@pytest.mark.parametrize("degrees", [0, 30, 90, 150])
def test_the_direction_of_stripes_is_theirs(degrees):
    y, x = np.mgrid[:96, :96]
    across = x * np.sin(np.deg2rad(degrees)) + y * np.cos(np.deg2rad(degrees))
    stripes = np.repeat((127 + 120 * np.cos(across / 3))[..., None], 3, axis=2).astype(np.uint8)
    assert differ(edge_direction(stripes), degrees, 180) < 1


@pytest.mark.parametrize("degrees", [-120, -40, 70])
def test_edges_turn_with_the_image_and_hue_with_the_hue_and_neither_with_the_other(hand, degrees):
    before, turned, coloured = (
        apply_opencv(hand.image, view_parameters(scale=1.5, **change), 128)
        for change in ({}, {"angle": degrees}, {"hue": degrees})
    )
    assert differ(edge_direction(turned), edge_direction(before) + degrees, 180) < 2
    assert differ(edge_direction(coloured), edge_direction(before), 180) < 2
    assert differ(hue_angle(coloured), hue_angle(before) + degrees, 360) < 4
    assert differ(hue_angle(turned), hue_angle(before), 360) < 2


def test_the_four_responses_are_followed_over_more_than_half_a_turn(hand):
    angles = [-120, -60, 0, 60, 120]
    found = responses([hand], angles, 1.5)
    diagonal = {("the image turns", "its edges turn"), ("the hue turns", "its mean hue turns")}
    assert len(found) == 4
    for names, change in found.items():
        expected = angles if names in diagonal else np.zeros(5)
        np.testing.assert_allclose(change[:, 0], expected, atol=5)


def test_a_drawn_measurement_has_the_mean_colour_around_and_leaves_the_image_alone(hand):
    before = hand.image.copy()
    drawn = draw_measurements(hand.image)
    np.testing.assert_array_equal(hand.image, before)
    assert differ(hue_angle(np.full_like(drawn, drawn[0, 0])), hue_angle(before), 360) < 5
    assert (drawn[64, 64] == 255).all()


def test_a_painted_dot_is_found_where_it_was_painted_and_moves_with_its_image():
    point = np.array([40.25, 61.7])
    dot = paint_dot(point, (120, 90))
    assert dot.shape == (120, 90, 3)
    np.testing.assert_allclose(centre_of_mass(dot), point, atol=0.01)
    matrix = cv2.getRotationMatrix2D((45, 60), 25, 1.1)
    moved = cv2.warpAffine(dot, matrix, (90, 120))
    np.testing.assert_allclose(centre_of_mass(moved), matrix @ [*point, 1], atol=0.05)


def test_the_hands_are_the_first_with_masks_or_else_rendered_with_a_border(repository):
    without_masks = f"folder:{repository / 'notebooks' / 'figures'}"
    rendered = hands_with_masks([without_masks], seed=5)
    assert rendered.source == "synthetic" and rendered[0].name == "seed 5, index 0"
    assert len(rendered[0].image) > len(hands_with_masks([], seed=5, border=0)[0].image)
    sample = hands_with_masks([without_masks, f"freihand:{repository / 'data' / 'sample'}"], seed=5)
    assert sample.source == "freihand"
