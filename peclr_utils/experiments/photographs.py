"""How a network does on photographs with 2D keypoints: given their boxes, and finding the hands itself.

    python -m peclr_utils.experiments.photographs --photographs "coco:PATH?labels=keypoints.json"

Every image is also turned by 90, 180 and 270 degrees. Of several sources each is scored by itself, too.
`data/results` has such a table. Nothing is trained.
"""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from peclr_utils.camera import transform_intrinsics, transform_points
from peclr_utils.datasets import HandSample, open_source
from peclr_utils.evaluation import ImageEvaluation, evaluate_in_image, format_table
from peclr_utils.files import write_json
from peclr_utils.inference import find_hands, predict
from peclr_utils.inference.voting import overlap
from peclr_utils.models import PoseNetwork25D
from peclr_utils.settings import Settings, run_and_exit, run_command_line
from peclr_utils.skeleton import KEYPOINT_NAMES
from peclr_utils.training.device import choose_device
from peclr_utils.weights import load_pose_network

FORMAT = "peclr_utils photographs 5"

TURNS = (0, 90, 180, 270)
"""Degrees by which every photograph is turned, counter-clockwise."""

FOUND = 0.5
"""Intersection over union of the predicted and the true keypoints' box from which a hand is found."""


ROOM, SMALLEST_BACKGROUND = 0.35, 64
"""What `beside` leaves out around a hand, in sides of its box, and its smallest side in pixels."""


@dataclass(frozen=True, kw_only=True)
class PhotographsConfig(Settings):
    """Settings of `measure_photographs`."""

    # Hands with 2D keypoints, such as "coco:PATH?labels=keypoints.json"; one source or several.
    photographs: tuple[str, ...] = ()
    weights: str = "hand"  # The pose network; "hand" is the one that comes with the repository.
    find: bool = True  # Also search each image as it is for its hand, if the network can.
    device: str = "auto"  # "auto", "cpu", "cuda", "cuda:1", "mps"
    output: str = ""  # JSON file for the numbers; "" for none.

    def validate(self) -> None:
        """Check every field; errors as `Settings.validate`."""
        super().validate()
        self._require(bool(self.photographs), "photographs", "a source with 2D keypoints, such as coco:PATH")


def turn(sample: HandSample, degrees: int) -> HandSample:
    """Turn a sample's image counter-clockwise by a multiple of 90 degrees, and all that lies in its plane.

    The keypoints in 3D stay as they are: the sample's new K, A K with the turn's affine A, projects them onto
    the turned ones in 2D.
    """
    quarters, affine = degrees // 90 % 4, np.eye(3)
    height, width = sample.image.shape[:2]
    for _ in range(quarters):
        # A point (x, y) comes to (y, width - 1 - x).
        affine = np.array([[0.0, 1, 0], [-1, 0, width - 1], [0, 0, 1]]) @ affine
        height, width = width, height

    def turned(pixels: np.ndarray | None) -> np.ndarray | None:
        return None if pixels is None else np.ascontiguousarray(np.rot90(pixels, quarters))

    def moved(points: np.ndarray | None) -> np.ndarray | None:
        return None if points is None else transform_points(affine, points).astype(points.dtype)

    box, K = sample.box, sample.K
    if box is not None:
        corners = transform_points(affine, np.reshape(box, (2, 2)))
        box = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
    return replace(
        sample,
        image=turned(sample.image),
        mask=turned(sample.mask),
        keypoints_2d=moved(sample.keypoints_2d),
        outline=moved(sample.outline),
        box=box,
        K=None if K is None else transform_intrinsics(affine, K).astype(K.dtype),
    )


def labelled_samples(source: str) -> list[HandSample]:
    """All samples of a source of hands that are labelled in the image; ValueError if one isn't."""
    dataset = open_source(source)
    samples = [dataset[number] for number in range(len(dataset))]
    for sample in samples:
        if sample.keypoints_2d is None:
            raise ValueError(f"{source}: {sample.name} has no 2D keypoints; give labels, as in coco:PATH")
    return samples


def measure_photographs(config: PhotographsConfig) -> dict[str, Any]:
    """Measure a network on labelled photographs.

    Returns:
        format; config; rows, one per turn: turned, hands, error and pck with the hands' boxes (in sides of
        the box, `evaluate_in_image`), error_once and pck_once without turned copies; upright also found, the
        share of hands that are found without boxes, and false_hands, how many are found in so many
        backgrounds: what lies `beside` the hands. The median over four turned copies, which `predict` takes
        if a network was trained on any angle, is the same for each turn by construction. Upright, by the
        hands' boxes: sources, one per source, with hands, error and pck, means over its hands; keypoints, one
        per keypoint, with error and pck; per_hand, one per hand, with the name of its image, and error. Also
        written to `config.output`.

    Raises:
        ValueError: if a setting is wrong, or a photograph has no 2D keypoints.
        FileNotFoundError: if photographs or network are missing.
    """
    config.validate()
    network = load_pose_network(config.weights).to(choose_device(config.device))
    by_source = {source: labelled_samples(source) for source in config.photographs}
    samples = list(itertools.chain(*by_source.values()))
    rows = []
    scores = score_in_boxes(network, samples)
    for degrees, score in scores.items():
        row = {"turned": degrees, "hands": len(samples), "error": score.error, "pck": score.pck}
        if config.find and network.knows_presence and degrees == 0:
            backgrounds = _backgrounds(samples)
            row["found"] = float(np.mean([_is_found(network, sample) for sample in samples]))
            row["false_hands"] = sum(len(find_hands(network, part)) for part in backgrounds)
            row["backgrounds"] = len(backgrounds)
        rows.append(row)
    network.any_angle = False
    for row, score in zip(rows, score_in_boxes(network, samples).values(), strict=True):
        row |= {"error_once": score.error, "pck_once": score.pck}
    errors = zip(samples, scores[0].per_hand_error.tolist(), strict=True)
    results = {
        "format": FORMAT,
        "config": config.plain(),
        "rows": rows,
        "sources": _by_source(by_source, scores[0]),
        "keypoints": _by_keypoint(scores[0]),
        "per_hand": [{"name": sample.name, "error": error} for sample, error in errors],
    }
    if config.output:
        write_json(Path(config.output), results)
    return results


