import dataclasses

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peclr_utils.augmentation import (
    AugmentationConfig,
    ViewParameters,
    affine,
    augment_sample,
    colour_matrix,
    sample_parameters,
    transform_keypoints,
)
from peclr_utils.augmentation.photometry import LUMA
from peclr_utils.camera import project, transform_intrinsics, transform_points
from peclr_utils.crops import crop
from peclr_utils.datasets import SyntheticHands

EVERYTHING = AugmentationConfig.peclr(blur=0.5, noise=0.5, cutout=0.5, sobel=0.3)


def views(count: int = 1, **changes) -> ViewParameters:
    """Views that do nothing but what is given."""
    plain = ViewParameters.identity(count)
    return dataclasses.replace(plain, **{name: np.asarray(value) for name, value in changes.items()})


def equal(one: ViewParameters, other: ViewParameters) -> bool:
    return all(np.array_equal(value, vars(other)[name], equal_nan=True) for name, value in vars(one).items())


def test_the_same_generator_gives_the_same_views_however_they_are_batched():
    at_once = sample_parameters(EVERYTHING, 7, np.random.default_rng(5))
    rng = np.random.default_rng(5)
    for start, count in ((0, 3), (3, 0), (3, 4)):
        part = sample_parameters(EVERYTHING, count, rng)
        assert equal(at_once[start : start + count], part)
    assert not equal(at_once, sample_parameters(EVERYTHING, 7, np.random.default_rng(6)))


def test_one_setting_leaves_the_draws_of_the_others():
    before = sample_parameters(EVERYTHING, 50, np.random.default_rng(0))
    settings = {"rotation": ("angle", 90.0), "blur": ("blur", 1.0), "hue": ("colour", 0.0)}
    for setting, (name, value) in {**settings, "cutout_side": ("cutout", (0.1, 0.1))}.items():
        config = dataclasses.replace(EVERYTHING, **{setting: value})
        after = vars(sample_parameters(config, 50, np.random.default_rng(0)))
        equal_fields = [f for f, v in vars(before).items() if np.array_equal(v, after[f], equal_nan=True)]
        assert set(after) - set(equal_fields) == {name}


def test_draws_are_uniform_over_their_ranges():
    chances = {"blur": 0.25, "noise": 0.5, "cutout": 0.5, "sobel": 0.1, "background": 0.3}
    config = AugmentationConfig(brightness=0.4, rotation=30, scale=(0.5, 2), shift=0.2, **chances)
    params = sample_parameters(config, 20_000, np.random.default_rng(1))

    def uniform(values: np.ndarray, low: float, high: float) -> bool:
        quantiles = np.quantile(values, np.linspace(0, 1, 11))
        return np.abs(quantiles - np.linspace(low, high, 11)).max() < 0.02 * (high - low)

    assert uniform(params.angle, -30, 30)
    assert uniform(np.log(params.scale), -np.log(2), np.log(2))
    assert uniform(params.shift[:, 0], -0.2, 0.2) and uniform(params.shift[:, 1], -0.2, 0.2)
    assert uniform(params.blur[params.blur > 0], 0.3, 1.5)
    assert uniform(params.noise[params.noise > 0], 0.01, 0.06)
    cut_out = ~np.isnan(params.cutout[:, 0])
    happened = [params.blur > 0, params.noise > 0, cut_out, params.sobel, params.background >= 0]
    assert np.mean(happened, axis=1) == pytest.approx(list(chances.values()), abs=0.02)
    cutout = params.cutout[cut_out]
    assert cutout.min() >= 0 and cutout.max() <= 1
    assert uniform(cutout[:, 2] - cutout[:, 0], 0.15, 0.35)
    drawn = np.stack([params.angle, params.scale, *params.shift.T, params.colour[:, 0, 0], params.noise_seed])
    assert np.abs(np.corrcoef(drawn) - np.eye(len(drawn))).max() < 0.03


