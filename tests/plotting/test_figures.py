"""Figures say what they show, in which unit, in the skeleton's colours, and change nothing else."""

import copy

import matplotlib
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex, to_rgba

from peclr_utils import plotting
from peclr_utils.datasets.sample import HandSample
from peclr_utils.evaluation.report import NAMES
from peclr_utils.plotting import method, style
from peclr_utils.plotting.comparison import plot_hands_in_rows, plot_toy_projections
from peclr_utils.plotting.curves import heat_map, plot_responses
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


def images(count: int, side: int = 64) -> np.ndarray:
    return RNG.integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def samples(count: int) -> list[HandSample]:
    return [
        HandSample(image, k, "made up", keypoints_2d=hand_2d().astype(np.float32) if k % 2 else None)
        for k, image in enumerate(images(count))
    ]


HISTORIES = {
    "scratch": [{"step": k, "loss": 5 / (k + 1)} for k in range(20)],
    "PeCLR": [{"step": k, "loss": 4 / (k + 1), "error": 0.1 * k} for k in range(20)],
}
FRACTIONS = {"scratch": {128: [20.0, 21.0], 512: [18.0]}, "PeCLR": {128: [18.0, 19.0], 512: [17.0]}}
NEAR = images(6).reshape(2, 3, 64, 64, 3)
RESPONSES = {(cause, effect): RNG.normal(size=(3, 4)) for cause in ("a turns", "b turns") for effect in "cd"}
MESH = (np.concatenate([hand_3d(), hand_3d() + 0.01]), RNG.integers(0, 42, (50, 3)))

FIGURES = {
    "samples": lambda: plotting.show_samples(
        samples(5), 3, captions=list("abcde"), row_names=["theirs", "ours"]
    ),
    "pairs": lambda: plotting.plot_view_pairs(images(4), images(4), captions=list("abcd")),
    "neighbours": lambda: plotting.plot_neighbours(images(2), NEAR, np.ones((2, 3))),
    "predictions": lambda: plotting.plot_predictions(
        images(5), np.stack([hand_2d() + k for k in range(5)]), np.stack([hand_2d()] * 5), np.arange(5)
    ),
    "rows": lambda: plot_hands_in_rows(
        images(3), {"one": [hand_2d()] * 3, "two": [hand_2d() + 100] * 3}, captions={"two": list("abc")}
    ),
    "keypoint names": lambda: plotting.plot_keypoint_names(images(1)[0], hand_2d()),
    "root depth": lambda: plotting.plot_root_depth_errors(
        np.arange(90.0), np.geomspace(1, 0.01, 90), np.arange(90) < 5
    ),
    "hands on rays": lambda: plotting.plot_hands_on_rays(images(1)[0], hand_2d(), hand_3d()),
    "bone lengths": lambda: plotting.plot_bone_lengths(
        {"a": (0.1, 0, -0.9, 3, 3), "b": (0.1, 0, -0.9, 3, 3)}
    ),
    "hand 3d": lambda: plotting.plot_hand_3d(hand_3d(), mesh=MESH),
    "hand views": lambda: plotting.plot_hand_views(hand_3d(), mesh=MESH, true=hand_3d() + 0.01, title="hand"),
    "pck": lambda: plotting.plot_pck({"PeCLR": (THRESHOLDS, CURVE), "scratch": (THRESHOLDS, CURVE**2)}),
    "per joint": lambda: plotting.plot_per_joint_error({"a": np.arange(21.0), "b": np.ones(21)}),
    "intervals": lambda: plotting.plot_intervals({"PeCLR": (2.0, 0.5), "a": (3.0, 0.1)}, label="error (mm)"),
    "turns": lambda: plotting.plot_turns(
        {name: RNG.normal(size=(3, 9)) for name in ("PeCLR", "other")}, [-30.0, 0, 30]
    ),
    "responses": lambda: plot_responses(RESPONSES, [-30.0, 0, 30]),
    "toy projections": lambda: plot_toy_projections(
        {"a view": samples(2)[1], "moved": samples(2)[1]}, RNG.normal(0, 0.1, size=(2, 128))
    ),
    "learning curves": lambda: plotting.plot_learning_curves(
        HISTORIES, {"loss": "loss (nats)", "error": "error (px)"}, smooth=3
    ),
    "label fractions": lambda: plotting.plot_label_fractions(FRACTIONS, title="labels"),
}
MEASURED = (
    *("root depth", "bone lengths", "hand 3d", "hand views", "pck", "per joint"),
    *("learning curves", "label fractions", "responses"),
)


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_fits_the_page_without_pyplot_a_window_or_other_settings(name):
    from matplotlib import pyplot

    before = pyplot.get_fignums(), copy.deepcopy(dict(matplotlib.rcParams))
    figure = FIGURES[name]()
    assert len(figure._repr_png_()) > 2000 and figure.get_figwidth() <= 10
    assert (pyplot.get_fignums(), dict(matplotlib.rcParams)) == before
    sizes = [t.get_fontsize() for t in figure.findobj(matplotlib.text.Text) if t.get_text().strip()]
    assert min(sizes, default=10) >= 8
    drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert drawn.x0 > -0.05 and drawn.y0 > -0.05 and drawn.x1 < width + 0.05 and drawn.y1 < height + 0.05


