"""Crop a data set once, and find the crops again.

Chapter 03 calls it before training.
"""

import hashlib
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from peclr_utils.crops.chunks import ChunkMaker, make_chunks
from peclr_utils.crops.crop_set import CropSet
from peclr_utils.crops.layout import FORMAT_VERSION, STAMP, chunk_range, read_stamp
from peclr_utils.crops.locking import only_one
from peclr_utils.crops.unfinished import UnfinishedSet
from peclr_utils.datasets.sample import HandDataset

SIZE, FACTOR = 136, 2.55
"""What `training.pretrain` packs unless it is told otherwise: views of 64 pixels, and room to turn them."""

PROBES = 8
"""Samples that are looked at to recognise a data set."""

MANY = 512
"""From so many crops on, several processes make them: below, starting them takes longer than they save."""


def pack(
    dataset: HandDataset,
    path: str | Path,
    size: int = SIZE,
    factor: float = FACTOR,
    workers: int | None = None,
    progress: bool = True,
) -> CropSet:
    """Crop every sample of a data set into a folder of a few files, or open it if that was done before.

    The crops grow in a folder beside `path` that ends in ".unfinished", and come to `path` when they are
    whole. If this is stopped, however, even by a kill or an error in a sample, the same call goes on where
    it was; by another data set, size or factor it starts anew. What lies at `path` stays until then. If
    another process packs the same path meanwhile, this one waits for it and opens its crops;
    `peclr_utils.crops.locking` says what that asks of a network's file system.

    Args:
        dataset: any data set; it must be picklable if there are workers.
        path: where the folder is or shall be.
        size: side of the crops in pixels.
        factor: see `peclr_utils.crops.crop_box`.
        workers: processes that crop; 0 crops in this one, None takes one for each core if there is much to
            do.
        progress: whether to show a progress bar, and to say what is gone on with or replaced.

    Returns:
        The opened crops, in the order of the data set.

    Raises:
        ValueError: if the data set is empty, or size, factor or workers make no sense.
        FileExistsError: if something that is not a crop set lies at `path`.
        OSError: if there is not enough room on the disk.
    """
    path = Path(path)
    if len(dataset) == 0:
        raise ValueError(f"pack: the data set {dataset.source!r} is empty")
    if size < 1 or not factor > 0 or (workers is not None and workers < 0):
        raise ValueError(
            "pack: size must be at least 1, factor positive and workers at least 0, "
            f"found size={size}, factor={factor}, workers={workers}"
        )
    plan = {
        "version": FORMAT_VERSION,
        "count": len(dataset),
        "size": int(size),
        "factor": float(factor),
        "dataset": describe_dataset(dataset),
    }
    found, _ = _find(path, plan)
    if found is not None:
        shutil.rmtree(_outdated(path), ignore_errors=True)  # a kill may have left it
        return found
    say = _say if progress else _say_nothing
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f".{path.name}.lock")
    with only_one(lock, lambda: say(f"another process is packing {path}: waiting for it")):
        found, fault = _find(path, plan)  # another process may have made it meanwhile
        if found is not None:
            return found
        if fault:
            say(f"{path} {fault}: packing anew")
        _put_in_place(_finished(dataset, path, plan, workers, progress, say), path)
    return CropSet(path)


def describe_dataset(dataset: HandDataset) -> dict[str, Any]:
    """Say what a data set is, in a few lines that change when its content does.

    Every identity counts, and the full content of a few samples spread evenly: that tells apart another seed,
    folder, split, order or number of samples, but not one exchanged picture in the middle.

    Args:
        dataset: any data set.

    Returns:
        Plain values: type, source, length, whether masks were seen, and two digests.
    """
    content, masks = hashlib.sha256(), False
    for index in np.unique(np.linspace(0, len(dataset) - 1, PROBES).astype(int)):
        sample = dataset[int(index)]
        content.update(repr((sample.source, sample.handedness, sample.bone_length)).encode())
        for field in ("image", "mask", "keypoints_3d", "keypoints_2d", "K", "outline"):
            value = getattr(sample, field)
            content.update(b"none" if value is None else np.ascontiguousarray(value).tobytes())
        masks = masks or sample.mask is not None
    identities = np.ascontiguousarray(dataset.identities, dtype=np.int64)
    return {
        "type": type(dataset).__qualname__,
        "source": dataset.source,
        "length": len(dataset),
        "masks": masks,
        "identities": hashlib.sha256(identities.tobytes()).hexdigest()[:16],
        "content": content.hexdigest()[:16],
    }


def _find(path: Path, plan: dict[str, Any]) -> tuple[CropSet | None, str]:
    """Open what lies at `path` if it is whole and was made by this plan; otherwise say what is wrong."""
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return None, ""
    if not (path / STAMP).is_file():
        raise FileExistsError(f"pack: {path} exists and is not a crop set; choose another path or remove it")
    try:
        stamp = read_stamp(path)
        if {key: stamp.get(key) for key in plan} != plan:
            return None, "holds crops of other data, or of another size or factor"
        return CropSet(path), ""
    except ValueError as error:
        return None, f"cannot be used ({error})"


def _finished(
    dataset: HandDataset,
    path: Path,
    plan: dict[str, Any],
    workers: int | None,
    progress: bool,
    say: Callable[[str], None],
) -> Path:
    """Make the crops that are not there yet; return the folder that then holds all."""
    folder = path.with_name(path.name + ".unfinished")
    if (folder / STAMP).is_file() and _find(folder, plan)[0] is not None:
        return folder  # only the last step was missing
    unfinished = UnfinishedSet(folder, plan, say)
    missing = [number for number in range(unfinished.chunks) if number not in unfinished.done]
    if workers is None:
        workers = _cores() if _cores() > 1 and plan["count"] - unfinished.crops_done >= MANY else 0
    maker = ChunkMaker(dataset, folder, plan["size"], plan["factor"])
    try:
        bar = tqdm(
            total=plan["count"],
            initial=unfinished.crops_done,
            desc=f"packing {dataset.source}",
            unit="img",
            disable=not progress,
        )
        # Closed at the end, however that comes, so that no worker outlives the lock.
        with bar, closing(make_chunks(maker, missing, workers)) as chunks:
            for chunk in chunks:
                unfinished.note(chunk)
                bar.update(len(chunk_range(chunk.number, plan["count"])))
    except (Exception, KeyboardInterrupt) as error:
        error.add_note(
            f"{unfinished.crops_done:,} of {plan['count']:,} crops are done and kept in {folder}: "
            "the same call of pack goes on from there."
        )
        raise
    unfinished.finish()
    return folder


def _put_in_place(folder: Path, path: Path) -> None:
    """Rename the finished folder to `path`, out of whose way an outdated one goes first."""
    outdated = _outdated(path)
    shutil.rmtree(outdated, ignore_errors=True)
    try:
        if path.exists() and any(path.iterdir()):
            os.rename(path, outdated)
        elif path.exists():
            path.rmdir()
        os.rename(folder, path)
    except PermissionError as error:  # Windows, while a process has the outdated crops open
        raise PermissionError(
            error.errno, f"{error.strerror}; the new crops are whole, end what reads the old ones", str(path)
        ) from error
    shutil.rmtree(outdated, ignore_errors=True)


def _outdated(path: Path) -> Path:
    """Where the crops go that new ones replace, until they are removed."""
    return path.with_name(f".{path.name}.outdated")


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _say(line: str) -> None:
    tqdm.write(line, file=sys.stderr)


def _say_nothing(line: str) -> None:
    pass
