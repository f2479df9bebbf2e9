"""Figures say what they show, in which unit, in the skeleton's colours, and leave everything else alone."""

import copy
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex, to_rgba
from matplotlib.figure import Figure

from peclr_utils import plotting
from peclr_utils.datasets.sample import HandSample
from peclr_utils.evaluation.report import NAMES
from peclr_utils.plotting import style
from peclr_utils.plotting.comparison import plot_hands_in_rows
from peclr_utils.skeleton import BONES, FINGER_COLOURS, FINGERS

RNG = np.random.default_rng(0)
THRESHOLDS = np.linspace(0, 0.05, 100)
CURVE = np.linspace(0, 1, 100)


def hand_3d() -> np.ndarray:
    """A flat open hand, 60 cm away."""
    points = np.zeros((21, 3))
    for finger, joints in enumerate(FINGERS.values()):
        direction = np.array([np.sin(0.4 * (finger - 2)), -np.cos(0.4 * (finger - 2)), 0.1 * finger])
        for step, k in enumerate(joints):
            points[k] = direction * (0.08 + 0.03 * step)
    return points + [0.02, 0.05, 0.6]


def hand_2d(side: int = 64) -> np.ndarray:
    points = hand_3d()
    return points[:, :2] / points[:, 2:] * side * 1.5 + side / 2


def pictures(count: int, side: int = 64) -> np.ndarray:
    return RNG.integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def samples(count: int) -> list[HandSample]:
    return [
        HandSample(picture, k, "made up", keypoints_2d=hand_2d().astype(np.float32) if k % 2 else None)
        for k, picture in enumerate(pictures(count))
    ]


HISTORIES = {
    "scratch": [{"step": k, "loss": 5 / (k + 1)} for k in range(20)],
    "PeCLR": [{"step": k, "loss": 4 / (k + 1), "error": 0.1 * k} for k in range(20)],
}
FRACTIONS = {"scratch": {128: [20.0, 21.0], 512: [18.0]}, "PeCLR": {128: [18.0, 19.0], 512: [17.0]}}
MESH = (np.concatenate([hand_3d(), hand_3d() + 0.01]), RNG.integers(0, 42, (50, 3)))

FIGURES = {
    "samples": lambda: plotting.show_samples(samples(5), 3, captions=list("abcde"), title="some"),
    "pairs": lambda: plotting.plot_view_pairs(pictures(4), pictures(4), captions=list("abcd")),
    "neighbours": lambda: plotting.plot_neighbours(
        pictures(2), pictures(6).reshape(2, 3, 64, 64, 3), np.ones((2, 3))
    ),
    "predictions": lambda: plotting.plot_predictions(
        pictures(5), np.stack([hand_2d() + k for k in range(5)]), np.stack([hand_2d()] * 5), count=3
    ),
    "hand 3d": lambda: plotting.plot_hand_3d(hand_3d(), mesh=MESH, true=hand_3d() + 0.01),
    "hand views": lambda: plotting.plot_hand_views(hand_3d(), mesh=MESH, true=hand_3d() + 0.01, title="hand"),
    "pck": lambda: plotting.plot_pck({"PeCLR": (THRESHOLDS, CURVE), "scratch": (THRESHOLDS, CURVE**2)}),
    "per joint": lambda: plotting.plot_per_joint_error(np.arange(21.0)),
    "per joint, methods": lambda: plotting.plot_per_joint_error(
        {"a": np.arange(21.0), "b": np.ones(21)}, title="two"
    ),
    "learning curves": lambda: plotting.plot_learning_curves(
        HISTORIES, {"loss": "loss (nats)", "error": "error (px)"}, smooth=3, log_y=True
    ),
    "label fractions": lambda: plotting.plot_label_fractions(FRACTIONS, title="labels"),
    "projection": lambda: plotting.plot_projection_points(
        RNG.normal(size=(2, 128)), names=["before", "after"]
    ),
}
MEASURED = ("hand 3d", "hand views", "pck", "per joint", "learning curves", "label fractions", "projection")


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_draws_without_a_window_or_pyplot_and_fits_the_page(name, tmp_path):
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    figure = FIGURES[name]()
    assert isinstance(figure, Figure) and figure.get_figwidth() <= 10
    figure.savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 2000
    assert pyplot.get_fignums() == before