@pytest.mark.parametrize("name", MEASURED)
def test_measured_axes_are_labelled_with_units(name):
    for ax in FIGURES[name]().axes:
        labels = [ax.get_xlabel(), ax.get_ylabel()] + ([ax.get_zlabel()] if hasattr(ax, "get_zlabel") else [])
        dimensionless = ("keypoint", "labelled hands", "step")
        assert all("(" in label or label.startswith(dimensionless) for label in labels)


def test_bones_are_drawn_between_the_skeletons_keypoints_in_their_fingers_colours():
    ax = plotting.new_figure().add_subplot()
    points = hand_2d()
    plotting.draw_skeleton(ax, torch.tensor(points))
    bones = next(artist for artist in ax.collections if isinstance(artist, LineCollection))
    drawn = zip(BONES, bones.get_segments(), bones.get_colors(), strict=True)
    for (parent, child), segment, colour in drawn:
        finger = next(name for name, joints in FINGERS.items() if child in joints)
        np.testing.assert_allclose(segment, points[[parent, child]])
        assert to_hex(colour) == FINGER_COLOURS[finger].lower()


def test_the_line_of_root_depths_is_the_median_of_the_points_around_it_right_and_wrong_ones():
    angles, wrong = RNG.uniform(0, 90, 500), RNG.random(500) < 0.3
    errors = RNG.lognormal(size=500)
    line = plotting.plot_root_depth_errors(angles, errors, wrong).axes[0].lines[-1]
    for angle, median in line.get_xydata():
        near = np.abs(angles - angle) <= 2.5
        assert median == pytest.approx(100 * np.median(errors[near]))


def test_the_curve_of_a_bones_length_meets_one_at_the_root():
    # The bone's length squared is Z² / 9.
    curve = plotting.plot_bone_lengths({"a": (1 / 9, 0, -1, 3, 3)}).axes[0].lines[0].get_xydata()
    np.testing.assert_allclose(curve[:, 1], curve[:, 0] / 3, atol=1e-9)


def test_truth_and_prediction_can_be_told_apart_and_neither_hides_the_other():
    one = [hand_2d()]
    for figure in (
        plotting.plot_predictions(images(1), one, one, np.zeros(1), count=1),
        plot_hands_in_rows(images(1), {"a": one}, true=one),
    ):
        truth, found = (a for a in figure.axes[0].collections if isinstance(a, LineCollection))
        np.testing.assert_array_equal(truth.get_colors(), found.get_colors())
        assert 2 * truth.get_linewidth()[0] < found.get_linewidth()[0]
        assert truth.get_zorder() < found.get_zorder()
        edge, *_ = truth.get_path_effects()
        assert to_rgba(edge._gc["foreground"]) == to_rgba("white")


def test_the_3d_view_has_one_scale_and_shows_y_downwards():
    ax = plotting.plot_hand_3d(hand_3d()).axes[0]
    sizes = [abs(high - low) for low, high in (ax.get_xlim(), ax.get_ylim(), ax.get_zlim())]
    assert np.ptp(sizes) < 1e-9 and np.ptp(ax.get_box_aspect()) < 1e-9
    assert ax.zaxis.get_major_formatter()(4.0) == "\N{MINUS SIGN}4"


