"""PCK, errors by keypoint and method, learning curves, error by number of labels, turns.

Chapters 02 to 05 draw them.

**Convention.** `ax` are axes to draw into, None makes a figure; `title` is that of the axes.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from peclr_utils.evaluation import auc, mean_and_spread
from peclr_utils.plotting.style import (
    PALETTE,
    SMALL,
    TEXT,
    WIDTH,
    as_array,
    figure_and_axes,
    label_axes,
    method_styles,
    new_figure,
)
from peclr_utils.skeleton import FINGER_COLOURS, FINGERS, KEYPOINT_NAMES, NUM_KEYPOINTS

_LEGEND = {"fontsize": SMALL, "frameon": False}


def plot_pck(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]], ax: Axes | None = None, *, title: str | None = None
) -> Figure:
    """Draw the share of keypoints within each distance; the legend gives the area under each curve.

    Args:
        curves: by method: thresholds (T,) in metres, and PCK (T,) between 0 and 1.
    """
    figure, ax = figure_and_axes(ax, 6.5, 4.0)
    styles = method_styles(curves)
    for name, (thresholds, share) in curves.items():
        style = styles[name] | {"marker": None, "linewidth": 2}
        label = f"{name} (AUC {auc(np.asarray(share), np.asarray(thresholds)):.3f})"
        ax.plot(np.multiply(thresholds, 1000), np.multiply(share, 100), label=label, **style)
    label_axes(ax, "distance (mm)", "keypoints within that distance (%)", title)
    ax.set(xlim=(0, max(np.max(t) for t, _ in curves.values()) * 1000), ylim=(0, 100))
    # Below the axes: inside them, four names would lie on the curves.
    ax.legend(**_LEGEND, handlelength=3, loc="upper left", bbox_to_anchor=(0, -0.14))
    return figure


def plot_per_joint_error(
    errors: Mapping[str, np.ndarray],
    intervals: Mapping[str, np.ndarray] | None = None,
    label: str = "PA-EPE (mm)",
) -> Figure:
    """Draw each keypoint's error, or the difference of two errors, finger by finger from base to tip.

    Args:
        errors: by method: (21,) mm.
        intervals: by method: (21,) mm, half the bars to draw; or None.
        label: of the vertical axis, with the unit.
    """
    for name, values in errors.items():
        if np.shape(values) != (NUM_KEYPOINTS,):
            raise ValueError(f"errors {name}: expected shape ({NUM_KEYPOINTS},), found {np.shape(values)}")
    figure = new_figure(WIDTH, 3.8)
    ax = figure.add_subplot()
    position = np.arange(NUM_KEYPOINTS, dtype=float)
    for finger, joints in enumerate(FINGERS.values()):
        position[list(joints)] += 0.7 * (finger + 1)  # a gap before each finger
    for k, (name, style) in enumerate(method_styles(errors).items()):
        beside = position + 0.22 * (k - (len(errors) - 1) / 2)  # so that bars don't hide each other
        look = {"markersize": 6, "capsize": 2, **style, "linestyle": "none"}
        ax.errorbar(beside, errors[name], intervals and intervals[name], label=name, **look)
    ax.axhline(0, color="#555555", linewidth=1)
    ax.legend(**_LEGEND, ncols=len(errors), loc="lower left", bbox_to_anchor=(0, 1))
    label_axes(ax, "keypoint, from base to tip", label, grid="y")
    ax.set_xticks(position, [name.split()[-1] for name in KEYPOINT_NAMES], rotation=55)
    ax.set_xlim(position[0] - 0.8, position[-1] + 0.8)
    low, high = ax.get_ylim()
    ax.set_ylim(low, high + 0.15 * (high - low))  # room for the fingers' names
    inside = {"xycoords": ("data", "axes fraction"), "ha": "center", "va": "top", "fontsize": SMALL}
    for finger, joints in FINGERS.items():
        first, last = position[joints[0]] - 0.6, position[joints[-1]] + 0.6
        ax.axvspan(first, last, color=(FINGER_COLOURS[finger], 0.10), zorder=0, linewidth=0)
        ax.annotate(finger, ((first + last) / 2, 0.985), **inside)
    return figure


def plot_learning_curves(
    histories: Mapping[str, Sequence[Mapping[str, float]]],
    panels: Mapping[str, str] | None = None,
    *,
    smooth: float = 0,
) -> Figure:
    """Draw quantities of several runs against the step, one panel per quantity.

    Args:
        histories: by run: the lines of its log, in order; lines without the quantity are skipped.
        panels: key of each quantity in the log, and the label of its axis with the unit; None takes the loss.
        smooth: width, in steps, of the window that the bold curve is averaged over, in front of the pale raw
            one. 0 draws the raw one alone.
    """
    panels = panels or {"loss": "training loss"}
    figure = new_figure(WIDTH if len(panels) > 1 else 6.5, 3.6)
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    styles = method_styles(histories)
    for ax, (key, label) in zip(axes, panels.items(), strict=True):
        for name, rows in histories.items():
            points = [(row["step"], row[key]) for row in rows if None not in (row.get("step"), row.get(key))]
            if not points:
                continue
            across, values = np.array(points).T
            style = styles[name] | {"marker": None}
            if smooth:
                ax.plot(across, values, color=style["color"], alpha=0.25, linewidth=1)
                values = _running_mean(across, values, smooth)
            ax.plot(across, values, label=name, linewidth=2, **style)
        if not ax.lines:
            raise ValueError(f"no run's log has both 'step' and {key!r}")
        label_axes(ax, "step", label)
    if len(histories) > 1:
        axes[0].legend(**_LEGEND, handlelength=3)
    return figure


def plot_label_fractions(
    results: Mapping[str, Mapping[int, Sequence[float]]],
    *,
    label: str = "PA-EPE (mm)",
    title: str | None = None,
) -> Figure:
    """Draw errors against the number of labels: mean and deviation over seeds, and each seed as a dot.

    Args:
        results: by method, by number of labels: one error per seed.
        label: of the errors' axis, with the unit.
    """
    counts = sorted({count for by_count in results.values() for count in by_count})
    several = any(len(seeds) > 1 for by_count in results.values() for seeds in by_count.values())
    figure = new_figure(6.5, 4.2)
    ax = figure.add_subplot()
    styles = method_styles(results)
    for k, (name, by_count) in enumerate(results.items()):
        labels = sorted(by_count)
        mean, spread = np.array([mean_and_spread(by_count[count]) for count in labels]).T
        # Methods stand side by side, so that their bars don't hide each other.
        places = np.array(labels) * 1.06 ** (k - (len(results) - 1) / 2)
        spread = np.nan_to_num(spread) if several else None
        look = {"capsize": 4, "linewidth": 2, "markersize": 7, **styles[name]}
        ax.errorbar(places, mean, spread, label=name, **look)
        for place, count in zip(places, labels, strict=True):
            seeds = by_count[count] if len(by_count[count]) > 1 else []
            ax.plot([place * 1.025] * len(seeds), seeds, ".", color=look["color"], markersize=5)
    ax.set_xscale("log", base=2)
    ax.set_xticks(counts, [f"{count:,}" for count in counts])
    ax.set_xticks([], minor=True)
    ax.set_xlim(counts[0] / 1.35, counts[-1] * 1.35)
    label_axes(ax, "labelled hands", label, title)
    # At least 15% of the error high, or differences that mean nothing would look large; the legend on top.
    low, high = ax.get_ylim()
    margin = max(0.0, 0.15 * high - (high - low)) / 2
    ax.set_ylim(low - margin, high + margin + 0.4 * (high - low + 2 * margin))
    legend = "mean ± standard deviation over seeds" if several else None
    ax.legend(**_LEGEND, loc="upper right", handlelength=3, title=legend, title_fontsize=SMALL)
    return figure


def plot_turns(
    turned: Mapping[str, np.ndarray],
    angles: Sequence[float] | np.ndarray,
    ax: Axes | None = None,
    *,
    title: str | None = None,
) -> Figure:
    """Draw by how much projections turn when their images turn: the median, and a band between the quartiles.

    Args:
        turned: by method: (A, N) degrees that the points of N images turn by; see `turning.turned_by`.
        angles: (A,) degrees that the images are turned by, ascending.
    """
    figure, ax = figure_and_axes(ax, 6.5, 4.6)
    _turn_axes(ax, angles, "the image turns", "its points turn", title)
    for name, style in method_styles(turned).items():
        low, middle, high = np.quantile(turned[name], [0.25, 0.5, 0.75], axis=1)
        ax.fill_between(angles, low, high, color=style["color"], alpha=0.2, linewidth=0)
        ax.plot(angles, middle, label=name, linewidth=2, markersize=6, **style)
    ax.legend(**_LEGEND, handlelength=3, loc="upper left")
    return figure


def plot_intervals(
    found: Mapping[str, tuple[float, float]], ax: Axes | None = None, *, label: str, title: str | None = None
) -> Figure:
    """Draw one number of each method with its interval, a row per method, the first at the top.

    Args:
        found: by method: the number, and half its interval.
        label: of the horizontal axis, with the unit.
    """
    figure, ax = figure_and_axes(ax, 6.5, 3.0)
    for k, (name, style) in enumerate(method_styles(found).items()):
        middle, half = found[name]
        ax.errorbar(middle, -k, xerr=half, capsize=4, markersize=8, **style | {"linestyle": "none"})
    ax.set(yticks=-np.arange(len(found)), yticklabels=list(found), ylim=(-len(found) + 0.4, 0.6))
    ax.set_xlim(0, None)
    label_axes(ax, label, "", title)
    return figure


def plot_responses(
    changes: Mapping[tuple[str, str], np.ndarray], angles: Sequence[float] | np.ndarray
) -> Figure:
    """Draw by how much measurements turn when something else turns, on the axes of `plot_turns`.

    Args:
        changes: by cause and effect, such as ("the image turns", "its edges turn"): (A, N) degrees for each
            of N images. Each cause has a row of panels, each effect a column.
        angles: (A,) degrees that the cause turns by, ascending.
    """
    causes = dict.fromkeys(cause for cause, _ in changes)
    figure = new_figure(WIDTH, 3.8 * len(causes))
    panels = figure.subplots(len(causes), len(changes) // len(causes), squeeze=False)
    for ax, ((cause, effect), values) in zip(panels.flat, changes.items(), strict=True):
        _turn_axes(ax, angles, cause, effect)
        ax.plot(angles, values, "o", color=PALETTE[0], markersize=6)
    return figure


def _turn_axes(
    ax: Axes, angles: Sequence[float] | np.ndarray, cause: str, effect: str, title: str | None = None
) -> None:
    """Label axes that go through a full turn both ways, and draw the line of slope one."""
    ax.plot(angles, angles, ":", color="#555555", linewidth=1.5)
    label_axes(ax, f"{cause} by (degrees)", f"{effect} by (degrees)", title)
    ax.set_xticks(np.arange(-180, 181, 60))
    ax.set(yticks=np.arange(-180, 181, 60), ylim=(-185, 185))


def _running_mean(x: np.ndarray, y: np.ndarray, width: float) -> np.ndarray:
    """Mean over a window in x, centred but cut at the ends."""
    first, last = np.searchsorted(x, x - width / 2, "left"), np.searchsorted(x, x + width / 2, "right")
    total = np.concatenate([[0.0], np.cumsum(y)])
    return (total[last] - total[first]) / (last - first)


def heat_map(
    ax: Axes, values: np.ndarray | torch.Tensor, title: str, names: Sequence[str], framed: Sequence[int]
) -> None:
    """Draw a small square matrix with its numbers, and a frame around one entry of each row.

    `values` is (N, N); `names` are N names of rows and columns, `framed` the column of each row's frame.
    """
    matrix = as_array(values)
    ax.imshow(matrix, cmap="Blues", vmin=matrix.min(), vmax=1.6 * matrix.max() - 0.6 * matrix.min())
    for i, j in np.ndindex(*matrix.shape):
        ax.text(j, i, f"{round(float(matrix[i, j]), 2) + 0:.2f}", ha="center", va="center", fontsize=TEXT)
    for i, j in enumerate(framed):
        ax.add_patch(Rectangle((j - 0.47, i - 0.47), 0.94, 0.94, fill=False, edgecolor=PALETTE[1], lw=3))
    places = range(len(matrix))
    ax.set(xticks=places, yticks=places, xticklabels=names, yticklabels=names, title=title)
