"""Files that are whole or absent, and folders that one process writes at a time.

Every module that writes a file uses `atomic`; runs and packed crops use `locked`.
"""

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` at the end, remove it on an error.

    The content reaches the disk before the rename, so a killed process or a power cut leaves the old file or
    the new one. Two processes may write one path at once: the last to finish wins.

    Raises:
        OSError: if the file can't be written.
    """
    temporary = path.with_name(f".{os.getpid()}-{secrets.token_hex(4)}-{path.name}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> Path:
    """Write a UTF-8 file atomically, and make its folder if necessary; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def write_json(path: Path, values: Any) -> Path:
    """Write plain values as indented JSON, atomically; returns the path."""
    return write_text(path, json.dumps(values, indent=1) + "\n")


@contextmanager
def locked(path: Path, busy: str, wait: bool = False) -> Iterator[None]:
    """Hold a file lock that the operating system releases when its holder dies.

    Args:
        path: the lock file; it is left in place, empty.
        busy: the error message if another process holds the lock.
        wait: whether to wait for the other process instead.

    Raises:
        BlockingIOError: if another process holds the lock and `wait` is False.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=-1 if wait else 0)
    try:
        lock.acquire()
    except Timeout:
        raise BlockingIOError(busy) from None
    try:
        yield
    finally:
        lock.release()
