"""Results of experiments: a file that grows cell by cell, and tables with paired intervals over seeds.

Chapter 04 reads a label-fraction table, which `experiments.label_fractions` writes as `results.json`::

    format   "peclr_utils label fractions 2"
    config   the settings
    cells    one per finished cell: method, labelled, tuning, labels, seed (`label_fractions.Cell`);
             pa_epe_mm, epe_mm, root_relative_epe_mm, auc, pa_auc, epe_2d (pixels of the view),
             in_plane_error_degrees; training_loss (mean over the last tenth of the log, null if nothing was
             trained), seconds
    turns    one per encoder: method, seed, and what `probes.measure_turn` returns
"""

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from peclr_utils.evaluation import Evaluation, format_table
from peclr_utils.evaluation.report import NAMES, paired_interval
from peclr_utils.files import write_json
from peclr_utils.settings import Settings

FORMAT = "peclr_utils label fractions 2"
RESULTS = "results.json"
CELL = ("method", "labelled", "tuning", "labels", "seed")
"""Which cell of a table a record fills."""

FREE = frozenset("output cache keep_networks methods tunings labels seeds".split())
"""Settings that may differ between the runs that fill one table: where it is, and which cells."""

MEASURES = "pa_epe_mm epe_mm root_relative_epe_mm auc pa_auc epe_2d in_plane_error_degrees".split()
"""Fields of `Evaluation` that a cell keeps."""

COLUMNS = {
    "root-relative (mm)": "root_relative_epe_mm",
    "2D EPE (px)": "epe_2d",
    "in-plane (°)": "in_plane_error_degrees",
    "PA-EPE (mm)": "pa_epe_mm",
}
"""Measures that tables show, by heading."""

DIGITS = {"in-plane (°)": 1, "PA-AUC": 3, "training loss": 3}
"""Decimals of the columns that do not show two."""


def load_results(path: str | Path, expected: str = FORMAT) -> dict[str, Any]:
    """Read a table of the `expected` format from its file, or from the folder that holds `results.json`.

    FileNotFoundError if there is no such file, ValueError if it holds something else.
    """
    file = Path(path) / RESULTS if Path(path).is_dir() else Path(path)
    if not file.is_file():
        made = "; `make table` makes them" if expected == FORMAT else ""
        raise FileNotFoundError(f"{file}: no results here{made}")
    results = json.loads(file.read_text(encoding="utf-8"))
    if results.get("format") != expected:
        raise ValueError(f"{file}: expected a file of format {expected!r}")
    return results


def open_results(config: Settings, new: Mapping[str, Any]) -> dict[str, Any]:
    """Open the results of earlier runs with these settings, or start new ones.

    Args:
        config: settings with an output folder, where `results.json` is.
        new: results without a cell, of the format that the folder's must have.

    Raises:
        ValueError: if the folder holds results of another format or with other settings than those of `FREE`.
    """
    here, path = config.plain(), Path(config.output, RESULTS)
    if not path.is_file():
        return {**new, "config": here}
    results = load_results(path, new["format"])
    changed = sorted(name for name in here.keys() - FREE if here[name] != results["config"].get(name))
    if changed:
        text = f"made with other settings ({', '.join(changed)}); choose another output folder"
        raise ValueError(f"{path}: {text}")
    return {**results, "config": here}


def require_table(
    config: Settings, methods: Sequence[str], tunings: Sequence[str], pretrained: Sequence[str]
) -> None:
    """Check the fields that the settings of every table have; errors as `Settings.validate`."""
    config._require(bool(config.output), "output", "a folder, because a table takes long and resumes there")
    for name, known in (("methods", methods), ("tunings", tunings)):
        found = getattr(config, name)
        config._require(bool(found) and set(found) <= set(known), name, f"some of {known}")
    config._require(set(config.encoders) <= set(pretrained), "encoders", f"some of {pretrained}")