@pytest.mark.parametrize("name", FIGURES)
def test_no_figure_changes_matplotlibs_settings(name):
    before = copy.deepcopy(dict(matplotlib.rcParams))
    FIGURES[name]().draw_without_rendering()
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("name", MEASURED)
def test_measured_axes_are_labelled_with_units(name):
    for ax in FIGURES[name]().axes:
        labels = [ax.get_xlabel(), ax.get_ylabel()] + ([ax.get_zlabel()] if hasattr(ax, "get_zlabel") else [])
        assert all(labels)
        dimensionless = ("keypoint", "labelled pictures", "step")
        assert all("(" in label or label.startswith(dimensionless) for label in labels)


@pytest.mark.parametrize("name", FIGURES)
def test_no_text_is_smaller_than_8_points_or_leaves_the_figure(name):
    figure = FIGURES[name]()
    figure.draw_without_rendering()
    sizes = [t.get_fontsize() for t in figure.findobj(matplotlib.text.Text) if t.get_text().strip()]
    assert min(sizes, default=10) >= 8
    drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert drawn.x0 > -0.05 and drawn.y0 > -0.05 and drawn.x1 < width + 0.05 and drawn.y1 < height + 0.05


def test_a_notebook_shows_a_figure_once_as_png():
    from IPython.core.formatters import DisplayFormatter

    data, _ = DisplayFormatter().format(FIGURES["pck"]())
    assert data["image/png"].startswith(b"\x89PNG") or isinstance(data["image/png"], str)


def test_importing_the_package_does_not_import_matplotlib():
    code = "import sys, peclr_utils; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_bones_are_drawn_between_the_skeletons_keypoints_in_their_fingers_colours():
    ax = plotting.new_figure().add_subplot()
    points = hand_2d()
    plotting.draw_skeleton(ax, torch.tensor(points))
    bones = next(artist for artist in ax.collections if isinstance(artist, LineCollection))
    drawn = {
        tuple(map(tuple, np.round(s, 9))): to_hex(c)
        for s, c in zip(bones.get_segments(), bones.get_colors(), strict=True)
    }
    assert len(drawn) == 20
    for parent, child in BONES:
        finger = next(name for name, joints in FINGERS.items() if child in joints)
        ends = tuple(map(tuple, np.round(points[[parent, child]], 9)))
        assert drawn[ends] == FINGER_COLOURS[finger].lower()


def test_truth_and_prediction_can_be_told_apart_and_neither_hides_the_other():
    figures = [
        plotting.plot_predictions(pictures(3), [hand_2d()] * 3, [hand_2d()] * 3, np.arange(3.0), count=1),
        plot_hands_in_rows(pictures(1), {"a": [hand_2d()]}, true=[hand_2d()]),
    ]
    for figure in figures:
        truth, found = (a for a in figure.axes[0].collections if isinstance(a, LineCollection))
        assert to_rgba("white") == tuple(truth.get_colors()[0]) != tuple(found.get_colors()[0])
        assert truth.get_linewidth()[0] < found.get_linewidth()[0] and truth.get_zorder() < found.get_zorder()


def test_a_skeleton_over_a_picture_keeps_the_pictures_limits():
    figure = plotting.show_samples([HandSample(pictures(1)[0], 0, "made up", keypoints_2d=hand_2d() * 5)])
    figure.draw_without_rendering()
    assert figure.axes[0].get_xlim() == (-0.5, 63.5) and figure.axes[0].get_ylim() == (63.5, -0.5)


def test_3d_view_is_as_large_in_every_direction_and_turns_y_up_on_screen():
    ax = plotting.plot_hand_3d(hand_3d()).axes[0]
    sizes = [abs(high - low) for low, high in (ax.get_xlim(), ax.get_ylim(), ax.get_zlim())]
    assert np.ptp(sizes) < 1e-9
    assert list(ax.get_box_aspect()) == pytest.approx([ax.get_box_aspect()[0]] * 3)
    lines = next(c for c in ax.collections if "Line3D" in type(c).__name__)
    segments = np.array(lines._segments3d)
    points = (hand_3d() - hand_3d()[0]) * 100
    bone = BONES.index((9, 10))
    np.testing.assert_allclose(segments[bone, 1], [points[10, 0], points[10, 2], -points[10, 1]])
    assert ax.zaxis.get_major_formatter()(4.0) == "\N{MINUS SIGN}4"


