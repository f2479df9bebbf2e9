"""What sliders show depends on their numbers alone; sliders only call it."""

import inspect
import re
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from matplotlib import style
from torch import nn

from peclr_utils import widgets
from peclr_utils.augmentation import affine
from peclr_utils.camera import transform_points
from peclr_utils.crops import crop, open_crops
from peclr_utils.datasets import UPRIGHT, SyntheticHands
from peclr_utils.equivariance import apply_to_projection
from peclr_utils.evaluation.turning import turned_by
from peclr_utils.plotting import plot_hand_3d
from peclr_utils.training import extract_features
from peclr_utils.widgets.explorers import CONTROL, STATIC_NOTE, WIDEST


@pytest.fixture(scope="module")
def sample():
    return crop(SyntheticHands(1, seed=4)[0], 64)


@pytest.fixture(scope="module")
def hands():
    return open_crops([f"synthetic:2?seed=9&{UPRIGHT}"], 64, 1.2, 1.5)


def random_network():
    torch.manual_seed(0)
    return nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(192, 128, bias=False))


def centroids():
    """An equivariant network: its three points are the moments of red, green and blue within a disc."""
    y, x = torch.meshgrid(2 * [torch.linspace(-1, 1, 64)], indexing="ij")
    network = nn.Sequential(nn.Conv2d(3, 6, 64, bias=False), nn.Flatten())
    with torch.no_grad():
        weight = network[0].weight.zero_()
        for channel in range(3):
            weight[2 * channel : 2 * channel + 2, channel] = torch.stack([x, y]) * (x**2 + y**2 < 1)
    return network


def pixels(png):
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)


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


def said(figure):
    """All whole numbers and fractions in a figure's titles and labels, by row of the figure."""
    texts = [f"{ax.get_title(loc='left')} {ax.get_xlabel()}" for ax in figure.axes]
    return [
        [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?", t.replace("\N{MINUS SIGN}", "-"))] for t in texts
    ]


def test_the_titles_say_what_turned_by_finds_and_how_well_that_turn_explains_it(hands):
    network, view, angles = random_network(), (64, 1.2), [40.0, -75.0]
    still = extract_features(network, hands, *view)[1:]
    texts = said(widgets.draw_turns({"a": network, "b": centroids()}, hands, angles, 1))
    for image, points, angle in zip(texts[::3], texts[1::3], angles, strict=True):
        moved = extract_features(network, hands, *view, angle=angle)[1:]
        found = turned_by(still, moved)
        back = apply_to_projection(torch.tensor(moved), -torch.tensor(found).float(), torch.zeros(1, 2))
        about_mean = [z.reshape(64, 2) - z.reshape(64, 2).mean(0) for z in (still, back.numpy())]
        lengths = np.prod([np.linalg.norm(z) for z in about_mean])
        assert image == [angle]
        assert points == [round(found[0]), round(float(np.vdot(*about_mean) / lengths), 2)]


def test_an_equivariant_networks_points_turn_with_the_image_in_the_same_sense(hands):
    for angle in (-120.0, 35.0, 90.0):
        _, (turn, match) = said(widgets.draw_turns({"moments": centroids()}, hands, angle))
        assert abs(turn - angle) <= 2 and match > 0.98


EXPLORERS = {
    "rotating hand": (lambda s, _: widgets.rotating_hand(s.keypoints_3d), plot_hand_3d, "azimuth", 20),
    "pose": (lambda *_: widgets.pose_explorer(), widgets.draw_posed_hand, "blend", 0.5),
    "augmentation": (lambda s, _: widgets.augmentation_explorer(s), widgets.view_parameters, "angle", 45),
    "turn": (
        lambda _, hands: widgets.turn_explorer({"a": random_network(), "b": centroids()}, hands),
        widgets.draw_turns,
        "hand",
        1,
    ),
}


@pytest.fixture(params=EXPLORERS)
def case(request, sample, hands):
    make, *rest = EXPLORERS[request.param]
    return make(sample, hands), *rest


def test_controls_start_at_the_functions_defaults_and_moving_one_redraws_the_image(case):
    explorer, function, name, value = case
    defaults = inspect.signature(function).parameters
    assert all(control.value == defaults[key].default for key, control in explorer.controls.items())
    before = explorer.image.value
    explorer.controls[name].value = value
    assert explorer.image.value != before
    assert pixels(explorer.image.value).shape == pixels(before).shape


def test_no_slider_redraws_while_it_is_dragged(case):
    explorer, *_ = case
    assert not any(getattr(control, "continuous_update", False) for control in explorer.controls.values())


def test_image_at_its_size_and_controls_fit_on_a_screen_together(case):
    explorer, *_ = case
    (height, width), count = pixels(explorer.image.value).shape[:2], len(explorer.controls)
    taken, line = CONTROL + 8, 32  # of a control with its margins
    beside = (WIDEST - width) // taken
    lines = -(-count // (beside or WIDEST // taken)) * line
    assert width <= WIDEST and (max(height, lines) if beside else height + lines) <= 560
    # Otherwise the browser would stretch it to the height or width of its box.
    assert (explorer.image.layout.flex, explorer.image.layout.align_self) == ("0 0 auto", "flex-start")


def test_an_image_is_opaque_and_the_same_under_a_readers_dark_style(case):
    explorer, _, name, value = case
    explorer.controls[name].value = value
    image = pixels(explorer.image.value)
    assert image.shape[2] == 3 or (image[..., 3] == 255).all()
    assert image[0, 0].min() > 200
    with style.context("dark_background"):
        explorer._update()
    np.testing.assert_array_equal(pixels(explorer.image.value), image)


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
