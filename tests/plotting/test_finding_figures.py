"""Figures of how a hand is found."""

import numpy as np
import pytest

from peclr_utils.inference import crop_again, find_hands, windows
from peclr_utils.plotting import plot_crops, plot_found, plot_windows

from ..inference.test_finding import FACTOR, SIZE, DiscNetwork, picture

IMAGE = picture((120, 130, 50, "right"), (300, 190, 40, "left"))


def squares(ax):
    return [line.get_xydata() for line in ax.lines if len(line.get_xydata()) == 5]


def test_windows_are_drawn_by_size_and_with_presence_the_best_of_each():
    levels = list(windows(IMAGE, SIZE, FACTOR, 0.3))
    plain = plot_windows(IMAGE, levels)
    assert [len(squares(ax)) for ax in plain.axes[: len(levels)]] == [
        min(3, -(-len(x.centre) // 2)) for x in levels
    ]
    presence = [np.linspace(0, 0.7, len(level.centre)) for level in levels]
    scored = plot_windows(IMAGE, levels, presence)
    for ax, level in zip(scored.axes, levels, strict=False):
        (square,) = squares(ax)
        np.testing.assert_allclose(square[:4].mean(axis=0), level.centre[-1])
        np.testing.assert_allclose(np.ptp(square, axis=0), level.side)
        assert len(ax.collections[0].get_offsets()) == len(level.centre)
    with pytest.raises(ValueError, match="a presence for each window"):
        plot_windows(IMAGE, levels, presence[:-1])


def test_crops_stand_in_rows_with_their_presence():
    rounds = {
        s: crop_again(DiscNetwork(), IMAGE, (130, 140), 100, is_left=s == "left") for s in ("right", "left")
    }
    figure = plot_crops(IMAGE, rounds, SIZE)
    columns = max(map(len, rounds.values()))
    assert len(figure.axes) == 2 * columns
    captions = [ax.get_xlabel() for ax in figure.axes]
    assert captions[0] == f"presence {rounds['right'][0].presence:.2f}"
    assert captions[-1] == f"presence {rounds['left'][-1].presence:.2f}"
    with pytest.raises(ValueError, match="no images to show"):
        plot_crops(IMAGE, {}, SIZE)


def test_found_hands_are_drawn_with_their_side():
    hands = find_hands(DiscNetwork(), IMAGE)
    (ax,) = plot_found(IMAGE, hands).axes
    assert sorted(text.get_text().split(",")[0] for text in ax.texts) == ["left", "right"]
    assert not plot_found(IMAGE, []).axes[0].texts
