"""Result tables in Markdown, with mean and spread over seeds.

Chapters 03 to 05 and the README print their tables with it.
"""

from collections.abc import Mapping, Sequence
from numbers import Real

import numpy as np

Value = str | float | int | None | Sequence[float]

NAMES = {
    "mean_pose": "mean pose of the labels",
    "scratch": "from scratch",
    "simclr_no_rotation": "SimCLR, no rotation",
    "simclr": "SimCLR, rotation as invariance",
    "peclr": "PeCLR",
}
"""Names of the methods that the course compares in tables and figures, in the order of its tables."""


def mean_and_spread(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Mean and sample standard deviation (n - 1) of one or more runs; the deviation of one run is NaN."""
    runs = np.asarray(values, dtype=np.float64).ravel()
    return float(runs.mean()), float(runs.std(ddof=1)) if runs.size > 1 else float("nan")


T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""Student's t for 95% of both sides, by degrees of freedom from 1 on."""


def paired_interval(values: Sequence[float], others: Sequence[float]) -> tuple[float, float]:
    """Mean and half the 95% interval of the differences between runs that share a seed.

    Args:
        values, others: one number for each of 1 to 10 runs, in the same order.

    Returns:
        Mean of `values - others`, and Student's t times its standard error; NaN for one run.
    """
    if len(values) != len(others) or not 1 <= len(values) <= len(T95) + 1:
        raise ValueError(
            f"expected two equally long lists of 1 to {len(T95) + 1}, found {len(values)}, {len(others)}"
        )
    mean, spread = mean_and_spread(np.subtract(values, others))
    if len(values) == 1:
        return mean, float("nan")
    return mean, T95[len(values) - 2] * spread / len(values) ** 0.5


def format_table(rows: Sequence[Mapping[str, Value]], digits: int | Mapping[str, int] = 2) -> str:
    """Lay out a table in Markdown that also reads well as plain text.

    Args:
        rows: for each row, heading to value. Headings appear in the order in which they first occur. A
            sequence of numbers is shown as mean ± standard deviation; a missing value or None as a dash.
        digits: decimals of fractional numbers, for all columns or by heading (2 where a heading isn't named).

    Returns:
        The table, without a line break at the end. Numbers are aligned on the right.
    """
    if not rows:
        raise ValueError("format_table: expected rows, found none")
    headings = list(dict.fromkeys(heading for row in rows for heading in row))
    decimals = {h: digits if isinstance(digits, int) else digits.get(h, 2) for h in headings}
    cells = [[_cell(row.get(h), decimals[h]) for h in headings] for row in rows]
    right = [not any(isinstance(row.get(h), str) for row in rows) for h in headings]
    widths = [max(3, len(h), *(len(line[k]) for line in cells)) for k, h in enumerate(headings)]

    def line(texts: Sequence[str]) -> str:
        padded = [t.rjust(w) if r else t.ljust(w) for t, w, r in zip(texts, widths, right, strict=True)]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * (w - 1) + (":" if r else "-") for w, r in zip(widths, right, strict=True)]
    return "\n".join([line(headings), line(rule), *map(line, cells)])


def _cell(value: Value, digits: int) -> str:
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    if isinstance(value, Real):
        return f"{value:.{digits}f}"
    mean, spread = mean_and_spread(value)
    return f"{mean:.{digits}f}" if np.isnan(spread) else f"{mean:.{digits}f} ± {spread:.{digits}f}"