def new_results(config: Mapping[str, Any], cells: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """Start a table from plain settings and the cells that are finished already."""
    return {"format": FORMAT, "config": dict(config), "cells": list(cells), "turns": []}


def write_results(folder: str | Path, results: Mapping[str, Any]) -> Path:
    """Write a table to `results.json` in a folder, atomically; returns the file."""
    return write_json(Path(folder, RESULTS), results)


def measures(evaluation: Evaluation) -> dict[str, float]:
    """Take what a cell keeps of an evaluation: `MEASURES` by name, rounded to six decimals."""
    return {name: round(float(getattr(evaluation, name)), 6) for name in MEASURES}


def make_cell(cell: Sequence[Any], evaluation: Evaluation, losses: Sequence[float] = ()) -> dict[str, Any]:
    """Make the record of a finished `label_fractions.Cell`, without its seconds.

    `losses` are what its training logged; none if nothing was trained.
    """
    last = losses[-max(1, len(losses) // 10) :]
    record = dict(zip(CELL, cell, strict=True)) | measures(evaluation)
    return {**record, "training_loss": float(np.mean(last)) if last else None}


def single_cells(cells: Sequence[Mapping[str, Any]], columns: Mapping[str, str] = COLUMNS) -> str:
    """Lay out the cells of one run, a row each, with the fields that `columns` names by heading."""
    rows = []
    for cell in cells:
        head = {"labels": str(cell["labels"]), "method": NAMES[cell["method"]], "use": cell["tuning"]}
        rows.append(head | {heading: cell[name] for heading, name in columns.items()})
    return format_table(rows, DIGITS)


def paired_values(
    cells: Sequence[Mapping[str, Any]], method: str, other: str, measure: str
) -> list[tuple[float, float]]:
    """The values of two methods for each seed that both have, among cells that are equal otherwise."""
    by_method = {
        name: {c["seed"]: c[measure] for c in cells if c["method"] == name} for name in (method, other)
    }
    both = sorted(by_method[method].keys() & by_method[other].keys())
    return [(by_method[method][seed], by_method[other][seed]) for seed in both]


def markdown(results: Mapping[str, Any]) -> str:
    """Lay out a label-fraction table: mean ± deviation over seeds, and PeCLR against each other method.

    Below the methods of each kind of labels, tuning and number of labels, the differences of PeCLR from each
    of them, paired by seed, with 95% intervals (`paired_interval`).
    """
    rows, groups = [], {}
    for cell in results["cells"]:
        if cell["tuning"] != "none":
            groups.setdefault((cell["labelled"], cell["tuning"], cell["labels"]), []).append(cell)
    for (labelled, tuning, labels), cells in groups.items():
        cells = cells + [
            cell
            for cell in results["cells"]
            if (cell["labelled"], cell["tuning"], cell["labels"]) == (labelled, "none", labels)
        ]
        head = {"labels": f"{labels}, {labelled}", "use": tuning}
        found = [method for method in NAMES if any(cell["method"] == method for cell in cells)]
        for method in found:
            own = [cell for cell in cells if cell["method"] == method]
            values = {h: [cell[name] for cell in own] for h, name in COLUMNS.items()}
            rows.append({**head, "method": NAMES[method], "seeds": len(own), **values})
        for other in found if "peclr" in found else ():
            if other != "peclr":
                pairs = {h: paired_values(cells, "peclr", other, name) for h, name in COLUMNS.items()}
                texts = {h: interval_text(own, DIGITS.get(h, 2)) for h, own in pairs.items()}
                count = len(next(iter(pairs.values())))
                rows.append({**head, "method": f"PeCLR minus {NAMES[other]}", "seeds": count, **texts})
    return format_table(rows, DIGITS) if rows else "no cell is finished"


def clear_differences(results: Mapping[str, Any]) -> str:
    """Lay out where PeCLR differs from each other trained method, judged by intervals over seeds.

    A row for each kind of labels and other method. Below a measure stand the uses and numbers of labels in
    which PeCLR's is lower or higher by a paired difference whose 95% interval excludes zero.
    """
    groups, rows = {}, {}
    for cell in results["cells"]:
        groups.setdefault((cell["labelled"], cell["tuning"], cell["labels"]), []).append(cell)
    compared = [method for method in NAMES if method not in ("mean_pose", "peclr")]
    for (labelled, tuning, labels), cells in groups.items():
        for other, (heading, measure) in itertools.product(compared, COLUMNS.items()):
            if pairs := paired_values(cells, "peclr", other, measure):
                row = rows.setdefault((labelled, other), {h: {} for h in COLUMNS})
                mean, half = paired_interval(*zip(*pairs, strict=True))
                if abs(mean) > half:
                    side = row[heading].setdefault("lower" if mean < 0 else "higher", [])
                    side.append(f"{tuning} {labels}")
    if not rows:
        return "no cells to compare"
    return format_table(
        [
            {"labels": labelled, "PeCLR minus": NAMES[other]}
            | {h: "; ".join(f"{s}: {', '.join(w)}" for s, w in by.items()) or "–" for h, by in row.items()}
            for (labelled, other), row in rows.items()
        ]
    )


def interval_text(pairs: Sequence[tuple[float, float]], digits: int) -> str:
    """Mean and 95% interval of paired differences, with an asterisk if it excludes zero."""
    if not pairs:
        return "–"
    mean, half = paired_interval(*zip(*pairs, strict=True))
    if np.isnan(half):
        return f"{mean:+.{digits}f}"
    return f"{mean:+.{digits}f} ± {half:.{digits}f}{'*' if abs(mean) > half else ''}"


def turns_markdown(turns: Sequence[Mapping[str, Any]]) -> str:
    """Lay out how projections turn: a row per method, mean ± deviation over seeds."""
    headings = {
        "turned per degree": "slope",
        "lower quartile": "low",
        "upper quartile": "high",
        "read-out, 2D (px)": "read_out_px",
    }
    rows = []
    for method in NAMES:
        if own := [turn for turn in turns if turn["method"] == method]:
            name = "untrained" if method == "scratch" else NAMES[method]
            values = {heading: [turn[key] for turn in own] for heading, key in headings.items()}
            rows.append({"projection": name, "seeds": len(own), **values})
    return format_table(rows)


def thin_log(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, float]]:
    """Average a pre-training's log over steps: each of the first 16 alone, then in windows that grow.

    Returns at most 75 rows: step (the window's mean), loss, alignment.
    """
    steps = sorted({row["step"]: row for row in rows if "loss" in row}.items())
    edges = np.unique(np.round([*range(16), *np.geomspace(16, len(steps), 60)])).astype(int).tolist()
    windows = [[row for _, row in steps[a:b]] for a, b in zip(edges, edges[1:], strict=False)]
    digits = {"step": 1, "loss": 4, "alignment": 4}
    return [
        {name: round(float(np.mean([row[name] for row in window])), n) for name, n in digits.items()}
        for window in windows
    ]
