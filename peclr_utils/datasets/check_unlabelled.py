"""Check a folder that should be YouTube3DHands' or one of your own pictures; see `check`."""

import warnings
from pathlib import Path

import numpy as np

from peclr_utils.datasets.image_folder import ImageFolderHands
from peclr_utils.datasets.report import Report, decode_some, some, spread
from peclr_utils.datasets.youtube3d import SPLITS, YouTube3DHands, find_labels

_LEAST_INSIDE = 0.5
_README = "data/README.md says where each file comes from and where it goes"


def check_youtube(path: Path | str, decode: int | None = 8) -> Report:
    """Check YouTube3DHands' folder: label files, frames, and whether vertices and frames fit together.

    Missing frames are counted and no problem as long as some are there: videos disappear from YouTube.

    Args:
        path: the folder.
        decode: frames of each split to decode; None decodes all.
    """
    root = Path(path).expanduser()
    report = Report(f"YouTube3DHands in {root}")
    present = [split for split in SPLITS if (root / f"youtube_{split}.json").is_file()]
    for split in [split for split in SPLITS if split not in present]:
        report.add(f"{split}: not there")
    if not present:
        try:
            find_labels(root, SPLITS[0])
        except FileNotFoundError as error:
            report.problem(str(error), _README)
    for split in present:
        _check_split(report, root, split, decode)
    return report


def _check_split(report: Report, root: Path, split: str, decode: int | None) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it warns of, missing frames, is reported below
            dataset = YouTube3DHands(root, split)
    except (ValueError, OSError) as error:
        report.problem(f"{split}: {error}", _README)
        return
    index = dataset.index
    frames, hands = np.unique(index.image, return_counts=True)
    report.add(
        f"{split}: {len(index.image):,} hands in {len(frames):,} frames, up to {hands.max()} in one; "
        f"{index.is_left.mean():.0%} are left hands"
    )
    if dataset.missing:
        report.add(
            f"{split}: {len(dataset.missing):,} of {len(frames):,} frames missing, their hands left out: "
            f"{some(dataset.missing)}"
        )
    if len(np.unique(index.ids)) < len(index.ids):
        report.problem(f"{split}: several annotations have the same id", "copy the label file again")
    paths = sorted({dataset.image_path(position) for position in spread(len(dataset), decode)})
    shapes = decode_some(report, paths, None, split)
    _check_vertices(report, dataset, split, decode, shapes)


def _check_vertices(
    report: Report,
    dataset: YouTube3DHands,
    split: str,
    decode: int | None,
    shapes: dict[Path, tuple[int, int]],
) -> None:
    inside, resized = [], 0
    for position in spread(len(dataset), decode):
        stated = dataset.index.sizes[dataset.index.image[dataset.annotations[position]]]
        shape = shapes.get(dataset.image_path(position))
        resized += shape is not None and tuple(stated) != shape[::-1]
        xy = dataset.vertices(position)[:, :2]
        inside.append(((xy >= 0) & (xy < stated)).all(1).mean())
    if resized:
        report.add(
            f"{split}: {resized} of {len(inside)} frames are not of the stated size; vertices are scaled"
        )
    share = float(np.mean(inside))
    report.add(f"{split}: {share:.1%} of the vertices lie inside the frames")
    if share < _LEAST_INSIDE:
        report.problem(
            f"{split}: only {share:.1%} of the vertices lie inside the frames' stated size",
            "vertices must be in pixels; copy the label file again",
        )


def check_folder(path: Path | str, boxes: Path | str | None = None, decode: int | None = 8) -> Report:
    """Check a folder of pictures and the boxes in them.

    Args:
        path: the folder.
        boxes: CSV file of boxes, or None.
        decode: pictures to decode; None decodes all.
    """
    root = Path(path).expanduser()
    report = Report(f"Pictures in {root}")
    remedy = "name the folder that holds the pictures; boxes are rows of name,x,y,width,height"
    try:
        dataset = ImageFolderHands(root, boxes)
    except (ValueError, FileNotFoundError) as error:
        report.problem(str(error), remedy)
        return report
    report.add(f"{len(dataset.names):,} pictures")
    decode_some(report, [root / name for name in dataset.names], decode, "pictures")
    if dataset.boxes is not None:
        boxed = {box.name for box in dataset.boxes}
        report.add(
            f"{len(dataset.boxes):,} boxes in {len(boxed):,} pictures; pictures without a box are left out"
        )
        for position in spread(len(dataset), decode):
            try:
                dataset[position]
            except ValueError as error:
                report.problem(str(error), remedy)
    return report
