"""How long FreiHAND's labels take to open at their real size: 32,560 photographs in four versions.

    python tests/benchmarks/open_freihand.py

Makes the label files with random numbers in a temporary folder, no pictures, and prints the time of the first
opening, of later ones, and of `json.load` alone.
"""

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from peclr_utils.datasets import FreiHAND

PHOTOGRAPHS = 32_560
VERSIONS = 4


def write_labels(root: Path) -> None:
    rng = np.random.default_rng(0)
    shapes = {"K": (3, 3), "xyz": (21, 3), "scale": ()}
    for kind, shape in shapes.items():
        values = rng.normal(size=(PHOTOGRAPHS, *shape)).tolist()
        (root / f"training_{kind}.json").write_text(json.dumps(values))


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def load_json(root: Path) -> None:
    for kind in ("K", "xyz", "scale"):
        with (root / f"training_{kind}.json").open() as file:
            np.array(json.load(file), np.float32)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_labels(root)
        size = sum(path.stat().st_size for path in root.iterdir())
        first = seconds(lambda: FreiHAND(root, "training", versions=VERSIONS))
        later = min(seconds(lambda: FreiHAND(root, "training", versions=VERSIONS)) for _ in range(5))
        entries = len(FreiHAND(root, "training", versions=VERSIONS))
        print(f"{entries:,} entries, {size / 1e6:.0f} MB of JSON")
        print(f"json.load and np.array  {seconds(lambda: load_json(root)):.2f} s")
        print(f"FreiHAND, first time    {first:.2f} s   (aim: under 2 s)")
        print(f"FreiHAND, afterwards    {later:.3f} s  (aim: under 0.2 s)")


if __name__ == "__main__":
    main()