def test_three_views_share_one_scale_and_show_y_downwards():
    front, side, top = plotting.plot_hand_views(hand_3d()).axes
    assert {round(float(np.ptp(ax.get_xlim())), 9) for ax in (front, side, top)} == {
        round(float(abs(np.ptp(ax.get_ylim()))), 9) for ax in (front, side, top)
    }
    assert front.yaxis_inverted() and side.yaxis_inverted() and not top.yaxis_inverted()
    tip = (hand_3d()[8] - hand_3d()[0]) * 100
    for ax, expected in ((front, tip[[0, 1]]), (side, tip[[2, 1]]), (top, tip[[0, 2]])):
        ends = np.array([line.get_xydata()[-1] for line in ax.lines])
        assert np.abs(ends - expected).max(1).min() < 1e-9


def test_bars_have_their_fingers_colours():
    ax = plotting.plot_per_joint_error(np.ones(21)).axes[0]
    colours = [to_hex(bar.get_facecolor()) for bar in ax.patches[:21]]
    for finger, joints in FINGERS.items():
        assert {colours[k] for k in joints} == {FINGER_COLOURS[finger].lower()}


def test_curves_differ_in_dash_as_well_as_in_colour():
    lines = plotting.plot_pck({str(k): (THRESHOLDS, CURVE) for k in range(6)}).axes[0].lines
    assert (
        len({line.get_color() for line in lines})
        == len({str(line._unscaled_dash_pattern) for line in lines})
        == 6
    )


def test_pck_is_in_millimetres_and_per_cent_with_the_area_in_the_legend():
    ax = plotting.plot_pck({"PeCLR": (THRESHOLDS, CURVE)}).axes[0]
    np.testing.assert_allclose(ax.lines[0].get_xydata()[-1], [50, 100])
    assert ax.get_legend().get_texts()[0].get_text() == "PeCLR (AUC 0.500)"


def test_one_seed_has_no_spread_to_speak_of():
    ax = plotting.plot_label_fractions({"PeCLR": {64: [19.0], 256: [18.0]}}).axes[0]
    assert ax.get_legend().get_title().get_text() == ""
    assert [line for line in ax.lines if line.get_marker() == "." and len(line.get_xdata())] == []


def test_a_small_difference_between_methods_looks_small():
    ax = plotting.plot_label_fractions({"PeCLR": {64: [20.0]}, "from scratch": {64: [20.1]}}).axes[0]
    low, high = ax.get_ylim()
    assert low < 20.0 and 20.1 < high and 0.1 < 0.05 * (high - low)


def test_label_fractions_show_the_mean_and_every_seed():
    ax = plotting.plot_label_fractions(FRACTIONS).axes[0]
    heights = [set(np.round(line.get_ydata(), 6)) for line in ax.lines]
    assert {20.5, 18.0} in heights and {20.0, 21.0} in heights
    assert [text.get_text() for text in ax.get_xticklabels()] == ["128", "512"]


def test_a_method_looks_the_same_in_every_figure():
    mine, other = NAMES["peclr"], NAMES["scratch"]
    alone = plotting.plot_pck({mine: (THRESHOLDS, CURVE)}).axes[0].lines[0]
    second = plotting.plot_pck({other: (THRESHOLDS, CURVE), mine: (THRESHOLDS, CURVE)}).axes[0].lines[1]
    learning = plotting.plot_learning_curves({"b": HISTORIES["scratch"], mine: HISTORIES["PeCLR"]})
    joints = plotting.plot_per_joint_error({other: np.ones(21), mine: np.ones(21)}).axes[0].lines[1]
    bars = plotting.plot_label_fractions({other: {64: [1.0]}, mine: {64: [1.0]}}).axes[0].containers[1]
    found = [alone, second, learning.axes[0].lines[1], joints, bars.lines[0]]
    assert len({line.get_color() for line in found}) == 1


@given(st.lists(st.sampled_from([*NAMES.values(), "a", "b", "c", "d", "e"]), unique=True, max_size=7))
def test_up_to_seven_methods_can_be_told_apart(names):
    looks = style.method_styles(names)
    assert list(looks) == names
    assert len({look["color"] for look in looks.values()}) == len(names)
    assert len({look["marker"] for look in looks.values()}) == len(names)


def test_learning_curves_pass_over_lines_without_the_quantity_and_smooth_around_each_step():
    figure = plotting.plot_learning_curves(
        {
            "a": [
                {"step": 0, "loss": 1.0},
                {"step": 1, "other": 3},
                {"step": 2, "loss": 4.0},
                {"step": 9, "loss": 6.0},
            ]
        },
        smooth=4,
    )
    raw, smooth = (line.get_xydata() for line in figure.axes[0].lines)
    np.testing.assert_allclose(raw, [[0, 1], [2, 4], [9, 6]])
    np.testing.assert_allclose(smooth, [[0, 2.5], [2, 2.5], [9, 6]])


