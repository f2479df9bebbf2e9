"""Crop a data set once, and find the crops again.

Chapters 03 and 04 train from crops that `open_crops` makes or finds.
"""

import hashlib
import math
import multiprocessing
import os
import re
import shutil
import tempfile
import threading
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from peclr_utils.crops import store
from peclr_utils.crops.cropping import crop
from peclr_utils.datasets import open_source
from peclr_utils.datasets.check import require_labels
from peclr_utils.datasets.sample import HandDataset, mirror
from peclr_utils.files import locked, write_json
from peclr_utils.interrupts import HeldInterrupt, ignore_interrupts
from peclr_utils.progress import progress_bar

_Chunk = tuple[int, dict[str, np.ndarray], list[str]]


def open_crops(
    hands: HandDataset | Sequence[str],
    image_size: int,
    view_factor: float,
    margin: float,
    cache: str | Path = "",
    progress: bool = False,
    labelled: bool = False,
) -> store.CropSet:
    """Crop data sets, or open their crops from the cache.

    Args:
        hands: a data set, or sources such as "synthetic:1024?seed=1"; a `CropSet` is returned as it is.
        image_size: side of a view in pixels.
        view_factor: how much wider than the hand a view of scale 1 is, see `peclr_utils.crops.crop_box`.
        margin: how many times wider than a view the crops are, so that no view reaches beyond them.
        cache: folder that keeps the crops; "" makes a temporary folder that is removed with the crops.
        progress: whether to show a progress bar.
        labelled: whether to check labels first, by `require_labels`.

    Returns:
        Crops at the resolution of a view.

    Raises:
        ValueError: if there is no source, or one is not understood, or its labels can't be right.
    """
    if isinstance(hands, store.CropSet):
        if labelled:
            require_labels(hands)
        return hands
    if isinstance(hands, Sequence):
        sources = [hands] if isinstance(hands, str) else hands
        if not sources:
            raise ValueError('sources: expected at least one, such as "synthetic:1024?seed=1", or a data set')
        hands, name = open_source(sources), "+".join(map(str, sources))
    else:
        name = f"{hands.source}-{len(hands)}-{describe_dataset(hands)['content']}"
    if labelled:
        require_labels(hands)
    size = math.ceil(image_size * margin)
    # The factor follows from the rounded size, so that a view's pixels are exactly the stored ones.
    factor = view_factor * size / image_size
    plain = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")
    if len(plain) > 80:  # more than some file systems accept
        plain = f"{plain[:71]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    folder = Path(cache or tempfile.mkdtemp(prefix="peclr_crops_"))
    try:
        crops = pack(hands, folder / f"{plain}_{size}px_{factor:.3f}", size, factor, progress=progress)
    except BaseException as error:
        if not cache:
            shutil.rmtree(folder, ignore_errors=True)
            error.add_note("The folder was temporary and is removed; with `cache` set, the next run resumes.")
        raise
    if not cache:
        weakref.finalize(crops, shutil.rmtree, folder, ignore_errors=True)
    return crops


