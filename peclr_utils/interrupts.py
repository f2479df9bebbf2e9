"""Ctrl-C, deferred until it is safe to stop.

Training stops with it.
"""

import signal
import threading


class HeldInterrupt:
    """Defers Ctrl-C inside a `with` block; a second one stops at once.

    A KeyboardInterrupt can be raised between any two bytecodes, also while a lock is held: every thread that
    shares the lock then waits forever. Code that shares locks with other threads, such as a pool of
    processes, checks `came` where it can stop instead.

    Only the main thread receives Ctrl-C; in any other thread this does nothing.

    Attributes:
        came: whether Ctrl-C was pressed since the block began.
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
    """Leave Ctrl-C to the parent process, which lets running work finish."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
