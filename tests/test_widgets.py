"""What sliders show depends on their numbers alone; sliders only call it."""

import inspect
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from peclr_utils import widgets
from peclr_utils.augmentation import affine
from peclr_utils.camera import transform_points
from peclr_utils.crops import crop
from peclr_utils.datasets import SyntheticHands
from peclr_utils.equivariance import apply_to_projection
from peclr_utils.plotting import plot_hand_3d
from peclr_utils.widgets.explorers import STATIC_NOTE


@pytest.fixture(scope="module")
def sample():
    return crop(SyntheticHands(1, seed=4)[0], 64)


def pixels(png):
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR_RGB)


def test_the_toy_projection_rotates_with_the_image_and_scale_cancels(sample):
    params = widgets.view_parameters(angle=33, scale=1.3, shift_x=0.2)
    moved = transform_points(affine(params, 64, 64)[0], sample.keypoints_2d.astype(np.float64))
    motion = torch.tensor([33.0]).double(), torch.zeros(1, 2).double()
    rotated = apply_to_projection(widgets.toy_projection(sample.keypoints_2d), *motion)
    np.testing.assert_allclose(widgets.toy_projection(moved), rotated, atol=1e-9)


def test_a_posed_hand_follows_its_gestures_and_fingers():
    hand = widgets.draw_posed_hand(size=96)
    assert hand.shape == (96, 96, 3) and hand.dtype == np.uint8
    np.testing.assert_array_equal(widgets.draw_posed_hand("fist", "open", 1.0, size=96), hand)
    for change in ({"blend": 1.0}, {"index": 40}, {"thumb": 40}, {"turn": 180}):
        assert (widgets.draw_posed_hand(size=96, **change) != hand).any(), change


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


@pytest.mark.parametrize("someone", [True, False])
def test_sliders_are_shown_to_somebody_and_a_line_to_nobody(someone, sample, monkeypatch, capsys):
    shown = []
    kernel = SimpleNamespace(get_parent=lambda channel: {"content": {"allow_stdin": someone}})
    monkeypatch.setattr("IPython.get_ipython", lambda: SimpleNamespace(kernel=kernel))
    monkeypatch.setattr("IPython.display.display", shown.append)
    explorer = widgets.rotating_hand(sample.keypoints_3d)
    explorer._ipython_display_()
    assert shown == ([explorer.widget] if someone else [])
    assert (STATIC_NOTE in capsys.readouterr().out) is not someone
