"""Check a data folder and say what is wrong with it.

    python -m peclr_utils.datasets.check freihand data/raw/FreiHAND_pub_v2
    python -m peclr_utils.datasets.check youtube data/raw/youtube_3d_hands
    python -m peclr_utils.datasets.check folder my_images --boxes boxes.csv

The exit code is 0 if nothing is wrong, otherwise 1. data/README.md says when to use it.
"""

import argparse
import sys
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from peclr_utils.camera import bone_length, project
from peclr_utils.datasets.freihand import MAX_VERSIONS, PARTS, load_labels
from peclr_utils.datasets.image_folder import ImageFolderHands
from peclr_utils.datasets.images import read_image
from peclr_utils.datasets.youtube3d import SPLITS, YouTube3DHands

BONE_RANGE = (0.01, 0.1)
"""Metres; no middle proximal phalanx is shorter or longer."""

_UNPACK = "unpack the archive again, or copy these files from a complete one"
_README = "data/README.md says where each file comes from and where it goes"
_BOXES = "name the folder that holds the images; boxes are rows of name,x,y,width,height"


@dataclass
class Report:
    """What a check found; prints itself.

    Attributes:
        title: what was checked.
        found: what is there.
        problems: (what is wrong, what to do).
    """

    title: str
    found: list[str] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems

    def __str__(self) -> str:
        lines = [self.title, *(f"  {line}" for line in self.found)]
        for what, remedy in self.problems:
            lines += [f"  PROBLEM: {what}", f"    -> {remedy}"]
        return "\n".join([*lines, "Nothing is wrong." if self.ok else f"{len(self.problems)} problem(s)."])


def check(kind: str, path: Path | str, *, boxes: str | None = None, decode: int | None = 8) -> Report:
    """Check one folder.

    Args:
        kind: "freihand", "youtube" or "folder".
        path: the folder.
        boxes: CSV file of boxes, for "folder".
        decode: how many images of each part to decode, spread evenly; None decodes all.

    Returns:
        What was found, and what is wrong.

    Raises:
        ValueError: if the kind is unknown.
    """
    root = Path(path).expanduser()
    report = Report(f"{kind} in {root}")
    if kind == "freihand":
        present = [part for part in PARTS if any(root.glob(f"{part}*"))]
        report.found += [f"{part}: not there" for part in PARTS if part not in present]
        for part in present or PARTS[:1]:
            _check_freihand(report, root, part, decode)
    elif kind == "youtube":
        present = [split for split in SPLITS if (root / f"youtube_{split}.json").is_file()]
        report.found += [f"{split}: not there" for split in SPLITS if split not in present]
        for split in present or SPLITS[:1]:
            _check_youtube(report, root, split, decode)
    elif kind == "folder":
        _check_folder(report, root, boxes, decode)
    else:
        raise ValueError(f"check: kind must be freihand, youtube or folder, found {kind!r}")
    return report


def label_problems(
    xyz: np.ndarray, K: np.ndarray, scale: np.ndarray | None, size: tuple[int, int] | None
) -> list[tuple[str, str]]:
    """Find units, axes and orders of keypoints that are not this package's.

    Args:
        xyz: (N, 21, 3) keypoints that should be metres in the camera's frame, in FreiHAND's order.
        K: (N, 3, 3) intrinsics in pixels.
        scale: (N,) length of the bone between keypoints 9 and 10 in metres, or None.
        size: (height, width) of the images in pixels, or None.

    Returns:
        For each problem what is wrong and what to do.
    """
    problems = []
    xyz, K = xyz.astype(np.float64), K.astype(np.float64)
    lengths = bone_length(xyz)
    behind = np.flatnonzero((xyz[..., 2] <= 0).any(1))
    if len(behind):
        found = f"{len(behind):,} hands have keypoints behind the camera, the first is number {behind[0]}"
        problems.append((found, "z must be positive, in metres, in the camera's frame"))
    if not BONE_RANGE[0] < np.median(lengths) < BONE_RANGE[1]:
        found = f"the bone 9-10 is {np.median(lengths):.4g} long in the median hand"
        problems.append((found, "xyz must be in metres, with keypoints in FreiHAND's order"))
    error = 0 if scale is None else np.median(np.abs(scale / lengths - 1))
    if error > 0.01:
        found = f"scale differs from the bone 9-10 by {error:.0%} in the median hand"
        remedy = (
            "scale must be the distance of keypoints 9 and 10 in metres, with keypoints in FreiHAND's order"
        )
        problems.append((found, remedy))
    if size is not None and not len(behind):
        uv = project(xyz, K)
        inside = ((uv >= -0.5) & (uv <= np.array(size[::-1]) - 0.5)).all(-1).mean()
        if inside < 0.9:
            remedy = "K, xyz and images don't belong together, or the images were resized and K was not"
            problems.append((f"only {inside:.1%} of the keypoints lie inside the images", remedy))
    return problems


def _check_freihand(report: Report, root: Path, part: str, decode: int | None) -> None:
    try:
        labels = load_labels(root, part)
    except (ValueError, FileNotFoundError) as error:
        report.problems.append((f"{part}: {error}", _UNPACK))
        return
    count = len(labels.K)
    known = [kind for kind, values in vars(labels).items() if values is not None]
    report.found.append(f"{part}: {count:,} photographs with {', '.join(known)}")
    images = _check_files(report, root / part / "rgb", count, MAX_VERSIONS if part == "training" else 1)
    if (root / part / "mask").is_dir():
        _check_files(report, root / part / "mask", count, 1)
    shapes = _decode(report, images, decode, part)
    if labels.xyz is None:
        report.found.append(f"{part}: no xyz, so no keypoints; FreiHAND_pub_v2_eval.zip has them")
    else:
        problems = label_problems(labels.xyz, labels.K, labels.scale, next(iter(shapes.values()), None))
        report.problems += [(f"{part}: {what}", remedy) for what, remedy in problems]