def _by_source(by_source: Mapping[str, Sequence[HandSample]], score: ImageEvaluation) -> list[dict[str, Any]]:
    """Means over the hands of each source, which follow one another."""
    rows, first = [], 0
    for source, samples in by_source.items():
        own = slice(first, first := first + len(samples))
        means = {"error": score.per_hand_error[own].mean(), "pck": score.per_hand_pck[own].mean()}
        rows.append({"source": source, "hands": len(samples), **{k: float(v) for k, v in means.items()}})
    return rows


def _by_keypoint(score: ImageEvaluation) -> list[dict[str, Any]]:
    """Error and PCK of each keypoint; None for one that is never known."""
    values = zip(KEYPOINT_NAMES, score.per_keypoint_error, score.per_keypoint_pck, strict=True)
    return [
        {"keypoint": name, "error": None, "pck": None}
        if np.isnan(error)
        else {"keypoint": name, "error": float(error), "pck": float(pck)}
        for name, error, pck in values
    ]


def score_in_boxes(network: PoseNetwork25D, samples: Sequence[HandSample]) -> dict[int, ImageEvaluation]:
    """Score a network on hands whose boxes it is given, by the degrees of `TURNS` that they are turned.

    Cameras are not used: errors in the image need none, and `predict` takes none that is turned.
    """
    scores = {}
    for degrees in TURNS:
        turned = [turn(sample, degrees) for sample in samples]
        truth = np.stack([sample.keypoints_2d for sample in turned])
        boxes = [sample.box if sample.box is not None else around(sample.keypoints_2d) for sample in turned]
        hands = predict(network, [replace(s, box=box, K=None) for s, box in zip(turned, boxes, strict=True)])
        scores[degrees] = evaluate_in_image(np.stack([hand.keypoints_2d for hand in hands]), truth)
    return scores


def around(points: np.ndarray) -> np.ndarray:
    """(4,) the box of the known keypoints, at least 2 pixels wide and high, so that `predict` takes it."""
    low, high = np.nanmin(points, axis=0), np.nanmax(points, axis=0)
    short = np.maximum(2 - (high - low), 0) / 2
    return np.concatenate([low - short, high + short])


def _backgrounds(samples: Sequence[HandSample]) -> list[np.ndarray]:
    """What is `beside` the hands of each image."""
    images: dict[str, list[HandSample]] = {}
    for sample in samples:
        images.setdefault(sample.name, []).append(sample)
    hands = (np.concatenate([sample.keypoints_2d for sample in own]) for own in images.values())
    parts = (beside(own[0].image, points) for own, points in zip(images.values(), hands, strict=True))
    return [part for part in parts if part is not None]


def beside(image: np.ndarray, points: np.ndarray) -> np.ndarray | None:
    """The largest part of an image beside, above or below the points of its hands; None if that is little."""
    box = around(points)
    room = ROOM * (box[2:] - box[:2]).max()
    left, top = np.maximum(box[:2] - room, 0).astype(int)
    right, bottom = np.maximum(box[2:] + room, 0).astype(int)
    parts = [image[:, :left], image[:, right:], image[:top], image[bottom:]]
    largest = max(parts, key=lambda part: part.size)
    return np.ascontiguousarray(largest) if min(largest.shape[:2]) >= SMALLEST_BACKGROUND else None


def _is_found(network: PoseNetwork25D, sample: HandSample) -> bool:
    """Whether one of the hands that are found in an image is the labelled one."""
    true = around(sample.keypoints_2d)
    return any(overlap(around(hand.keypoints_2d), true) > FOUND for hand in find_hands(network, sample.image))


def photographs_markdown(results: dict[str, Any]) -> str:
    """Lay out the numbers: a row per turn, and of several sources one for each, upright."""
    headings = {
        "hands": "hands",
        "error": "error (box sides)",
        "pck": "PCK@0.2",
        "error_once": "error, one copy",
        "pck_once": "PCK@0.2, one copy",
        "found": "found without box",
        "false_hands": "false hands",
        "backgrounds": "backgrounds",
    }
    named = [(f"{row['turned']}°", row) for row in results["rows"]]
    if len(results["sources"]) > 1:
        # The end of a source's name: its file of labels, or its folder.
        named += [(f"0°, {re.split('[=/:]', row['source'])[-1]}", row) for row in results["sources"]]
    rows = [
        {"turned": name} | {head: row[key] for key, head in headings.items() if key in row}
        for name, row in named
    ]
    return format_table(rows, 3)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure as the command line says."""
    program = "python -m peclr_utils.experiments.photographs"
    return run_command_line(PhotographsConfig, measure_photographs, program, photographs_markdown, arguments)


if __name__ == "__main__":
    run_and_exit(main)
