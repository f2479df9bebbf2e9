"""The folder in which a crop set grows: what of it is done outlives the process that makes it.

Chapter 03 trains from crops that grew here.

Beside the arrays lie `plan.json`, what is being made, and `journal.txt`, a line for each chunk of crops that
has reached the disk. The line is written after the chunk, and begins with a checksum of itself: one that was
torn does not count, and its chunk is made again.
"""

import json
import os
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from peclr_utils.crops.chunks import DoneChunk
from peclr_utils.crops.layout import (
    CHECKSUMS,
    IMAGES,
    INDEX,
    MASKS,
    RECORD,
    STAMP,
    chunk_range,
    file_size,
    header,
    sealed,
    shape_of,
    write_json,
)

PLAN, JOURNAL = "plan.json", "journal.txt"
OURS = {IMAGES, MASKS, INDEX, CHECKSUMS, JOURNAL, STAMP, f"{STAMP}.part", PLAN, f"{PLAN}.part"}


class UnfinishedSet:
    """What is there of a crop set so far.

    Args:
        folder: where it grows; what was begun there by the same plan is gone on with.
        plan: plain values that say what is made, among them `count` and `size`.
        say: is told in a line what is kept or given up.

    Attributes:
        folder: as given.
        done: the finished chunks, by number.

    Raises:
        FileExistsError: if the folder holds files of other kinds.
        OSError: if there is not enough room on the disk.
    """

    def __init__(self, folder: Path, plan: dict[str, Any], say: Callable[[str], None]):
        self.folder, self.plan = folder, plan
        self.count, self.size = plan["count"], plan["size"]
        self._refuse_others_files()
        obstacle = self._obstacle()
        if obstacle:
            say(f"{folder} was begun {obstacle}: starting anew")
        if obstacle is not None:
            shutil.rmtree(folder, ignore_errors=not folder.exists())
        self._need_room()
        if obstacle is not None:
            self._begin()
        self.done = self._read_journal()
        if self.done:
            say(f"going on with {folder}: {self.crops_done:,} of {self.count:,} crops are there")

    @property
    def chunks(self) -> int:
        """How many chunks there will be."""
        return shape_of(CHECKSUMS, self.count, self.size)[0][0]

    @property
    def crops_done(self) -> int:
        """How many crops need not be made again."""
        return sum(len(chunk_range(number, self.count)) for number in self.done)

    def note(self, chunk: DoneChunk) -> None:
        """Remember that a chunk is done."""
        line = json.dumps([chunk.number, chunk.checksum, chunk.sources])
        with (self.folder / JOURNAL).open("a", encoding="utf-8", newline="\n") as file:
            file.write(f"{zlib.crc32(line.encode()):08x} {line}\n")
            file.flush()
            os.fsync(file.fileno())
        self.done[chunk.number] = chunk

    def finish(self) -> None:
        """Write what follows from all chunks together; afterwards the folder is a crop set.

        If it is interrupted, it can be done again.
        """
        sources = sorted({name for chunk in self.done.values() for name, _ in chunk.sources})
        index_checksum, has_masks = self._complete_index(sources)
        if has_masks:
            _reserve(self.folder, MASKS, self.count, self.size)
        checksums = np.uint32([self.done[number].checksum for number in range(self.chunks)])
        whole = header(CHECKSUMS, self.count, self.size) + checksums.tobytes()
        (self.folder / CHECKSUMS).write_bytes(whole)
        checksums_of_files = {INDEX: index_checksum, CHECKSUMS: zlib.crc32(whole)}
        for name in (CHECKSUMS, *((MASKS,) if has_masks else ())):
            with (self.folder / name).open("r+b") as file:
                os.fsync(file.fileno())
        stamp = {**self.plan, "sources": sources, "masks": has_masks, "checksums": checksums_of_files}
        write_json(self.folder / STAMP, sealed(stamp))
        for name in (JOURNAL, PLAN):
            (self.folder / name).unlink()

    def _refuse_others_files(self) -> None:
        if self.folder.exists():
            found = {path.name for path in self.folder.iterdir()}
            others = sorted(name for name in found - OURS if not name.startswith("."))
            if others:
                raise FileExistsError(
                    f"{self.folder}: crops are to be packed there, but it holds {others[0]}; move that away"
                )

    def _obstacle(self) -> str | None:
        """Why what is there cannot be gone on with: "" if nothing is, None if it can."""
        try:
            plan = json.loads((self.folder / PLAN).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return ""
        except ValueError:
            return f"with a {PLAN} that is damaged now"
        for name in ("version", "count", "size", "factor"):
            if plan.get(name) != self.plan[name]:
                return f"with another {name}, {plan.get(name)} and not {self.plan[name]}"
        if plan != self.plan:
            return "from another data set"
        for name in (IMAGES, INDEX):
            file = self.folder / name
            if not file.is_file() or file.stat().st_size != file_size(name, self.count, self.size):
                return f"with {name}, which is missing or cut short now"
        return None

    def _need_room(self) -> None:
        names = [IMAGES, INDEX, CHECKSUMS] + [MASKS] * self.plan["dataset"]["masks"]
        need = sum(file_size(name, self.count, self.size) for name in names)
        need -= sum(_on_disk(path) for path in self.folder.glob("*.npy"))
        free = shutil.disk_usage(self.folder.parent).free
        if need > free:
            raise OSError(
                f"{self.folder.parent}: {self.count:,} crops of {self.size} px need {need / 1e9:.2f} GB "
                f"more, {free / 1e9:.2f} GB are free; make room, choose another folder or smaller crops"
            )

    def _begin(self) -> None:
        self.folder.mkdir()
        for name in (IMAGES, INDEX):
            _reserve(self.folder, name, self.count, self.size)
        (self.folder / JOURNAL).touch()
        write_json(self.folder / PLAN, self.plan)

    def _read_journal(self) -> dict[int, DoneChunk]:
        file = self.folder / JOURNAL
        content = file.read_bytes() if file.exists() else b""
        whole = content.rfind(b"\n") + 1
        if whole < len(content):  # the next line must not continue a torn one
            os.truncate(file, whole)
        done = {}
        for line in content[:whole].decode("utf-8", errors="replace").splitlines():
            checksum, _, entry = line.partition(" ")
            if checksum == f"{zlib.crc32(entry.encode()):08x}" and entry:
                number, pixels, sources = json.loads(entry)
                done[number] = DoneChunk(number, pixels, sources)
        return done

    def _complete_index(self, sources: list[str]) -> tuple[int, bool]:
        """Fill in the sources, numbered only now; return the checksum, and whether there are masks."""
        start = header(INDEX, self.count, self.size)
        checksum, has_masks = zlib.crc32(start), False
        with (self.folder / INDEX).open("r+b") as file:
            file.seek(len(start))
            for number in range(self.chunks):
                rows = len(chunk_range(number, self.count))
                records = np.frombuffer(bytearray(file.read(rows * RECORD.itemsize)), RECORD)
                names, lengths = zip(*self.done[number].sources, strict=True)
                records["source"] = np.repeat([sources.index(name) for name in names], lengths)
                file.seek(-records.nbytes, os.SEEK_CUR)
                file.write(records.tobytes())
                checksum = zlib.crc32(records.tobytes(), checksum)
                has_masks = has_masks or bool(records["has_mask"].any())
            file.flush()
            os.fsync(file.fileno())
        return checksum, has_masks


def _reserve(folder: Path, name: str, count: int, size: int) -> None:
    """Give a file its header and its full length, keeping what is in it."""
    (folder / name).touch()
    with (folder / name).open("r+b") as file:
        file.write(header(name, count, size))
        file.truncate(file_size(name, count, size))


def _on_disk(path: Path) -> int:
    """Bytes that a file takes now; on Linux one with holes takes less than its length."""
    state = path.stat()
    return state.st_blocks * 512 if hasattr(state, "st_blocks") else state.st_size
