"""Ctrl-C, held back until it does no harm.

Chapter 03 stops a run with it (`training.stopping`).
"""

import signal
import threading


class HeldInterrupt:
    """Holds Ctrl-C back inside a `with`; a second one ends at once.

    A KeyboardInterrupt may come between any two steps of Python, so also inside the code of a lock: whoever
    shares that lock then waits for ever. Work that shares locks with other threads, as a pool of processes
    does, asks for `came` where it can stop instead.

    Only the main thread is interrupted by Ctrl-C; in any other this does nothing.

    Attributes:
        came: whether Ctrl-C was pressed since the `with` began.
    """

    def __init__(self) -> None:
        self.came = False
        self._previous = None

    def _note(self, *_: object) -> None:
        if self.came:
            raise KeyboardInterrupt
        self.came = True

    def __enter__(self) -> "HeldInterrupt":
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)


def ignore_interrupts() -> None:
    """Leave Ctrl-C to the process that started this one, which lets running work come to its end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