@settings(max_examples=100, deadline=None)
@given(
    angle=st.floats(-180, 180),
    scale=st.floats(0.2, 5),
    x=st.floats(-0.5, 0.5),
    y=st.floats(-0.5, 0.5),
    in_size=st.integers(1, 1024),
    out_size=st.integers(1, 1024),
)
def test_affine_is_the_product_of_its_steps_and_has_an_inverse(angle, scale, x, y, in_size, out_size):
    def move(dx, dy):
        return np.array([[1, 0, dx], [0, 1, dy], [0, 0, 1]])

    centre, k = (in_size - 1) / 2, out_size / in_size
    turn = np.vstack([cv2.getRotationMatrix2D((0, 0), angle, scale), [0, 0, 1]])
    resize = move(-0.5, -0.5) @ np.diag([k, k, 1]) @ move(0.5, 0.5)
    shift = move(x * in_size, y * in_size)
    expected = resize @ shift @ move(centre, centre) @ turn @ move(-centre, -centre)
    matrix = affine(views(angle=[angle], scale=[scale], shift=[[x, y]]), in_size, out_size)[0]
    assert matrix == pytest.approx(expected, abs=1e-8)
    back = np.linalg.inv(matrix)
    assert back @ matrix == pytest.approx(np.eye(3), abs=1e-6)


def test_the_moved_camera_projects_onto_the_moved_keypoints():
    outline = np.array([[1, 2], [3, 4]], np.float32)
    sample = dataclasses.replace(crop(SyntheticHands(1)[0], 100), outline=outline)
    params = sample_parameters(AugmentationConfig.peclr(), 8, np.random.default_rng(0))
    matrices = affine(params, 100, 64)
    keypoints = np.repeat(sample.keypoints_2d[None], 8, axis=0)
    moved = transform_keypoints(params, keypoints, 100, 64)
    assert moved == pytest.approx(
        project(sample.keypoints_3d, transform_intrinsics(matrices, sample.K)), abs=1e-4
    )
    for index in range(8):
        view = augment_sample(sample, params[index], 64)
        assert view.keypoints_2d == pytest.approx(moved[index], abs=1e-4)
        assert project(view.keypoints_3d, view.K) == pytest.approx(view.keypoints_2d, abs=1e-3)
        assert np.array_equal(view.keypoints_3d, sample.keypoints_3d)
        assert view.image.shape == (64, 64, 3) and view.mask.shape == (64, 64)
        assert view.outline == pytest.approx(transform_points(matrices[index], sample.outline), abs=1e-4)
        assert view.identity == sample.identity


def one_colour(**changes) -> np.ndarray:
    plain = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.0, "grey": False}
    plain["gain"] = np.ones(3)
    return colour_matrix(**{name: np.array([value]) for name, value in {**plain, **changes}.items()})[0]


@settings(max_examples=50, deadline=None)
@given(saturation=st.floats(0, 2), hue=st.floats(-180, 180), grey=st.booleans())
def test_saturation_hue_and_grey_keep_luma_and_grey_pixels(saturation, hue, grey):
    matrix = one_colour(saturation=saturation, hue=hue, grey=grey)
    assert matrix[:, :3] @ np.ones(3) == pytest.approx(np.ones(3), abs=1e-5)
    assert LUMA @ matrix[:, :3] == pytest.approx(LUMA, abs=1e-5)
    assert not matrix[:, 3].any()


def test_each_colour_change_is_what_it_says():
    assert one_colour() == pytest.approx(np.eye(3, 4), abs=1e-12)
    colour = np.array([0.9, 0.5, 0.2])
    for change, expected in [
        ({"brightness": 0.5}, colour / 2),
        ({"contrast": 0.5}, 0.5 + (colour - 0.5) / 2),
        ({"saturation": 0}, np.full(3, LUMA @ colour)),
        ({"grey": True}, np.full(3, LUMA @ colour)),
        ({"gain": np.array([1, 0.5, 2])}, [0.9, 0.25, 0.4]),
    ]:
        assert one_colour(**change) @ [*colour, 1] == pytest.approx(expected), change
    half = one_colour(hue=30)[:, :3]
    assert half @ half == pytest.approx(one_colour(hue=60)[:, :3], abs=1e-6)
    assert half @ one_colour(hue=-30)[:, :3] == pytest.approx(np.eye(3), abs=1e-6)


def test_skin_stays_the_colour_of_skin():
    params = sample_parameters(AugmentationConfig.peclr(grey=0), 3000, np.random.default_rng(0))
    for skin in ([241, 205, 176], [224, 172, 140], [160, 110, 80], [90, 58, 42]):
        colour = (params.colour[:, :, :3] @ (np.array(skin) / 255) + params.colour[:, :, 3]).clip(0, 1)
        red, green, blue = colour.T
        assert (green <= red + 0.1).mean() > 0.995  # never clearly green
        assert (blue <= red + 0.1).mean() > 0.99  # never clearly blue
        luma = colour @ LUMA
        assert (luma > 0.03).mean() > 0.99  # never lost in the dark
        assert (luma < 0.98).mean() > 0.9  # seldom burnt out, even the lightest
