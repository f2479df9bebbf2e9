"""Files that are whole or absent, and folders that one process writes at a time.

Every module that writes a file uses `atomic`; runs and packed crops use `locked`.
"""

import json
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

IMAGE_SUFFIXES = tuple(".jpg .jpeg .jpe .jfif .png .bmp .webp .tif .tiff .avif .gif .jp2 .ppm .pgm".split())
"""Files taken for images, in lower case."""


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` at the end, remove it on an error.

    The content reaches the disk before the rename, so a killed process or a power cut leaves the old file or
    the new one. Two processes may write one path at once: the last to finish wins.

    Raises:
        OSError: if the file can't be written.
    """
    # It ends like the path's name, which may already be as long as names can be: 255 bytes.
    name = path.name if len(os.fsencode(path.name)) < 230 else path.name[-50:]
    temporary = path.with_name(f".{os.getpid()}-{secrets.token_hex(4)}-{name}")
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
        busy: what to say if another process holds the lock: the error, or a line on stderr while waiting.
        wait: whether to wait for the other process.

    Raises:
        BlockingIOError: if another process holds the lock and `wait` is False.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise BlockingIOError(busy) from None
        print(f"{busy}; waiting for it", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