def test_projections_are_pairs_of_x_and_y_with_y_downwards():
    ax = plotting.plot_projection_points(torch.tensor([1.0, 2.0, 3.0, 5.0])).axes[0]
    np.testing.assert_allclose(ax.collections[0].get_offsets(), [[1, 2], [3, 5]])
    assert ax.yaxis_inverted() and not ax.patches
    moved = plotting.plot_projection_points(np.array([[0.0, 0, 1, 0], [0.0, 1, 1, 1]])).axes[0]
    assert len(moved.patches) == 2


def test_best_predictions_are_above_the_worst():
    predicted = np.stack([hand_2d() + shift for shift in (5.0, 0.0, 9.0)])
    figure = plotting.plot_predictions(pictures(3), predicted, np.stack([hand_2d()] * 3), count=1)
    assert [ax.get_xlabel() for ax in figure.axes] == ["0.0 px", f"{9 * np.sqrt(2):.1f} px"]
    given = plotting.plot_predictions(
        pictures(3), predicted, np.stack([hand_2d()] * 3), np.array([1.0, 2.0, 3.0]), count=1
    )
    assert [ax.get_xlabel() for ax in given.axes] == ["1.0 mm", "3.0 mm"]


def test_pictures_of_either_convention_look_the_same():
    array = pictures(3)
    tensor = torch.from_numpy(array).permute(0, 3, 1, 2)
    fractions = tensor.float() / 255
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normalised = (fractions - mean[:, None, None]) / std[:, None, None]
    for images in (tensor, fractions, normalised, list(array), list(fractions), array / 255):
        np.testing.assert_array_equal(style.as_images(images), array)


BAD = {
    "samples: none": (lambda: plotting.show_samples([]), "no pictures"),
    "samples: captions": (lambda: plotting.show_samples(samples(2), captions=["a"]), "captions: expected 2"),
    "skeleton: shape": (
        lambda: plotting.draw_skeleton(None, np.zeros((20, 2))),
        r"\(21, 2\), found \(20, 2\)",
    ),
    "skeleton: style": (lambda: plotting.draw_skeleton(None, hand_2d(), "neon"), "found 'neon'"),
    "image: shape": (
        lambda: plotting.draw_skeleton_on_image(np.zeros((4, 4), np.uint8), hand_2d()),
        r"\(H, W, 3\)",
    ),
    "hand: shape": (lambda: plotting.plot_hand_3d(hand_2d()), r"\(21, 3\), found \(21, 2\)"),
    "pairs: lengths": (lambda: plotting.plot_view_pairs(pictures(2), pictures(3)), "found 2 and 3"),
    "neighbours": (
        lambda: plotting.plot_neighbours(pictures(2), np.zeros((2, 3, 4, 4, 3), np.uint8), np.ones((2, 4))),
        r"\(2, 3\) and \(2, 4\)",
    ),
    "predictions": (
        lambda: plotting.plot_predictions(
            pictures(2), np.zeros((2, 21, 2)), np.zeros((3, 21, 2)), np.ones(2)
        ),
        r"one length, found \[2, 2, 3, 2\]",
    ),
    "pck: none": (lambda: plotting.plot_pck({}), "no curves"),
    "pck: lengths": (lambda: plotting.plot_pck({"a": (THRESHOLDS, CURVE[:9])}), "a: 100 thresholds but 9"),
    "per joint": (
        lambda: plotting.plot_per_joint_error({"a": np.ones(20)}),
        r"errors a: expected shape \(21,\)",
    ),
    "curves: key": (
        lambda: plotting.plot_learning_curves(HISTORIES, {"typo": "x"}),
        "both 'step' and 'typo'",
    ),
    "curves: smooth": (lambda: plotting.plot_learning_curves(HISTORIES, smooth=-1), "smooth: expected 0"),
    "labels: none": (lambda: plotting.plot_label_fractions({}), "no results"),
    "projection: odd": (lambda: plotting.plot_projection_points(np.ones(5)), r"D even, found \(5,\)"),
    "projection: names": (
        lambda: plotting.plot_projection_points(np.ones(4), names=["a", "b"]),
        "expected 1",
    ),
    "images: layout": (lambda: style.as_images(torch.zeros(2, 8, 8, 3)), r"tensor \(N, 3, H, W\)"),
    "images: range": (lambda: style.as_images(np.full((1, 4, 4, 3), 200.0)), r"must lie in \[0, 1\]"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_with_the_reason(name):
    call, words = BAD[name]
    with pytest.raises(ValueError, match=words):
        call()
