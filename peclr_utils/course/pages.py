"""Regenerate what the Markdown pages show: tables of results, and the README's figures.

    python -m peclr_utils.course.pages data/results/README.md
    python -m peclr_utils.course.pages notebooks/figures/*.png

A page names the file of each table in a comment on the line before it: `<!-- FILE -->` for the errors of a
label-fraction table, of `changes`, of `transfer`, or on photographs; `<!-- FILE: turns -->` for how a
label-fraction table's projections turn. Paths start at the page.
"""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from peclr_utils.augmentation import AugmentationConfig, augment_sample, sample_parameters
from peclr_utils.crops import crop, open_crops
from peclr_utils.datasets import UPRIGHT, SyntheticHands
from peclr_utils.evaluation.report import NAMES
from peclr_utils.evaluation.turning import turned_by
from peclr_utils.experiments import changes, photographs, transfer
from peclr_utils.experiments.results import CELL, FORMAT, load_results, markdown, turns_markdown
from peclr_utils.plotting import (
    WIDTH,
    new_figure,
    plot_label_fractions,
    plot_method,
    plot_turns,
    show_samples,
)
from peclr_utils.plotting.style import label_axes, method_styles
from peclr_utils.settings import run_and_exit
from peclr_utils.training import extract_features
from peclr_utils.weights import load_contrastive_model

from . import base_folder
from .artefacts import TRAINED_LONG, committed_table

_USES = {"probe": "regression on\nfeatures", "frozen": "encoder frozen", "full": "all weights\ntuned"}
"""How a figure calls what `label_fractions.TUNINGS` names."""

_TURNS = {"slope": "slope", "read-out": "read_out_px"}
"""Fields of a table's `turns`, by a figure's panel."""

_LENGTHS = ("label_fractions.json", "resnet18.json", "longer.json")
"""Tables of ResNet-18 that differ in the epochs of pre-training."""

_TABLE = re.compile(r"(?m)^<!-- (?P<file>[^ :]+\.json)(?P<part>: turns)? -->\n(?:\|.*\n)*")


def fill_tables(page: Path) -> str:
    """Return a Markdown page's text with the tables of the results that its files hold now."""

    def table(found: re.Match[str]) -> str:
        results = json.loads((page.parent / found["file"]).read_text(encoding="utf-8"))
        layouts = {photographs.FORMAT: photographs.photographs_markdown}
        layouts |= {transfer.FORMAT: transfer.transfer_markdown, changes.FORMAT: changes.changes_markdown}
        errors = layouts.get(results["format"], markdown)
        shown = turns_markdown(results["turns"]) if found["part"] else errors(results)
        return f"{found[0].splitlines()[0]}\n{shown}\n"

    return _TABLE.sub(table, page.read_text(encoding="utf-8"))


def draw_cover() -> Figure:
    """Draw a row of rendered hands (chapter 01), and one of them moved with its keypoints (chapter 02)."""
    columns, size, seed = 8, 160, 11
    config = AugmentationConfig.peclr(rotation=60.0, shift=0.12, background=0.0, grey=0.0)
    config = replace(config, margin=config.full_margin)
    data = SyntheticHands(columns, seed=seed)
    hands = [crop(data[k], size, 1.25) for k in range(columns)]
    views = sample_parameters(config, columns, np.random.default_rng(seed))
    wide = crop(data[3], 2 * size, 1.2 * config.full_margin)
    moved = [augment_sample(wide, views[k], size) for k in range(columns)]
    captions = [""] * columns + [f"turned by {angle:+.0f}°" for angle in views.angle]
    return show_samples([*hands, *moved], columns, captions=captions)