def test_three_views_share_one_scale_and_show_y_downwards():
    front, side, top = axes = plotting.plot_hand_views(hand_3d()).axes
    sizes = [abs(np.ptp(limits)) for ax in axes for limits in (ax.get_xlim(), ax.get_ylim())]
    assert np.ptp(sizes) < 1e-9
    assert front.yaxis_inverted() and side.yaxis_inverted() and not top.yaxis_inverted()
    tip = (hand_3d()[8] - hand_3d()[0]) * 100
    for ax, expected in ((front, tip[[0, 1]]), (side, tip[[2, 1]]), (top, tip[[0, 2]])):
        ends = np.array([line.get_xydata()[-1] for line in ax.lines])
        assert np.abs(ends - expected).max(1).min() < 1e-9


def test_differences_by_keypoint_may_be_negative_and_have_bars_of_the_given_intervals():
    difference, half = np.linspace(-3, -1, 21), np.full(21, 0.5)
    ax = plotting.plot_per_joint_error({"a": difference}, {"a": half}, "difference (mm)").axes[0]
    points, (bars,) = ax.containers[0][0], ax.containers[0][2]
    np.testing.assert_allclose(points.get_ydata(), difference)
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    np.testing.assert_allclose(ends, np.stack([difference - half, difference + half], axis=1))
    assert ax.get_ylim()[0] < -3.5 and ax.get_ylim()[1] > 0


def test_pck_is_in_millimetres_and_per_cent_with_the_area_in_the_legend():
    ax = plotting.plot_pck({"PeCLR": (THRESHOLDS, CURVE)}).axes[0]
    np.testing.assert_allclose(ax.lines[0].get_xydata()[-1], [50, 100])
    assert ax.get_legend().get_texts()[0].get_text() == "PeCLR (AUC 0.500)"


def test_one_seed_has_no_spread_and_a_small_difference_looks_small():
    ax = plotting.plot_label_fractions({"PeCLR": {64: [20.0]}, "from scratch": {64: [20.1]}}).axes[0]
    assert ax.get_legend().get_title().get_text() == ""
    assert [line for line in ax.lines if line.get_marker() == "." and len(line.get_xdata())] == []
    low, high = ax.get_ylim()
    assert low < 20.0 and 20.1 < high and 0.1 < 0.05 * (high - low)


def test_label_fractions_show_the_mean_and_every_seed():
    ax = plotting.plot_label_fractions(FRACTIONS).axes[0]
    heights = [set(np.round(line.get_ydata(), 6)) for line in ax.lines]
    assert {20.5, 18.0} in heights and {20.0, 21.0} in heights
    assert [text.get_text() for text in ax.get_xticklabels()] == ["128", "512"]


@given(st.lists(st.sampled_from([*NAMES.values(), "a", "b", "c", "d", "e"]), unique=True, max_size=7))
def test_up_to_seven_methods_look_different_and_the_courses_the_same_in_every_figure(names):
    looks = style.method_styles(names)
    assert list(looks) == names
    for key in ("color", "marker"):
        assert len({look[key] for look in looks.values()}) == len(names)
    for name in set(names) & set(NAMES.values()):
        assert looks[name] == style.method_styles([name])[name]


def test_learning_curves_skip_lines_without_the_quantity_and_smooth_around_each_step():
    losses = [{"step": step, "loss": loss} for step, loss in ((0, 1.0), (2, 4.0), (9, 6.0))]
    figure = plotting.plot_learning_curves({"a": [losses[0], {"step": 1, "other": 3}, *losses[1:]]}, smooth=4)
    raw, smooth = (line.get_xydata() for line in figure.axes[0].lines)
    np.testing.assert_allclose(raw, [[0, 1], [2, 4], [9, 6]])
    np.testing.assert_allclose(smooth, [[0, 2.5], [2, 2.5], [9, 6]])


def test_best_predictions_are_above_the_worst():
    truth = np.stack([hand_2d()] * 3)
    predicted = truth + np.array([5.0, 0.0, 9.0])[:, None, None]
    figure = plotting.plot_predictions(images(3), predicted, truth, np.array([2.0, 1.0, 3.0]), count=1)
    assert [ax.get_xlabel() for ax in figure.axes] == ["1.0 mm", "3.0 mm"]


