"""When a training stops early: Ctrl-C, a time limit, a step limit."""

import math
import time
from pathlib import Path

from peclr_utils.interrupts import HeldInterrupt
from peclr_utils.training.config import RunSettings


class EarlyStop(HeldInterrupt):
    """Says when to stop; as a context manager it holds Ctrl-C until the current step is done.

    Args:
        config: its time_limit_minutes and max_steps.
    """

    def __init__(self, config: RunSettings):
        super().__init__()
        minutes = config.time_limit_minutes or math.inf
        self._deadline, self._max_steps = time.monotonic() + 60 * minutes, config.max_steps or math.inf

    def reason(self, steps_done: int) -> str:
        """Why to stop after `steps_done` steps; "" to continue."""
        if self.came:
            return "interrupted"
        if time.monotonic() >= self._deadline:
            return "time limit reached"
        return "step limit reached" if steps_done >= self._max_steps else ""


def report_early_stop(reason: str, checkpoint: Path | None, progress: bool) -> None:
    """Say how to resume a run that stopped early; after Ctrl-C, raise KeyboardInterrupt with that text."""
    saved = f"saved {checkpoint}; the same call resumes there" if checkpoint else "not saved (no output)"
    if reason == "interrupted":
        raise KeyboardInterrupt(f"{reason}: {saved}")
    if reason and progress:
        print(f"{reason}: {saved}")