def draw_result() -> Figure:
    """Draw the root-relative errors of the committed label-fraction table: each seed, and the mean."""
    figure, cells = new_figure(WIDTH, 4.6), committed_table()["cells"]
    kinds, uses = (list(dict.fromkeys(cell[name] for cell in cells)) for name in ("labelled", "tuning"))
    uses = [use for use in uses if use != "none"]
    methods = [
        method for method in NAMES if any(c["method"] == method and c["tuning"] in uses for c in cells)
    ]
    styles = method_styles([NAMES[method] for method in methods])
    for ax, kind in zip(figure.subplots(1, len(kinds), sharey=True), kinds, strict=True):
        for k, method in enumerate(methods):
            look = styles[NAMES[method]]
            for x, use in enumerate(uses):
                found = [
                    cell["root_relative_epe_mm"]
                    for cell in cells
                    if (cell["method"], cell["labelled"], cell["tuning"]) == (method, kind, use)
                ]
                at = x + 0.16 * (k - (len(methods) - 1) / 2)
                label = NAMES[method] if x == 0 else None
                ax.plot([at] * len(found), found, ".", color=look["color"], markersize=5)
                ax.plot(at, np.mean(found), look["marker"], color=look["color"], markersize=9, label=label)
        ax.set_xticks(range(len(uses)), [_USES[use] for use in uses])
        label_axes(ax, "", "root-relative error (mm)", f"64 labels, {kind}", grid="y")
    figure.axes[0].set_ylim(0, 160)
    figure.axes[0].legend(frameon=False, fontsize=9, loc="lower left")
    return figure


def draw_effect() -> Figure:
    """Draw what equivariance is and what it buys: turns of the encoders in `data/weights`, and errors."""
    hands = open_crops([f"synthetic:256?seed=9&{UPRIGHT}"], 64, 1.2, 1.5, progress=False)
    angles, turned = np.arange(-150.0, 151, 30), {}
    for method, name in TRAINED_LONG.items():
        model = load_contrastive_model(name)
        still = extract_features(model, hands, 64, 1.2)
        moved = (extract_features(model, hands, 64, 1.2, angle=angle) for angle in angles)
        turned[NAMES[method]] = np.stack([turned_by(still, one) for one in moved])
    figure = new_figure(WIDTH, 4.3)
    left, right = figure.subplots(1, 2)
    plot_turns(turned, angles, left, title="turn an image: do its 64 points turn?")
    rows = {"scratch": "full", "simclr": "frozen", "simclr_no_rotation": "frozen", "peclr": "frozen"}
    tables = {"frozen": committed_table(), "full": _results("all_weights.json")}
    styles = method_styles(list(NAMES.values()))
    for y, (method, use) in enumerate(rows.items()):
        found, look = _of_method(tables[use], method, use), styles[NAMES[method]]
        right.plot(found, [y] * len(found), ".", color=look["color"], markersize=6)
        right.plot(np.mean(found), y, look["marker"], color=look["color"], markersize=10)
    names = [
        "from scratch,\nall weights",
        "SimCLR with\nrotation, frozen",
        "SimCLR, no\nrotation, frozen",
        "PeCLR, frozen",
    ]
    right.set(yticks=range(len(rows)), yticklabels=names, xlim=(0, 105), ylim=(len(rows) - 0.5, -0.5))
    label_axes(right, "root-relative error (mm)", "", "64 labels: hands at any angle", grid="x")
    return figure


def draw_length() -> Figure:
    """Draw how projections turn, and errors, against epochs of pre-training, untrained at 0.

    Seeds are dots, lines go through their means. Only PeCLR and SimCLR without rotation have 12 epochs.
    """
    tables = {table["config"]["pretrain"]["epochs"]: table for table in map(_results, _LENGTHS)}
    panels = {
        "slope": ("turned per degree", "do the points turn?"),
        "read-out": ("2D error (px)", "equivariant read-out"),
        "probe": ("root-relative error (mm)", _USES["probe"].replace("\n", " ")),
    }
    figure, styles = new_figure(WIDTH, 3.8), method_styles(list(NAMES.values()))
    for ax, (panel, (label, title)) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        for method in ("simclr_no_rotation", "simclr", "peclr"):
            found = {0: _of_method(committed_table(), "scratch", panel)}
            found |= {epochs: _of_method(tables[epochs], method, panel) for epochs in sorted(tables)}
            values = {epochs: own for epochs, own in found.items() if own}
            look = styles[NAMES[method]]
            ax.plot(values.keys(), [np.mean(own) for own in values.values()], label=NAMES[method], **look)
            for epochs, own in values.items():
                ax.plot([epochs] * len(own), own, ".", color=look["color"], markersize=5)
        label_axes(ax, "epochs of pre-training", label, title)
        ax.set(ylim=(-0.05, 1.1) if panel == "slope" else (0, None), xticks=[0, *sorted(tables)])
    figure.axes[1].legend(frameon=False, fontsize=9, loc="lower left")
    return figure


