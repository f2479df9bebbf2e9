"""How long `import peclr_utils` and some of its rooms take beyond torch and torchvision.

python tests/benchmarks/import_time.py
"""

import statistics
import subprocess
import sys

from harness import Row, main

CODE = """\
import time
start = time.perf_counter()
import torch, torchvision
middle = time.perf_counter()
import {module}
print(middle - start, time.perf_counter() - middle)
"""
ROOMS = ("peclr_utils", "peclr_utils.augmentation", "peclr_utils.hands", "peclr_utils.training")
REPEATS = 3


def milliseconds(module: str) -> tuple[float, float]:
    """Medians over fresh interpreters: torch and torchvision, and the module after them."""
    command = [sys.executable, "-c", CODE.format(module=module)]
    runs = [
        subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.split() for _ in range(REPEATS)
    ]
    return tuple(1e3 * statistics.median(map(float, times)) for times in zip(*runs, strict=True))


def measure() -> list[Row]:
    rows = []
    for room in ROOMS:
        before, own = milliseconds(room)
        against = f"torch and torchvision before it: {before:,.0f} ms"
        rows.append(Row(f"import {room}", f"{own:,.1f} ms", against))
    return rows


if __name__ == "__main__":
    main(measure)
