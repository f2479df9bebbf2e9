"""Write any labelled set in FreiHAND's layout, so that every tool that reads FreiHAND reads it.

Chapter 01 exports rendered hands and opens them again; `data/sample` was made this way.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from peclr_utils.camera import bone_length
from peclr_utils.datasets import cache
from peclr_utils.datasets.freihand import MAX_VERSIONS
from peclr_utils.datasets.images import write_jpeg
from peclr_utils.datasets.labels import SHAPES, label_path
from peclr_utils.datasets.mirror import mirror
from peclr_utils.datasets.sample import HandDataset, HandSample
from peclr_utils.interrupts import HeldInterrupt, ignore_interrupts

PARTS = ("training", "evaluation")
_LABEL_TOLERANCE = 1e-6
_MASK_QUALITY = 95
_CHUNK = 8  # samples that a process writes at a time; it ends them before it heeds Ctrl-C

_Position = tuple[int, int]  # of a sample: its file's number, and its place in the data set
_Labels = dict[str, np.ndarray]


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
    1, ..., and versions follow the order in the data set. Left hands are mirrored, for FreiHAND holds right
    hands. Labels are written so that float32 reads back exactly. Everything is first written into a folder of
    another name.

    Args:
        dataset: a set whose samples have keypoints_3d and K; masks are written if they are known.
        root: folder to write; made if need be. It may hold the other part already.
        part: "training" or "evaluation".
        quality: of the JPEG pictures, 1 to 100.
        overwrite: whether to replace this part if it is there.
        workers: processes that make and write the samples; 0 does it in this one.

    Raises:
        ValueError: if a sample lacks labels, some lack a mask, identities have different numbers of versions,
            or versions of one identity have different labels.
        FileExistsError: if the folder holds this part, or other things, and `overwrite` is not given.
    """
    if part not in PARTS:
        raise ValueError(f"export_freihand: part must be one of {', '.join(PARTS)}, found {part!r}")
    root = Path(root).expanduser()
    photographs = _photographs(dataset, 1 if part == "evaluation" else MAX_VERSIONS)
    _refuse_to_overwrite(root, part, overwrite)
    root.mkdir(parents=True, exist_ok=True)
    with _unfinished_folder(root) as folder:
        for kind in ("rgb", "mask"):
            (folder / part / kind).mkdir(parents=True)
        write = partial(_write_sample, dataset, folder / part, quality, len(photographs))
        positions = list(enumerate(photographs.T.ravel().tolist()))
        rows = _labels_of_photographs(_mapped(write, positions, workers), len(photographs))
        for kind in SHAPES:
            label_path(folder, part, kind).write_text(_as_json([row[kind] for row in rows]))
        _check_masks(folder / part / "mask", len(photographs))
        _put_in_place(folder, root, part)


def _photographs(dataset: HandDataset, limit: int) -> np.ndarray:
    """Positions of the samples by identity and version, (N, V)."""
    identities, counts = np.unique(dataset.identities, return_counts=True)
    if not len(identities):
        raise ValueError(f"export_freihand: the data set {dataset.source!r} is empty")
    if counts.min() != counts.max():
        raise ValueError(
            "export_freihand: every identity must have equally many versions, but "
            f"{identities[counts.argmin()]} has {counts.min()}, "
            f"{identities[counts.argmax()]} has {counts.max()}"
        )
    if counts[0] > limit:
        raise ValueError(f"export_freihand: at most {limit} versions of an identity, found {counts[0]}")
    return np.argsort(dataset.identities, kind="stable").reshape(len(identities), counts[0])


def _mapped(
    write: Callable[[_Position], _Labels], positions: list[_Position], workers: int
) -> Iterator[_Labels]:
    """Write the samples, here or in other processes; yield their labels in order."""
    if workers == 0:
        yield from map(write, positions)
        return
    pool = ProcessPoolExecutor(workers, initializer=ignore_interrupts)
    with HeldInterrupt() as interrupt:
        try:
            for labels in pool.map(write, positions, chunksize=_CHUNK):
                if interrupt.came:
                    break
                yield labels
        finally:
            pool.shutdown(cancel_futures=True)
    if interrupt.came:
        raise KeyboardInterrupt


def _write_sample(
    dataset: HandDataset, folder: Path, quality: int, count: int, position: _Position
) -> _Labels:
    """Write one picture, and with a photograph's first version its mask; return the labels."""
    file, index = position
    sample = dataset[index]
    if sample.keypoints_3d is None or sample.K is None:
        raise ValueError(f"export_freihand: sample {index} of {sample.source} has no keypoints_3d or no K")
    if sample.handedness == "left":
        sample = mirror(sample)
    write_jpeg(folder / "rgb" / f"{file:08d}.jpg", sample.image, quality)
    if sample.mask is not None and file < count:
        write_jpeg(folder / "mask" / f"{file:08d}.jpg", sample.mask, _MASK_QUALITY)
    return _labels(sample)


def _labels(sample: HandSample) -> _Labels:
    length = bone_length(sample.keypoints_3d) if sample.bone_length is None else sample.bone_length
    return {"K": sample.K, "xyz": sample.keypoints_3d, "scale": np.float32(length)}


def _check_masks(folder: Path, count: int) -> None:
    """Remove the folder of masks if the data set has none."""
    written = sum(1 for _ in folder.iterdir())
    if written == 0:
        folder.rmdir()
    elif written < count:
        raise ValueError(
            f"export_freihand: only {written} of {count} photographs have a mask; expected all or none"
        )


def _labels_of_photographs(rows: Iterator[_Labels], count: int) -> list[_Labels]:
    """Keep the labels of the first versions and see that the others' are the same."""
    first: list[_Labels] = []
    for file, row in enumerate(rows):
        if file < count:
            first.append(row)
            continue
        for kind, value in row.items():
            if not np.allclose(
                value, first[file % count][kind], rtol=_LABEL_TOLERANCE, atol=_LABEL_TOLERANCE
            ):
                raise ValueError(
                    f"export_freihand: versions 0 and {file // count} of photograph {file % count} differ in "
                    f"{kind}; FreiHAND's layout has one label for all versions"
                )
    return first


def _as_json(values: list[np.ndarray]) -> str:
    """JSON with nine significant digits, which is what it takes to read the same float32 back."""

    def shortened(value: list | float) -> list | float:
        return [shortened(v) for v in value] if isinstance(value, list) else float(f"{value:.9g}")

    return json.dumps([shortened(np.asarray(value, np.float32).tolist()) for value in values])


def _refuse_to_overwrite(root: Path, part: str, overwrite: bool) -> None:
    if root.exists() and not root.is_dir():
        raise FileExistsError(f"{root}: is a file; name a folder to export to")
    if overwrite or not root.exists():
        return
    other = PARTS[1 - PARTS.index(part)]
    harmless = {other, cache.BESIDE, *(label_path(root, other, kind).name for kind in SHAPES)}
    found = sorted(path.name for path in root.iterdir() if path.name not in harmless)
    if found:
        raise FileExistsError(
            f"{root}: not empty, holds {', '.join(found[:4])}; name another folder, or replace its "
            f"{part} part with overwrite=True"
        )


@contextmanager
def _unfinished_folder(root: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=root))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _put_in_place(folder: Path, root: Path, part: str) -> None:
    """Replace the part; the labels come last, for without them the folder isn't taken for whole."""
    for kind in SHAPES:
        label_path(root, part, kind).unlink(missing_ok=True)
    if (root / part).exists():
        shutil.rmtree(root / part)
    os.replace(folder / part, root / part)
    for kind in SHAPES:
        os.replace(label_path(folder, part, kind), label_path(root, part, kind))
