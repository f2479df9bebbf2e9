"""Tables in Markdown pages are what the files of results hold; the cover can be drawn again."""

import re

import cv2
import numpy as np
import pytest
from matplotlib import pyplot as plt

from peclr_utils.course.pages import draw_changes, draw_length, fill_tables, main
from peclr_utils.experiments.results import load_results


def test_every_table_of_results_is_what_its_file_holds(repository):
    page = repository / "data" / "results" / "README.md"
    text = page.read_text(encoding="utf-8")
    assert "<!-- " in text
    assert fill_tables(page) == text


def test_a_changed_number_is_put_right_and_the_rest_is_left(repository, tmp_path):
    text = (repository / "data" / "results" / "README.md").read_text(encoding="utf-8")
    for path in (repository / "data" / "results").glob("*.json"):
        (tmp_path / path.name).write_text(path.read_text())
    page = tmp_path / "README.md"
    wrong = re.sub(r"(?m)^(\|.*)\d\.\d\d", r"\g<1>9.99", text)
    assert wrong != text
    page.write_text(wrong, encoding="utf-8")
    assert main([str(page)]) == 0
    assert page.read_text(encoding="utf-8") == text


def test_the_cover_is_drawn(tmp_path):
    assert main([str(tmp_path / "cover.png")]) == 0
    assert cv2.imread(str(tmp_path / "cover.png")).std() > 20


def dots(ax):
    """(N, 2) places of the points that lie on no line."""
    found = [line.get_xydata() for line in ax.lines if line.get_linestyle() in ("None", "")]
    return np.concatenate([one.reshape(-1, 2) for one in found])


def test_the_figure_of_lengths_shows_each_encoder_at_its_epochs(repository):
    slope, read_out, probe = draw_length().axes
    for name in ("label_fractions.json", "resnet18.json", "longer.json"):
        table = load_results(repository / "data" / "results" / name)
        epochs = table["config"]["pretrain"]["epochs"]
        turns = [turn for turn in table["turns"] if turn["method"] != "scratch"]
        for ax, field in ((slope, "slope"), (read_out, "read_out_px")):
            expected = sorted(turn[field] for turn in turns)
            assert sorted(dots(ax)[dots(ax)[:, 0] == epochs, 1]) == pytest.approx(expected)
        assert (dots(probe)[:, 0] == epochs).sum() == len(expected)
    plt.close("all")


def test_the_figure_of_changes_has_a_row_for_each_and_one_for_the_seeds(repository):
    runs = load_results(repository / "data" / "results" / "changes.json", "peclr_utils changes 1")["runs"]
    *_, read_out = draw_changes().axes
    expected = [run["turns"][0]["read_out_px"] for run in runs.values()]
    assert sorted(dots(read_out)[:, 0]) == pytest.approx(sorted(expected))
    rows = dots(read_out)[:, 1]
    assert (rows == 0).sum() == 3 and sorted(rows[rows > 0]) == list(range(1, len(runs) - 2))
    plt.close("all")