def test_images_of_either_convention_look_the_same():
    array = images(3)
    tensor = torch.from_numpy(array).permute(0, 3, 1, 2)
    fractions = tensor.float() / 255
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normalised = (fractions - mean[:, None, None]) / std[:, None, None]
    for same in (tensor, fractions, normalised, list(array), list(fractions), array / 255):
        np.testing.assert_array_equal(style.as_images(same), array)
    with pytest.raises(ValueError, match=r"float images in \[0, 1\]"):
        style.as_images(np.full((1, 4, 4, 3), 200.0))


def test_turns_are_the_median_over_images_in_a_band_between_the_quartiles():
    turned = np.array([[-40.0, -30, -20, -10, 0], [0, 0, 0, 0, 0], [10, 20, 30, 40, 50]])
    figure = plotting.plot_turns({"PeCLR": turned}, [-30.0, 0, 30])
    ax = figure.axes[0]
    diagonal, median = ax.lines
    np.testing.assert_array_equal(diagonal.get_xdata(), diagonal.get_ydata())
    np.testing.assert_array_equal(median.get_ydata(), [-20, 0, 30])
    band = ax.collections[0].get_paths()[0].vertices
    assert {-30.0, -10.0, 20.0, 40.0} <= set(band[:, 1])


def test_the_method_is_drawn_with_points_of_a_network_that_nearly_agree_once_they_are_undone():
    _, _, points, undone = method._example()

    def angle(first, second):
        (a, b) = (p[:, 0] + 1j * p[:, 1] - (p[:, 0] + 1j * p[:, 1]).mean() for p in (first, second))
        return abs(np.degrees(np.angle((a.conj() * b).sum())))

    assert angle(*points) > 90 and angle(*undone) < 15
    figure = plotting.plot_method()
    texts = [text.get_text() for ax in figure.axes for text in (*ax.texts, ax.title)]
    assert {"encoder", "projector", "64 points", "turned back", "undo\n−50°"} <= set(texts)


def test_a_heat_map_shows_each_number_and_frames_one_entry_of_each_row():
    ax = plotting.new_figure(3, 3).subplots()
    heat_map(ax, np.array([[0.1, -0.001], [1.0, 0.25]]), "title", ("A", "B"), (1, 0))
    assert [text.get_text() for text in ax.texts] == ["0.10", "0.00", "1.00", "0.25"]
    assert [(round(p.get_x() + 0.47), round(p.get_y() + 0.47)) for p in ax.patches] == [(1, 0), (0, 1)]


def test_responses_have_a_row_for_each_cause_on_the_axes_of_turns():
    angles = [-30.0, 0, 30]
    axes = plot_responses(RESPONSES, angles).axes
    labels = [(f"{cause} by (degrees)", f"{effect} by (degrees)") for cause, effect in RESPONSES]
    assert [(ax.get_xlabel(), ax.get_ylabel()) for ax in axes] == labels
    turns = plotting.plot_turns({"PeCLR": np.zeros((3, 2))}, angles).axes[0]
    for ax in axes:
        assert ax.get_xlim() == turns.get_xlim() and ax.get_ylim() == turns.get_ylim()
        assert list(ax.get_xticks()) == list(turns.get_xticks())
        np.testing.assert_array_equal(ax.lines[0].get_ydata(), angles)


def test_a_toy_projection_draws_each_finger_from_the_wrist_in_its_colour():
    from peclr_utils.widgets import toy_projection

    hand = samples(2)[1]
    z = toy_projection(hand.keypoints_2d)
    below = plot_toy_projections({"a view": hand}, z).axes[1]
    assert below.yaxis_inverted()
    fingers = list(zip(below.lines[-6:-1], FINGERS.items(), strict=True))
    lengths = [np.linalg.norm(line.get_xydata()[-1] - line.get_xydata()[0]) for line, _ in fingers]
    scale = lengths[2] / np.linalg.norm(hand.keypoints_2d[12] - hand.keypoints_2d[0])
    for line, (finger, joints) in fingers:
        assert line.get_color() == FINGER_COLOURS[finger]
        drawn, true = line.get_xydata()[::3], hand.keypoints_2d[[0, *joints]]
        np.testing.assert_allclose(drawn - drawn[0], scale * (true - true[0]), atol=1e-6)


def test_plain_images_stand_for_samples_without_keypoints():
    figure = plotting.show_samples(list(images(2)), captions=["a", "b"])
    assert [ax.get_xlabel() for ax in figure.axes] == ["a", "b"]
    assert not any(isinstance(a, LineCollection) for ax in figure.axes for a in ax.collections)
