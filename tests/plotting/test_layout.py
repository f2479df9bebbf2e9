"""Where the words of a figure stand."""

import numpy as np
import pytest

from peclr_utils import plotting
from peclr_utils.datasets import HandSample


def samples(count):
    return [HandSample(np.full((8, 8, 3), 9 * k, np.uint8), k, "made up") for k in range(count)]


def test_the_names_of_rows_stand_at_the_left_of_their_first_pictures_and_inside_the_figure():
    figure = plotting.show_samples(samples(5), 3, row_names=["theirs", "ours"], captions=list("abcde"))
    assert [ax.get_ylabel() for ax in figure.axes] == ["theirs", "", "", "ours", "", ""]
    figure.draw_without_rendering()
    for ax in figure.axes[::3]:
        words = ax.yaxis.label.get_window_extent()
        assert figure.bbox.x0 <= words.x0 < words.x1 <= ax.bbox.x0


@pytest.mark.parametrize("names", [[], ["one"], ["one", "two", "three"]])
def test_there_must_be_one_name_a_row(names):
    with pytest.raises(ValueError, match=f"row_names: expected 2, one a row, found {len(names)}"):
        plotting.show_samples(samples(5), 3, row_names=names)


def test_the_legend_of_pck_lies_on_no_curve():
    thresholds = np.linspace(0, 0.05, 100)
    curves = {f"method {k}": (thresholds, np.linspace(0, 1, 100) ** k) for k in range(1, 6)}
    figure = plotting.new_figure(9.5, 4.6)
    panels = figure.subplots(1, 2)
    for ax in panels:
        plotting.plot_pck(curves, ax)
    figure.draw_without_rendering()
    for ax in panels:
        legend = ax.get_legend().get_window_extent()
        assert legend.y1 < ax.xaxis.label.get_window_extent().y0
        assert figure.bbox.y0 <= legend.y0
        assert ax.bbox.height > 0.45 * figure.bbox.height
