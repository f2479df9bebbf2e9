"""Sheets of pictures: samples, pairs of views, nearest neighbours, best and worst predictions.

Chapter 01 shows samples, chapter 02 pairs of views, chapter 03 neighbours, chapter 05 predictions.

**Convention.** Pictures are (N, H, W, 3) uint8 RGB arrays, or (N, 3, H, W) tensors (uint8, float in [0, 1] or
ImageNet-normalised). Keypoints are pixels of the picture they are drawn on.
"""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from peclr_utils.datasets.sample import HandSample
from peclr_utils.plotting.skeletons import draw_prediction, draw_skeleton
from peclr_utils.plotting.style import SMALL, TEXT, WIDTH, as_images, new_figure, show_picture

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
        samples: at least one; of any picture size.
        columns: pictures in a row.
        skeleton: draw the keypoints.
        captions: one text a sample, or None.
        row_names: one text a row, shown at its left, or None.
        title: of the sheet.

    Returns:
        The figure.

    Raises:
        ValueError: if there are no samples, not one caption each, or not one name a row.
    """
    samples = list(samples)
    if captions is not None and len(captions) != len(samples):
        raise ValueError(f"captions: expected {len(samples)}, one a sample, found {len(captions)}")
    columns = max(1, min(columns, len(samples)))
    rows = -(-len(samples) // columns)
    if row_names is not None and len(row_names) != rows:
        raise ValueError(f"row_names: expected {rows}, one a row, found {len(row_names)}")
    heads = row_names is not None
    figure, axes = _sheet(rows, columns, captions=captions is not None, title=title, heads=heads)
    for ax, name in zip(axes[:, 0], row_names or (), strict=heads):
        _head(ax, name)
    for k, ax in enumerate(axes.flat):
        if k >= len(samples):
            ax.set_axis_off()
            continue
        keypoints = samples[k].keypoints_2d if skeleton else None
        _picture(ax, samples[k].image, keypoints, None if captions is None else captions[k])
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
    """Show pairs of views, one pair a column.

    Args:
        views1: N pictures.
        views2: N pictures.
        captions: N texts below the columns, or None.
        keypoints1: (N, 21, 2) pixels of the first views, or None.
        keypoints2: (N, 21, 2) pixels of the second views, or None.
        title: of the sheet.

    Returns:
        The figure.

    Raises:
        ValueError: if the numbers of pictures differ, or there are none.
    """
    first, second = as_images(views1, "views1"), as_images(views2, "views2")
    if len(first) != len(second):
        raise ValueError(
            f"views1 and views2: expected equally many pictures, found {len(first)} and {len(second)}"
        )
    figure, axes = _sheet(2, len(first), captions=captions is not None, title=title, heads=True)
    for row, (name, views, keypoints) in enumerate(
        (("view 1", first, keypoints1), ("view 2", second, keypoints2))
    ):
        for k, view in enumerate(views):
            caption = captions[k] if captions is not None and row == 1 else None
            _picture(axes[row, k], view, None if keypoints is None else keypoints[k], caption)
        _head(axes[row, 0], name)
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
    """Show, row by row, a picture and the ones nearest to it in some embedding.

    Args:
        queries: Q pictures.
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
    query_images = as_images(queries, "queries")
    distances = np.asarray(distances, dtype=np.float64)
    if (
        distances.ndim != 2
        or tuple(neighbours.shape[:2]) != distances.shape
        or len(query_images) != len(distances)
    ):
        raise ValueError(
            f"expected Q queries, (Q, k) neighbours and distances, found {len(query_images)}, "
            f"{tuple(neighbours.shape[:2])} and {distances.shape}"
        )
    count, nearest = distances.shape
    near = as_images(neighbours.reshape(count * nearest, *neighbours.shape[2:]), "neighbours")
    title = title or f"Left: the query. Then its nearest neighbours; the number is the {distance_name}."
    figure, axes = _sheet(count, nearest + 1, captions=True, title=title, split=True)
    for row in range(count):
        _picture(axes[row, 0], query_images[row], None, "query")
        for k in range(nearest):
            ax = axes[row, k + 1]
            _picture(ax, near[row * nearest + k], None, f"{distances[row, k]:.3f}")
            if highlight is not None and highlight[row, k]:
                ax.spines[:].set(visible=True, color=_HIGHLIGHT, linewidth=3)
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
        images: N pictures.
        predicted: (N, 21, 2) pixels.
        true: (N, 21, 2) pixels.
        errors: (N,) to sort by and to print, such as `Evaluation.per_hand_pa_epe_mm`; None takes the mean
            distance in pixels.
        count: pictures in a row, at most N.
        unit: of `errors`; "mm" if they are given, "px" if not.

    Returns:
        The figure.

    Raises:
        ValueError: if the numbers of pictures, keypoints and errors differ.
    """
    pictures = as_images(images)
    guess, truth = _numpy(predicted), _numpy(true)
    unit = unit or ("px" if errors is None else "mm")
    if errors is None:
        errors = np.linalg.norm(guess - truth, axis=-1).mean(-1)
    errors = np.asarray(errors, dtype=np.float64)
    lengths = [len(pictures), len(guess), len(truth), len(errors)]
    if len(set(lengths)) > 1:
        raise ValueError(f"images, predicted, true and errors must have one length, found {lengths}")
    order = np.argsort(errors, kind="stable")
    count = min(count, len(order))
    title = "Truth in white, prediction in the fingers' colours"
    figure, axes = _sheet(2, count, captions=True, title=title, heads=True)
    for row, (name, chosen) in enumerate((("best", order[:count]), ("worst", order[::-1][:count]))):
        for ax, k in zip(axes[row], chosen, strict=True):
            _picture(ax, pictures[k], None, f"{errors[k]:.1f} {unit}")
            draw_prediction(ax, guess[k], truth[k])
        _head(axes[row, 0], name)
    return figure


def _sheet(
    rows: int,
    columns: int,
    *,
    captions: bool = False,
    title: str | None = None,
    heads: bool = False,
    split: bool = False,
) -> tuple[Figure, np.ndarray]:
    """Make square axes in a grid as wide as the page.

    `heads` leaves room for text at the left, `split` a gap behind the first column.
    """
    if rows * columns == 0:
        raise ValueError("there are no pictures to show")
    left, right = _MARGIN + (0.25 if heads else 0.0), _MARGIN
    extra = 0.15 if split else 0.0
    room = WIDTH - left - right - extra - (columns - 1) * _GAP
    side = min(room / columns, 1.9)
    width = left + right + extra + columns * side + (columns - 1) * _GAP
    below = _LINE * 1.15 if captions else _GAP
    top = _MARGIN + (2 * _LINE if title else 0.0)
    height = top + _MARGIN + rows * side + (rows - 1) * below + (below if captions else 0.0)
    figure = new_figure(width, height, tidy=False)
    axes = np.empty((rows, columns), dtype=object)
    for row in range(rows):
        bottom = height - top - row * (side + below) - side
        for column in range(columns):
            x = left + column * (side + _GAP) + (extra if column else 0.0)
            axes[row, column] = figure.add_axes((x / width, bottom / height, side / width, side / height))
    if title:
        figure.text(left / width, 1 - (_MARGIN + _LINE) / height, title, fontsize=TEXT, va="center")
    return figure, axes


def _picture(ax: Axes, image: np.ndarray, keypoints: np.ndarray | None, caption: str | None) -> None:
    show_picture(ax, image)
    if keypoints is not None:
        draw_skeleton(ax, keypoints, linewidth=1.4, outline=False)
    if caption is not None:
        ax.set_xlabel(caption, fontsize=SMALL - 1, labelpad=2)


def _head(ax: Axes, text: str) -> None:
    ax.set_ylabel(text, fontsize=TEXT, labelpad=4)


def _numpy(values: np.ndarray | torch.Tensor) -> np.ndarray:
    return (
        values.detach().cpu().double().numpy()
        if isinstance(values, torch.Tensor)
        else np.asarray(values, float)
    )
