"""How every figure of the course looks: sizes, colours, axes, and how it gets onto a notebook's page.

All chapters use it. Colours are Okabe and Ito's, which colour-blind readers can tell apart; curves also
differ in marker and dash.
"""

from collections.abc import Iterable
from io import BytesIO
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from peclr_utils.augmentation.batch import IMAGENET_MEAN, IMAGENET_STD
from peclr_utils.evaluation.report import NAMES
from peclr_utils.skeleton import BONES, FINGER_COLOURS, FINGERS

WIDTH = 9.5
"""Inches: the width of a notebook's page."""

TEXT, SMALL = 10, 9
"""Font sizes in points."""

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), (0, (9, 3)), (0, (3, 1.5, 1, 1.5)), "-")

KEYPOINT_COLOURS = ("#555555", *(FINGER_COLOURS[name] for name, joints in FINGERS.items() for _ in joints))
"""The colour of each keypoint: its finger's; the wrist is grey."""

BONE_COLOURS = tuple(KEYPOINT_COLOURS[child] for _, child in BONES)
"""The colour of each bone: its finger's."""


class NotebookFigure(Figure):
    """A figure that shows itself once where it is a cell's last value or is given to `display`.

    It isn't registered with pyplot: nothing is drawn twice, nothing has to be closed, and no window opens.
    """

    def _repr_png_(self) -> bytes:
        buffer = BytesIO()
        self.savefig(buffer, format="png", bbox_inches="tight")
        return buffer.getvalue()


def new_figure(width: float = WIDTH, height: float = 4.0, tidy: bool = True) -> NotebookFigure:
    """Start an empty white figure, `width` x `height` inches at 100 dots per inch.

    `tidy` lets matplotlib make room for labels; without, axes stay where they are put.
    """
    layout = "constrained" if tidy else "none"
    return NotebookFigure(figsize=(width, height), dpi=100, layout=layout, facecolor="white")


def compact(figure: Figure, quality: int = 80, dpi: int = 90):
    """Encode a figure as JPEG, quality 1 to 95: PNG makes photographs large, but suits lines and text better.

    Returns an `IPython.display.Image`, which a cell should end with.
    """
    from IPython.display import Image

    buffer = BytesIO()
    # Colours at full resolution: half of it would make the thin lines of skeletons grey.
    options = {"quality": quality, "optimize": True, "subsampling": 0}
    figure.savefig(buffer, format="jpeg", dpi=dpi, bbox_inches="tight", pil_kwargs=options)
    return Image(buffer.getvalue(), format="jpeg")


def figure_and_axes(ax: Axes | None, width: float, height: float) -> tuple[Figure, Axes]:
    """The caller's axes and their figure; or, if None, those of a new figure of this size in inches."""
    ax = new_figure(width, height).add_subplot() if ax is None else ax
    return ax.figure, ax


def label_axes(ax: Axes, x: str, y: str, title: str | None = None, grid: str | None = "both") -> None:
    """Give axes the course's look, labels with units, and a grid along "x", "y", "both" or None."""
    ax.set_xlabel(x, fontsize=TEXT)
    ax.set_ylabel(y, fontsize=TEXT)
    if title:
        ax.set_title(title, fontsize=TEXT + 1, loc="left")
    ax.tick_params(labelsize=SMALL)
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_axisbelow(True)
    if grid:
        ax.grid(True, axis=grid, color="#DDDDDD", linewidth=0.7)


def show_image(ax: Axes, image: np.ndarray) -> None:
    """Fill axes with an (H, W, 3) uint8 image, without frame or ticks; a small one keeps its pixels."""
    height, width = image.shape[:2]
    ax.imshow(image, interpolation="nearest" if max(height, width) < 100 else "antialiased")
    ax.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def method_styles(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Give each compared method a look of its own: the course's methods the same in every figure.

    Args:
        names: as the figure calls the methods. Those of `evaluation.report.NAMES` have fixed looks; others
            get the remaining ones in order. More than seven repeat.

    Returns:
        By name: colour, marker and dash, as keywords of `Axes.plot`.
    """
    names = list(names)
    taken = {name: k for k, name in enumerate(reversed(NAMES.values())) if name in names}
    free = [k for k in range(len(PALETTE)) if k not in taken.values()]
    others = [name for name in names if name not in taken]
    taken |= {name: free[k % len(free)] for k, name in enumerate(others)}
    places = ((name, taken[name]) for name in names)
    return {name: {"color": PALETTE[k], "marker": MARKERS[k], "linestyle": DASHES[k]} for name, k in places}


def as_array(values: np.ndarray | torch.Tensor) -> np.ndarray:
    """An array, tensor or list as a float64 array."""
    return np.asarray(values.detach().cpu() if torch.is_tensor(values) else values, dtype=np.float64)


def as_images(images: np.ndarray | torch.Tensor, name: str = "images") -> np.ndarray:
    """Bring images of either convention to (N, H, W, 3) uint8.

    Args:
        images: (N, H, W, 3) uint8 array, or (N, 3, H, W) tensor: uint8, float in [0, 1], or
            ImageNet-normalised (recognised by values outside [0, 1]). Or a list of images of one size.
        name: what messages call them.

    Returns:
        (N, H, W, 3) uint8; a copy only where something has to change.
    """
    if isinstance(images, list | tuple):
        images = (torch.stack if torch.is_tensor(images[0]) else np.stack)(list(images))
    if isinstance(images, torch.Tensor):
        if images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(f"{name}: expected a tensor (N, 3, H, W), found {tuple(images.shape)}")
        images = images.detach().cpu()
        images = (images.float() if images.is_floating_point() else images).permute(0, 2, 3, 1).numpy()
    array = np.asarray(images)
    if array.ndim != 4 or array.shape[3] != 3:
        raise ValueError(f"{name}: expected an array (N, H, W, 3), found {array.shape}")
    if array.dtype == np.uint8:
        return array
    if not np.issubdtype(array.dtype, np.floating):
        raise TypeError(f"{name}: expected uint8, or float in [0, 1], found {array.dtype}")
    if array.size and (array.min() < -0.02 or array.max() > 1.02):
        if array.max() > 10:
            raise ValueError(f"{name}: expected float images in [0, 1], found values up to {array.max():.3g}")
        array = array * IMAGENET_STD + IMAGENET_MEAN
    return np.clip(np.round(array * 255), 0, 255).astype(np.uint8)
