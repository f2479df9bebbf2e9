"""Background against temperature: the four runs of chapter 03, summed up, saved and shown.

The same probe measures each run on the same test hands, so that two of them can be compared hand by hand.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from peclr_utils.evaluation import format_table
from peclr_utils.files import write_json

from . import base_folder

FILE = "background_and_temperature.json"
FORMAT = "peclr_utils background and temperature 1"

Errors = Mapping[tuple[bool, float], np.ndarray]
"""(N,) 2D errors in pixels of each test hand, by whether backgrounds were exchanged and by temperature."""


def sum_up(errors: Errors, untrained: float, **about: Any) -> dict[str, Any]:
    """Put the four runs into one plain record.

    Args:
        errors: of all four runs.
        untrained: mean 2D error of the probe on an untrained network, pixels.
        about: steps, images, seed, ... of the runs.

    Returns:
        format; about; untrained; cells (new_background, temperature, epe_2d); changes (of background and
        temperature: mean pixels, below zero if it helps, and standard_error over the test hands).
    """
    cells = [
        {"new_background": new, "temperature": temperature, "epe_2d": float(own.mean())}
        for (new, temperature), own in errors.items()
    ]
    high, low = max(t for _, t in errors), min(t for _, t in errors)
    background = errors[True, high] - errors[False, high] + errors[True, low] - errors[False, low]
    temperature = errors[True, low] - errors[True, high] + errors[False, low] - errors[False, high]
    changes = {
        name: {"pixels": float(d.mean() / 2), "standard_error": float(d.std(ddof=1) / 2 / len(d) ** 0.5)}
        for name, d in (("background", background), ("temperature", temperature))
    }
    return {"format": FORMAT, "about": about, "untrained": untrained, "cells": cells, "changes": changes}


def keep(folder: Path, record: Mapping[str, Any]) -> Path:
    """Write a record into a folder; returns the file."""
    return write_json(folder / FILE, record)


def committed() -> dict[str, Any] | None:
    """Read the repository's own long runs, or None outside a clone."""
    path = base_folder() / "data" / "results" / FILE
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def table(record: Mapping[str, Any]) -> str:
    """Show the 2D errors as a Markdown table: backgrounds by temperatures, and the untrained features."""
    errors = {(cell["new_background"], cell["temperature"]): cell["epe_2d"] for cell in record["cells"]}
    temperatures = list(dict.fromkeys(temperature for _, temperature in errors))
    rows = [
        {"2D EPE (px)": "own backgrounds"} | {f"τ = {t}": errors[False, t] for t in temperatures},
        {"2D EPE (px)": "new backgrounds"} | {f"τ = {t}": errors[True, t] for t in temperatures},
        {"2D EPE (px)": "untrained features"} | {f"τ = {t}": record["untrained"] for t in temperatures},
    ]
    return format_table(rows, digits=3)


def verdict(record: Mapping[str, Any]) -> list[str]:
    """Say in a few lines what the runs show."""
    names = {"background": "new backgrounds instead of own", "temperature": "low τ instead of high"}
    lines = []
    for name, found in record["changes"].items():
        clear = "more" if abs(found["pixels"]) > 2 * found["standard_error"] else "no more"
        size = f"{found['pixels']:+.3f} ± {found['standard_error']:.3f} px"
        lines.append(f"{names[name]}: {size}, {clear} than the choice of test hands explains")
    best, untrained = min(cell["epe_2d"] for cell in record["cells"]), record["untrained"]
    meaning = "better than untrained" if best < untrained else "the runs were too short to tell anything"
    return [*lines, f"best of the four {best:.3f} px, untrained features {untrained:.3f} px: {meaning}"]
