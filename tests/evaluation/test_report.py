"""Result tables: what they show and how they line up."""

import numpy as np
import pytest

from peclr_utils.evaluation import format_table, mean_and_spread


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
