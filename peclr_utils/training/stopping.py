"""When a training stops early: Ctrl-C, a time limit, a step limit.

Chapter 03 stops a run and goes on from its checkpoint (`training.resume`).
"""

import math
import time

from peclr_utils.interrupts import HeldInterrupt


class Stopping:
    """Says when to stop early: Ctrl-C, a time limit or a step limit.

    As a context manager it holds Ctrl-C back until the step that is under way is done, so that what gets
    saved is whole; a second Ctrl-C ends at once.

    Args:
        time_limit_minutes: 0 for none.
        max_steps: 0 for none.
    """

    def __init__(self, time_limit_minutes: float = 0.0, max_steps: int = 0):
        self._interrupt = HeldInterrupt()
        self._deadline = time.monotonic() + 60 * time_limit_minutes if time_limit_minutes else math.inf
        self._max_steps = max_steps or math.inf

    def reason(self, steps_done: int) -> str:
        """Why to stop after so many steps; "" to go on."""
        if self._interrupt.came:
            return "interrupted"
        if time.monotonic() >= self._deadline:
            return "time limit reached"
        return "step limit reached" if steps_done >= self._max_steps else ""

    def __enter__(self) -> "Stopping":
        self._interrupt.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._interrupt.__exit__(*error)
