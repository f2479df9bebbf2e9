"""Regenerate what the Markdown pages show: tables of results, and the README's figures.

    python -m peclr_utils.course.pages data/results/README.md
    python -m peclr_utils.course.pages notebooks/figures/cover.png notebooks/figures/result.png

A page names the file of each table in a comment on the line before it: `<!-- FILE -->` for the errors of a
label-fraction table, `<!-- FILE: turns -->` for how its projections turn. Paths start at the page.
"""

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from peclr_utils.augmentation import AugmentationConfig, augment_sample, sample_parameters
from peclr_utils.crops import crop
from peclr_utils.datasets import SyntheticHands
from peclr_utils.evaluation.report import NAMES
from peclr_utils.experiments.results import markdown, turns_markdown
from peclr_utils.plotting import WIDTH, new_figure, show_samples
from peclr_utils.plotting.style import label_axes, method_styles
from peclr_utils.settings import run_and_exit

from .artefacts import committed_table

_USES = {"probe": "regression on\nfeatures", "frozen": "encoder frozen", "full": "all weights\ntuned"}
"""How a figure calls what `label_fractions.TUNINGS` names."""

_TABLE = re.compile(r"(?m)^<!-- (?P<file>[^ :]+\.json)(?P<part>: turns)? -->\n(?:\|.*\n)*")


def fill_tables(page: Path) -> str:
    """Return a Markdown page's text with the tables of the results that its files hold now."""

    def table(found: re.Match[str]) -> str:
        results = json.loads((page.parent / found["file"]).read_text(encoding="utf-8"))
        shown = turns_markdown(results["turns"]) if found["part"] else markdown(results)
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
        ax.set_ylim(0, None)
    figure.axes[0].legend(frameon=False, fontsize=9, loc="lower left")
    return figure


def main(arguments: Sequence[str] | None = None) -> int:
    """Fill the pages (.md) given, in place, and draw the figures cover.png and result.png."""
    for path in map(Path, sys.argv[1:] if arguments is None else arguments):
        if path.suffix == ".md":
            path.write_text(fill_tables(path), encoding="utf-8")
        else:
            {"cover": draw_cover, "result": draw_result}[path.stem]().savefig(path, dpi=110)
    return 0


if __name__ == "__main__":
    run_and_exit(main)
