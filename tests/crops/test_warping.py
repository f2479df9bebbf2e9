import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peclr_utils.crops import antialias, cropping, shrink, warp


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)


def similarity(angle: float, scale: float, centre: tuple, target: tuple) -> np.ndarray:
    """Turn and scale about a point, and move it to another."""
    matrix = np.vstack([cv2.getRotationMatrix2D(centre, angle, scale), [0, 0, 1]])
    matrix[:2, 2] += np.subtract(target, centre)
    return matrix


@pytest.fixture(params=[True, False], ids=["installed OpenCV", "fallback for OpenCV 4"])
def either_warp(request, monkeypatch):
    if request.param and not cropping.FLOAT_WARP:
        pytest.skip("this OpenCV has no float warp")
    monkeypatch.setattr(cropping, "FLOAT_WARP", request.param)


@pytest.mark.parametrize(
    ("angle", "scale", "target"),
    [(17.3, 0.7, (20.2, 27.9)), (-44, 1.9, (24, 20)), (180, 1, (0, 0)), (90, 0.67, (60, 23.5))],
)
def test_warp_is_bilinear_where_it_does_not_shrink(either_warp, bilinear, angle, scale, target):
    image = noise(57, 71, 3)
    matrix = similarity(angle, scale, (31.3, 25.8), target)
    assert np.abs(warp(image, matrix, 48) - bilinear(image, matrix, 48)).max() < 0.6


def test_a_whole_pixel_shift_keeps_every_pixel_and_leaves_black(either_warp):
    image = noise(40, 40, 3)
    moved = warp(image, similarity(0, 1, (0, 0), (3, -2)), 40)
    assert np.array_equal(moved[:38, 3:], image[2:, :37])
    assert not moved[:, :3].any() and not moved[38:].any()
    assert np.array_equal(warp(image, np.eye(3), 40), image)


@settings(max_examples=40, deadline=None)
@given(st.floats(1.0, 5.0), st.floats(-180, 180), st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))
def test_a_blob_lands_where_the_matrix_says_however_much_it_shrinks(factor, angle, x, y):
    centre = 100 + x * 40, 100 + y * 40
    yy, xx = np.mgrid[:200, :200]
    blob = np.exp(-((xx - centre[0]) ** 2 + (yy - centre[1]) ** 2) / (2 * (2.5 * factor) ** 2))
    image = np.rint(255 * blob).astype(np.uint8)
    matrix = similarity(angle, 1 / factor, centre, (20 + 3 * x, 20 + 3 * y))
    warped = warp(image, matrix, 41).astype(np.float64)
    rows, columns = np.mgrid[:41, :41]
    near = np.hypot(columns - 20 - 3 * x, rows - 20 - 3 * y) < 10
    found = np.array([(columns * warped)[near].sum(), (rows * warped)[near].sum()]) / warped[near].sum()
    assert np.abs(found - (matrix @ [*centre, 1])[:2]).max() < 0.05


@pytest.mark.parametrize("factor", [1.75, 2.5, 3.5, 6])
def test_shrunk_noise_turns_grey_and_does_not_alias(factor):
    image = noise(400, 400, 3)
    size = int(300 / factor)
    matrix = similarity(20, 1 / factor, (199.5, 199.5), ((size - 1) / 2, (size - 1) / 2))
    ideal = 73.6 / factor  # standard deviation of a mean over factor^2 pixels of uniform noise
    assert 0.6 * ideal < warp(image, matrix, size).std() < 1.15 * ideal


def test_antialiasing_has_the_variance_of_a_triangle_as_wide_as_the_shrink():
    for factor in np.linspace(1.51, 20, 200):
        reduce, side = antialias(factor)
        variance = (reduce**2 - 1) / 12 + reduce**2 * (2 * side + 1 / 6)
        wanted, rounding = factor**2 / 6, reduce**2 / 256
        assert wanted - rounding <= variance <= (1.4 if 2 < factor < 2.4 else 1) * wanted + rounding
        assert 0 <= side <= 0.25


def test_smoothing_only_a_part_gives_what_smoothing_the_whole_gives():
    image = noise(301, 299, 3)
    for factor in (1.8, 3.3, 5):
        matrix = similarity(30, 1 / factor, (140, 160), (10, 10))
        whole = warp(image, matrix, 128)
        assert np.array_equal(warp(image, matrix, 22), whole[:22, :22])


def test_shrink_is_the_largest_number_of_source_pixels_per_output_pixel():
    assert shrink(np.diag([0.5, 0.25, 1])) == pytest.approx(4)
    matrix = similarity(33, 0.4, (3, 4), (5, 6))
    assert shrink(np.stack([matrix, np.eye(3)])) == pytest.approx([2.5, 1])


def test_a_box_far_outside_the_image_is_black_and_a_senseless_one_is_named():
    for factor in (1, 4):
        assert not warp(noise(30, 30, 3), similarity(0, 1 / factor, (0, 0), (5000, 5000)), 16).any()
    with pytest.raises(ValueError, match="far outside the image"):
        warp(noise(40, 40, 3), np.diag([1e-6, 1e-6, 1]), 4)
    with pytest.raises(ValueError, match="cannot be inverted"):
        warp(noise(4, 4, 3), np.zeros((3, 3)), 4)
