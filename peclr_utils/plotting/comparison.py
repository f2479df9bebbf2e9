"""The same hands in rows to compare: one row per method, view, or step.

Chapter 02 compares projections with it, chapters 04 and 05 predictions.

**Convention.** Images as in `peclr_utils.plotting.sheets`; keypoints are pixels of the image they are drawn
on, or metres in the camera's frame.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from peclr_utils.datasets.sample import HandSample
from peclr_utils.plotting.sheets import Images
from peclr_utils.plotting.skeletons import check_keypoints, draw_prediction, draw_skeleton
from peclr_utils.plotting.style import (
    BONE_COLOURS,
    SMALL,
    TEXT,
    WIDTH,
    as_array,
    as_images,
    new_figure,
    show_image,
)
from peclr_utils.skeleton import BONES, FINGER_COLOURS


def plot_hands_in_rows(
    images: Images | Mapping[str, Images],
    rows: Mapping[str, np.ndarray | torch.Tensor],
    *,
    true: np.ndarray | torch.Tensor | None = None,
    captions: Mapping[str, Sequence[str]] | None = None,
    title: str | None = None,
) -> Figure:
    """Show N images repeatedly, each row with other keypoints.

    Args:
        images: N images for all rows, or by row.
        rows: by row: (N, 21, 2) pixels.
        true: (N, 21, 2) pixels to draw in thin lines below each row's, or None.
        captions: by row: N texts below its images; a row may have none.
        title: of the figure.
    """
    shown = {name: as_images(images[name] if isinstance(images, Mapping) else images) for name in rows}
    count = len(next(iter(shown.values())))
    for name, keypoints in rows.items():
        found = len(shown[name]), len(keypoints)
        if found != (count, count):
            raise ValueError(f"row {name!r}: expected {count} images and keypoints, found {found}")
    captions = captions or {}
    side = min(WIDTH / count, 1.9)
    height = sum(side + (0.24 if name in captions else 0.04) for name in rows) + (0.3 if title else 0.0)
    figure = new_figure(side * count + 0.35, height)
    axes = figure.subplots(len(rows), count, squeeze=False)
    for row, (name, keypoints) in zip(axes, rows.items(), strict=True):
        row[0].set_ylabel(name, fontsize=SMALL)
        for k, ax in enumerate(row):
            show_image(ax, shown[name][k])
            draw_prediction(ax, keypoints[k], None if true is None else true[k])
            if name in captions:
                ax.set_xlabel(captions[name][k], fontsize=SMALL - 1, labelpad=2)
    if title:
        figure.suptitle(title, fontsize=TEXT, x=0.01, ha="left")
    return figure


def plot_side_views(
    rows: Mapping[str, Sequence[np.ndarray]],
    true: np.ndarray | torch.Tensor,
    *,
    captions: Mapping[str, Sequence[str]] | None = None,
    heads: Sequence[str] | None = None,
    title: str | None = None,
) -> Figure:
    """Draw hands over the true one, seen from its right at one scale: camera at the left, depth across.

    Args:
        rows: by row: N hands, each (21, 3) metres.
        true: (21, 3) metres, drawn in grey below each.
        captions: by row: N texts below its hands.
        heads: N texts above the columns, or None.
        title: of the figure.
    """
    counts = {len(hands) for hands in rows.values()}
    if len(counts) != 1:
        raise ValueError(f"plot_side_views: expected rows of one length, found {sorted(counts)}")
    count = counts.pop()
    truth = _from_side(true)
    hands = {name: [_from_side(hand) for hand in row] for name, row in rows.items()}
    everything = np.concatenate([truth, *(hand for row in hands.values() for hand in row)])
    low, high = everything.min(0) - 1, everything.max(0) + 1
    shape = (high - low)[1] / (high - low)[0]
    height = len(rows) * (WIDTH / count * shape + 0.45) + 0.3
    figure = new_figure(WIDTH, height + (0.3 if title else 0.0))
    axes = figure.subplots(len(rows), count, squeeze=False)
    for row, (name, drawn) in zip(axes, hands.items(), strict=True):
        row[0].set_ylabel(f"{name}\ny, down (cm)", fontsize=SMALL)
        for k, ax in enumerate(row):
            for points, colours, linewidth in ((truth, "#999999", 3.5), (drawn[k], BONE_COLOURS, 1.8)):
                lines = [points[list(bone)] for bone in BONES]
                ax.add_collection(
                    LineCollection(lines, colors=colours, linewidths=linewidth, capstyle="round")
                )
            ax.set(xlim=(low[0], high[0]), ylim=(high[1], low[1]), aspect="equal")
            ax.tick_params(labelsize=SMALL - 1, labelleft=k == 0)
            ax.spines[["top", "right"]].set_visible(False)
            caption = captions[name][k] if captions and name in captions else ""
            ax.set_xlabel(f"z, away (cm)\n{caption}", fontsize=SMALL - 1)
    for ax, head in zip(axes[0], heads or (), strict=False):
        ax.set_title(head, fontsize=SMALL + 1)
    if title:
        figure.suptitle(title, fontsize=TEXT, x=0.01, ha="left")
    return figure


def _from_side(hand: np.ndarray | torch.Tensor) -> np.ndarray:
    """(21, 2) centimetres, depth and height."""
    return check_keypoints(hand, 3)[:, [2, 1]] * 100


def plot_toy_projections(hands: Mapping[str, HandSample], projections: np.ndarray | torch.Tensor) -> Figure:
    """Show views of one hand above the 64 points that draw it, with the first view's points in grey.

    Args:
        hands: N views with keypoints, by their titles.
        projections: (N, 128), as `widgets.toy_projection` makes them: twelve points along each finger from
            the wrist on, the wrist, and three between the knuckles.
    """
    drawn = as_array(projections).reshape(len(hands), 64, 2)
    figure = new_figure(WIDTH, WIDTH * 2 / len(hands))
    columns = figure.subplots(2, len(hands), squeeze=False).T
    for (above, below), (title, hand), points in zip(columns, hands.items(), drawn, strict=True):
        above.set_title(title, fontsize=TEXT + 1, loc="left")
        show_image(above, hand.image)
        draw_skeleton(above, hand.keypoints_2d)
        _draw_points(below, drawn[0], ["#CCCCCC"] * 6, markersize=7, linewidth=4)
        _draw_points(below, points, ["#777777", *FINGER_COLOURS.values()], markersize=3.5)
        below.set(xlim=(-0.33, 0.33), ylim=(0.33, -0.33), xticks=[], yticks=[], aspect="equal")
    return figure


def _draw_points(ax: Axes, points: np.ndarray, colours: Sequence[str], **look: float) -> None:
    """Draw the palm in the first colour, and each finger in one of the others."""
    ax.plot(*points[61:].T, "o", color=colours[0], **look)
    for k, colour in enumerate(colours[1:]):
        ax.plot(*points[[60, *range(12 * k, 12 * k + 12)]].T, "o-", color=colour, **look)
    ax.plot(*points[60], "o", color=colours[0], **look)
