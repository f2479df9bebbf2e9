"""Background against temperature: the four runs of chapter 03, summed up, kept in a file and shown.

Each run is read by the same probe on the same test hands, so that two of them can be compared hand by hand.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from peclr_utils.evaluation import format_table
from peclr_utils.training.results import write_json

from .runner import find_repository

FILE = "background_and_temperature.json"
FORMAT = "peclr_utils background and temperature 1"

Errors = Mapping[tuple[bool, float], np.ndarray]
"""(N,) 2D errors in pixels, of each test hand, by whether backgrounds were exchanged and by temperature."""


def change(errors: Errors, switch: int) -> tuple[float, float]:
    """What one of the two settings changes, averaged over the other.

    Args:
        errors: of all four runs.
        switch: 0 for the background (new instead of own), 1 for the temperature (low instead of high).

    Returns:
        Mean change in pixels, below zero where it helps; and its standard error over the test hands.
    """
    values = sorted({setting[switch] for setting in errors})
    high, low = (values[0], values[1]) if switch == 0 else (values[1], values[0])
    sides = [np.mean([own for key, own in errors.items() if key[switch] == v], axis=0) for v in (low, high)]
    difference = sides[0] - sides[1]
    return float(difference.mean()), float(difference.std(ddof=1) / len(difference) ** 0.5)


def sum_up(errors: Errors, untrained: float, **about: Any) -> dict[str, Any]:
    """Put the four runs into one plain record.

    Args:
        errors: of all four runs.
        untrained: mean 2D error of the probe on an untrained network, pixels.
        about: what the runs were: steps, pictures, seed, ...

    Returns:
        format; about; untrained; cells (new_background, temperature, epe_2d); changes (background and
        temperature: pixels, standard_error).
    """
    cells = [
        {"new_background": new, "temperature": temperature, "epe_2d": float(own.mean())}
        for (new, temperature), own in errors.items()
    ]
    changes = {
        name: dict(zip(("pixels", "standard_error"), change(errors, switch), strict=True))
        for switch, name in enumerate(("background", "temperature"))
    }
    return {"format": FORMAT, "about": about, "untrained": untrained, "cells": cells, "changes": changes}


def keep(folder: Path, record: Mapping[str, Any]) -> Path:
    """Write a record into a folder; returns the file."""
    return write_json(folder / FILE, record)


def committed() -> dict[str, Any] | None:
    """Read the repository's own long runs, `data/results/background_and_temperature.json`.

    Returns:
        The record, or None outside a clone and before the runs are made.

    Raises:
        ValueError: if the file is something else.
    """
    try:
        path = find_repository() / "data" / "results" / FILE
    except FileNotFoundError:
        return None
    if not path.is_file():
        return None
    record = json.loads(path.read_text())
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise ValueError(f"{path}: expected a file of format {FORMAT!r}; chapter 03 writes one")
    return record


def table(record: Mapping[str, Any]) -> str:
    """Show the 2D errors as a Markdown table: backgrounds by temperatures, and the untrained bar."""
    cells = {(cell["new_background"], cell["temperature"]): cell["epe_2d"] for cell in record["cells"]}
    temperatures = list(dict.fromkeys(temperature for _, temperature in cells))
    rows = [
        {"2D EPE (px)": name} | {f"τ = {t}": cells[new, t] for t in temperatures}
        for new, name in ((False, "own backgrounds"), (True, "new backgrounds"))
    ]
    bar = {f"τ = {t}": record["untrained"] for t in temperatures}
    return format_table([*rows, {"2D EPE (px)": "untrained features"} | bar], digits=3)


def verdict(record: Mapping[str, Any]) -> list[str]:
    """Say in a few lines what the runs tell."""
    names = {"background": "new backgrounds instead of own", "temperature": "low τ instead of high"}
    lines = []
    for name, found in record["changes"].items():
        clear = "more" if abs(found["pixels"]) > 2 * found["standard_error"] else "no more"
        size = f"{found['pixels']:+.3f} ± {found['standard_error']:.3f} px"
        lines.append(f"{names[name]}: {size}, {clear} than the choice of test hands explains")
    best, bar = min(cell["epe_2d"] for cell in record["cells"]), record["untrained"]
    meaning = "better than untrained" if best < bar else "the runs were too short to tell anything"
    return [*lines, f"best of the four {best:.3f} px, untrained features {bar:.3f} px: {meaning}"]
