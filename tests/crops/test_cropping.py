from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peclr_utils.camera import project
from peclr_utils.crops import crop, crop_box, crop_matrix
from peclr_utils.datasets.sample import HandSample

IMAGE = np.random.default_rng(0).integers(1, 256, (120, 160, 3), dtype=np.uint8)
PLAIN = HandSample(IMAGE, 0, "plain")


@pytest.fixture(scope="module")
def sample() -> HandSample:
    K = np.array([[180, 0, 80], [0, 170, 60], [0, 0, 1]], np.float32)
    points = (np.random.default_rng(1).uniform(-0.08, 0.08, (21, 3)) + [0.02, -0.01, 0.6]).astype(np.float32)
    mask = np.full((120, 160), 255, np.uint8)
    return HandSample(IMAGE, 3, "drawn", "left", points, project(points, K), K, 0.03, mask, name="drawn 3")


def test_box_is_the_mean_keypoint_and_twice_the_largest_distance(sample):
    points = np.zeros((21, 2), np.float32)
    points[0] = 21, 0  # mean (1, 0): the far point is 20 away
    centre, side = crop_box(replace(sample, keypoints_2d=points), 1.5)
    assert centre == pytest.approx([1, 0]) and side == pytest.approx(60)


def test_box_of_an_outline_and_of_a_whole_image():
    centre, side = crop_box(PLAIN, 1.2)
    assert centre == pytest.approx([79.5, 59.5]) and side == pytest.approx(160)
    assert crop_box(PLAIN, 2.4)[1] == pytest.approx(320), "training cuts wide, and its views zoom back in"
    outline = np.array([[10, 10], [30, 10], [np.nan, 0]], np.float32)
    centre, side = crop_box(replace(PLAIN, outline=outline), 1.0)
    assert centre == pytest.approx([20, 10]) and side == pytest.approx(20)
    assert crop(PLAIN, 32).image.shape == (32, 32, 3) and crop(PLAIN, 32).K is None


@settings(max_examples=50, deadline=None)
@given(x=st.floats(-500, 500), y=st.floats(-500, 500), side=st.floats(0.5, 2000), size=st.integers(1, 512))
def test_crop_matrix_maps_the_box_onto_the_crop(x, y, side, size):
    matrix = crop_matrix(np.array([x, y]), side, size)
    corner = matrix @ [x - side / 2, y - side / 2, 1]
    opposite = matrix @ [x + side / 2, y + side / 2, 1]
    assert corner == pytest.approx([-0.5, -0.5, 1], abs=1e-6)
    assert opposite == pytest.approx([size - 0.5, size - 0.5, 1], abs=1e-6)


@pytest.mark.parametrize("factor", [0.7, 1.3, 4.0])
def test_intrinsics_and_keypoints_follow_the_crop_and_other_labels_stay(factor, sample):
    cropped = crop(sample, 96, factor)
    assert cropped.image.shape == (96, 96, 3)
    assert project(cropped.keypoints_3d, cropped.K) == pytest.approx(cropped.keypoints_2d, abs=1e-3)
    assert cropped.keypoints_2d.mean(axis=0) == pytest.approx([47.5, 47.5], abs=1e-3)
    radius = np.linalg.norm(cropped.keypoints_2d - 47.5, axis=1).max()
    assert radius == pytest.approx(48 / factor, rel=1e-4)
    assert np.array_equal(cropped.keypoints_3d, sample.keypoints_3d)
    for field in ("identity", "source", "handedness", "bone_length", "name"):
        assert getattr(cropped, field) == getattr(sample, field)


def test_beyond_the_image_it_is_black_and_not_the_hand():
    masked = replace(PLAIN, mask=np.full((120, 160), 255, np.uint8))
    cropped, inside, outside = crop(masked, 64, 2.4), np.s_[22:42, 18:46], np.ones((64, 64), bool)
    outside[18:46, 14:50] = False  # the image takes 32 x 24 pixels
    assert not cropped.image[outside].any() and not cropped.mask[outside].any()
    assert cropped.image[inside].any(axis=-1).all() and (cropped.mask[inside] == 255).all()
