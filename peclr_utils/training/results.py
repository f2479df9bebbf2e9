"""The label-fraction table as a file: written a cell at a time, read back, and summed up over seeds.

Chapter 04 reads the table; `peclr_utils.training.label_fractions` fills it.

`results.json` in the output folder::

    format   "peclr_utils label fractions 1"
    config   the settings
    cells    one per finished cell: method, labels, seed, pa_epe_mm, epe_mm, root_relative_epe_mm, auc,
             pa_auc, epe_2d (pixels of the view), in_plane_error_degrees (older files lack it),
             training_loss (mean over the last tenth of the log; null for the mean pose), seconds
    probes   one per encoder: method, seed, and the same measures of a ridge regression on its frozen
             features, from the largest number of labels
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from peclr_utils.datasets.cache import atomic
from peclr_utils.evaluation import Evaluation, format_table
from peclr_utils.evaluation.report import NAMES

FORMAT = "peclr_utils label fractions 1"
RESULTS = "results.json"
MEASURES = (
    "pa_epe_mm", "epe_mm", "root_relative_epe_mm", "auc", "pa_auc", "epe_2d", "in_plane_error_degrees",
)  # fmt: skip
"""Fields of `Evaluation` that a cell keeps."""

COLUMNS = {
    "PA-EPE (mm)": "pa_epe_mm",
    "wrist on wrist (mm)": "root_relative_epe_mm",
    "2D EPE (px)": "epe_2d",
    "in-plane (°)": "in_plane_error_degrees",
}
"""Measures that tables show, by heading."""

DIGITS = {"training loss": 3, "in-plane (°)": 1}
"""Decimals of the columns that don't show two."""


def load_results(path: str | Path) -> dict[str, Any]:
    """Read a table's results.

    Args:
        path: the file, or the folder that holds `results.json`.

    Returns:
        Its content, see the module.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is something else.
    """
    file = Path(path) / RESULTS if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"{file}: there are no results; `make table` makes them")
    try:
        results = json.loads(file.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{file}: expected JSON, {error}") from None
    if not isinstance(results, dict) or results.get("format") != FORMAT:
        raise ValueError(f"{file}: expected a file of format {FORMAT!r}")
    return results


def summarise(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Gather the seeds of each method and number of labels.

    Args:
        results: from `run_label_fractions` or `load_results`.

    Returns:
        Rows for `evaluation.format_table`, which shows each list as mean and spread (standard deviation
        over seeds).
    """
    groups: dict[tuple[int, str], list[dict]] = {}
    for cell in results["cells"]:
        groups.setdefault((cell["labels"], cell["method"]), []).append(cell)
    methods = list(NAMES)
    order = sorted(groups, key=lambda group: (group[0], methods.index(group[1])))
    rows = []
    for labels, method in order:
        cells = groups[labels, method]
        about = {"labels": str(labels), "method": NAMES[method], "seeds": len(cells)}
        rows.append(about | gather(cells) | gather(cells, {"training loss": "training_loss"}))
    return rows


def gather(
    cells: Sequence[Mapping[str, Any]], columns: Mapping[str, str] = COLUMNS
) -> dict[str, list[float] | None]:
    """Gather some measures of several cells, or of several probes.

    Args:
        cells: with measures by name.
        columns: the measures' names by heading.

    Returns:
        By heading each measure's values, or None where a cell lacks it. A measure that no cell has ever heard
        of, as in files of before it was there, is left out.
    """
    known = {heading: name for heading, name in columns.items() if any(name in cell for cell in cells)}
    values = {heading: [cell.get(name) for cell in cells] for heading, name in known.items()}
    return {heading: None if None in found else found for heading, found in values.items()}


def measures(evaluation: Evaluation) -> dict[str, float]:
    """Take from an evaluation what a cell keeps of it.

    Args:
        evaluation: of one method's predictions.

    Returns:
        `MEASURES` by name, rounded to six decimals: more than a table shows, so that it rounds once.
    """
    return {name: round(float(getattr(evaluation, name)), 6) for name in MEASURES}


def last_loss(losses: Sequence[float]) -> float | None:
    """Say how low a training loss came.

    Args:
        losses: as logged, in order; none for a method that doesn't train.

    Returns:
        The mean over the last tenth of them, or None.
    """
    return float(np.mean(losses[-max(1, len(losses) // 10) :])) if len(losses) else None


def new_results(config: Mapping[str, Any], cells: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """Start a table.

    Args:
        config: the settings, or whatever tells how the cells came about, as plain values.
        cells: those that are finished already.

    Returns:
        Its content, see the module.
    """
    return {
        "format": FORMAT,
        "config": dict(config),
        "cells": [dict(cell) for cell in cells],
        "probes": [],
    }


def markdown(results: Mapping[str, Any]) -> str:
    """Lay a table out in Markdown.

    Args:
        results: from `run_label_fractions` or `load_results`.

    Returns:
        A row a method and number of labels, or a line that says that there is none.
    """
    rows = summarise(results)
    return format_table(rows, "markdown", DIGITS) if rows else "no cell is finished"


def probes_markdown(probes: Sequence[Mapping[str, Any]]) -> str:
    """Lay probes out in Markdown.

    Args:
        probes: of a label-fraction table, or of `probe_encoders`, one or more.

    Returns:
        A row an encoder, over its seeds.
    """
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for probe in probes:
        name = probe.get("method") or probe["name"]
        rows.setdefault("untrained" if name == "scratch" else NAMES.get(name, name), []).append(probe)
    order = sorted(rows, key=lambda name: ["untrained", *NAMES.values(), name].index(name))
    return format_table(
        [{"features": name, "seeds": len(rows[name])} | gather(rows[name]) for name in order],
        "markdown",
        DIGITS,
    )


def write_results(folder: str | Path, results: Mapping[str, Any]) -> Path:
    """Write a table's results, all or nothing.

    Args:
        folder: where `results.json` goes; made if need be.
        results: as `load_results` gives them.

    Returns:
        The file.
    """
    return write_json(Path(folder, RESULTS), results)


def write_json(path: Path, values: Any) -> Path:
    """Write plain values as JSON, all or nothing: whoever reads finds the old file or the new one.

    Args:
        path: the file; its folder is made if need be.
        values: anything that JSON knows.

    Returns:
        The file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    return path
