"""Opening FreiHAND's labels at their real size, 32,560 photographs in four versions, against `json.load`.

    python tests/benchmarks/open_freihand.py

The labels are random numbers, without images.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
from harness import Row, interleaved, main

from peclr_utils.datasets import FreiHAND

PHOTOGRAPHS, VERSIONS = 32_560, 4
REPEATS = 3


def write_labels(root: Path) -> None:
    """Write the label files of the training set."""
    rng = np.random.default_rng(0)
    shapes = {"K": (3, 3), "xyz": (21, 3), "scale": ()}
    for kind, shape in shapes.items():
        values = rng.normal(size=(PHOTOGRAPHS, *shape)).tolist()
        (root / f"training_{kind}.json").write_text(json.dumps(values))


def load_json(root: Path) -> None:
    """Read the same files as lists of numbers."""
    for kind in ("K", "xyz", "scale"):
        json.loads((root / f"training_{kind}.json").read_text())


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_labels(root)
        found = interleaved(
            lambda: FreiHAND(root, "training", versions=VERSIONS), lambda: load_json(root), REPEATS
        )
    plain = f"json.load of the same files: {found.against:.2f} s"
    what = f"opening FreiHAND's {PHOTOGRAPHS * VERSIONS:,} labels"
    return [Row(what, f"{found.ours:.2f} s", plain, found.times, at_least=0.5)]


if __name__ == "__main__":
    main(measure)
