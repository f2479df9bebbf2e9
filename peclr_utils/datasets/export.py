"""Write any labelled set in FreiHAND's layout, so that every tool that reads FreiHAND reads it.

Appendix A1 exports rendered hands; `data/sample` was made this way.
"""

import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np

from peclr_utils.camera import bone_length
from peclr_utils.datasets.freihand import MAX_VERSIONS, PARTS, SHAPES
from peclr_utils.datasets.images import write_jpeg
from peclr_utils.datasets.sample import HandDataset, HandSample, mirror


def export_freihand(
    dataset: HandDataset,
    root: Path | str,
    *,
    part: str = "training",
    quality: int = 95,
    overwrite: bool = False,
) -> None:
    """Write a labelled data set as FreiHAND's `training` or `evaluation` part.

    Samples of one identity become versions of one photograph: identities in ascending order become the ids 0,
    1, ..., and versions follow the order in the data set. Left hands are mirrored, because FreiHAND holds
    right hands. Labels are written so that float32 reads back exactly. A failed export changes nothing.

    Args:
        dataset: a set whose samples have keypoints_3d and K; masks are written if they are known.
        root: folder to write; created if necessary. It may hold the other part already.
        part: "training" or "evaluation".
        quality: of the JPEG images, 1 to 100.
        overwrite: whether to replace this part if it is there.

    Raises:
        ValueError: if a sample lacks labels, some lack a mask, identities have different numbers of versions,
            or versions of one identity have different labels.
        FileExistsError: if the folder holds this part and `overwrite` is not given.
    """
    if part not in PARTS:
        raise ValueError(f"export_freihand: part must be one of {', '.join(PARTS)}, found {part!r}")
    root = Path(root).expanduser()
    positions = _positions(dataset, 1 if part == "evaluation" else MAX_VERSIONS)
    parts = [root / part, *(root / f"{part}_{kind}.json" for kind in SHAPES)]
    found = [path for path in parts if path.exists()]
    if found and not overwrite:
        raise FileExistsError(f"{found[0]}: exists; name another folder, or replace it with overwrite=True")
    root.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=root))
    try:
        (folder / part / "rgb").mkdir(parents=True)
        count, files = len(positions), enumerate(positions.T.ravel().tolist())
        rows = [_write_sample(dataset[k], folder / part, file, count, quality) for file, k in files]
        _write_labels(folder, part, rows, count)
        # The labels come last: without them the folder isn't mistaken for a complete one.
        for path in reversed(found):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for path in parts:
            os.replace(folder / path.name, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _positions(dataset: HandDataset, limit: int) -> np.ndarray:
    """Positions of the samples by identity and version, (N, V)."""
    identities, counts = np.unique(dataset.identities, return_counts=True)
    found = sorted(set(counts.tolist()))
    if len(found) != 1 or found[0] > limit:
        expected = f"at least one identity, and the same number of versions of each, at most {limit}"
        raise ValueError(f"export_freihand: expected {expected}; found identities with {found} versions")
    return np.argsort(dataset.identities, kind="stable").reshape(len(identities), counts[0])


def _write_sample(sample: HandSample, folder: Path, file: int, count: int, quality: int) -> dict:
    """Write one image, and with a photograph's first version its mask; return the labels."""
    if sample.keypoints_3d is None or sample.K is None:
        raise ValueError(f"export_freihand: {sample.source} {sample.name} has no keypoints_3d or no K")
    if sample.handedness == "left":
        sample = mirror(sample)
    write_jpeg(folder / "rgb" / f"{file:08d}.jpg", sample.image, quality)
    if sample.mask is not None and file < count:
        (folder / "mask").mkdir(exist_ok=True)
        write_jpeg(folder / "mask" / f"{file:08d}.jpg", sample.mask)
    length = bone_length(sample.keypoints_3d) if sample.bone_length is None else sample.bone_length
    return {"K": sample.K, "xyz": sample.keypoints_3d, "scale": length, "mask": sample.mask is not None}


def _write_labels(folder: Path, part: str, rows: list[dict], count: int) -> None:
    """Write the label files; every version of a photograph must have the first one's labels."""
    masks = sum(row["mask"] for row in rows[:count])
    if 0 < masks < count:
        raise ValueError(f"export_freihand: {masks} of {count} photographs have a mask; give all or none")
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
        text = json.dumps(short.reshape(values[0].shape).tolist())
        (folder / f"{part}_{kind}.json").write_text(text)
