"""Where a data set keeps the compact form of its labels, so that slow JSON is parsed only once.

The place is the folder `.peclr_utils` in the data's root or, where that can't be written to, a folder in the
user's cache. A file's name carries a stamp of the JSON files it was made from (name, size, time of change),
so a file that exists is valid, and is complete, because it is written under another name first and then
renamed. A disk or a copy may still damage it: then it is made again.
"""

import hashlib
import os
import secrets
import tokenize
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

BESIDE = ".peclr_utils"
"""Name of the folder in the data's root."""

DAMAGE = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    RuntimeError,
    tokenize.TokenError,
    zipfile.BadZipFile,
)
"""What reading a .npz or .npy file raises if it is cut short or its bytes have changed."""


def folders(root: Path, override: Path | str | None = None) -> list[Path]:
    """List the places to keep files made from `root`, best first.

    Args:
        root: the data's folder.
        override: a folder the user chose; then it is the only one.
    """
    if override is not None:
        return [Path(override).expanduser()]
    resolved = root.resolve()
    key = hashlib.blake2b(str(resolved).encode(), digest_size=6).hexdigest()
    places = [resolved / BESIDE]
    with suppress(RuntimeError):  # no home folder: then there is only the place beside the data
        places.append(Path.home() / ".cache" / "peclr_utils" / f"{resolved.name}-{key}")
    return places


def stamp(paths: Sequence[Path], version: int) -> str:
    """Give a short text that changes with any of the files, and with the format `version`."""
    state = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    return hashlib.blake2b(repr((version, state)).encode(), digest_size=8).hexdigest()


def find(places: Sequence[Path], name: str) -> Path | None:
    """Return the first existing file `name` in the places, or None."""
    return next((place / name for place in places if (place / name).is_file()), None)


def writable(places: Sequence[Path]) -> Path:
    """Return the first of the places that can be written to, made if need be.

    Raises:
        OSError: if none can, with the reason for each.
    """
    reasons = []
    for place in places:
        try:
            place.mkdir(parents=True, exist_ok=True)
            with atomic(place / ".gitignore") as temporary:  # keeps the folder out of a repository around it
                temporary.write_text("*\n")
            return place
        except OSError as error:
            reasons.append(f"{place} ({error.strerror or error})")
    raise OSError(f"no folder to keep parsed labels in: tried {', '.join(reasons)}; name one with cache=...")


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, renamed to it at the end and removed on an error.

    Two processes may write the same path at once: each has its own temporary file, and the last one to finish
    stays.
    """
    temporary = path.with_name(f".{os.getpid()}-{secrets.token_hex(4)}-{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_stale(place: Path, prefix: str, keep: Sequence[str]) -> None:
    """Remove files in `place` that begin with `prefix`, but not those to keep."""
    for path in place.glob(f"{prefix}*"):
        if path.name not in keep:
            with suppress(OSError):  # another process may still hold it open, or has removed it already
                path.unlink()