def pack(
    dataset: HandDataset,
    path: str | Path,
    size: int,
    factor: float,
    workers: int | None = None,
    progress: bool = True,
) -> store.CropSet:
    """Crop every sample of a data set into a folder of a few files, or open it if that was done before.

    Left hands are mirrored: all crops show right hands.

    The crops grow in `path` + ".unfinished", which is renamed at the end; crops of other data, size or factor
    at `path` stay until then. If packing stops early, even by a kill or an error in a sample, the same call
    resumes. If another process is packing the same path, this one waits for it and opens its crops.

    Args:
        dataset: any data set; it must be picklable if there are workers.
        path: the folder to open or make.
        size: side of the crops in pixels.
        factor: see `peclr_utils.crops.crop_box`.
        workers: processes that crop; 0 crops in this one, None takes one per core if there is much to do.
        progress: whether to show a progress bar.

    Returns:
        The opened crops, in the order of the data set.

    Raises:
        ValueError: if the data set is empty, or size or factor is not positive.
        FileNotFoundError: if the folder at `path` holds something other than crops.
        OSError: if there is not enough space on the disk; says how much is needed.
        BrokenProcessPool: if a worker died, for example because memory ran out; fewer workers need less.
    """
    path, count = Path(path), len(dataset)
    if count == 0 or size < 1 or not factor > 0:
        raise ValueError(f"pack {dataset.source}: {count} samples, {size=}, {factor=} must all be positive")
    plan = {"version": store.FORMAT_VERSION, "count": count, "size": int(size), "factor": float(factor)}
    plan["dataset"] = describe_dataset(dataset)
    if _holds(path, plan):
        return store.CropSet(path)
    with locked(path.with_name(f".{path.name}.lock"), f"another process is packing {path}", wait=True):
        if not _holds(path, plan):  # another process may have made it meanwhile
            unfinished, outdated = (path.with_name(f"{path.name}.{state}") for state in ("unfinished", "old"))
            if not _holds(unfinished, plan):
                _create(unfinished, plan)
            _fill(unfinished, dataset, workers, progress)
            shutil.rmtree(outdated, ignore_errors=True)  # a kill may have left it
            if path.exists():
                os.rename(path, outdated)
            os.rename(unfinished, path)
            shutil.rmtree(outdated, ignore_errors=True)
    return store.CropSet(path)


def describe_dataset(dataset: HandDataset) -> dict[str, Any]:
    """Describe a data set in a few values that change when its content does.

    It covers all identities and the full content of eight evenly spread samples. That detects another seed,
    folder, split, order or number of samples, but not one exchanged image in the middle.
    """
    content = hashlib.sha256()
    for index in np.unique(np.linspace(0, len(dataset) - 1, 8).astype(int)):
        sample = dataset[int(index)]
        content.update(repr((sample.source, sample.handedness, sample.bone_length)).encode())
        for field in ("image", "mask", "keypoints_3d", "keypoints_2d", "K", "outline"):
            value = getattr(sample, field)
            content.update(b"none" if value is None else np.ascontiguousarray(value))
    identities = hashlib.sha256(np.ascontiguousarray(dataset.identities, dtype=np.int64))
    return {
        "source": dataset.source,
        "identities": identities.hexdigest()[:16],
        "content": content.hexdigest()[:16],
    }


def _holds(folder: Path, plan: dict[str, Any]) -> bool:
    """Whether a folder holds crops of this plan, finished or not; warns if it holds others."""
    if not folder.exists() or not any(folder.iterdir()):
        return False
    try:
        stamp, _ = store.open_folder(folder)
        if plan != {key: stamp[key] for key in plan}:
            raise ValueError(f"{folder} holds crops of other data, size or factor")
    except ValueError as error:
        warnings.warn(f"Packing again: {error}", stacklevel=3)
        return False
    return True


def _create(folder: Path, plan: dict[str, Any]) -> None:
    """Create arrays of zeros and reserve their space: writing to a memory map on a full disk would crash."""
    shutil.rmtree(folder, ignore_errors=True)
    arrays = store.layout(plan["count"], plan["size"])
    need = sum(math.prod(shape) * dtype.itemsize for shape, dtype in arrays.values())
    free = shutil.disk_usage(folder.parent).free
    try:
        if need > free:
            raise OSError("not enough space")
        write_json(folder / store.STAMP, {**plan, "sources": [], "masks": True})
        for name, (shape, dtype) in arrays.items():
            np.lib.format.open_memmap(folder / name, "w+", dtype, shape)
            if hasattr(os, "posix_fallocate"):
                with (folder / name).open("r+b") as file:
                    os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise OSError(
            f"{folder}: {error}: the crops need {need / 1e9:.2f} GB, {free / 1e9:.2f} GB are free; "
            "free some space or choose another folder"
        ) from error


