"""The error of the root's depth against the direction of the reference bone; chapter 01 draws it."""

import numpy as np
from matplotlib.figure import Figure

from peclr_utils.plotting.style import PALETTE, SMALL, WIDTH, label_axes, new_figure

BIN = 5  # degrees


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
