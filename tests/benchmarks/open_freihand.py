"""Opening FreiHAND's labels at their real size, 32,560 photographs in four versions, against `json.load`.

    python tests/benchmarks/open_freihand.py

Makes the label files with random numbers in a temporary folder, no pictures. The first opening reads the same
JSON and keeps it in a form that later ones read.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
from harness import Row, interleaved, main, seconds

from peclr_utils.datasets import FreiHAND

PHOTOGRAPHS, VERSIONS = 32_560, 4
REPEATS = 5


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
        with (root / f"training_{kind}.json").open() as file:
            json.load(file)


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_labels(root)
        first = seconds(lambda: FreiHAND(root, "training", versions=VERSIONS))
        found = interleaved(
            lambda: FreiHAND(root, "training", versions=VERSIONS), lambda: load_json(root), REPEATS
        )
    plain = f"json.load of the same files: {found.against:.2f} s"
    what = f"opening FreiHAND's {PHOTOGRAPHS * VERSIONS:,} labels"
    return [
        Row(f"{what}, second time", f"{1e3 * found.ours:.0f} ms", plain, found.times, at_least=20),
        Row(f"{what}, first time", f"{first:.2f} s", plain, found.against / first),
    ]


if __name__ == "__main__":
    main(measure)
