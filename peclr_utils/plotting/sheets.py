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


def show_samples(
    samples: Sequence[HandSample | np.ndarray],
    columns: int = 8,
    *,
    skeleton: bool = True,
    captions: Sequence[str] | None = None,
    row_names: Sequence[str] | None = None,
) -> Figure:
    """Show samples of any data set, or images, side by side, with their keypoints where they are known.

    Args:
        samples: at least one; of any image size. Images are (H, W, 3) uint8.
        columns: images in a row.
        skeleton: draw the keypoints.
        captions: one text per sample, or None.
        row_names: one text per row, shown at its left, or None.
    """
    columns = max(1, min(columns, len(samples)))
    samples = [HandSample(one, 0, "") if isinstance(one, np.ndarray) else one for one in samples]
    keypoints = [sample.keypoints_2d if skeleton else None for sample in samples]
    captions = _each("captions", captions, samples)
    cells = list(zip([sample.image for sample in samples], keypoints, captions, strict=True))
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    return _sheet(rows, heads=row_names)[0]


def plot_view_pairs(views1: Images, views2: Images, *, captions: Sequence[str] | None = None) -> Figure:
    """Show pairs of views, one pair per column.

    Args:
        views1, views2: N images each.
        captions: N texts below the columns, or None.
    """
    first, second = as_images(views1, "views1"), as_images(views2, "views2")
    below = zip(second, _each("captions", captions, first), strict=True)
    rows = [[(view, None, None) for view in first], [(view, None, caption) for view, caption in below]]
    return _sheet(rows, heads=("view 1", "view 2"))[0]


def plot_neighbours(
    queries: Images,
    neighbours: np.ndarray | torch.Tensor,
    distances: np.ndarray | torch.Tensor,
    *,
    title: str | None = None,
) -> Figure:
    """Show, row by row, an image and its nearest neighbours in some embedding.

    Args:
        queries: Q images.
        neighbours: (Q, k, H, W, 3) uint8, or a tensor (Q, k, 3, H, W); nearest first.
        distances: (Q, k), shown below the neighbours.
        title: of the sheet; None says what it shows.
    """
    query_images, distances = as_images(queries, "queries"), as_array(distances)
    if tuple(neighbours.shape[:2]) != distances.shape or len(query_images) != len(distances):
        found = f"{len(query_images)}, {tuple(neighbours.shape[:2])} and {distances.shape}"
        raise ValueError(f"expected Q queries, (Q, k) neighbours and distances, found {found}")
    title = title or "Left: the query. Then its nearest neighbours, with their distances."
    rows = []
    for query, images, numbers in zip(query_images, neighbours, distances, strict=True):
        near = zip(as_images(images, "neighbours"), numbers, strict=True)
        rows.append([(query, None, "query"), *((image, None, f"{number:.3f}") for image, number in near)])
    return _sheet(rows, title, split=True)[0]


def plot_predictions(
    images: Images,
    predicted: np.ndarray | torch.Tensor,
    true: np.ndarray | torch.Tensor,
    errors: np.ndarray,
    *,
    count: int = 4,
) -> Figure:
    """Show the best predictions above the worst: the truth in thin lines, the prediction in thick ones.

    Args:
        images: N images.
        predicted, true: (N, 21, 2) pixels.
        errors: (N,) mm to sort by and to print, such as `Evaluation.per_hand_pa_epe_mm`.
        count: images in a row, at most N.
    """
    shown, guess, truth, errors = as_images(images), *map(as_array, (predicted, true, errors))
    lengths = [len(shown), len(guess), len(truth), len(errors)]
    if len(set(lengths)) > 1:
        raise ValueError(f"images, predicted, true and errors: expected one length, found {lengths}")
    order = np.argsort(errors, kind="stable")
    count = min(count, len(order))
    best_and_worst = (order[:count], order[::-1][:count])
    rows = [[(shown[k], None, f"{errors[k]:.1f} mm") for k in row] for row in best_and_worst]
    title = "Prediction in thick lines, truth in thin ones"
    figure, axes = _sheet(rows, title, ("best", "worst"))
    for ax, k in zip(np.ravel(axes), np.ravel(best_and_worst), strict=True):
        draw_prediction(ax, guess[k], truth[k])
    return figure


def _each(name: str, values: Sequence | None, things: Sequence) -> Sequence:
    """One value for each thing, or None for each."""
    if values is not None and len(values) != len(things):
        raise ValueError(f"{name}: expected {len(things)}, found {len(values)}")
    return [None] * len(things) if values is None else values


def _sheet(
    rows: Sequence[Sequence[tuple[np.ndarray, np.ndarray | None, str | None]]],
    title: str | None = None,
    heads: Sequence[str] | None = None,
    split: bool = False,
) -> tuple[Figure, list[list[Axes]]]:
    """Draw rows of images with their keypoints and captions, in square axes, as wide as the page.

    `heads` are texts at the left of the rows; `split` separates the first column.
    """
    if not rows or not rows[0]:
        raise ValueError("there are no images to show")
    columns, captions = len(rows[0]), rows[-1][0][2] is not None
    left = _MARGIN + (0.25 if heads is not None else 0.0)
    extra = 0.15 if split else 0.0
    other = left + _MARGIN + extra + (columns - 1) * _GAP
    side = min((WIDTH - other) / columns, 1.9)
    width = other + columns * side
    below = _LINE * 1.15 if captions else _GAP
    top = _MARGIN + (2 * _LINE if title else 0.0)
    height = top + _MARGIN + len(rows) * side + (len(rows) - 1) * below + (below if captions else 0.0)
    figure = new_figure(width, height, tidy=False)
    axes = []
    for row, (cells, head) in enumerate(zip(rows, _each("row_names", heads, rows), strict=True)):
        y = height - top - row * (side + below) - side
        axes.append([])
        for column, (image, keypoints, caption) in enumerate(cells):
            x = left + column * (side + _GAP) + (extra if column else 0.0)
            ax = figure.add_axes((x / width, y / height, side / width, side / height))
            axes[-1].append(ax)
            show_image(ax, image)
            if keypoints is not None:
                draw_skeleton(ax, keypoints, linewidth=1.4, outline=False)
            if caption is not None:
                ax.set_xlabel(caption, fontsize=SMALL - 1, labelpad=2)
        axes[-1][0].set_ylabel(head, fontsize=TEXT, labelpad=4)
    if title:
        figure.text(left / width, 1 - (_MARGIN + _LINE) / height, title, fontsize=TEXT, va="center")
    return figure, axes
