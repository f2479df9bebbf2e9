"""When a training stops early: Ctrl-C, a time limit, a step limit."""

import math
import time
from pathlib import Path

from peclr_utils.interrupts import HeldInterrupt
from peclr_utils.training.config import RunSettings


class EarlyStop(HeldInterrupt):
    """Says when to stop early.

    As a context manager it holds Ctrl-C until the current step is done, so that what is saved is complete; a
    second Ctrl-C stops at once.

    Args:
        config: its time_limit_minutes and max_steps.
    """

    def __init__(self, config: RunSettings):
        super().__init__()
        limit = config.time_limit_minutes
        self._deadline = time.monotonic() + 60 * limit if limit else math.inf
        self._max_steps = config.max_steps or math.inf

    def reason(self, steps_done: int) -> str:
        """Why to stop after so many steps; "" to continue."""
        if self.came:
            return "interrupted"
        if time.monotonic() >= self._deadline:
            return "time limit reached"
        return "step limit reached" if steps_done >= self._max_steps else ""


def report_early_stop(reason: str, checkpoint: Path | None, progress: bool) -> None:
    """Say how to resume a run that stopped early; after Ctrl-C, pass the interruption on.

    Raises:
        KeyboardInterrupt: if that was the reason.
    """
    if not reason:
        return
    saved = (
        f"saved {checkpoint}; the same call resumes there" if checkpoint else "not saved: no output folder"
    )
    if reason == "interrupted":
        raise KeyboardInterrupt(f"{reason}: {saved}")
    if progress:
        print(f"{reason}: {saved}")
