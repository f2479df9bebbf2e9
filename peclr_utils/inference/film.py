"""Hands in films: frames in and out, each frame searched where the last one had its hands, and a filter.

`python -m peclr_utils.inference film.mp4` uses it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch

from peclr_utils.crops.cropping import crop_matrix
from peclr_utils.datasets.sample import mirror_points
from peclr_utils.inference.cutting import Cut
from peclr_utils.inference.finding import best_hands, find_hands
from peclr_utils.inference.inputs import hand_images
from peclr_utils.inference.prediction import HandPrediction, evaluating
from peclr_utils.models import PoseNetwork25D

FILMS = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v")
"""Endings of films."""

SEARCH_EVERY = 15
"""Frames after which a film is searched again for hands that came into view."""


class Film:
    """The frames of a film or a camera, in order.

    Args:
        source: a file, or the number of a camera.

    Attributes:
        rate: frames per second; 30 if the film doesn't say.
        frames: how many there are; None if that is not known.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it can't be opened or has no frame.
    """

    def __init__(self, source: Path | int):
        if isinstance(source, Path) and not source.is_file():
            raise FileNotFoundError(f"{source}: there is no such film")
        self._capture = cv2.VideoCapture(source if isinstance(source, int) else str(source))
        opened, self._first = self._capture.read()
        if not opened:
            kind = f"camera {source} gives no image; is it connected, and free?"
            text = f"{source}: OpenCV can't read a frame; convert it, for example to MP4 (H.264)"
            raise ValueError(kind if isinstance(source, int) else text)
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.rate = float(rate) if 0 < rate < 1000 else 30.0
        self.frames = count if isinstance(source, Path) and count > 0 else None

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield (H, W, 3) uint8 RGB."""
        frame: np.ndarray | None = self._first
        while frame is not None:
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            read, frame = self._capture.read()
            frame = frame if read else None
        self._capture.release()


def write_film(path: Path, frames: Iterator[np.ndarray], rate: float) -> int:
    """Write RGB frames of one size as MP4; returns how many. OSError if it can't be written."""
    writer, count = None, 0
    try:
        for frame in frames:
            height, width = frame.shape[:2]
            if writer is None:
                writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), rate, (width, height))
                if not writer.isOpened():
                    raise OSError(
                        f"{path}: OpenCV can't write this film; name it .mp4, in a folder that exists"
                    )
            writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
            count += 1
    finally:
        if writer is not None:
            writer.release()
    return count


def follow(
    network: PoseNetwork25D,
    frames: Iterator[np.ndarray],
    *,
    smallest: float = 0.2,
    most: int = 4,
    rate: float = 30.0,
    smooth: bool = False,
) -> Iterator[tuple[np.ndarray, list[HandPrediction]]]:
    """Find the hands in each frame: where the last frame had them, and from time to time everywhere.

    Args:
        network: one with `knows_presence`.
        frames: (H, W, 3) uint8 RGB.
        smallest, most: see `find_hands`.
        rate: frames per second, for the filter.
        smooth: whether a One Euro filter smooths each hand's 2D keypoints over time.

    Yields:
        Each frame with its hands.
    """
    hands: list[HandPrediction] = []
    filters: list[OneEuro] = []
    for number, frame in enumerate(frames):
        last, kept = hands, filters
        hands = _where_they_were(network, frame, last, most) if last else []
        if not hands or (number % SEARCH_EVERY == 0 and len(hands) < most):
            hands = find_hands(network, frame, smallest=smallest, most=most)
        shown = hands
        if smooth:
            filters = [_filter_of(hand, last, kept, rate) for hand in hands]
            pairs = zip(hands, filters, strict=True)
            shown = [replace(hand, keypoints_2d=filter(hand.keypoints_2d)) for hand, filter in pairs]
        yield frame, shown


def _where_they_were(
    network: PoseNetwork25D, frame: np.ndarray, last: Sequence[HandPrediction], most: int
) -> list[HandPrediction]:
    """The hands of the last frame in this one; without those that are gone."""
    sides = {
        left: next(hand_images(frame, None, None, None, left)) for left in {hand.is_left for hand in last}
    }
    starts = []
    for hand in last:
        given = sides[hand.is_left]
        points = hand.keypoints_2d
        points = mirror_points(points, given.image.shape[1]) if hand.is_left else points
        centre = points.mean(axis=0)
        side = 2 * network.view_factor * np.linalg.norm(points - centre, axis=1).max()
        box = np.concatenate([centre - side / 2, centre + side / 2])
        starts.append((given, Cut(box, crop_matrix(centre, side, network.image_size))))
    with evaluating(network), torch.inference_mode():
        return best_hands(network, starts, most)


def _filter_of(
    hand: HandPrediction, last: Sequence[HandPrediction], filters: Sequence["OneEuro"], rate: float
) -> "OneEuro":
    """The filter of the nearest hand of the same side in the last frame; a new one if it was far away."""
    size = np.ptp(hand.keypoints_2d, axis=0).max()
    near = [
        (float(np.abs(hand.keypoints_2d - other.keypoints_2d).mean()), filter)
        for other, filter in zip(last, filters, strict=False)
        if other.is_left == hand.is_left
    ]
    distance, filter = min(near, key=lambda one: one[0], default=(np.inf, None))
    return filter if filter is not None and distance < 0.5 * size else OneEuro(rate, size)


@dataclass
class OneEuro:
    """The One Euro filter (Casiez, Roussel and Vogel, CHI 2012): steady at rest, quick in motion.

    A first-order low-pass filter whose cut-off frequency rises with the speed of what it filters. Speeds are
    in sizes of the hand per second, so that it works alike in images of any size.
    """

    rate: float  # frames per second
    size: float = 1.0  # pixels of the hand
    slowest: float = 1.0  # Hz, cut-off at rest
    quickening: float = 4.0  # Hz more per hand's size per second
    _value: np.ndarray | None = None
    _speed: np.ndarray | float = 0.0

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Filter the next frame's (21, 2) keypoints."""
        if self._value is None:
            self._value = values
            return values
        speed = (values - self._value) * self.rate / max(self.size, 1e-9)
        self._speed = self._low_pass(1.0, speed, self._speed)
        cutoff = self.slowest + self.quickening * np.linalg.norm(self._speed, axis=-1, keepdims=True)
        self._value = self._low_pass(cutoff, values, self._value)
        return self._value

    def _low_pass(
        self, cutoff: np.ndarray | float, value: np.ndarray, last: np.ndarray | float
    ) -> np.ndarray:
        weight = 1 / (1 + self.rate / (2 * np.pi * cutoff))
        return weight * value + (1 - weight) * last
