"""One process at a time: a lock that no dead process holds on to.

Chapter 03 trains from crops that are packed under it.

The operating system keeps the lock (`fcntl.lockf`, on Windows `msvcrt.locking`) and takes it from a process
that ends, however it ends: so a lock file that was left behind blocks nobody. Between machines it works as
far as their common file system does: NFS from version 3 on locks across machines if its lock service runs;
where a file system refuses, as some network and FUSE file systems do, a warning says that nothing guards.
"""

import errno
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None
    import msvcrt

PAUSE = 0.2
"""Seconds between two looks whether the lock is free."""

HELD = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
"""What the operating systems answer if another process holds the lock."""

# The operating system's lock does not part the threads of one process; and if one of them closed the file,
# the others would lose it.
_threads = threading.RLock()


@contextmanager
def only_one(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Let no other process in that locks the same file, until this one is through.

    Args:
        path: the lock file; it is made if need be, and removed at the end.
        waiting: called once if another process has to be waited for.
    """
    with _threads:
        file = _acquire(path, waiting)
        try:
            yield
        finally:
            with suppress(OSError):  # Windows lets no open file go: then it stays, and does no harm
                path.unlink()
            file.close()


def _acquire(path: Path, waiting: Callable[[], None]) -> BinaryIO:
    told = False
    while True:
        file = path.open("a+b")
        if _try(file):
            if _is(file, path):
                return file
            file.close()  # its last holder has removed it: whoever comes now makes another one
            continue
        file.close()
        if not told:
            waiting()
            told = True
        time.sleep(PAUSE)


def _try(file: BinaryIO) -> bool:
    try:
        if fcntl is not None:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    except OSError as error:
        if error.errno in HELD:
            return False
        warnings.warn(
            f"{file.name}: the file system keeps no locks ({error.strerror}); do not let two processes pack "
            "this folder at once",
            stacklevel=2,
        )
    return True


def _is(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
