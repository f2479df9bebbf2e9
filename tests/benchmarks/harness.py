"""What the benchmarks share: a row of the table, repeated pairs, peak memory, one core.

A benchmark is a module with `measure() -> list[Row]`, and prints its own rows when it is run alone. `run.py`
runs them all. They compare, and assert nothing about speed.

Torch and OpenCV are imported where they are needed: what the `resource` module calls a process's peak begins,
on Linux, at what the process that started it takes.
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
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"
"""64 pictures in FreiHAND's layout."""

HEADER = ("measure", "ours", "against", "ratio", "aim", "met")


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        measure: what is measured, and its sizes.
        ours: what we take, with its unit.
        against: what is compared with, and what that takes.
        ratio: what the aim is about: times as fast, share of the time or memory, or a number by itself.
        at_least, at_most: the aim, one of them or neither.
        unit: of ratio and aim.
        remark: how it was measured, or why there is no number.
    """

    measure: str
    ours: str = "–"
    against: str = "–"
    ratio: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    unit: str = "×"
    remark: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the aim is reached; None without an aim or a number."""
        if self.ratio is None or (self.at_least is None and self.at_most is None):
            return None
        return self.ratio >= self.at_least if self.at_most is None else self.ratio <= self.at_most

    def cells(self) -> tuple[str, ...]:
        """The line's texts, in the order of `HEADER`."""
        aim = "–"
        if self.at_least is not None:
            aim = f"≥ {self.at_least:g}{self.unit}"
        elif self.at_most is not None:
            aim = f"≤ {self.at_most:.3g}{self.unit}"
        ratio = "–" if self.ratio is None else f"{_short(self.ratio)}{self.unit}"
        met = {True: "yes", False: "**no**", None: "–"}[self.met]
        return (self.measure, self.ours, self.against, ratio, aim, met)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def table(rows: Sequence[Row]) -> str:
    """The rows in Markdown, with what is to be said about them below."""
    lines = [HEADER, ("---",) * len(HEADER), *(row.cells() for row in rows)]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    remarks = [f"- *{row.measure}:* {row.remark}" for row in rows if row.remark]
    return text + ("\n\n" + "\n".join(remarks) if remarks else "")


class Timing(NamedTuple):
    """Medians over repeated pairs.

    Attributes:
        ours, against: seconds.
        share: ours over the other's, pair by pair.
        times: the other's over ours, pair by pair.
    """

    ours: float
    against: float
    share: float
    times: float


def interleaved(
    ours: Callable[[], object],
    against: Callable[[], object],
    repeats: int,
    device: "torch.device | str" = "cpu",
    clock: Callable[[], float] = time.perf_counter,
    warm: bool = True,
) -> Timing:
    """Time two things in turn, so that what else the machine does meets both.

    Args:
        ours, against: what is timed.
        repeats: number of pairs.
        device: whose work is waited for.
        clock: `time.process_time` for what one core does alone: then other processes matter less.
        warm: whether to run both once before.
    """
    if warm:
        ours(), against()
    pairs = [(seconds(ours, device, clock), seconds(against, device, clock)) for _ in range(repeats)]
    rounds = [(a, b, a / b, b / a) for a, b in pairs]
    return Timing(*map(statistics.median, zip(*rounds, strict=True)))


def seconds(
    action: Callable[[], object],
    device: "torch.device | str" = "cpu",
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Time of one call, and of all that it left a GPU to do."""
    wait_for(device)
    start = clock()
    action()
    wait_for(device)
    return clock() - start


def duration(time_taken: float) -> str:
    """Seconds as text with three digits; milliseconds where that would be 0.0 s, as on a GPU."""
    if time_taken >= 100:
        return f"{time_taken:,.0f} s"
    return f"{time_taken:.3g} s" if time_taken >= 0.1 else f"{1e3 * time_taken:.3g} ms"


def wait_for(device: "torch.device | str") -> None:
    """Wait until a GPU has done what it was given."""
    if str(device).startswith("cuda"):
        import torch

        torch.cuda.synchronize(device)


MEMORY = "Memory is the process's largest resident size over what was resident before the call"
MEMORY_ON_GPU = "Memory is the most that torch had allocated on the GPU over what it had before the call"


def peak_bytes(action: Callable[[], object], device: "torch.device | str" = "cpu") -> int:
    """Most memory that a call takes above what was taken before it.

    Outside Linux and GPUs that is the process's peak, which never falls: of several calls in one process the
    one that takes least must come first.
    """
    if str(device).startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        action()
        return torch.cuda.max_memory_allocated(device) - before
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        # What was freed is given back: else the call could use it again, and it would not count.
        ctypes.CDLL(None).malloc_trim(0)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # sets the peak back
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
    """Let torch and OpenCV compute with so many threads; with one, OpenCV starts none."""
    import cv2
    import torch

    torch.set_num_threads(count)
    cv2.setNumThreads(count if count > 1 else 0)


def installed(package: str) -> bool:
    """Whether a package that only benchmarks need is there."""
    return importlib.util.find_spec(package) is not None


def not_installed(package: str, row: Row) -> Row:
    """The row of a comparison that cannot be made."""
    return dataclasses.replace(row, against=f"{package} is not installed: pip install '.[bench]'")


def main(measure: Callable[[], list[Row]]) -> None:
    """Run one benchmark and print its rows, or write them where `run.py` wants them."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--json", type=Path, help="file for the rows, instead of printing them")
    path = parser.parse_args().json
    rows = measure()
    if path is None:
        print(table(rows))
    else:
        path.write_text(json.dumps([dataclasses.asdict(row) for row in rows]))
