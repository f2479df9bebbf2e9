"""Write any labelled set in FreiHAND's layout, so that every tool that reads FreiHAND reads it.

Chapter 01 exports rendered hands and opens them again; `data/sample` was made this way.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from peclr_utils.camera import bone_length
from peclr_utils.datasets.freihand import MAX_VERSIONS, PARTS, SHAPES, label_path
from peclr_utils.datasets.images import write_jpeg
from peclr_utils.datasets.sample import HandDataset, mirror
from peclr_utils.interrupts import HeldInterrupt, ignore_interrupts

_CHUNK = 8  # samples that a process writes before it heeds Ctrl-C


def export_freihand(
    dataset: HandDataset,
    root: Path | str,
    *,
    part: str = "training",
    quality: int = 95,
    overwrite: bool = False,
    workers: int = 0,
) -> None:
    """Write a labelled data set as FreiHAND's `training` or `evaluation` part.

    Samples of one identity become versions of one photograph: identities in ascending order become the ids 0,
    1, ..., and versions follow the order in the data set. Left hands are mirrored, because FreiHAND holds
    right hands. Labels are written so that float32 reads back exactly. A failed export leaves what was there.

    Args:
        dataset: a set whose samples have keypoints_3d and K; masks are written if they are known.
        root: folder to write; made if need be. It may hold the other part already.
        part: "training" or "evaluation".
        quality: of the JPEG images, 1 to 100.
        overwrite: whether to replace this part if it is there.
        workers: processes that make and write the samples; 0 does it in this one.

    Raises:
        ValueError: if a sample lacks labels, some lack a mask, identities have different numbers of versions,
            or versions of one identity have different labels.
        FileExistsError: if the folder holds this part and `overwrite` is not given.
    """
    if part not in PARTS:
        raise ValueError(f"export_freihand: part must be one of {', '.join(PARTS)}, found {part!r}")
    root = Path(root).expanduser()
    positions = _positions(dataset, 1 if part == "evaluation" else MAX_VERSIONS)
    parts = [root / part, *(label_path(root, part, kind) for kind in SHAPES)]
    found = [path for path in parts if path.exists()]
    if found and not overwrite:
        raise FileExistsError(f"{found[0]}: exists; name another folder, or replace it with overwrite=True")
    root.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=root))
    try:
        (folder / part / "rgb").mkdir(parents=True)
        write = partial(_write_sample, dataset, folder / part, len(positions), quality)
        places = list(enumerate(positions.T.ravel().tolist()))
        rows = list(_written(write, places, workers))
        _write_labels(folder, part, rows, len(positions))
        # The labels come last: without them the folder isn't taken for whole.
        for path in reversed(found):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for path in parts:
            os.replace(folder / path.name, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _positions(dataset: HandDataset, limit: int) -> np.ndarray:
    """Positions of the samples by identity and version, (N, V)."""
    identities, counts = np.unique(dataset.identities, return_counts=True)
    if not len(identities):
        raise ValueError(f"export_freihand: the data set {dataset.source!r} is empty")
    least, most = counts.argmin(), counts.argmax()
    if counts[least] != counts[most]:
        raise ValueError(
            "export_freihand: every identity must have equally many versions, but "
            f"{identities[least]} has {counts[least]}, {identities[most]} has {counts[most]}"
        )
    if counts[0] > limit:
        raise ValueError(f"export_freihand: at most {limit} versions of an identity, found {counts[0]}")
    return np.argsort(dataset.identities, kind="stable").reshape(len(identities), counts[0])


def _write_sample(dataset: HandDataset, folder: Path, count: int, quality: int, place: tuple) -> dict:
    """Write one image, and with a photograph's first version its mask; return the labels."""
    file, index = place
    sample = dataset[index]
    if sample.keypoints_3d is None or sample.K is None:
        raise ValueError(f"export_freihand: sample {index} of {sample.source} has no keypoints_3d or no K")
    if sample.handedness == "left":
        sample = mirror(sample)
    write_jpeg(folder / "rgb" / f"{file:08d}.jpg", sample.image, quality)
    if sample.mask is not None and file < count:
        (folder / "mask").mkdir(exist_ok=True)
        write_jpeg(folder / "mask" / f"{file:08d}.jpg", sample.mask)
    length = bone_length(sample.keypoints_3d) if sample.bone_length is None else sample.bone_length
    return {"K": sample.K, "xyz": sample.keypoints_3d, "scale": length, "mask": sample.mask is not None}


def _written(write: Callable[[tuple], dict], places: list[tuple], workers: int) -> Iterator[dict]:
    """Write the samples, here or in other processes; yield their labels in order."""
    if not workers:
        yield from map(write, places)
        return
    pool = ProcessPoolExecutor(workers, initializer=ignore_interrupts)
    with HeldInterrupt() as interrupt:
        try:
            for labels in pool.map(write, places, chunksize=_CHUNK):
                if interrupt.came:
                    raise KeyboardInterrupt
                yield labels
        finally:
            pool.shutdown(cancel_futures=True)


def _write_labels(folder: Path, part: str, rows: list[dict], count: int) -> None:
    """Write the label files; every version of a photograph must have the first one's labels."""
    masks = sum(row["mask"] for row in rows[:count])
    if 0 < masks < count:
        raise ValueError(
            f"export_freihand: only {masks} of {count} photographs have a mask; give all or none"
        )
    for kind in SHAPES:
        values = np.float32([row[kind] for row in rows]).reshape(-1, count, *SHAPES[kind])
        same = np.isclose(values, values[0], rtol=1e-6, atol=1e-6).reshape(*values.shape[:2], -1).all(-1)
        if not same.all():
            version, photograph = np.argwhere(~same)[0]
            raise ValueError(
                f"export_freihand: versions 0 and {version} of photograph {photograph} differ in {kind}; "
                "FreiHAND's layout has one label for all versions"
            )
        # Nine significant digits: what it takes to read the same float32 back.
        short = np.array([float(f"{value:.9g}") for value in values[0].ravel().tolist()])
        label_path(folder, part, kind).write_text(json.dumps(short.reshape(values[0].shape).tolist()))
