"""Progress bars, and the line of the course's runner that shows them.

Bars of a chapter that runs headless must not end up in its outputs. So the runner names a file in the
environment, and the bars write into that file, at most once a second, what they would show.
"""

import contextlib
import io
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import tqdm.auto

BAR_FILE = "PECLR_UTILS_BAR_FILE"
"""Environment variable: the file for the running bar's text, "" between bars."""

INTERVALS = {True: 1.0, False: 30.0}
"""Seconds between two lines of the runner, by whether they go to a terminal."""


def progress_bar(iterable: Iterable | None = None, show: bool = True, **settings: Any) -> tqdm.std.tqdm:
    """Make a bar, by tqdm's settings: in the runner's file if there is one, else on the screen if `show`."""
    settings = {"mininterval": 1, **settings}
    if BAR_FILE not in os.environ:
        return tqdm.auto.tqdm(iterable, disable=not show, **settings)
    text = "{desc}: {unit} {n_fmt}/{total_fmt}, {remaining} left{postfix}"
    # miniters: look at the clock at every step, because steps may become slower.
    return _BarInFile(iterable, file=io.StringIO(), miniters=1, leave=False, bar_format=text, **settings)


class _BarInFile(tqdm.std.tqdm):
    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        with contextlib.suppress(OSError):  # a full disk stops no training here
            Path(os.environ[BAR_FILE]).write_text(str(self) if msg is None else msg, encoding="utf-8")


@contextlib.contextmanager
def progress_line(title: str, cells: int, bar: Path) -> Iterator[Callable[[Any, int], None]]:
    """Show on stderr a notebook's time, its running cell, and that cell's bar from the file `bar`.

    On a terminal a thread rewrites the line every second; elsewhere it adds a line every 30 seconds. Yields
    what to call at the start of each cell, with the cell and its index. In the end the file is removed.
    """
    terminal, start, ended = sys.stderr.isatty(), time.monotonic(), threading.Event()
    number, cell_start = 1, start
    bar.write_text("")

    def start_cell(cell: Any, cell_index: int) -> None:
        nonlocal number, cell_start
        number, cell_start = cell_index + 1, time.monotonic()
        bar.write_text("")  # the last cell may have left an open bar

    def show(end: str = "") -> None:
        times = [tqdm.std.tqdm.format_interval(time.monotonic() - mark) for mark in (start, cell_start)]
        parts = [f"{title}, {times[0]}", f"cell {number} of {cells}, {times[1]}"]
        parts.append(bar.read_text("utf-8", "replace"))  # may be read while it is written
        text, columns = " | ".join(filter(None, parts)), shutil.get_terminal_size().columns - 1
        line = "\r" + text[:columns].ljust(columns) + end if terminal else text + "\n"
        print(line, end="", file=sys.stderr, flush=True)

    def repeat() -> None:
        while not ended.wait(INTERVALS[terminal]):
            show()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield start_cell
    finally:
        ended.set()
        thread.join()
        show(end="\n")
        bar.unlink()
