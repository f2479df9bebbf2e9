"""What the benchmarks share: a row of the table, repeated pairs, peak memory, one core.

A benchmark is a module with `measure() -> list[Row]`, and prints its own rows when it is run alone. `run.py`
runs them all. They compare, and assert nothing about speed. Torch and OpenCV are imported where they are
needed, because on Linux the peak memory of a process starts at the memory of its parent.
"""

import argparse
import contextlib
import ctypes
import dataclasses
import gc
import importlib.util
import json
import re
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

Action, Clock = Callable[[], object], Callable[[], float]

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"
"""64 images in FreiHAND's layout."""

HEADER = ("measure", "ours", "against", "ratio", "aim", "met")
MEMORY = "Memory is the process's largest resident size over what was resident before the call"
MEMORY_ON_GPU = "Memory is the most that torch had allocated on the GPU over what it had before the call"


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    measure: str  # what is measured, and its sizes
    ours: str = "–"  # our result, with its unit
    against: str = "–"  # what it is compared with, and its result
    ratio: float | None = None  # what the aim is about: times as fast, a share, or a number by itself
    at_least: float | None = None  # the aim, one of these two or neither
    at_most: float | None = None
    unit: str = "×"  # of ratio and aim
    remark: str = ""  # how it was measured, or why there is no number

    def cells(self) -> tuple[str, ...]:
        """The line's texts, in the order of `HEADER`."""
        ratio, aim, met = "–", "–", "–"
        sign, limit = ("≥", self.at_least) if self.at_most is None else ("≤", self.at_most)
        if limit is not None:
            aim = f"{sign} {limit:.3g}{self.unit}"
        if self.ratio is not None:
            ratio = f"{self.ratio:{',.0f' if self.ratio >= 100 else '.3g'}}{self.unit}"
        if self.ratio is not None and limit is not None:
            met = "yes" if (self.ratio >= limit if sign == "≥" else self.ratio <= limit) else "**no**"
        return self.measure, self.ours, self.against, ratio, aim, met


def table(rows: Sequence[Row]) -> str:
    """The rows in Markdown, with their remarks below."""
    lines = [HEADER, ("---",) * len(HEADER), *(row.cells() for row in rows)]
    remarks = [f"- *{row.measure}:* {row.remark}" for row in rows if row.remark]
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), "", *remarks]).rstrip()


class Timing(NamedTuple):
    """Medians over repeated pairs, in seconds; their ratios are taken pair by pair."""

    ours: float
    against: float
    share: float  # ours over the other's
    times: float  # the other's over ours


def interleaved(
    ours: Action, against: Action, repeats: int, device: Any = "cpu", clock: Clock = time.perf_counter
) -> Timing:
    """Time two calls in turn, after one of each, so that other work on the machine affects both.

    `time.process_time` is the clock for one core alone: other processes matter less.
    """
    ours(), against()
    pairs = [(seconds(ours, device, clock), seconds(against, device, clock)) for _ in range(repeats)]
    rounds = [(a, b, a / b, b / a) for a, b in pairs]
    return Timing(*map(statistics.median, zip(*rounds, strict=True)))


def seconds(action: Action, device: Any = "cpu", clock: Clock = time.perf_counter) -> float:
    """Time of one call, including the work that it leaves to a GPU."""
    wait_for(device)
    start = clock()
    action()
    wait_for(device)
    return clock() - start


def duration(time_taken: float) -> str:
    """Seconds as text with three digits; milliseconds below 0.1 s."""
    return f"{time_taken:.3g} s" if time_taken >= 0.1 else f"{1e3 * time_taken:.3g} ms"


def mebibytes(size: float) -> str:
    """Bytes as text."""
    return f"{size / 2**20:,.0f} MiB"


def wait_for(device: Any) -> None:
    """Wait until a GPU has done its queued work."""
    if str(device).startswith("cuda"):
        import torch

        torch.cuda.synchronize(device)


def peak_bytes(action: Action, device: Any = "cpu") -> int:
    """Most memory that a call takes beyond what was taken before it.

    Outside Linux and GPUs that is the process's peak, which never falls: the smallest call must come first.
    """
    if str(device).startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        action()
        return torch.cuda.max_memory_allocated(device) - before
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        # Return freed memory to the system: if the call used it again, it would not count.
        ctypes.CDLL(None).malloc_trim(0)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = _kilobytes("VmRSS")
    action()
    return 1024 * (_kilobytes("VmHWM") - before)


def _kilobytes(field: str) -> int:
    """Resident memory of this process, now (VmRSS) or at its peak (VmHWM); outside Linux always the peak."""
    status = Path("/proc/self/status")
    if status.is_file():
        return int(re.search(rf"^{field}:\s*(\d+) kB", status.read_text(), re.MULTILINE)[1])
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "darwin" else 1)


def use_threads(count: int) -> None:
    """Let torch and OpenCV compute with this many threads; with one, OpenCV starts none."""
    import cv2
    import torch

    torch.set_num_threads(count)
    cv2.setNumThreads(count if count > 1 else 0)


def installed(package: str) -> bool:
    """Whether a package that only benchmarks need is there."""
    return importlib.util.find_spec(package) is not None


def not_installed(package: str, row: Row) -> Row:
    """The row of a comparison that can't be made."""
    return dataclasses.replace(row, against=f"{package} is not installed: pip install '.[bench]'")


def main(measure: Callable[[], list[Row]]) -> None:
    """Run one benchmark and print its rows, or write them to the file that `run.py` names."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--json", type=Path, help="file for the rows, instead of printing them")
    path, rows = parser.parse_args().json, measure()
    if path is None:
        print(table(rows))
    else:
        path.write_text(json.dumps([dataclasses.asdict(row) for row in rows]))
