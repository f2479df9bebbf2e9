"""The whole method in one figure. Chapters and the README show it."""

from dataclasses import replace

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from peclr_utils.augmentation import AugmentationConfig, apply_opencv_batch, sample_parameters, to_batch
from peclr_utils.crops import crop
from peclr_utils.datasets import UPRIGHT, open_source
from peclr_utils.equivariance import undo_on_projection
from peclr_utils.plotting.style import PALETTE, SMALL, WIDTH, new_figure
from peclr_utils.weights import load_contrastive_model

_HEIGHT = 4.2
_ANGLES, _SHIFTS = (50.0, -75.0), ((0.08, -0.05), (-0.07, 0.06))
_ROWS = (0.62, 0.07)  # the lower edges of the two views' rows, as fractions of the height
_BLUE, _ORANGE = PALETTE[:2]
_FOLLOWED = PALETTE[2:7]


def plot_method() -> Figure:
    """Draw PeCLR from left to right: image, two views, encoder and projector, 64 points, undo, compare.

    The points are those of the network in `data/weights`, not drawn by hand.
    """
    image, views, points, undone = _example()
    figure = new_figure(WIDTH, _HEIGHT, tidy=False)
    page = figure.add_axes((0, 0, 1, 1))
    page.set(xlim=(0, 1), ylim=(0, 1))
    page.axis("off")
    middle = (_ROWS[0] + _ROWS[1] + _side()) / 2
    _image(figure, image, 0.01, middle - _side() / 2, "one image")
    # Points far from the middle in both views are coloured, so that the eye can follow them.
    reach = np.linalg.norm(undone - undone.mean(axis=1, keepdims=True), axis=-1)
    followed = np.argsort(-reach.min(axis=0))[: len(_FOLLOWED)]
    for k, (low, colour) in enumerate(zip(_ROWS, (_BLUE, _ORANGE), strict=True)):
        centre = low + _side() / 2
        _arrow(page, (0.15, middle), (0.215, centre))
        _image(figure, views[k], 0.22, low, f"view {k + 1}: turned by {_signed(_ANGLES[k])}°", colour)
        _arrow(page, (0.36, centre), (0.40, centre))
        _box(page, 0.445, centre, "encoder")
        _arrow(page, (0.488, centre), (0.512, centre))
        _box(page, 0.557, centre, "projector")
        _arrow(page, (0.60, centre), (0.635, centre))
        _points(figure, points[k], followed, 0.64, low, "64 points", colour)
        _arrow(page, (0.775, centre), (0.84, centre), f"undo\n{_signed(-_ANGLES[k])}°")
        _points(figure, undone[k], followed, 0.845, low, "turned back", colour)
    page.text(0.50, middle, "same weights", ha="center", va="center", fontsize=SMALL, color="#555555")
    _arrow(page, (0.912, _ROWS[1] + _side() + 0.07), (0.912, _ROWS[0] - 0.015), style="<|-|>")
    loss = "NT-Xent: these two agree,\nthose of other hands differ"
    page.text(0.897, middle + 0.025, loss, ha="right", va="center", fontsize=SMALL)
    return figure


def _example() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """An image, its two views, their (2, 64, 2) points, and these turned and shifted back."""
    config = AugmentationConfig.peclr(rotation=180.0, background=0.0, grey=0.0, hue=25.0)
    sample = open_source(f"synthetic:16?seed=11&{UPRIGHT}")[3]
    wide = crop(sample, 224, 1.2 * config.full_margin)
    config = replace(config, margin=config.full_margin)
    drawn = sample_parameters(config, 2, np.random.default_rng(2))
    drawn = replace(drawn, angle=np.array(_ANGLES), shift=np.array(_SHIFTS))
    model = load_contrastive_model("peclr")
    with torch.no_grad():
        small = apply_opencv_batch([wide.image] * 2, drawn, 64)
        projection = torch.nn.functional.normalize(model(to_batch(small)))
    angle, shift = (torch.tensor(values, dtype=torch.float32) for values in (_ANGLES, _SHIFTS))
    undone = undo_on_projection(projection, angle, shift)
    views = apply_opencv_batch([wide.image] * 2, drawn, 160)
    return crop(sample, 160, 1.2).image, views, *(z.reshape(2, -1, 2).numpy() for z in (projection, undone))


def _signed(angle: float) -> str:
    return f"{angle:+.0f}".replace("-", "−")


def _side() -> float:
    """The height of an image, 0.135 of the figure's width, as a fraction of the figure's height."""
    return 0.135 * WIDTH / _HEIGHT


def _frame(figure: Figure, left: float, low: float, title: str, colour: str) -> Axes:
    ax = figure.add_axes((left, low, 0.135, _side()))
    ax.set(xticks=[], yticks=[])
    ax.set_title(title, fontsize=SMALL, pad=3)
    for spine in ax.spines.values():
        spine.set(color=colour, linewidth=2)
    return ax


def _image(
    figure: Figure, image: np.ndarray, left: float, low: float, title: str, colour: str = "#555555"
) -> None:
    _frame(figure, left, low, title, colour).imshow(image)


def _points(
    figure: Figure, points: np.ndarray, followed: np.ndarray, left: float, low: float, title: str, colour: str
) -> None:
    ax = _frame(figure, left, low, title, colour)
    centred = points - points.mean(axis=0)
    ax.scatter(*centred.T, s=8, color="#AAAAAA", linewidths=0)
    ax.scatter(*centred[followed].T, s=42, color=_FOLLOWED, edgecolors="white", linewidths=0.8)
    reach = 1.15 * np.linalg.norm(centred, axis=1).max()
    ax.set(xlim=(-reach, reach), ylim=(reach, -reach))


def _box(page: Axes, x: float, y: float, text: str) -> None:
    look = {"boxstyle": "round,pad=0.5", "facecolor": "#F0F0F0", "edgecolor": "#555555"}
    page.text(x, y, text, ha="center", va="center", fontsize=SMALL, bbox=look)


def _arrow(
    page: Axes, start: tuple[float, float], end: tuple[float, float], text: str = "", style: str = "-|>"
) -> None:
    look = {"arrowstyle": style, "color": "#555555", "shrinkA": 0, "shrinkB": 0, "mutation_scale": 10}
    page.annotate("", end, start, arrowprops=look)
    middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + 0.015)
    page.text(*middle, text, ha="center", va="bottom", fontsize=SMALL)
