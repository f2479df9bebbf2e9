"""One change at a time: what each setting of a pre-training does to features and projections.

    python -m peclr_utils.experiments.changes --output runs/changes

Each change is a small label-fraction table (`experiments.label_fractions`); its pre-training differs from the
common settings by what the change says. Finished ones are kept, so a killed run resumes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from peclr_utils.evaluation import format_table
from peclr_utils.experiments.label_fractions import LabelFractionsConfig, run_label_fractions
from peclr_utils.experiments.results import COLUMNS, DIGITS
from peclr_utils.files import write_json
from peclr_utils.settings import JSON, Settings, run_and_exit, run_command_line

FORMAT = "peclr_utils changes 1"

STRONG_COLOUR = {"hue": 90.0, "saturation": 1.0, "grey": 0.25, "blur": 0.3, "noise": 0.3}
MIDDLE_COLOUR = {"hue": 40.0, "saturation": 0.7, "grey": 0.2}


@dataclass(frozen=True, kw_only=True)
class ChangesConfig(Settings):
    """Settings of `run_changes`; the defaults take an hour on two cores without a GPU."""

    output: str = "runs/changes"  # Folder: results.json, and a folder per change.
    # What is common to all: fields of LabelFractionsConfig.
    common: JSON = field(
        default_factory=lambda: {
            "methods": ["peclr"],
            "tunings": ["probe"],
            "labels": [64, 1024],
            "seeds": [0],
        }
    )
    pretrain: JSON = field(default_factory=lambda: {"epochs": 2})  # Fields of PretrainConfig common to all.
    # By name: fields of PretrainConfig; "method" is a method of the label-fraction table instead.
    changes: JSON = field(
        default_factory=lambda: {
            "as it is": {},
            # How far runs differ by their seed alone.
            "another seed": {"seed": 1},
            "a third seed": {"seed": 2},
            "temperature 0.07": {"temperature": 0.07},
            "temperature 0.2": {"temperature": 0.2},
            "temperature 0.5": {"temperature": 0.5},
            "rotation up to 90°": {"rotation_degrees": 90.0},
            "rotation up to 45°": {"rotation_degrees": 45.0},
            "middle colour": {"augmentation": MIDDLE_COLOUR},
            "very strong colour": {"augmentation": STRONG_COLOUR},
            "learning rate 1e-4": {"learning_rate": 1e-4},
            "learning rate 6e-4": {"learning_rate": 6e-4},
            "projector 2,048 wide": {"projector_hidden": 2048},
            "shift not undone": {"undo_shift": False},
            "all undone to 0°": {"random_frames": False},
            "512 pairs, gradient cache": {"accumulate": 4, "grad_cache": True},
            "images end at the hand": {"sources": ["synthetic:12288?seed=1&view=40,15&size=128"]},
        }
    )

    def validate(self) -> None:
        """Check every field, and the settings of every change; errors as `Settings.validate`."""
        super().validate()
        self._require(bool(self.output), "output", "a folder, because this takes long and resumes there")
        self._require(bool(self.changes), "changes", "at least one")
        for name in self.changes:
            self.table_config(name).validate()

    def table_config(self, name: str) -> LabelFractionsConfig:
        """Settings of one change's small table."""
        common = LabelFractionsConfig().replace(**self.common)
        change = {**self.pretrain, **self.changes[name]}
        if method := change.pop("method", None):
            common = common.replace(methods=(method,))
        folder = name.replace(" ", "_").replace("/", "_")
        return common.replace(pretrain={**common.pretrain, **change}, output=str(Path(self.output, folder)))


def run_changes(config: ChangesConfig) -> dict[str, Any]:
    """Pre-train and probe once per change.

    Returns:
        format; config; runs: by name, the cells and turns of its table. Also written to `results.json`.

    Raises:
        ValueError: if a setting is wrong, or a folder holds a table with other settings.
    """
    config.validate()
    results: dict[str, Any] = {"format": FORMAT, "config": config.plain(), "runs": {}}
    for name in config.changes:
        table = run_label_fractions(config.table_config(name))
        results["runs"][name] = {"cells": table["cells"], "turns": table["turns"]}
        write_json(Path(config.output, "results.json"), results)
    return results


def unchanged(results: Mapping[str, Any]) -> list[str]:
    """The names of the runs with the common settings, which differ by their seeds at most."""
    return [name for name, change in results["config"]["changes"].items() if set(change) <= {"seed"}]


def changes_markdown(results: Mapping[str, Any]) -> str:
    """Lay out the changes: how the projections turn, and a row of errors per number of labels."""
    rows = []
    for name, run in results["runs"].items():
        turns = {"slope": "slope", "read-out (px)": "read_out_px"}
        start = {"change": name} | {h: [turn[key] for turn in run["turns"]] for h, key in turns.items()}
        groups: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
        for cell in run["cells"]:
            groups.setdefault((cell["labelled"], cell["labels"]), []).append(cell)
        for (labelled, labels), cells in groups.items():
            values = {heading: [cell[key] for cell in cells] for heading, key in COLUMNS.items()}
            rows.append({**start, "labels": f"{labels:,}, {labelled}", **values})
    return format_table(rows, DIGITS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the changes as the command line says."""
    program = "python -m peclr_utils.experiments.changes"
    return run_command_line(ChangesConfig, run_changes, program, changes_markdown, arguments)


if __name__ == "__main__":
    run_and_exit(main)
