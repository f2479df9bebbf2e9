"""Results of experiments: a file that grows cell by cell, and tables over seeds.

Chapter 04 reads a label-fraction table, which `experiments.label_fractions` writes as `results.json`::

    format   "peclr_utils label fractions 1"
    config   the settings
    cells    one per finished cell: method, labels, seed, pa_epe_mm, epe_mm, root_relative_epe_mm, auc,
             pa_auc, epe_2d (pixels of the view), in_plane_error_degrees (older files lack it),
             training_loss (mean over the last tenth of the log; null for the mean pose), seconds
    probes   one per encoder: method, seed, and the same measures of a ridge regression on its frozen
             features, fitted to the largest number of labels
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from peclr_utils.evaluation import Evaluation, format_table
from peclr_utils.evaluation.report import NAMES
from peclr_utils.files import write_json

FORMAT = "peclr_utils label fractions 1"
RESULTS = "results.json"
MEASURES = "pa_epe_mm epe_mm root_relative_epe_mm auc pa_auc epe_2d in_plane_error_degrees".split()
"""Fields of `Evaluation` that a cell keeps."""

COLUMNS = {
    "PA-EPE (mm)": "pa_epe_mm",
    "root-relative (mm)": "root_relative_epe_mm",
    "2D EPE (px)": "epe_2d",
    "in-plane (°)": "in_plane_error_degrees",
}
"""Measures that tables show, by heading."""

DIGITS = {"training loss": 3, "in-plane (°)": 1}
"""Decimals of the columns that do not show two."""


def load_results(path: str | Path) -> dict[str, Any]:
    """Read a label-fraction table from its file, or from the folder that holds `results.json`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds something else.
    """
    file = Path(path) / RESULTS if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no results here; `make table` makes them")
    results = json.loads(file.read_text(encoding="utf-8"))
    if results.get("format") != FORMAT:
        raise ValueError(f"{file}: expected a file of format {FORMAT!r}")
    return results


def new_results(config: Mapping[str, Any], cells: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """Start a table from plain settings and the cells that are finished already."""
    return {"format": FORMAT, "config": dict(config), "cells": list(cells), "probes": []}


def write_results(folder: str | Path, results: Mapping[str, Any]) -> Path:
    """Write a table to `results.json` in a folder, atomically; returns the file."""
    return write_json(Path(folder, RESULTS), results)


def measures(evaluation: Evaluation) -> dict[str, float]:
    """Take what a cell keeps of an evaluation: `MEASURES` by name, rounded to six decimals."""
    return {name: round(float(getattr(evaluation, name)), 6) for name in MEASURES}


def make_cell(
    method: str, labels: int, seed: int, evaluation: Evaluation, losses: Sequence[float] = ()
) -> dict[str, Any]:
    """Make one cell, without its seconds; the mean pose has no training losses."""
    last = losses[-max(1, len(losses) // 10) :]
    about = {"method": method, "labels": labels, "seed": seed, **measures(evaluation)}
    return {**about, "training_loss": float(np.mean(last)) if last else None}


def markdown(results: Mapping[str, Any]) -> str:
    """Lay out a label-fraction table: a row per method and number of labels, mean ± deviation over seeds."""
    methods, groups = list(NAMES), {}
    for cell in results["cells"]:
        groups.setdefault((cell["labels"], methods.index(cell["method"])), []).append(cell)
    rows = [
        {"labels": str(labels), "method": NAMES[methods[method]], **_row(groups[labels, method])}
        for labels, method in sorted(groups)
    ]
    return format_table(rows, DIGITS) if rows else "no cell is finished"


def probes_markdown(probes: Sequence[Mapping[str, Any]]) -> str:
    """Lay out one or more probes, of a label-fraction table or of `probe_encoders`: a row per encoder."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for probe in probes:
        name = probe.get("method") or probe["name"]
        groups.setdefault("untrained" if name == "scratch" else NAMES.get(name, name), []).append(probe)
    order = sorted(groups, key=lambda name: ["untrained", *NAMES.values(), name].index(name))
    return format_table([{"features": name, **_row(groups[name])} for name in order], DIGITS)


def _row(cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Number of cells and their values by heading; None where one lacks a measure, no column where all do."""
    columns = {**COLUMNS, "training loss": "training_loss"}
    known = {heading: name for heading, name in columns.items() if any(name in cell for cell in cells)}
    values = {heading: [cell.get(name) for cell in cells] for heading, name in known.items()}
    return {"seeds": len(cells)} | {h: None if None in found else found for h, found in values.items()}
