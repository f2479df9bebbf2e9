"""A projection drawn as what it is read as: points in the plane.

Chapter 02 moves a toy projection with it.

**Convention.** A projection (D,) is D/2 points, consecutive pairs (x, y), y down as in the image.
"""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from peclr_utils.plotting.style import MARKERS, PALETTE, SMALL, as_array, figure_and_axes, label_axes

_ARROW = {"arrowstyle": "-|>", "color": ("#555555", 0.6), "shrinkA": 2, "shrinkB": 4, "mutation_scale": 8}


def plot_projection_points(
    projection: np.ndarray | torch.Tensor,
    ax: Axes | None = None,
    *,
    names: Sequence[str] | None = None,
    arrows: bool = True,
    title: str | None = None,
) -> Figure:
    """Draw the points of one projection, or of several with arrows from each to the next.

    Args:
        projection: (D,) or (k, D), D even.
        ax: axes to draw into; None makes a figure.
        names: k names for the legend, or None.
        arrows: draw an arrow from each point to its place in the next projection.
        title: of the axes.

    Returns:
        The figure. Crosses mark the centroids.

    Raises:
        ValueError: on a wrong shape, or another number of names.
    """
    rows = np.atleast_2d(as_array(projection))
    if rows.ndim != 2 or rows.shape[1] % 2 or not rows.size:
        raise ValueError(f"projection: expected (D,) or (k, D) with D even, found {np.shape(projection)}")
    if names is not None and len(names) != len(rows):
        raise ValueError(f"names: expected {len(rows)}, one per projection, found {len(names)}")
    sets = rows.reshape(len(rows), -1, 2)
    figure, ax = figure_and_axes(ax, 5.5, 5.2)
    if arrows:
        for start, end in zip(sets[:-1].reshape(-1, 2), sets[1:].reshape(-1, 2), strict=True):
            ax.add_patch(FancyArrowPatch(start, end, zorder=2, **_ARROW))
    for k, points in enumerate(sets):
        colour, marker = PALETTE[k % len(PALETTE)], MARKERS[k % len(MARKERS)]
        face = "white" if k == 0 and len(sets) > 1 else colour
        label = None if names is None else names[k]
        ax.scatter(*points.T, s=24, marker=marker, facecolor=face, edgecolor=colour, label=label, zorder=3)
        centroid = ax.plot(*points.mean(0), "+", color=colour, markersize=15, markeredgewidth=3, zorder=4)[0]
        centroid.set_path_effects([patheffects.withStroke(linewidth=6, foreground="white")])
    label_axes(ax, "x, right (no unit)", "y, down (no unit)", title)
    low, high = sets.min((0, 1)), sets.max((0, 1))
    (x, y), half = (low + high) / 2, max(float((high - low).max()) / 2 * 1.12, 1e-6)
    ax.set(xlim=(x - half, x + half), ylim=(y + half, y - half), aspect="equal")
    if names is not None:
        place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.12), "ncols": len(names)}
        ax.legend(fontsize=SMALL, frameon=False, **place)
    return figure
