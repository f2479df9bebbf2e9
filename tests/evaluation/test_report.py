"""Result tables: what they show and how they line up."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import ttest_rel

from peclr_utils.evaluation import format_table, mean_and_spread, paired_interval


def test_spread_is_the_sample_deviation_and_unknown_for_one_run():
    assert mean_and_spread([1.0, 2.0, 6.0]) == pytest.approx((3.0, np.sqrt(7.0)))
    mean, spread = mean_and_spread([4.0])
    assert mean == 4.0 and np.isnan(spread)


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=2, max_size=10))
def test_a_paired_interval_is_the_t_tests(pairs):
    values, others = np.array(pairs).T
    mean, half = paired_interval(values, others)
    assume(np.std(values - others) > 1e-3)
    low, high = ttest_rel(values, others).confidence_interval(0.95)
    np.testing.assert_allclose([mean - half, mean + half], [low, high], rtol=1e-3, atol=1e-3 * half)


def test_one_pair_has_no_interval_and_unequal_numbers_of_runs_no_pairs():
    mean, half = paired_interval([3.0], [1.0])
    assert mean == 2.0 and np.isnan(half)
    for values, others in (([1.0, 2.0], [1.0]), ([], []), ([0.0] * 11, [0.0] * 11)):
        with pytest.raises(ValueError, match="two equally long lists of 1 to 10"):
            paired_interval(values, others)


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
