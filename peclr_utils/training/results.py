"""The label-fraction table as a file: written a cell at a time, read back, and summed up over seeds.

Chapter 04 reads the table; `peclr_utils.training.label_fractions` fills it.

`results.json` in the output folder::

    format   "peclr_utils label fractions 1"
    config   the settings
    cells    one per finished cell: method, labels, seed, pa_epe_mm, epe_mm, root_relative_epe_mm, auc,
             pa_auc, epe_2d (pixels of the view), training_loss (mean over the last tenth of the log; null
             for the mean pose), seconds
    probes   one per encoder: method, seed, and the same measures of a ridge regression on its frozen
             features, from the largest number of labels
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from peclr_utils.evaluation import format_table

FORMAT = "peclr_utils label fractions 1"
RESULTS = "results.json"

NAMES = {
    "mean_pose": "mean pose of the labels",
    "scratch": "from scratch",
    "simclr_no_rotation": "SimCLR, no rotation",
    "simclr": "SimCLR, rotation as invariance",
    "peclr": "PeCLR",
}


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
    columns = {"PA-EPE (mm)": "pa_epe_mm", "2D EPE (px)": "epe_2d", "training loss": "training_loss"}
    rows = []
    for labels, method in order:
        cells = groups[labels, method]
        row: dict[str, Any] = {"labels": str(labels), "method": NAMES[method], "seeds": len(cells)}
        for heading, measure in columns.items():
            values = [cell[measure] for cell in cells]
            row[heading] = None if None in values else values
        rows.append(row)
    return rows


def markdown(results: Mapping[str, Any]) -> str:
    """The table in Markdown."""
    rows = summarise(results)
    return format_table(rows, "markdown", {"training loss": 3}) if rows else "no cell is finished"


def write_results(folder: str | Path, results: Mapping[str, Any]) -> None:
    """Write a table's results, all or nothing.

    Args:
        folder: where `results.json` goes; made if need be.
        results: as `load_results` gives them.
    """
    path = Path(folder, RESULTS)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{RESULTS}.tmp")
    temporary.write_text(json.dumps(results, indent=1) + "\n")
    os.replace(temporary, path)
