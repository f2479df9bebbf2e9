"""When a training stops early: Ctrl-C, a time limit, a step limit.

Chapter 03 stops a run and goes on from its checkpoint (`training.resume`).
"""

import math
import signal
import threading
import time


class Stopping:
    """Says when to stop early: Ctrl-C, a time limit or a step limit.

    As a context manager it holds Ctrl-C back until the step that is under way is done, so that what gets
    saved is whole; a second Ctrl-C ends at once.

    Args:
        time_limit_minutes: 0 for none.
        max_steps: 0 for none.
    """

    def __init__(self, time_limit_minutes: float = 0.0, max_steps: int = 0):
        self.interrupted = False
        self._deadline = time.monotonic() + 60 * time_limit_minutes if time_limit_minutes else math.inf
        self._max_steps = max_steps or math.inf
        self._previous = None

    def reason(self, steps_done: int) -> str:
        """Why to stop after so many steps; "" to go on."""
        if self.interrupted:
            return "interrupted"
        if time.monotonic() >= self._deadline:
            return "time limit reached"
        return "step limit reached" if steps_done >= self._max_steps else ""

    def _interrupt(self, *_: object) -> None:
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True

    def __enter__(self) -> "Stopping":
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
