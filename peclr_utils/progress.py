"""Progress bars that the course's runner can show.

Bars of a chapter that runs headless must not end up in its outputs. So the runner names a file in the
environment, and the chapter's bars write into that file, at most once a second, what they would show.
"""

import contextlib
import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tqdm.auto

BAR_FILE = "PECLR_UTILS_BAR_FILE"
"""Environment variable: the file that holds the running bar's text, "" between bars."""

_TEXT = "{desc}: {unit} {n_fmt}/{total_fmt}, {remaining} left{postfix}"


def progress_bar(iterable: Iterable | None = None, show: bool = True, **settings: Any) -> tqdm.std.tqdm:
    """Make a progress bar: on the screen, or in the runner's file if there is one.

    Args:
        iterable: what to loop over; None for a bar that is updated by hand.
        show: whether to show it on the screen; the file gets it anyway.
        settings: of tqdm, such as desc, unit, total and initial.
    """
    settings = {"mininterval": 1, **settings}
    if BAR_FILE in os.environ:
        # Looks at the clock at every step, because steps may become slower.
        return _BarInFile(iterable, file=io.StringIO(), miniters=1, leave=False, bar_format=_TEXT, **settings)
    return tqdm.auto.tqdm(iterable, disable=not show, **settings)


class _BarInFile(tqdm.std.tqdm):
    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        with contextlib.suppress(OSError):  # a full disk stops nothing here
            Path(os.environ[BAR_FILE]).write_text(str(self) if msg is None else msg, encoding="utf-8")
