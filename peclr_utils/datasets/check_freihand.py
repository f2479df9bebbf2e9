"""Check a folder that should be FreiHAND's; see `check`."""

import os
import re
from pathlib import Path

import numpy as np

from peclr_utils.camera import bone_length, project
from peclr_utils.datasets.freihand import MAX_VERSIONS, FreiHAND
from peclr_utils.datasets.labels import SHAPES, Labels, explain_root, is_root, label_path, load_labels
from peclr_utils.datasets.report import Report, decode_some, some

_UNPACK = "unpack FreiHAND's archive again, or copy these files from a complete one"
_SCALE_TOLERANCE = 0.01
_LEAST_INSIDE = 0.9
_BONE_RANGE = (0.01, 0.1)
"""Metres; no middle proximal phalanx is shorter or longer."""


def check_freihand(path: Path | str, decode: int | None = 8) -> Report:
    """Check FreiHAND's folder: label files, pictures, masks, and whether labels and pictures fit together.

    Args:
        path: the folder.
        decode: pictures of each part to decode; None decodes all.
    """
    root = Path(path).expanduser()
    report = Report(f"FreiHAND in {root}")
    if not is_root(root):
        report.problem(explain_root(root), "name the folder that holds training_K.json and training/")
        return report
    for part in ("training", "evaluation"):
        if (root / part).is_dir() or any(label_path(root, part, kind).is_file() for kind in SHAPES):
            _check_part(report, root, part, decode)
        else:
            report.add(f"{part}: not there")
    return report


def _check_part(report: Report, root: Path, part: str, decode: int | None) -> None:
    try:
        labels = load_labels(root, part)
    except (ValueError, FileNotFoundError) as error:
        report.problem(f"{part}: {error}", _UNPACK)
        return
    count = len(labels.K)
    known = [kind for kind, values in vars(labels).items() if values is not None]
    report.add(f"{part}: {count:,} photographs with {', '.join(known)}")
    if labels.xyz is None:
        report.add(f"{part}: no xyz, so no keypoints; FreiHAND_pub_v2_eval.zip has them")
    pictures = _check_pictures(report, root / part / "rgb", part, count)
    _check_masks(report, root / part / "mask", part, count)
    shapes = decode_some(report, pictures, decode, part) if pictures else {}
    _check_labels(report, labels, part, next(iter(shapes.values()), None))
    if part == "training" and pictures and count > 1:
        train, val = (FreiHAND(root, split, versions=1) for split in ("train", "val"))
        report.add(f"training: train has {len(train):,} of the photographs, val {len(val):,}")


def _check_pictures(report: Report, folder: Path, part: str, count: int) -> list[Path]:
    """Compare the pictures there with those the labels ask for; return those there in order."""
    numbers = _numbers(report, folder, part)
    if not numbers:
        report.problem(f"{part}: no pictures in {folder}", _UNPACK)
        return []
    limit = MAX_VERSIONS if part == "training" else 1
    per_version = [sum(count * v <= n < count * (v + 1) for n in numbers) for v in range(limit)]
    report.add(
        f"{part}: {len(numbers):,} pictures, by version {', '.join(f'{found:,}' for found in per_version)}"
    )
    present = set(numbers)
    asked = [n for v in range(limit) if per_version[v] for n in range(count * v, count * (v + 1))]
    missing = [f"{n:08d}.jpg" for n in asked if n not in present]
    if missing:
        report.problem(f"{part}: {len(missing):,} pictures missing in {folder}: {some(missing)}", _UNPACK)
    beyond = [f"{n:08d}.jpg" for n in numbers if n >= count * limit]
    if beyond:
        report.problem(
            f"{part}: {len(beyond):,} pictures in {folder} have no label: {some(beyond)}",
            "pictures and label files are of different releases; unpack one release into an empty folder",
        )
    return [folder / f"{n:08d}.jpg" for n in numbers]


def _check_masks(report: Report, folder: Path, part: str, count: int) -> None:
    if not folder.is_dir():
        report.add(f"{part}: no masks")
        return
    present = set(_numbers(report, folder, part))
    missing = [f"{n:08d}.jpg" for n in range(count) if n not in present]
    report.add(f"{part}: {count - len(missing):,} masks")
    if missing:
        report.problem(f"{part}: {len(missing):,} masks missing in {folder}: {some(missing)}", _UNPACK)


def _numbers(report: Report, folder: Path, part: str) -> list[int]:
    """Numbers of the files in a folder, in order; notes those that are empty."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        files = [entry for entry in entries if re.fullmatch(r"\d{8}\.jpg", entry.name)]
        empty = sorted(entry.name for entry in files if entry.stat().st_size == 0)
    if empty:
        report.problem(f"{part}: {len(empty):,} empty files in {folder}: {some(empty)}", _UNPACK)
    return sorted(int(entry.name[:8]) for entry in files)


def _check_labels(report: Report, labels: Labels, part: str, shape: tuple[int, int] | None) -> None:
    if labels.xyz is None:
        return
    xyz = labels.xyz.astype(np.float64)
    lengths = bone_length(xyz)
    behind = np.flatnonzero((xyz[..., 2] <= 0).any(1))
    if len(behind):
        report.problem(
            f"{part}: {len(behind):,} hands have keypoints behind the camera, first id {behind[0]}",
            "z must be positive, in metres, in the camera's frame",
        )
    if not _BONE_RANGE[0] < np.median(lengths) < _BONE_RANGE[1]:
        report.problem(
            f"{part}: the bone 9-10 is {np.median(lengths):.4g} long in the median hand",
            "xyz must be in metres, with keypoints in FreiHAND's order",
        )
    if labels.scale is not None:
        error = np.abs(labels.scale / lengths - 1)
        report.add(f"{part}: scale equals the bone 9-10 up to {error.max():.2g} of its length")
        if np.median(error) > _SCALE_TOLERANCE:
            report.problem(
                f"{part}: scale differs from the bone 9-10 by {np.median(error):.0%} in the median hand",
                "scale must be the distance of keypoints 9 and 10 in metres, FreiHAND's order of keypoints",
            )
    if shape is not None and not len(behind):
        uv = project(xyz, labels.K.astype(np.float64))
        inside = ((uv >= -0.5) & (uv <= np.array([shape[1], shape[0]]) - 0.5)).all(-1).mean()
        report.add(f"{part}: {inside:.1%} of the keypoints lie inside the pictures")
        if inside < _LEAST_INSIDE:
            report.problem(
                f"{part}: only {inside:.1%} of the keypoints lie inside the pictures",
                "K, xyz and pictures don't belong together, or the pictures were resized and K was not",
            )
