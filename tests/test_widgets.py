"""What sliders show depends on their numbers alone; sliders only call it."""

import inspect
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch

from peclr_utils import widgets
from peclr_utils.augmentation import ViewParameters, affine, colour_matrix
from peclr_utils.camera import transform_points
from peclr_utils.crops import crop
from peclr_utils.datasets import SyntheticHands
from peclr_utils.datasets.sample import HandSample
from peclr_utils.equivariance import apply_to_projection
from peclr_utils.plotting import plot_hand_3d
from peclr_utils.widgets.explorers import STATIC_NOTE, as_png


@pytest.fixture(scope="module")
def sample():
    return crop(SyntheticHands(1, seed=4)[0], 64)


@pytest.fixture
def unlabelled(rng):
    return HandSample(rng.integers(0, 256, (80, 120, 3), dtype=np.uint8), 0, "made up")


def pixels(png):
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR_RGB)


def test_the_defaults_of_a_view_change_nothing():
    named, plain = widgets.view_parameters(), ViewParameters.identity(1)
    for name, value in vars(plain).items():
        if name != "noise_seed":
            np.testing.assert_allclose(getattr(named, name), value, atol=1e-12, err_msg=name)


def test_a_setting_changes_its_parameter_and_no_other():
    changes = {"angle": 30.0, "scale": 1.2, "blur": 1.5, "noise": 0.1, "sobel": True}
    plain = widgets.view_parameters()
    for changed, value in changes.items():
        view = widgets.view_parameters(**{changed: value})
        assert getattr(view, changed)[0] == value
        for name in set(vars(plain)) - {changed}:
            np.testing.assert_array_equal(getattr(view, name), getattr(plain, name), err_msg=name)


def test_shifts_are_x_first_and_colours_go_through_the_packages_colour_matrix():
    view = widgets.view_parameters(0, 1, 0.1, -0.2, hue=20, saturation=0.5, brightness=1.1, contrast=0.9)
    one = np.ones(1)
    np.testing.assert_array_equal(view.shift, [[0.1, -0.2]])
    expected = colour_matrix(1.1 * one, 0.9 * one, 0.5 * one, 20 * one, np.ones((1, 3)), one < 0)
    np.testing.assert_allclose(view.colour, expected)


def test_the_toy_projection_is_64_points_of_length_one_about_their_centroid(sample):
    projection = widgets.toy_projection(sample.keypoints_2d)
    assert projection.shape == (1, 128)
    assert projection.norm().item() == pytest.approx(1)
    np.testing.assert_allclose(projection.reshape(64, 2).mean(0), 0, atol=1e-12)


def test_the_toy_projection_rotates_with_the_image_and_scale_cancels(sample):
    params = widgets.view_parameters(angle=33, scale=1.3, shift_x=0.2)
    moved = transform_points(affine(params, 64, 64)[0], sample.keypoints_2d.astype(np.float64))
    motion = torch.tensor([33.0]).double(), torch.zeros(1, 2).double()
    rotated = apply_to_projection(widgets.toy_projection(sample.keypoints_2d), *motion)
    np.testing.assert_allclose(widgets.toy_projection(moved), rotated, atol=1e-9)


def test_a_view_is_drawn_beside_its_crop_and_the_points(sample):
    figure = widgets.draw_view(sample, angle=30, shift_x=0.1)
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles[:2] == ["the crop", "its view"]
    assert "moved back 1.00" in titles[2]


def test_a_view_that_changes_nothing_looks_like_its_crop(sample):
    crop_axes, view_axes, _ = widgets.draw_view(sample, size=64).axes
    before, after = (np.asarray(ax.images[0].get_array(), float) for ax in (crop_axes, view_axes))
    assert np.abs(before - after).mean() < 1


def test_an_image_without_keypoints_is_drawn_without_points(unlabelled):
    assert len(widgets.draw_view(crop(unlabelled, 64), hue=40).axes) == 2


def test_a_posed_hand_follows_its_gestures_and_fingers():
    hand = widgets.draw_posed_hand(size=96)
    assert hand.shape == (96, 96, 3) and hand.dtype == np.uint8
    np.testing.assert_array_equal(widgets.draw_posed_hand("fist", "open", 1.0, size=96), hand)
    for change in ({"blend": 1.0}, {"index": 40}, {"thumb": 40}, {"turn": 180}):
        assert (widgets.draw_posed_hand(size=96, **change) != hand).any(), change


def test_joint_limits_hold_for_the_sliders():
    far, farther = (widgets.draw_posed_hand(index=angle, size=96) for angle in (150, 300))
    np.testing.assert_array_equal(far, farther)


EXPLORERS = {
    "rotating hand": (lambda s: widgets.rotating_hand(s.keypoints_3d), plot_hand_3d, "azimuth", 20),
    "pose": (lambda s: widgets.pose_explorer(), widgets.draw_posed_hand, "blend", 0.5),
    "augmentation": (widgets.augmentation_explorer, widgets.view_parameters, "angle", 45),
}


@pytest.mark.parametrize("case", EXPLORERS)
def test_controls_start_at_the_functions_defaults_and_moving_one_redraws_the_image(case, sample):
    make, function, name, value = EXPLORERS[case]
    explorer = make(sample)
    defaults = inspect.signature(function).parameters
    assert all(control.value == defaults[key].default for key, control in explorer.controls.items())
    before = explorer.image.value
    explorer.controls[name].value = value
    assert explorer.image.value != before
    assert pixels(explorer.image.value).shape == pixels(before).shape


def test_the_image_is_what_the_function_draws(sample):
    explorer = widgets.rotating_hand(sample.keypoints_3d)
    explorer.controls["azimuth"].value = 15
    assert explorer.image.value == as_png(plot_hand_3d(sample.keypoints_3d, azimuth=15))


def test_an_image_that_is_not_square_is_cropped_first(unlabelled):
    assert pixels(widgets.augmentation_explorer(unlabelled, size=64).image.value).size


def test_an_rgb_image_keeps_its_colours(rng):
    image = rng.integers(0, 256, (8, 9, 3), dtype=np.uint8)
    np.testing.assert_array_equal(pixels(as_png(image)), image)


def test_without_ipywidgets_one_clear_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(ModuleNotFoundError, match="pip install ipywidgets"):
        widgets.pose_explorer()


def test_drawing_needs_neither_ipywidgets_nor_ipython():
    code = (
        "import sys; sys.modules.update(ipywidgets=None, IPython=None); import peclr_utils.widgets as w;"
        "assert w.draw_posed_hand(size=32).shape == (32, 32, 3)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


class FrontEnd:
    """A kernel that was asked to run a cell by someone who may answer, or by nobody."""

    def __init__(self, someone):
        self.kernel = self
        self.someone = someone

    def get_parent(self, channel):
        return {"content": {"allow_stdin": self.someone}}


@pytest.mark.parametrize("someone", [True, False])
def test_sliders_are_shown_to_somebody_and_a_line_to_nobody(someone, sample, monkeypatch, capsys):
    shown = []
    monkeypatch.setattr("IPython.get_ipython", lambda: FrontEnd(someone))
    monkeypatch.setattr("IPython.display.display", shown.append)
    explorer = widgets.rotating_hand(sample.keypoints_3d)
    explorer._ipython_display_()
    assert shown == ([explorer.widget] if someone else [])
    assert (STATIC_NOTE in capsys.readouterr().out) is not someone
