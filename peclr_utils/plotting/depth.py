"""What an image shows about depth, and where the formula for the root's depth fails; chapter 01 draws it."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from peclr_utils.plotting.skeletons import draw_skeleton
from peclr_utils.plotting.style import PALETTE, SMALL, WIDTH, label_axes, new_figure, show_image
from peclr_utils.skeleton import FINGERS, ROOT

BIN = 5  # degrees


def plot_hands_on_rays(
    image: np.ndarray, keypoints_2d: np.ndarray, points: np.ndarray, factors: Sequence[float] = (1, 2)
) -> Figure:
    """Draw an image with its keypoints, and from the side the hand with enlarged copies on the same rays.

    Args:
        image: (H, W, 3) uint8 RGB.
        keypoints_2d: (21, 2) pixels.
        points: (21, 3) metres, camera frame.
        factors: by which the hand is enlarged and moved away.
    """
    figure = new_figure(WIDTH, 3.1)
    front, side = figure.subplots(1, 2, width_ratios=(1, 2))
    show_image(front, image)
    draw_skeleton(front, keypoints_2d)
    across = 100 * points[:, [2, 1]]  # z to the right, y down
    for factor in factors:
        draw_skeleton(side, factor * across, linewidth=1.6, outline=False)
    for z, y in max(factors) * across[[ROOT, *(joints[-1] for joints in FINGERS.values())]]:
        side.plot([0, z], [0, y], color="#BBBBBB", linewidth=0.8, zorder=0)
    side.plot(0, 0, "k>", markersize=9)
    title = "From the side: hands on the same rays"
    label_axes(side, "z, away from the camera (cm)", "y, down (cm)", title, grid=None)
    side.invert_yaxis()
    return figure


def plot_bone_lengths(bones: Mapping[str, tuple[float, float, float, float, float]]) -> Figure:
    """Draw how long a bone between two rays would be at each depth of the wrist.

    Args:
        bones: by title: coefficients a, b, c of the quadratic, the true depth and the larger root, in bones.
    """
    figure = new_figure(WIDTH, 3.4)
    axes = figure.subplots(1, len(bones), squeeze=False)[0]
    for ax, (title, (a, b, c, true, larger)) in zip(axes, bones.items(), strict=True):
        depth = np.linspace(0, 1.4 * larger, 400)
        ax.plot(depth, np.sqrt(a * depth**2 + b * depth + c + 1), color=PALETTE[0])
        ax.axhline(1, color="#555555", linewidth=1, linestyle="--")
        ax.plot(true, 1, "o", color=PALETTE[2], markersize=10, label="true depth")
        ax.plot(larger, 1, "x", color=PALETTE[1], markersize=10, mew=3, label="larger root")
        label_axes(ax, "depth of the wrist (bones)", "length of the bone (bones)", title)
    figure.axes[0].legend(frameon=False)
    return figure


def plot_root_depth_errors(angles: np.ndarray, errors: np.ndarray, wrong: np.ndarray) -> Figure:
    """Draw one point for each hand, and a line through the medians of bins of `BIN` degrees.

    Args:
        angles: (N,) degrees between bone and line of sight, 0 to 90.
        errors: (N,) metres, of the root's depth.
        wrong: (N,) bool, where the larger root is not the true one.
    """
    figure = new_figure(WIDTH, 3.8)
    ax = figure.subplots()
    centimetres, bins = 100 * errors, np.minimum(angles // BIN, 90 / BIN - 1)
    ax.semilogy(angles[~wrong], centimetres[~wrong], ".", color=PALETTE[5], ms=3, label="larger root is true")
    ax.semilogy(angles[wrong], centimetres[wrong], "x", color=PALETTE[1], label="smaller root is true")
    medians = {(k + 0.5) * BIN: np.median(centimetres[bins == k]) for k in np.unique(bins)}
    ax.semilogy(medians.keys(), medians.values(), "k-", linewidth=2.5, label="median of all")
    label_axes(ax, "angle between bone and line of sight (°)", "error of the root's depth (cm)")
    ax.set_ylim(1e-2, None)
    ax.legend(loc="upper right", markerscale=2, fontsize=SMALL)
    return figure
