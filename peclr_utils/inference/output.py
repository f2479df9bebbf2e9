"""How the command line writes what it found: images, JSON, CSV, and a line for each hand."""

import csv
import io
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from peclr_utils.files import atomic
from peclr_utils.inference.finding import ALIKE
from peclr_utils.inference.prediction import HandPrediction
from peclr_utils.skeleton import KEYPOINT_NAMES

WRITABLE = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
"""Endings of images that can be written."""


def write_image(path: Path, image: np.ndarray) -> None:
    """Write an RGB image, whole or not at all; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        _, encoded = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    except cv2.error:
        raise ValueError(f"{path}: OpenCV can't write an image of {image.shape} like this") from None
    with atomic(path) as temporary:
        temporary.write_bytes(encoded)


def printable(name: str) -> str:
    """A file's name as text; what isn't Unicode in it becomes "?"."""
    return name.encode(errors="replace").decode()


def table(hands: Sequence[HandPrediction], frames: Sequence[int] = ()) -> str:
    """Keypoints as CSV: a row for each keypoint of each hand; the hands of a film with the frame of each."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow("image frame hand side presence keypoint x y X Y Z unit".split())
    numbered: dict[str, int] = {}
    for hand, frame in itertools.zip_longest(hands, frames):
        number = numbered[hand.name] = numbered.get(hand.name, -1) + 1
        about = [printable(hand.name), frame, number if frame is None else hand.index]
        about += ["left" if hand.is_left else "right"]
        about += ["" if hand.presence is None else f"{hand.presence:.3f}"]
        for name, uv, xyz in zip(KEYPOINT_NAMES, hand.keypoints_2d, hand.keypoints_3d, strict=True):
            values = [f"{v:.2f}" for v in uv] + [f"{v:.5f}" for v in xyz]
            writer.writerow([*about, name, *values, hand.unit])
    return text.getvalue()


def numbers(hand: HandPrediction, frame: int | None = None) -> dict[str, object]:
    """A prediction as plain values, with the frame and the hand's number if it is from a film."""
    return {
        "image": hand.name,
        **({} if frame is None else {"frame": frame, "hand": hand.index}),
        "keypoints_2d": _plain(hand.keypoints_2d),
        "keypoints_3d": _plain(hand.keypoints_3d),
        "unit": hand.unit,
        "bone_length": _plain(hand.bone_length),
        "K": _plain(hand.K),
        "metric_depth_is_a_guess": hand.metric_depth_is_a_guess,
        "is_left": hand.is_left,
        "presence": _plain(hand.presence),
        "spread": _plain(hand.spread),
    }


def _plain(values: np.ndarray | float | None) -> Any:
    """A number or an array as JSON has it, in lists; None for what is not known or not finite."""
    values = np.asarray(values, dtype=np.float64)
    return np.where(np.isfinite(values), values, None).tolist()


def describe(hand: HandPrediction, height: int, width: int) -> str:
    """Say in one line where in an image of this size the hand is, and what that rests on."""
    points = hand.keypoints_2d[np.isfinite(hand.keypoints_2d).all(axis=1)]
    place = "without a finite keypoint"
    if len(points):
        ends = np.clip([points.min(axis=0), points.max(axis=0)], 0, [width - 1, height - 1])
        (x1, y1), (x2, y2) = ends.round().astype(int)
        place = f"within x {x1}..{x2}, y {y1}..{y2}"
    doubts = ["the camera is unknown, so it is the authors' default"] * hand.K_is_default
    doubts += ["the intrinsics don't fit the image"] * hand.K_is_doubtful
    doubts += ["the bone is an average adult's"] * hand.bone_is_average
    guess = f" (a guess: {' and '.join(doubts)})" if doubts else ""
    lost = "; no hand was found in the first crop, give --box" if hand.fell_back else ""
    if hand.spread is not None and not hand.spread <= ALIKE:
        by = f" by {hand.spread:.0%} of the hand's size" if np.isfinite(hand.spread) else ""
        lost += f"; unsure, turned copies of the image disagree{by}"
    depth = f"{hand.keypoints_3d[0, 2]:.2f} {hand.unit}"
    kind = (
        "hand"
        if hand.presence is None
        else f"{'left' if hand.is_left else 'right'} hand ({hand.presence:.0%})"
    )
    return f"{printable(hand.name)}: {kind} {place}, wrist at a depth of {depth}{guess}{lost}"
