"""Check a data folder and say what is wrong with it.

    python -m peclr_utils.datasets.check freihand data/raw/FreiHAND_pub_v2
    python -m peclr_utils.datasets.check youtube data/raw/youtube_3d_hands
    python -m peclr_utils.datasets.check folder my_images --boxes boxes.csv
    python -m peclr_utils.datasets.check coco my_images --labels keypoints.json

The exit code is 0 if nothing is wrong, otherwise 1. data/README.md says when to use it.
"""

import argparse
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from peclr_utils.datasets.coco import CocoHands
from peclr_utils.datasets.freihand import MAX_VERSIONS, PARTS, image_suffix, load_labels
from peclr_utils.datasets.image_folder import ImageFolderHands
from peclr_utils.datasets.images import read_image
from peclr_utils.datasets.sample import EvenMixture, HandDataset
from peclr_utils.datasets.youtube3d import SPLITS, YouTube3DHands
from peclr_utils.labels import label_problems
from peclr_utils.settings import run_and_exit


@dataclass
class Report:
    """What a check found, and the problems with what to do about them; prints itself."""

    title: str
    found: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems

    def __str__(self) -> str:
        lines = [f"  {line}" for line in self.found] + [f"  PROBLEM: {line}" for line in self.problems]
        verdict = "Nothing is wrong." if self.ok else f"{len(self.problems)} problem(s)."
        return "\n".join([self.title, *lines, verdict])


def check(
    kind: str,
    path: Path | str,
    *,
    boxes: str | None = None,
    labels: str = "keypoints.json",
    decode: int | None = 8,
) -> Report:
    """Check one folder: what was found, and what is wrong.

    Args:
        kind: "freihand", "youtube", "folder" or "coco".
        path: the folder.
        boxes: CSV file of boxes, for "folder".
        labels: file of keypoints, for "coco".
        decode: how many images of each part to decode, spread evenly; None decodes all.
    """
    root = Path(path).expanduser()
    report = Report(f"{kind} in {root}")
    if kind in ("folder", "coco"):
        try:
            if kind == "folder":
                _check_folder(report, root, boxes, decode)
            else:
                _check_coco(report, root, labels, decode)
        except (ValueError, OSError) as error:
            report.problems.append(str(error))
        return report
    parts, files, check_part = {
        "freihand": (PARTS, "{}*", _check_freihand),
        "youtube": (SPLITS, "youtube_{}.json", _check_youtube),
    }[kind]
    present = [part for part in parts if any(root.glob(files.format(part)))]
    report.found += [f"{part}: not there" for part in parts if part not in present]
    for part in present or parts[:1]:
        try:
            check_part(report, root, part, decode)
        except (ValueError, OSError) as error:
            report.problems.append(f"{part}: {error}; data/README.md says which file goes where")
    return report


def require_labels(dataset: HandDataset) -> None:
    """Raise ValueError if 16 hands of a data set have what `check` calls wrong; says all of it."""
    if isinstance(dataset, EvenMixture):
        for part in dataset.datasets:
            require_labels(part)
        return
    samples = [dataset[k] for k in _spread(len(dataset), 16)]
    samples = [sample for sample in samples if sample.keypoints_3d is not None and sample.K is not None]
    if not samples:
        return
    xyz, K = (np.stack([getattr(sample, name) for sample in samples]) for name in ("keypoints_3d", "K"))
    scales = [sample.bone_length for sample in samples]
    sizes, sides = {sample.image.shape[:2] for sample in samples}, {sample.handedness for sample in samples}
    scale = None if None in scales else np.array(scales)
    size, side = sizes.pop() if len(sizes) == 1 else None, sides.pop() if len(sides) == 1 else ""
    problems = label_problems(xyz, K, scale, size, side)
    if problems:
        raise ValueError(f"{dataset.source}, {len(samples)} of its hands: {'; '.join(problems)}")


def _check_freihand(report: Report, root: Path, part: str, decode: int | None) -> None:
    labels = load_labels(root, part)
    count = len(labels.K)
    known = [kind for kind, values in vars(labels).items() if values is not None]
    report.found.append(f"{part}: {count:,} photographs with {', '.join(known)}")
    images = _check_files(report, root / part / "rgb", count, MAX_VERSIONS if part == "training" else 1)
    if (root / part / "mask").is_dir():
        _check_files(report, root / part / "mask", count, 1)
    size = next(iter(_decode(report, images, decode, part).values()), None)
    if labels.xyz is None:
        report.found.append(f"{part}: no xyz, so no keypoints; FreiHAND_pub_v2_eval.zip has them")
    else:
        problems = label_problems(labels.xyz, labels.K, labels.scale, size)
        report.problems += [f"{part}: {problem}" for problem in problems]


