"""The 21 keypoints drawn as bones: on axes, and into an image.

Chapter 01 draws the first hand with it; every later chapter uses it.

**Convention.** Keypoints are (21, 2) pixels (x, y) in FreiHAND's order, pixel centres at integers, y down.
"""

import cv2
import numpy as np
import torch
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from peclr_utils.plotting.style import (
    BONE_COLOURS,
    KEYPOINT_COLOURS,
    TEXT,
    WIDTH,
    as_array,
    new_figure,
    show_image,
)
from peclr_utils.skeleton import BONES, KEYPOINT_NAMES, NUM_KEYPOINTS

_FRACTION_BITS = 4
_FARTHEST = 20_000.0  # pixels; OpenCV's line drawing takes 32-bit integers that include the fraction bits


def check_keypoints(keypoints: np.ndarray | torch.Tensor, dimensions: int) -> np.ndarray:
    """One hand's (21, dimensions) keypoints, array or tensor, as float64; another shape is a ValueError."""
    array = as_array(keypoints)
    if array.shape != (NUM_KEYPOINTS, dimensions):
        raise ValueError(f"keypoints: expected shape ({NUM_KEYPOINTS}, {dimensions}), found {array.shape}")
    return array


def draw_skeleton(
    ax: Axes,
    keypoints_2d: np.ndarray | torch.Tensor,
    truth: bool = False,
    linewidth: float = 2.0,
    outline: bool = True,
) -> None:
    """Draw one hand's bones and joints, each finger in its colour.

    Args:
        ax: axes; where they show an image, its limits stay.
        keypoints_2d: (21, 2) pixels; bones that end in a NaN are not drawn.
        truth: for the true hand behind a predicted one: lie below it, with a light edge.
        linewidth: points.
        outline: draw a thin edge, dark if it isn't the truth's, which makes it visible on any image.
    """
    points = check_keypoints(keypoints_2d, 2)
    layer, edge, wide = (3, "white", 1.1) if truth else (5, "#222222", 1.6)
    bones = LineCollection(
        [points[list(bone)] for bone in BONES],
        colors=BONE_COLOURS,
        linewidths=linewidth,
        capstyle="round",
        zorder=layer,
    )
    look = {"s": (2.2 * linewidth) ** 2, "c": KEYPOINT_COLOURS, "linewidths": 0}
    joints = ax.scatter(*points.T, zorder=layer + 1, **look)
    if outline:
        bones.set_path_effects([patheffects.withStroke(linewidth=linewidth + wide, foreground=edge)])
        joints.set_path_effects([patheffects.withStroke(linewidth=wide, foreground=edge)])
    ax.add_collection(bones)


def draw_prediction(
    ax: Axes, predicted: np.ndarray | torch.Tensor, true: np.ndarray | torch.Tensor | None = None
) -> None:
    """Draw a predicted (21, 2) hand above the true one, which is thin and has a light edge."""
    if true is not None:
        draw_skeleton(ax, true, truth=True, linewidth=1.0)
    draw_skeleton(ax, predicted, linewidth=2.4, outline=False)


def plot_keypoint_names(image: np.ndarray, keypoints_2d: np.ndarray | torch.Tensor) -> Figure:
    """Number the keypoints of one hand, enlarged, beside the list of their names.

    Args:
        image: (H, W, 3) uint8 RGB.
        keypoints_2d: (21, 2) pixels.
    """
    points = check_keypoints(keypoints_2d, 2)
    figure = new_figure(WIDTH, 5.4)
    ax, names = figure.subplots(1, 2, width_ratios=(2, 1))
    show_image(ax, image)
    draw_skeleton(ax, points)
    (x, y), half = (points.min(0) + points.max(0)) / 2, 0.62 * np.ptp(points, axis=0).max()
    ax.set(xlim=(x - half, x + half), ylim=(y + half, y - half))
    box = {"boxstyle": "circle,pad=0.15", "facecolor": "white", "linewidth": 0, "alpha": 0.85}
    for k, name in enumerate(KEYPOINT_NAMES):
        look = {"fontsize": TEXT, "va": "center"}
        ax.annotate(str(k), points[k], (7, 0), textcoords="offset points", bbox=box, zorder=10, **look)
        row = 1 - (k + 0.5) / NUM_KEYPOINTS
        names.text(0.12, row, str(k), ha="right", color=KEYPOINT_COLOURS[k], **look)
        names.text(0.18, row, name, color=KEYPOINT_COLOURS[k], **look)
    names.set_axis_off()
    return figure


def draw_skeleton_on_image(image: np.ndarray, keypoints_2d: np.ndarray | torch.Tensor) -> np.ndarray:
    """Draw one hand's bones and joints into a copy of an image, smoothed, at sub-pixel positions.

    Bones are 1/112 of the image's shorter side wide, at least a pixel.

    Args:
        image: (H, W, 3) uint8 RGB; it isn't changed.
        keypoints_2d: (21, 2) pixels; bones that end in a NaN are not drawn, parts outside the image are cut.

    Returns:
        (H, W, 3) uint8 RGB, a new array.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"image: expected (H, W, 3) uint8, found {image.shape} {image.dtype}")
    points = check_keypoints(keypoints_2d, 2)
    known = np.isfinite(points).all(1)
    scaled = np.clip(np.nan_to_num(points), -_FARTHEST, _FARTHEST) * 2**_FRACTION_BITS
    pixels = np.round(scaled).astype(int).tolist()
    width = max(1, round(min(image.shape[:2]) / 112))
    radius = round((0.5 + 1.1 * width) * 2**_FRACTION_BITS)
    drawn = np.ascontiguousarray(image).copy()
    colours = [[round(255 * channel) for channel in to_rgb(colour)] for colour in KEYPOINT_COLOURS]
    for parent, child in BONES:
        if known[parent] and known[child]:
            ends = pixels[parent], pixels[child]
            cv2.line(drawn, *ends, colours[child], width, cv2.LINE_AA, _FRACTION_BITS)
    for k in np.flatnonzero(known):
        cv2.circle(drawn, pixels[k], radius, colours[k], -1, cv2.LINE_AA, _FRACTION_BITS)
    return drawn
