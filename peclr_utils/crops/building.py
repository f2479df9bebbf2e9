"""Build a folder of crops once, and find it again.

Chapter 03 calls it before training.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
from tqdm.auto import tqdm

from peclr_utils.crops.crop_set import FORMAT_VERSION, HANDEDNESS, STAMP, CropSet, layout, read_stamp
from peclr_utils.crops.cropping import crop
from peclr_utils.datasets.sample import HandDataset, HandSample

CHUNK = 64
"""Crops that one worker makes before it reports."""

PROBES = 8
"""Samples that are looked at to recognise a data set."""


def build_crops(
    dataset: HandDataset,
    path: str | Path,
    size: int,
    factor: float = 1.3,
    workers: int = 0,
    progress: bool = True,
) -> CropSet:
    """Crop every sample of a data set into a folder, or open the folder if that was done before.

    The folder is written beside `path` under another name and renamed when it is whole, so that a build that
    was stopped leaves nothing at `path`. A folder made of other data, or of another size, factor or version,
    or one that is damaged, is replaced.

    Args:
        dataset: any data set; it must be picklable if there are workers.
        path: where the folder is or shall be.
        size: side of the crops in pixels.
        factor: see `peclr_utils.crops.crop_box`.
        workers: processes that crop; 0 crops in this one.
        progress: whether to show a progress bar.

    Returns:
        The opened crops, in the order of the data set.

    Raises:
        ValueError: if the data set is empty, or size, factor or workers make no sense.
        FileExistsError: if something that is not a crop set lies at `path`.
    """
    path = Path(path)
    if len(dataset) == 0:
        raise ValueError(f"build_crops: the data set {dataset.source!r} is empty")
    if size < 1 or not factor > 0 or workers < 0:
        raise ValueError(
            "build_crops: size must be at least 1, factor positive and workers at least 0, "
            f"found size={size}, factor={factor}, workers={workers}"
        )
    stamp = {
        "version": FORMAT_VERSION,
        "count": len(dataset),
        "size": size,
        "factor": factor,
        "dataset": describe_dataset(dataset),
    }
    ready = _open_if_same(path, stamp)
    if ready is not None:
        return ready
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{path.name}.unfinished-", dir=path.parent))
    try:
        sources = _write_arrays(dataset, unfinished, size, factor, workers, progress)
        (unfinished / STAMP).write_text(json.dumps({**stamp, "sources": sources}, indent=1), encoding="utf-8")
        unfinished.chmod(0o755)
        _put_in_place(unfinished, path, stamp)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return CropSet(path)


def describe_dataset(dataset: HandDataset) -> dict:
    """Say what a data set is, in a few lines that change when its content does.

    Every identity counts, and the full content of a few samples spread evenly: that tells apart another seed,
    folder, split, order or number of samples, but not one exchanged picture in the middle.

    Args:
        dataset: any data set.

    Returns:
        Plain values: type, source, length, and two digests.
    """
    content = hashlib.sha256()
    for index in np.unique(np.linspace(0, len(dataset) - 1, PROBES).astype(int)):
        sample = dataset[int(index)]
        content.update(repr((sample.source, sample.handedness, sample.bone_length)).encode())
        for field in ("image", "mask", "keypoints_3d", "keypoints_2d", "K", "outline"):
            value = getattr(sample, field)
            content.update(b"none" if value is None else np.ascontiguousarray(value).tobytes())
    identities = np.ascontiguousarray(dataset.identities, dtype=np.int64)
    return {
        "type": type(dataset).__qualname__,
        "source": dataset.source,
        "length": len(dataset),
        "identities": hashlib.sha256(identities.tobytes()).hexdigest()[:16],
        "content": content.hexdigest()[:16],
    }


def _open_if_same(path: Path, stamp: dict) -> CropSet | None:
    """Open what lies at `path` if it is whole and has this stamp; None if it has to be built."""
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return None
    if not (path / STAMP).is_file():
        raise FileExistsError(
            f"build_crops: {path} exists and is not a crop set; choose another path or remove it"
        )
    with suppress(ValueError):  # a damaged or older set is built again
        found = read_stamp(path)
        if {key: found.get(key) for key in stamp} == stamp:
            return CropSet(path)
    return None


def _put_in_place(unfinished: Path, path: Path, stamp: dict) -> None:
    """Rename the finished folder to `path`, out of whose way an outdated one goes first."""
    if not path.exists() or not any(path.iterdir()):
        os.replace(unfinished, path)
    elif _open_if_same(path, stamp) is None:  # otherwise another process was faster
        outdated = unfinished.with_name(unfinished.name + "-outdated")
        os.rename(path, outdated)
        os.rename(unfinished, path)
        shutil.rmtree(outdated)


def _write_arrays(
    dataset: HandDataset, folder: Path, size: int, factor: float, workers: int, progress: bool
) -> list[str]:
    """Fill the folder's arrays; return the names of the sources."""
    count = len(dataset)
    arrays = {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=dtype, shape=shape)
        for name, (shape, dtype) in layout(count, size).items()
    }
    chunks = [range(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]
    sources = [""] * count
    cropper = _Cropper(dataset, folder, size, factor)
    with tqdm(total=count, desc=f"cropping {dataset.source}", unit="img", disable=not progress) as bar:
        for chunk, rows in _in_any_order(cropper, chunks, workers):
            sources[chunk.start : chunk.stop] = rows.pop("source")
            for name, values in rows.items():
                arrays[name][chunk.start : chunk.stop] = values
            bar.update(len(chunk))
    names, arrays["source"][:] = np.unique(sources, return_inverse=True)
    for array in arrays.values():
        array.flush()
    return names.tolist()


class _Cropper:
    """Crops a chunk of a data set: writes the pictures into their files, returns everything else."""

    def __init__(self, dataset: HandDataset, folder: Path, size: int, factor: float):
        self.setting = (dataset, folder, size, factor)
        self.dataset, self.size, self.factor = dataset, size, factor
        self.images, self.masks = (
            np.load(folder / f"{name}.npy", mmap_mode="r+") for name in ("images", "masks")
        )

    def __reduce__(self):
        return _Cropper, self.setting

    def __call__(self, chunk: range) -> dict[str, list]:
        rows: dict[str, list] = {}
        for index in chunk:
            sample = crop(self.dataset[index], self.size, self.factor)
            self.images[index] = sample.image
            if sample.mask is not None:
                self.masks[index] = sample.mask
            for name, value in _row(sample).items():
                rows.setdefault(name, []).append(value)
        return rows


def _row(sample: HandSample) -> dict:
    """Everything about a crop but its pictures, as it goes into the files."""
    shapes = {name: shape[1:] for name, (shape, _) in layout(1, 1).items()}
    row = {}
    for name in ("keypoints_3d", "keypoints_2d", "K"):
        value = getattr(sample, name)
        row[name] = np.full(shapes[name], np.nan, np.float32) if value is None else value
    row["bone_length"] = np.nan if sample.bone_length is None else sample.bone_length
    row["identity"] = sample.identity
    row["handedness"] = HANDEDNESS.index(sample.handedness)
    row["has_mask"] = sample.mask is not None
    row["source"] = sample.source
    return row


def _in_any_order(
    cropper: _Cropper, chunks: list[range], workers: int
) -> Iterator[tuple[range, dict[str, list]]]:
    """Yield every chunk with its rows as they get ready."""
    if workers == 0:
        yield from ((chunk, cropper(chunk)) for chunk in chunks)
        return
    pool = ProcessPoolExecutor(workers, initializer=_start_worker, initargs=(cropper,))
    try:
        running = {pool.submit(_crop_in_worker, chunk): chunk for chunk in chunks}
        for future in as_completed(running):
            yield running[future], future.result()
    finally:
        pool.shutdown(cancel_futures=True)


_worker_cropper: _Cropper | None = None
"""What a worker process crops with; set once when it starts, so that the data set is sent once."""


def _start_worker(cropper: _Cropper) -> None:
    global _worker_cropper
    _worker_cropper = cropper
    cv2.setNumThreads(0)


def _crop_in_worker(chunk: range) -> dict[str, list]:
    return _worker_cropper(chunk)