def _check_files(report: Report, folder: Path, count: int, versions: int) -> list[Path]:
    """Compare the files there with those that `count` photographs in up to so many versions ask for."""
    files = {int(path.stem): path for path in sorted(folder.glob("[0-9]" * 8 + ".jpg"))}
    found = sorted({number // count for number in files})
    report.found.append(f"{folder}: {len(files):,} files, {len(found)} version(s) of {count:,} photographs")
    expected = {count * version + k for version in found or [0] for k in range(count) if version < versions}
    other = "images and label files are of different releases; unpack one release into an empty folder"
    for wrong, numbers, remedy in (
        ("are missing", sorted(expected - files.keys()), _UNPACK),
        ("are empty", [number for number, path in files.items() if not path.stat().st_size], _UNPACK),
        ("have no label", [number for number in files if number not in expected], other),
    ):
        if numbers:
            names = _some(f"{number:08d}.jpg" for number in numbers)
            report.problems.append((f"{folder}: {len(numbers):,} files {wrong}: {names}", remedy))
    return list(files.values())


def _check_youtube(report: Report, root: Path, split: str, decode: int | None) -> None:
    """Missing frames are no problem as long as some are there: videos disappear from YouTube."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of missing frames, which are reported below
            dataset = YouTube3DHands(root, split)
    except (ValueError, OSError) as error:
        report.problems.append((f"{split}: {error}", _README))
        return
    index, missing = dataset.index, dataset.missing
    frames, hands = np.unique(index.image, return_counts=True)
    report.found.append(
        f"{split}: {len(index.image):,} hands in {len(frames):,} frames, up to {hands.max()} in one; "
        f"{index.is_left.mean():.0%} are left hands"
    )
    if missing:
        report.found.append(
            f"{split}: skipped the hands of {len(missing):,} missing frames: {_some(missing)}"
        )
    if len(np.unique(index.ids)) < len(index.ids):
        report.problems.append(
            (f"{split}: several annotations have the same id", "copy the label file again")
        )
    chosen = _spread(len(dataset), decode)
    shapes = _decode(report, sorted({dataset.image_path(k) for k in chosen}), None, split)
    inside, resized = [], 0
    for k in chosen:
        stated = index.sizes[index.image[dataset.annotations[k]]]
        shape = shapes.get(dataset.image_path(k))
        resized += shape is not None and tuple(stated) != shape[::-1]
        xy = dataset.vertices(k)[:, :2]
        inside.append(((xy >= 0) & (xy < stated)).all(1).mean())
    if resized:
        report.found.append(f"{split}: {resized} of {len(chosen)} frames are not of the stated size: scaled")
    if np.mean(inside) < 0.5:
        found = f"{split}: only {np.mean(inside):.1%} of the vertices lie inside the frames' stated size"
        report.problems.append((found, "vertices must be in pixels; copy the label file again"))


def _check_folder(report: Report, root: Path, boxes: str | None, decode: int | None) -> None:
    try:
        dataset = ImageFolderHands(root, boxes)
    except (ValueError, FileNotFoundError) as error:
        report.problems.append((str(error), _BOXES))
        return
    report.found.append(f"{len(dataset.names):,} images")
    shapes = _decode(report, [root / name for name in dataset.names], decode, "images")
    if dataset.boxes is not None:
        boxed = {box.name for box in dataset.boxes}
        report.found.append(f"{len(dataset.boxes):,} boxes in {len(boxed):,} images; skipped the others")
        for k in _spread(len(dataset), decode):
            try:
                dataset[k]
            except ValueError as error:
                report.problems.append((str(error), _BOXES))


def _decode(report: Report, paths: list[Path], wanted: int | None, what: str) -> dict[Path, tuple[int, int]]:
    """Decode some images, spread evenly; return the (height, width) of those that don't fail."""
    shapes, broken = {}, []
    chosen = [paths[position] for position in _spread(len(paths), wanted)]
    for path in chosen:
        try:
            shapes[path] = read_image(path).shape[:2]
        except (OSError, ValueError) as error:
            broken.append(str(error))
    if broken:
        found = f"{what}: {len(broken)} of {len(chosen)} decoded images are broken: {_some(broken)}"
        report.problems.append((found, "copy or unpack these files again; --all finds every broken one"))
    sizes = _some(sorted({f"{width} x {height}" for height, width in shapes.values()}))
    report.found.append(f"{what}: decoded {len(shapes)} of {len(paths)} images, {sizes or 'no'} pixels")
    return shapes


def _spread(count: int, wanted: int | None) -> list[int]:
    """Up to `wanted` positions of `count`, evenly spread and with both ends; None wants all."""
    if wanted is None or wanted >= count:
        return list(range(count))
    return np.unique(np.linspace(0, count - 1, wanted).astype(int)).tolist()


def _some(names: Iterable[str]) -> str:
    """The first few names, for a message."""
    names = list(names)
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m peclr_utils.datasets.check", description=__doc__)
    parser.add_argument("kind", choices=("freihand", "youtube", "folder"))
    parser.add_argument("path", help="the data's folder")
    parser.add_argument("--boxes", help="CSV file of boxes (only for folder)")
    parser.add_argument("--decode", type=int, default=8, metavar="N", help="images to decode (default: 8)")
    parser.add_argument("--all", action="store_true", help="decode all images; takes minutes")
    given = parser.parse_args(arguments)
    report = check(given.kind, given.path, boxes=given.boxes, decode=None if given.all else given.decode)
    print(report)
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
