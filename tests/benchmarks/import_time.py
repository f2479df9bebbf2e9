"""Print how long `import peclr_utils` and some rooms take beyond torch and torchvision."""

import statistics
import subprocess
import sys

CODE = """\
import time, torch, torchvision
start = time.perf_counter()
import {module}
print(time.perf_counter() - start)
"""
ROOMS = ("peclr_utils", "peclr_utils.augmentation", "peclr_utils.hands", "peclr_utils.training")


def seconds(module: str, repeats: int = 3) -> float:
    """Median over fresh interpreters."""
    runs = [
        subprocess.run([sys.executable, "-c", CODE.format(module=module)], capture_output=True, check=True)
        for _ in range(repeats)
    ]
    return statistics.median(float(run.stdout) for run in runs)


if __name__ == "__main__":
    for room in ROOMS:
        print(f"import {room:<28} {1e3 * seconds(room):7.1f} ms")