def _check_files(report: Report, folder: Path, count: int, versions: int) -> list[Path]:
    """Compare the files there with those that `count` photographs in up to `versions` versions need."""
    suffix = image_suffix(folder)
    files = {int(path.stem): path for path in sorted(folder.glob("[0-9]" * 8 + suffix))}
    found = {number // count for number in files} & set(range(versions))
    report.found.append(f"{folder}: {len(files):,} files, {len(found)} version(s) of {count:,} photographs")
    expected = {count * version + k for version in found or {0} for k in range(count)}
    for wrong, numbers, remedy in (
        ("are missing", expected - files.keys(), "unpack the archive again, or copy them"),
        ("have no label", files.keys() - expected, "images and labels must be of one release"),
    ):
        if numbers:
            names = _some(f"{number:08d}{suffix}" for number in sorted(numbers))
            report.problems.append(f"{folder}: {len(numbers):,} files {wrong}: {names}; {remedy}")
    return list(files.values())


def _check_youtube(report: Report, root: Path, split: str, decode: int | None) -> None:
    """Missing frames are no problem as long as some are there: videos disappear from YouTube."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of missing frames, which are reported below
        dataset = YouTube3DHands(root, split)
    index, missing = dataset.index, dataset.missing
    hands = f"{len(index.ids):,} hands in {len(index.names):,} frames, {index.is_left.mean():.0%} left hands"
    report.found.append(f"{split}: {hands}; {len(missing):,} frames are missing: {_some(missing)}")
    chosen = _spread(len(dataset), decode)
    _decode(report, sorted({dataset.image_path(k) for k in chosen}), None, split)
    inside = []
    for k in chosen:
        xy, size = dataset.vertices(k)[:, :2], index.sizes[index.image[dataset.annotations[k]]]
        inside.append(((xy >= 0) & (xy < size)).all(1).mean())
    if np.mean(inside) < 0.5:
        found = f"only {np.mean(inside):.1%} of the vertices lie inside the frames' stated size"
        report.problems.append(f"{split}: {found}; they must be pixels, copy the label file again")


def _check_folder(report: Report, root: Path, boxes: str | None, decode: int | None) -> None:
    with warnings.catch_warnings(record=True, action="always") as caught:
        dataset = ImageFolderHands(root, boxes)
        report.found.append(f"{len(dataset.names):,} images")
        _decode(report, [root / name for name in dataset.names], decode, "images")
        if dataset.boxes is not None:
            boxed = len({box.name for box in dataset.boxes})
            report.found.append(f"{len(dataset.boxes):,} boxes in {boxed:,} images; skipped the others")
            for k in _spread(len(dataset), decode):
                dataset[k]
    for text in (str(warning.message) for warning in caught):
        (report.found if "ignored the columns" in text else report.problems).append(text)


def _check_coco(report: Report, root: Path, labels: str, decode: int | None) -> None:
    with warnings.catch_warnings(record=True, action="always") as caught:
        dataset = CocoHands(root, labels)
        chosen = [dataset[k] for k in _spread(len(dataset), decode)]
    report.problems += [str(warning.message) for warning in caught]
    unknown = np.mean([np.isnan(sample.keypoints_2d).any(axis=1).mean() for sample in chosen])
    left = np.mean([sample.handedness == "left" for sample in chosen])
    counted = f"{len(dataset):,} hands; decoded {len(chosen)}: {left:.0%} left hands"
    report.found.append(f"{counted}, {unknown:.0%} of the keypoints not known")
    outside = []
    for sample in chosen:
        size = np.array(sample.image.shape[1::-1])
        known = sample.keypoints_2d[np.isfinite(sample.keypoints_2d).all(axis=1)]
        outside.append(((known < -1) | (known > size)).any(axis=1).mean())
    if np.mean(outside) > 0.1:
        text = f"{np.mean(outside):.0%} of the keypoints lie outside their images"
        report.problems.append(f"{text}; were the images resized after they were labelled?")


def _decode(report: Report, paths: list[Path], wanted: int | None, what: str) -> dict[Path, tuple[int, int]]:
    """Decode some images, spread evenly; return the (height, width) of those that don't fail."""
    shapes, broken = {}, []
    for path in (paths[k] for k in _spread(len(paths), wanted)):
        try:
            shapes[path] = read_image(path).shape[:2]
        except (ValueError, OSError) as error:
            broken.append(str(error))
    if broken:
        report.problems.append(f"{what}: {len(broken)} decoded images are broken: {_some(broken)}")
    sizes = _some(sorted({f"{width} x {height}" for height, width in shapes.values()}))
    report.found.append(f"{what}: decoded {len(shapes)} of {len(paths)} images, {sizes or 'no'} pixels")
    return shapes


def _spread(count: int, wanted: int | None) -> list[int]:
    """Up to `wanted` positions of `count`, evenly spread and with both ends; None wants all."""
    chosen = np.linspace(0, count - 1, count if wanted is None else min(count, wanted))
    return np.unique(chosen.astype(int)).tolist()


def _some(names: Iterable[str]) -> str:
    """The first few names, for a message."""
    names = list(names)
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description="Check a data folder. Exit code 0: nothing is wrong.")
    parser.add_argument("kind", choices=("freihand", "youtube", "folder", "coco"))
    parser.add_argument("path", help="the data's folder")
    parser.add_argument("--boxes", help="CSV file of boxes (only for folder)")
    parser.add_argument("--labels", default="keypoints.json", help="file of keypoints (only for coco)")
    parser.add_argument("--decode", type=int, default=8, metavar="N", help="images to decode (default: 8)")
    parser.add_argument("--all", action="store_true", help="decode all images; takes minutes")
    given = parser.parse_args(arguments)
    decode = None if given.all else given.decode
    report = check(given.kind, given.path, boxes=given.boxes, labels=given.labels, decode=decode)
    print(report)
    return 0 if report.ok else 1


if __name__ == "__main__":
    run_and_exit(main)
