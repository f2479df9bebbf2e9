"""The line about the running chapter that the course's runner keeps on stderr."""

import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

INTERVALS = {True: 1.0, False: 30.0}
"""Seconds between two lines, by whether they go to a terminal."""


@contextmanager
def progress_line(title: str, cells: int, bar: Path) -> Iterator[Callable[[Any, int], None]]:
    """Show chapter, cell, the time of each, and the progress bar of the running cell.

    On a terminal the line is rewritten every second; elsewhere, as in a log file, a new one comes every 30
    seconds. A thread writes it, because the main one waits for the cell.

    Args:
        title: the chapter's; its first word is enough where the terminal is narrow.
        cells: how many it has.
        bar: file for the bar's text, see `peclr_utils.progress`.

    Yields:
        What to call at the start of each cell, with the cell and its index.
    """
    terminal, begun, ended = sys.stderr.isatty(), time.monotonic(), threading.Event()
    number, cell_begun = 1, begun
    bar.write_text("")

    def start_cell(cell: Any, cell_index: int) -> None:
        nonlocal number, cell_begun
        number, cell_begun = cell_index + 1, time.monotonic()
        bar.write_text("")  # the last cell may have left an open bar

    def show(end: str) -> None:
        now = time.monotonic()
        chapter, cell = (tqdm.format_interval(now - start) for start in (begun, cell_begun))
        rest = f" {chapter} | cell {number} of {cells}, {cell}"
        if text := bar.read_text(encoding="utf-8", errors="replace"):
            rest += f" | {text}"
        if not terminal:
            print(title + rest, file=sys.stderr, flush=True)
            return
        columns = shutil.get_terminal_size().columns - 1
        name = title if len(title + rest) <= columns else title.split()[0]
        print("\r" + (name + rest)[:columns].ljust(columns), end=end, file=sys.stderr, flush=True)

    def repeat() -> None:
        while not ended.wait(INTERVALS[terminal]):
            show(end="")

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield start_cell
    finally:
        ended.set()
        thread.join()
        show(end="\n")