def _fill(folder: Path, dataset: HandDataset, workers: int | None, progress: bool) -> None:
    """Make the chunks that are missing in a folder."""
    stamp, arrays = store.open_folder(folder, "r+")
    missing, count = np.flatnonzero(arrays[store.DONE] == 0).tolist(), stamp["count"]
    done = int(np.repeat(arrays[store.DONE], store.CHUNK)[:count].sum())
    if workers is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        workers = cores if count - done >= 512 else 0  # for fewer, starting them takes longer than they save
    make = partial(_crop_chunk, dataset, stamp["size"], stamp["factor"])
    bar = progress_bar(
        show=progress, desc=f"packing {dataset.source}", unit="image", total=count, initial=done
    )
    try:
        # Closed at the end, even after an error, so that no worker outlives the file lock.
        with bar, closing(_make_chunks(make, missing, workers)) as chunks:
            for number, rows, sources in chunks:
                new = [name for name in dict.fromkeys(sources) if name not in stamp["sources"]]
                if new:
                    stamp["sources"] += new
                    write_json(folder / store.STAMP, stamp)
                rows[store.INDEX]["source"] = [stamp["sources"].index(name) for name in sources]
                for name, values in rows.items():
                    arrays[name][number * store.CHUNK :][: len(values)] = values
                    arrays[name].base.flush()
                arrays[store.DONE][number] = 1  # only now that its rows have reached the disk
                arrays[store.DONE].base.flush()
                done += len(sources)
                bar.update(len(sources))
    except (Exception, KeyboardInterrupt) as error:
        error.add_note(f"{done:,} of {count:,} crops are done; the same call resumes there.")
        raise
    if not arrays[store.INDEX]["has_mask"].any():
        arrays.clear()  # Windows doesn't remove a file that is mapped
        write_json(folder / store.STAMP, {**stamp, "masks": False})
        (folder / store.MASKS).unlink(missing_ok=True)


def _crop_chunk(dataset: HandDataset, size: int, factor: float, number: int) -> _Chunk:
    """Crop a chunk: its number, its rows of the arrays by file name, and the name of each crop's source."""
    indices = range(len(dataset))[number * store.CHUNK : (number + 1) * store.CHUNK]
    layout, sources = store.layout(len(indices), size), []
    rows = {name: np.zeros(*layout[name]) for name in (store.IMAGES, store.MASKS, store.INDEX)}
    for image, mask, record, index in zip(*rows.values(), indices, strict=True):
        try:
            sample = dataset[index]
            # Networks for one hand learn right hands only.
            sample = crop(mirror(sample) if sample.handedness == "left" else sample, size, factor)
        except Exception as error:
            error.add_note(f"This was sample {index} of {dataset.source}.")
            raise
        image[:], mask[:] = sample.image, 0 if sample.mask is None else sample.mask
        for name in ("keypoints_3d", "keypoints_2d", "K", "bone_length"):
            value = getattr(sample, name)
            record[name] = np.nan if value is None else value
        record["identity"], record["has_mask"] = sample.identity, sample.mask is not None
        record["handedness"] = store.HANDEDNESS.index(sample.handedness)
        sources.append(sample.source)
    if not rows[store.INDEX]["has_mask"].any():
        del rows[store.MASKS]
    return number, rows, sources


def _make_chunks(make: Callable[[int], _Chunk], numbers: Iterable[int], workers: int) -> Iterator[_Chunk]:
    """Make chunks, and yield them in order; on Ctrl-C those in progress are finished and yielded."""
    if workers == 0:
        yield from map(make, numbers)
        return
    with HeldInterrupt() as interrupt:
        pool, pending = ProcessPoolExecutor(workers, initializer=_start_worker, initargs=(make,)), deque()
        try:
            for number in numbers:
                if interrupt.came:
                    break
                pending.append(pool.submit(_make_in_worker, number))
                if len(pending) > 2 * workers:  # a few at a time, so that memory does not grow
                    yield pending.popleft().result()
            for future in pending:
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)
    if interrupt.came:
        raise KeyboardInterrupt


_make: Callable[[int], _Chunk] | None = None  # set when a worker starts: the data set is sent to it only once


def _start_worker(make: Callable[[int], _Chunk]) -> None:
    global _make
    _make = make
    cv2.setNumThreads(0)
    ignore_interrupts()

    def exit_with_parent() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    # When the parent is killed, a pool's workers would wait forever; forked ones may share its file lock.
    threading.Thread(target=exit_with_parent, daemon=True).start()


def _make_in_worker(number: int) -> _Chunk:
    return _make(number)
