"""How a hand is found in an image: windows over it, the crops that follow one another, the hands.

Chapter 05 shows each step of `inference.find_hands` with it.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from peclr_utils.camera import transform_points
from peclr_utils.crops.cropping import warp
from peclr_utils.datasets.sample import HandSample
from peclr_utils.inference.prediction import HandPrediction
from peclr_utils.inference.sliding import Windows
from peclr_utils.plotting.sheets import show_samples
from peclr_utils.plotting.skeletons import draw_skeleton
from peclr_utils.plotting.style import SMALL, WIDTH, new_figure, show_image

_CORNERS = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]]) / 2
_COLUMNS = 3
_NEIGHBOURS = 3  # windows of a size that are drawn


def plot_windows(
    image: np.ndarray, levels: Sequence[Windows], presence: Sequence[np.ndarray] | None = None
) -> Figure:
    """Show windows over an image, a panel for each size.

    Args:
        image: (H, W, 3) uint8.
        levels: from `inference.windows`, a few sizes.
        presence: by size: (N,) from 0 to 1. Then dots at the windows' centres show it, with the best window;
            otherwise three neighbouring windows are drawn.

    Raises:
        ValueError: if presence and windows differ in number.
    """
    scores = [None] * len(levels) if presence is None else presence
    if len(scores) != len(levels) or any(
        s is not None and len(s) != len(level.centre) for s, level in zip(scores, levels, strict=False)
    ):
        raise ValueError("plot_windows: expected a presence for each window of each size")
    rows = -(-len(levels) // _COLUMNS)
    height = WIDTH / _COLUMNS * min(image.shape[0] / image.shape[1], 1.5) + 0.3
    figure = new_figure(WIDTH, rows * height)
    axes = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    for ax in axes[len(levels) :]:
        ax.set_axis_off()
    for ax, level, score in zip(axes, levels, scores, strict=False):
        show_image(ax, image)
        title, middle = f"side {level.side:.0f} px", len(level.centre) // 2
        drawn = range(middle, len(level.centre))[:_NEIGHBOURS]
        if score is not None:
            best = int(np.argmax(score))
            look = {"cmap": "magma", "vmin": 0, "vmax": 1, "s": 14, "edgecolors": "white", "linewidths": 0.4}
            ax.scatter(*level.centre.T, c=score, zorder=4, **look)
            title, drawn = f"{title}, at best {score[best]:.2f}", [best]
        for k in drawn:
            square = level.centre[k] + level.side * _CORNERS
            ax.plot(*square.T, color="#E69F00", linewidth=1.6, zorder=5)
        ax.set_title(title, fontsize=SMALL, loc="left")
    return figure


def plot_crops(image: np.ndarray, rows: Mapping[str, Sequence[HandPrediction]], size: int) -> Figure:
    """Show the crops that follow one another, from left to right, with keypoints and presence.

    Args:
        image: (H, W, 3) uint8, that all of them were predicted in.
        rows: by name, from `inference.crop_again`. The last crop of a shorter row is repeated.
        size: side of a crop in pixels.

    Raises:
        ValueError: if there are no crops.
    """
    columns = max(map(len, rows.values()), default=0)
    hands = [hand for row in rows.values() for hand in [*row, *list(row[-1:]) * (columns - len(row))]]
    crops = []
    for hand in hands:
        points = transform_points(hand.crop, hand.keypoints_2d)
        crops.append(HandSample(warp(image, hand.crop, size), 0, "", keypoints_2d=points))
    captions = [f"presence {hand.presence:.2f}" for hand in hands]
    return show_samples(crops, max(columns, 1), captions=captions, row_names=list(rows))


def plot_found(image: np.ndarray, hands: Sequence[HandPrediction]) -> Figure:
    """Show the hands that were found in an image, each with its side and presence at the wrist."""
    height, width = image.shape[:2]
    figure = new_figure(7.0, 7.0 * min(height / width, 1.2))
    ax = figure.subplots()
    show_image(ax, image)
    box = {"facecolor": "white", "linewidth": 0, "alpha": 0.85, "pad": 2}
    for hand in hands:
        draw_skeleton(ax, hand.keypoints_2d)
        text = f"{'left' if hand.is_left else 'right'}, {hand.presence:.2f}"
        look = {"fontsize": SMALL, "bbox": box, "zorder": 9}
        ax.annotate(text, hand.keypoints_2d[0], (6, -12), textcoords="offset points", **look)
    return figure
