"""The authors' views, held to numbers worked out by hand and to a slow reference."""

import math

import cv2
import numpy as np
import pytest

from peclr_utils.augmentation.authors_views import (
    AuthorsAugmentation,
    AuthorsParameters,
    apply_authors,
    sample_authors_parameters,
)

# Mean (20.45, 35), cut to (20, 35); farthest from there is the last point, sqrt(10.9^2 + 15^2) = 18.54.
POINTS = np.array([[10, 20], [30, 20], [10.9, 50], [30.9, 50]], np.float32)


def parameters(**changes) -> AuthorsParameters:
    """One view that is only cropped: half its side is int(18.54 * 1.2) = 22."""
    plain = {"angle": 0.0, "radius": 1.2, "jitter": (0, 0), "hue": 1.0, "saturation": 1.0, "value": 1.0}
    values = {**plain, "value_offset": 0.0, **changes}
    return AuthorsParameters(**{name: np.array([value]) for name, value in values.items()})


def grey(height: int, width: int) -> np.ndarray:
    """A grey image, which HSV with factors of 1 doesn't change; every pixel of a small crop differs."""
    y, x = np.mgrid[:height, :width]
    return np.repeat(((x + 3 * y) % 256).astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize(
    ("shape", "jitter", "rows", "columns", "motion"),
    [
        # Corner (20 - 22 + 14, 35 - 22 + 3) = (12, 16).
        ((100, 90), (14, 3), (16, 60), (12, 56), [-14, -3]),
        # Corner (20 - 22 + 1, 16) = (-1, 16), set to (0, 16): two pixels right of the centred crop's, -2.
        ((100, 90), (1, 3), (16, 60), (0, 44), [-2, -3]),
        # What lies beyond the right and bottom edges is missing, and the rest is squeezed square.
        ((50, 40), (14, 3), (16, 50), (12, 40), [-14, -3]),
    ],
)
def test_the_corner_moves_by_the_jitter_and_the_content_against_it(shape, jitter, rows, columns, motion):
    image = grey(*shape)
    view = apply_authors(image, POINTS, parameters(jitter=jitter), out_size=44)
    expected = cv2.resize(image[slice(*rows), slice(*columns)], (44, 44), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(view.image, expected)
    assert view.motion.tolist() == motion


def test_a_positive_angle_rotates_counter_clockwise_about_the_mean_point():
    image = np.zeros((120, 120, 3), np.uint8)
    points = np.array([[40, 60], [80, 60], [60, 40], [60, 80]], np.float32)  # mean (60, 60), farthest 20
    image[58:63, 73:78] = 255  # right of it
    view = apply_authors(image, points, parameters(angle=90.0, radius=1.5), out_size=60).image
    rows, columns = np.nonzero(view[..., 0] > 128)
    # Crop's corner (30, 30); the dot is now 15 pixels above (60, 60).
    assert (rows.mean(), columns.mean()) == pytest.approx((15, 30), abs=0.6)


def test_red_and_blue_change_places_in_hsv_and_results_are_truncated_and_clipped():
    image = np.full((100, 100, 3), (200, 100, 50), np.uint8)
    changes = {"hue": 0.5, "saturation": 0.5, "value": 0.5, "value_offset": 10.7}
    view = apply_authors(image, POINTS + [20, 20], parameters(**changes), out_size=32).image
    # As (blue, green, red): hue (240 - 60 * 50 / 150) / 2 = 110, saturation 255 * 150 / 200 = 191, value 200;
    # then 55, int(95.5) = 95 and int(110.7) = 110. In RGB: 69.02 and 75.85, which OpenCV rounds.
    np.testing.assert_allclose(view, np.broadcast_to([69, 110, 75.85], view.shape), atol=0.9)
    bright = apply_authors(image + np.uint8(50), POINTS + [20, 20], parameters(value_offset=20.0)).image
    assert (bright.max(axis=2) == 255).all()


def _reference(image, points, angle, radius, jitter, hue, saturation, value, offset, size):
    """Step by step, in whole numbers and pixel by pixel where it matters."""

    def middle(uv):
        return [int(math.fsum(column) / len(column)) for column in uv.T.tolist()]

    x, y = middle(points)
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D((max(x, 0), max(y, 0)), angle, 1.0)
    image = cv2.warpAffine(image, turn, (width, height))
    points = np.float32([[*(turn @ [u, v, 1.0])] for u, v in points.tolist()])
    x, y = middle(points)
    half = int(max(math.hypot(u - x, v - y) for u, v in points.tolist()) * radius)
    left, top = max(x - half + jitter[0], 0), max(y - half + jitter[1], 0)
    right, bottom = min(left + 2 * half, width), min(top + 2 * half, height)
    view = cv2.resize(image[top:bottom, left:right], (size, size), interpolation=cv2.INTER_AREA)
    hsv = cv2.cvtColor(view[..., ::-1], cv2.COLOR_RGB2HSV)
    for row in hsv:
        for pixel in row:
            h, s, v = pixel.tolist()
            pixel[:] = int(h * hue), int(s * saturation), min(int(v * value + offset), 255)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[..., ::-1], [x - half - left, y - half - top]


def test_random_views_equal_the_slow_reference_cut_off_ones_too(rng):
    cut = 0
    for trial in range(40):
        height, width = rng.integers(70, 300, 2)
        image = cv2.GaussianBlur(rng.integers(0, 256, (height, width, 3), np.uint8), (0, 0), 2.0)
        points = rng.uniform(0.1, 0.9, 2) * [width, height] + rng.normal(0, 20, (21, 2))
        points = points.astype(np.float32)
        params = sample_authors_parameters(AuthorsAugmentation(), 3, rng)
        found = apply_authors(image, points, params, 1, out_size=24)
        values = (params.hue, params.saturation, params.value, params.value_offset)
        geometry = params.angle[1], params.radius[1], params.jitter[1].tolist()
        expected, motion = _reference(image, points, *geometry, *(value[1] for value in values), 24)
        np.testing.assert_array_equal(found.image, expected, f"trial {trial}")
        assert found.motion.tolist() == motion
        cut += found.motion.tolist() != (-params.jitter[1]).tolist()
    assert cut > 5


def test_parameters_are_drawn_from_the_authors_ranges(rng):
    drawn = sample_authors_parameters(AuthorsAugmentation(), 20_000, rng)
    assert sorted(set(drawn.angle)) == list(range(-45, 45))
    assert [sorted(set(drawn.jitter[:, axis])) for axis in (0, 1)] == [list(range(15))] * 2
    ranges = {"radius": (0.9, 1.5), "hue": (0.01, 1), "saturation": (0.01, 1), "value": (0.5, 1)}
    for name, (low, high) in {**ranges, "value_offset": (5, 20)}.items():
        values = getattr(drawn, name)
        assert low <= values.min() and values.max() <= high
        assert values.mean() == pytest.approx((low + high) / 2, abs=0.02 * (high - low))
