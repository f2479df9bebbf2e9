"""Make crops chunk by chunk, in this process or in several.

Chapter 03 trains from what they write.
"""

import multiprocessing
import os
import pickle
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path

import cv2
import numpy as np

from peclr_utils.crops.cropping import crop
from peclr_utils.crops.layout import (
    HANDEDNESS,
    IMAGES,
    INDEX,
    MASKS,
    RECORD,
    chunk_range,
    header,
    pixel_checksum,
)
from peclr_utils.datasets.sample import HandDataset, HandSample
from peclr_utils.interrupts import HeldInterrupt, ignore_interrupts


@dataclass(frozen=True)
class DoneChunk:
    """A chunk of crops whose files are written.

    Attributes:
        number: of the chunk.
        checksum: of its pixels.
        sources: the crops' sources in order, as (name, how many in a row).
    """

    number: int
    checksum: int
    sources: list[tuple[str, int]]


class ChunkMaker:
    """Crops a chunk of a data set, and writes it where it belongs in the files of a folder.

    Args:
        dataset: any data set.
        folder: where `images.npy` and `index.npy` are, in their full sizes.
        size: side of the crops in pixels.
        factor: see `peclr_utils.crops.crop_box`.
    """

    def __init__(self, dataset: HandDataset, folder: Path, size: int, factor: float):
        self.dataset, self.folder, self.size, self.factor = dataset, folder, size, factor
        self.count = len(dataset)

    def __call__(self, number: int) -> DoneChunk:
        """Make a chunk; its bytes have reached the disk when this returns.

        Raises:
            OSError: if the disk is full; what a data set raises is passed on with the sample's number.
        """
        rows = chunk_range(number, self.count)
        images = np.empty((len(rows), self.size, self.size, 3), np.uint8)
        masks = np.zeros((len(rows), self.size, self.size), np.uint8)
        records = np.zeros(len(rows), RECORD)
        sources = []
        for place, index in enumerate(rows):
            sample = self._crop(index)
            images[place], records[place] = sample.image, _record(sample)
            if sample.mask is not None:
                masks[place] = sample.mask
            sources.append(sample.source)
        self._write(IMAGES, images, rows.start)
        self._write(INDEX, records, rows.start)
        if records["has_mask"].any():
            self._write(MASKS, masks, rows.start)
        else:
            masks = None
        runs = [(name, len(list(run))) for name, run in groupby(sources)]
        return DoneChunk(number, pixel_checksum(images, masks), runs)

    def _crop(self, index: int) -> HandSample:
        try:
            return crop(self.dataset[index], self.size, self.factor)
        except Exception as error:
            error.add_note(f"This was sample {index} of {self.dataset.source}.")
            raise

    def _write(self, name: str, rows: np.ndarray, start: int) -> None:
        path = self.folder / name
        offset = len(header(name, self.count, self.size)) + start * rows.itemsize * rows[0].size
        # Written, not memory-mapped: a full disk is then an error, and not a bus error that ends the process.
        try:
            path.touch()  # the masks' file comes with the first mask
            with path.open("r+b") as file:
                file.seek(offset)
                file.write(rows.tobytes())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror} while packing crops", str(path)) from error


def _record(sample: HandSample) -> np.ndarray:
    record = np.zeros((), RECORD)
    for name in ("keypoints_3d", "keypoints_2d", "K", "bone_length"):
        value = getattr(sample, name)
        record[name] = np.nan if value is None else value
    record["identity"] = sample.identity
    record["handedness"] = HANDEDNESS.index(sample.handedness)
    record["has_mask"] = sample.mask is not None
    return record


def make_chunks(maker: ChunkMaker, numbers: Iterable[int], workers: int) -> Iterator[DoneChunk]:
    """Make chunks, and yield each when it is done.

    If one fails, those that are being made are finished and yielded before the error is raised; so they are
    on Ctrl-C, unless it is pressed twice.

    Args:
        maker: makes one.
        numbers: of the chunks.
        workers: processes; 0 makes them in this one, in order.

    Raises:
        RuntimeError: if a worker process died; an error in a worker is raised here as it is.
    """
    if workers == 0:
        yield from map(maker, numbers)
        return
    numbers = iter(numbers)
    failure = None
    pool = ProcessPoolExecutor(workers, initializer=_start_worker, initargs=(maker,))
    with HeldInterrupt() as interrupt:
        try:
            # A few at a time, so that memory does not grow with the number of chunks.
            running = {pool.submit(_make_in_worker, number) for number in islice(numbers, 2 * workers)}
            while running:
                ready, running = wait(running, return_when=FIRST_COMPLETED)
                for future in ready:
                    error = future.exception()
                    if error is None:
                        yield future.result()
                    failure = failure or error
                if failure is None and not interrupt.came:
                    following = islice(numbers, len(ready))
                    running |= {pool.submit(_make_in_worker, number) for number in following}
        except BrokenProcessPool as error:
            failure = failure or error
        finally:
            pool.shutdown(cancel_futures=True)
    if interrupt.came:
        raise KeyboardInterrupt from failure
    if isinstance(failure, BrokenProcessPool):
        raise RuntimeError(
            "a worker process died while packing crops, or could not start. If it was killed or ran out of "
            "memory, try fewer workers. If it could not start, define the data set in a module and guard the "
            'script with `if __name__ == "__main__":`, or pack with workers=0'
        ) from failure
    if failure is not None:
        raise failure


_worker_maker: ChunkMaker | None = None
"""What a worker process makes chunks with; set once when it starts, so that the data set is sent once."""


def _start_worker(maker: ChunkMaker) -> None:
    global _worker_maker
    _worker_maker = maker
    cv2.setNumThreads(0)
    ignore_interrupts()
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    """End with the process that packs: a pool's workers would wait for ever if that was killed."""
    multiprocessing.parent_process().join()
    os._exit(1)


def _make_in_worker(number: int) -> DoneChunk:
    try:
        return _worker_maker(number)
    except Exception as error:
        if _survives_pickling(error):
            raise
        told = RuntimeError(f"{type(error).__name__}: {error}")
        told.__notes__ = getattr(error, "__notes__", [])
        raise told from error


def _survives_pickling(error: Exception) -> bool:
    """Whether an error reaches another process; one whose class wants more than a message may not."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return False
    return True
