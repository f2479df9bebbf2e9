"""Result tables: what they show and how they line up."""

import numpy as np
import pytest

from peclr_utils.evaluation import evaluate_keypoints, format_table, mean_and_spread, result_table


def test_spread_is_the_sample_deviation_and_unknown_for_one_run():
    assert mean_and_spread([1.0, 2.0, 6.0]) == pytest.approx((3.0, np.sqrt(7.0)))
    mean, spread = mean_and_spread([4.0])
    assert mean == 4.0 and np.isnan(spread)


def test_markdown_table_is_what_a_reader_would_write_by_hand():
    rows = [
        {"method": "scratch", "labels": 1024, "PA-EPE (mm)": [20.0, 22.0]},
        {"method": "PeCLR", "labels": 128, "PA-EPE (mm)": [18.5], "2D EPE (px)": 4.756},
    ]
    assert format_table(rows).splitlines() == [
        "| method  | labels |  PA-EPE (mm) | 2D EPE (px) |",
        "| ------- | -----: | -----------: | ----------: |",
        "| scratch |  1,024 | 21.00 ± 1.41 |           – |",
        "| PeCLR   |    128 |        18.50 |        4.76 |",
    ]


def test_plain_table_lines_up_and_has_no_bars():
    lines = format_table([{"a": "x", "b": 1.0}, {"a": "longer", "b": 10.0}], "plain", digits=1).splitlines()
    assert lines == ["a          b", "------  ----", "x        1.0", "longer  10.0"]


def test_result_table_has_a_row_a_method_and_no_empty_2d_column():
    gt = np.random.default_rng(0).normal(size=(5, 21, 3)) * 0.05
    runs = [evaluate_keypoints(gt + [0, 0, offset], gt) for offset in (0.01, 0.02)]
    table = result_table({"one seed": runs[0], "two seeds": runs})
    assert "2D" not in table
    assert "| one seed  |" in table and "10.00 |" in table
    assert "15.00 ± 7.07" in table
    with_2d = evaluate_keypoints(gt, gt, pred_2d=gt[..., :2] + [3, 4], gt_2d=gt[..., :2])
    assert "5.00" in result_table({"a": with_2d, "b": runs[0]}).splitlines()[2]


@pytest.mark.parametrize(
    ("rows", "style", "words"), [([], "markdown", "no rows"), ([{"a": 1}], "html", "found 'html'")]
)
def test_bad_tables_are_refused(rows, style, words):
    with pytest.raises(ValueError, match=words):
        format_table(rows, style)