def draw_labels() -> Figure:
    """Draw errors of a ridge regression on each method's features against the number of labels."""
    cells, errors = _results("labels.json")["cells"], {}
    for cell in cells:
        if (cell["labelled"], cell["tuning"]) == ("any angle", "probe"):
            of_method = errors.setdefault(NAMES[cell["method"]], {})
            of_method.setdefault(cell["labels"], []).append(cell["root_relative_epe_mm"])
    ordered = {name: errors[name] for name in NAMES.values() if name in errors}
    return plot_label_fractions(
        ordered, label="root-relative error (mm)", title=_USES["probe"].replace("\n", " ")
    )


def draw_changes() -> Figure:
    """Draw what single changes of a short pre-training do; the band spans the runs without a change."""
    results = _results("changes.json", changes.FORMAT)
    same = changes.unchanged(results)
    rows = {f"as it is, {len(same)} seeds": [results["runs"][name] for name in same]}
    rows |= {name: [run] for name, run in results["runs"].items() if name not in same}
    panels = {
        "64 labels": ("root-relative error (mm)", lambda run: _probe_error(run, 64)),
        "1,024 labels": ("root-relative error (mm)", lambda run: _probe_error(run, 1024)),
        "read-out, 64 upright labels": ("2D error (px)", lambda run: run["turns"][0]["read_out_px"]),
    }
    figure, color = new_figure(WIDTH, 5.2), method_styles([NAMES["peclr"]])[NAMES["peclr"]]["color"]
    axes = figure.subplots(1, len(panels), sharey=True)
    for ax, (title, (label, value)) in zip(axes, panels.items(), strict=True):
        values = [[value(run) for run in runs] for runs in rows.values()]
        ax.axvspan(min(values[0]), max(values[0]), color="0.9", lw=0)
        for y, own in enumerate(values):
            ax.plot(own, [y] * len(own), "o", color=color, markersize=6)
        label_axes(ax, label, "", title, grid="x")
    axes[0].set(yticks=range(len(rows)), yticklabels=rows, ylim=(len(rows) - 0.5, -0.5))
    return figure


def _probe_error(run: Mapping[str, Any], labels: int) -> float:
    """A change's root-relative error from labels at any angle."""
    found = [c for c in run["cells"] if (c["labelled"], c["labels"]) == ("any angle", labels)]
    return found[0]["root_relative_epe_mm"]


def _results(name: str, expected: str = FORMAT) -> dict[str, Any]:
    return load_results(base_folder() / "data" / "results" / name, expected)


def _of_method(table: Mapping[str, Any], method: str, panel: str) -> list[float]:
    """A method's slopes, read-out errors in px, or root-relative errors from labels at any angle, by seed."""
    if panel in _TURNS:
        return [turn[_TURNS[panel]] for turn in table["turns"] if turn["method"] == method]
    wanted = (method, "any angle", panel, 64)
    found = [c for c in table["cells"] if tuple(c[name] for name in CELL[:4]) == wanted]
    return [cell["root_relative_epe_mm"] for cell in found]


FIGURES = {
    "cover": draw_cover,
    "method": plot_method,
    "effect": draw_effect,
    "result": draw_result,
    "length": draw_length,
    "labels": draw_labels,
    "changes": draw_changes,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Fill the pages (.md) given, in place, and draw the figures given, those of `FIGURES`."""
    for path in map(Path, sys.argv[1:] if arguments is None else arguments):
        if path.suffix == ".md":
            path.write_text(fill_tables(path), encoding="utf-8")
        else:
            FIGURES[path.stem]().savefig(path, dpi=110)
    return 0


if __name__ == "__main__":
    run_and_exit(main)
