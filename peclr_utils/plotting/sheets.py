"""Sheets of images: samples, pairs of views, nearest neighbours, best and worst predictions.

Chapter 01 shows samples, chapter 02 pairs of views, chapter 03 neighbours, chapter 05 predictions.

**Convention.** Images are (N, H, W, 3) uint8 RGB arrays, or (N, 3, H, W) tensors (uint8, float in [0, 1] or
ImageNet-normalised). Keypoints are pixels of the image they are drawn on.
"""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from peclr_utils.datasets.sample import HandSample
from peclr_utils.plotting.skeletons import draw_prediction, draw_skeleton
from peclr_utils.plotting.style import SMALL, TEXT, WIDTH, as_array, as_images, new_figure, show_image

Images = np.ndarray | torch.Tensor | Sequence[np.ndarray]

_GAP, _LINE, _MARGIN = 0.06, 0.17, 0.08  # inches
_HIGHLIGHT = "#0072B2"


def show_samples(
    samples: Sequence[HandSample],
    columns: int = 8,
    *,
    skeleton: bool = True,
    captions: Sequence[str] | None = None,
    row_names: Sequence[str] | None = None,
    title: str | None = None,
) -> Figure:
    """Show samples of any data set side by side, with their keypoints where they are known.

    Args:
        samples: at least one; of any image size.
        columns: images in a row.
        skeleton: draw the keypoints.
        captions: one text per sample, or None.
        row_names: one text per row, shown at its left, or None.
        title: of the sheet.

    Returns:
        The figure.

    Raises:
        ValueError: if there are no samples, or another number of captions or row names.
    """
    samples = list(samples)
    columns = max(1, min(columns, len(samples)))
    rows = -(-len(samples) // columns)
    for name, texts, expected in (("captions", captions, len(samples)), ("row_names", row_names, rows)):
        if texts is not None and len(texts) != expected:
            raise ValueError(f"{name}: expected {expected}, found {len(texts)}")
    figure, axes = _sheet(rows, columns, captions is not None, title, heads=row_names)
    for k, ax in enumerate(axes.flat):
        if k >= len(samples):
            ax.set_axis_off()
            continue
        keypoints = samples[k].keypoints_2d if skeleton else None
        _show(ax, samples[k].image, keypoints, None if captions is None else captions[k])
    return figure


def plot_view_pairs(
    views1: Images,
    views2: Images,
    *,
    captions: Sequence[str] | None = None,
    keypoints1: np.ndarray | None = None,
    keypoints2: np.ndarray | None = None,
    title: str | None = None,
) -> Figure:
    """Show pairs of views, one pair per column.

    Args:
        views1: N images.
        views2: N images.
        captions: N texts below the columns, or None.
        keypoints1, keypoints2: (N, 21, 2) pixels of the first and second views, or None.
        title: of the sheet.

    Returns:
        The figure.

    Raises:
        ValueError: if the numbers of images differ, or there are none.
    """
    figure, axes = _sheet(2, len(views1), captions is not None, title, heads=("view 1", "view 2"))
    below = ((axes[0], views1, keypoints1, None), (axes[1], views2, keypoints2, captions))
    for row, views, keypoints, texts in below:
        for k, (ax, view) in enumerate(zip(row, as_images(views, "views"), strict=True)):
            caption = None if texts is None else texts[k]
            _show(ax, view, None if keypoints is None else keypoints[k], caption)
    return figure


def plot_neighbours(
    queries: Images,
    neighbours: np.ndarray | torch.Tensor,
    distances: np.ndarray | torch.Tensor,
    *,
    distance_name: str = "cosine distance",
    highlight: np.ndarray | None = None,
    title: str | None = None,
) -> Figure:
    """Show, row by row, an image and its nearest neighbours in some embedding.

    Args:
        queries: Q images.
        neighbours: (Q, k, H, W, 3) uint8, or a tensor (Q, k, 3, H, W); nearest first.
        distances: (Q, k), shown below the neighbours.
        distance_name: what the distances are, with the unit if there is one.
        highlight: (Q, k) booleans: neighbours to frame in blue (the same pose, say), or None.
        title: of the sheet; None says what the numbers are.

    Returns:
        The figure.

    Raises:
        ValueError: if the shapes don't fit.
    """
    query_images, distances = as_images(queries, "queries"), as_array(distances)
    if tuple(neighbours.shape[:2]) != distances.shape or len(query_images) != len(distances):
        found = f"{len(query_images)}, {tuple(neighbours.shape[:2])} and {distances.shape}"
        raise ValueError(f"expected Q queries, (Q, k) neighbours and distances, found {found}")
    title = title or f"Left: the query. Then its nearest neighbours; the number is the {distance_name}."
    figure, axes = _sheet(len(distances), distances.shape[1] + 1, True, title, split=True)
    for row, query in enumerate(query_images):
        _show(axes[row, 0], query, None, "query")
        for k, near in enumerate(as_images(neighbours[row], "neighbours")):
            _show(axes[row, k + 1], near, None, f"{distances[row, k]:.3f}")
            if highlight is not None and highlight[row, k]:
                axes[row, k + 1].spines[:].set(visible=True, color=_HIGHLIGHT, linewidth=3)
    return figure


def plot_predictions(
    images: Images,
    predicted: np.ndarray | torch.Tensor,
    true: np.ndarray | torch.Tensor,
    errors: np.ndarray | None = None,
    *,
    count: int = 6,
    unit: str | None = None,
) -> Figure:
    """Show the best predictions above the worst: the truth in white, the prediction in the fingers' colours.

    Args:
        images: N images.
        predicted: (N, 21, 2) pixels.
        true: (N, 21, 2) pixels.
        errors: (N,) to sort by and to print, such as `Evaluation.per_hand_pa_epe_mm`; None takes the mean
            distance in pixels.
        count: images in a row, at most N.
        unit: of `errors`; None takes "mm" if they are given, "px" if not.

    Returns:
        The figure.

    Raises:
        ValueError: if the numbers of images, keypoints and errors differ.
    """
    shown, guess, truth = as_images(images), as_array(predicted), as_array(true)
    unit = unit or ("px" if errors is None else "mm")
    errors = np.linalg.norm(guess - truth, axis=-1).mean(-1) if errors is None else as_array(errors)
    lengths = [len(shown), len(guess), len(truth), len(errors)]
    if len(set(lengths)) > 1:
        raise ValueError(f"images, predicted, true and errors: expected one length, found {lengths}")
    order = np.argsort(errors, kind="stable")
    count = min(count, len(order))
    title = "Truth in white, prediction in the fingers' colours"
    figure, axes = _sheet(2, count, True, title, heads=("best", "worst"))
    for row, chosen in zip(axes, (order[:count], order[::-1][:count]), strict=True):
        for ax, k in zip(row, chosen, strict=True):
            _show(ax, shown[k], None, f"{errors[k]:.1f} {unit}")
            draw_prediction(ax, guess[k], truth[k])
    return figure


def _sheet(
    rows: int,
    columns: int,
    captions: bool,
    title: str | None,
    heads: Sequence[str] | None = None,
    split: bool = False,
) -> tuple[Figure, np.ndarray]:
    """Square axes in a grid as wide as the page, with `heads` at the left; `split` parts the first column."""
    if rows * columns == 0:
        raise ValueError("there are no images to show")
    left = _MARGIN + (0.25 if heads is not None else 0.0)
    extra = 0.15 if split else 0.0
    other = left + _MARGIN + extra + (columns - 1) * _GAP
    side = min((WIDTH - other) / columns, 1.9)
    width = other + columns * side
    below = _LINE * 1.15 if captions else _GAP
    top = _MARGIN + (2 * _LINE if title else 0.0)
    height = top + _MARGIN + rows * side + (rows - 1) * below + (below if captions else 0.0)
    figure = new_figure(width, height, tidy=False)
    axes = np.empty((rows, columns), dtype=object)
    for row, column in np.ndindex(rows, columns):
        x = left + column * (side + _GAP) + (extra if column else 0.0)
        y = height - top - row * (side + below) - side
        axes[row, column] = figure.add_axes((x / width, y / height, side / width, side / height))
    for ax, head in zip(axes[:, 0], heads or (), strict=heads is not None):
        ax.set_ylabel(head, fontsize=TEXT, labelpad=4)
    if title:
        figure.text(left / width, 1 - (_MARGIN + _LINE) / height, title, fontsize=TEXT, va="center")
    return figure, axes


def _show(ax: Axes, image: np.ndarray, keypoints: np.ndarray | None, caption: str | None) -> None:
    show_image(ax, image)
    if keypoints is not None:
        draw_skeleton(ax, keypoints, linewidth=1.4, outline=False)
    if caption is not None:
        ax.set_xlabel(caption, fontsize=SMALL - 1, labelpad=2)
