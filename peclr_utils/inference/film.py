"""Hands in films: frames in and out, each frame searched where the last one had its hands, and a filter.

`python -m peclr_utils.inference film.mp4` uses it.
"""

import itertools
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from peclr_utils.datasets.sample import mirror_points
from peclr_utils.files import atomic
from peclr_utils.inference.cutting import Cut, square_cut
from peclr_utils.inference.finding import MOST, SMALLEST, best_hands, check_search, each_once, find_in
from peclr_utils.inference.inputs import HandImage, hand_images, other_side
from peclr_utils.inference.prediction import HandPrediction, evaluating
from peclr_utils.models import PoseNetwork25D

FILMS = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v")
"""Endings of films."""

SEARCH_EVERY = 15
"""Frames after which a film is searched again for hands that came into view."""

SEARCH_EMPTY = 5
"""The same while it shows no hand."""

WHOLE = 0.95
"""Share of the frames that a film says it has from which it counts as read to its end, give or
take two."""

FOLLOWED = 0.85
"""Presence from which a hand counts that is followed: no windows vote on it, so more than in a search."""


class Film:
    """The frames of a film or a camera, in order; they can be read once.

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
        self._name = source
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
        """Yield (H, W, 3) uint8 RGB; one warning if a film breaks off."""
        frame: np.ndarray | None = self._first
        count = 0
        while frame is not None:
            count += 1
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            read, frame = self._capture.read()
            frame = frame if read else None
        self._capture.release()
        # Containers are often wrong by a few frames.
        if self.frames is not None and count < WHOLE * self.frames - 2:
            warnings.warn(
                f"{self._name}: breaks off after {count} of {self.frames} frames; the file may be damaged",
                stacklevel=2,
            )


def write_film(path: Path, frames: Iterable[np.ndarray], rate: float) -> int:
    """Write RGB frames of one size as MP4, whole or not at all; returns how many.

    Raises OSError if it can't be written. Without a frame, no file is written.
    """
    frames, count = iter(frames), 0
    first = next(frames, None)
    if first is None:
        return 0
    with atomic(path) as temporary:
        size = first.shape[1::-1]
        # MPEG-4 stores the rate as a fraction, whose denominator is too large for some rates of slow motion.
        rate = rate if rate <= 60 else round(rate)
        writer = cv2.VideoWriter(str(temporary), cv2.VideoWriter.fourcc(*"mp4v"), rate, size)
        try:
            if not writer.isOpened():
                remedy = "name it .mp4, in a folder that exists and can be written to"
                raise OSError(f"{path}: OpenCV can't write this film; {remedy}")
            for frame in itertools.chain([first], frames):
                writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
                count += 1
        finally:
            writer.release()
    return count


def follow(
    network: PoseNetwork25D,
    frames: Iterable[np.ndarray],
    K: Any = None,
    scale: Any = None,
    *,
    smallest: float = SMALLEST,
    most: int = MOST,
    rate: float = 30.0,
    smooth: bool = False,
) -> Iterator[tuple[np.ndarray, list[HandPrediction]]]:
    """Find the hands in each frame: where the last frame had them, and from time to time everywhere.

    All of a frame is searched when no hand is left of those that were followed; every `SEARCH_EVERY` frames,
    if fewer than `most` are followed; and every `SEARCH_EMPTY` frames while there is none. A hand that comes
    into view may appear that much later.

    Args:
        network: one with `knows_presence`.
        frames: (H, W, 3) uint8 RGB.
        K, scale: of all frames, as in `predict`.
        smallest, most: see `find_hands`.
        rate: frames per second, for the filter.
        smooth: whether a One Euro filter smooths each hand's 2D keypoints over time. The 3D ones stay as they
            were predicted, so that they no longer project exactly onto the 2D ones.

    Yields:
        Each frame with its hands. The `index` of a hand is its number, which it keeps while it is followed.
    """
    check_search(network, smallest, most)
    hands: list[HandPrediction] = []
    filters: dict[int, OneEuro] = {}
    unused, searched = itertools.count(), -SEARCH_EVERY
    for number, frame in enumerate(frames):
        given = next(hand_images(frame, K, scale, None, False))
        if isinstance(given, Exception):
            raise given
        sides, last = (given, other_side(given)), hands
        with evaluating(network), torch.inference_mode():
            hands = best_hands(network, _starts(network, sides, last), most, FOLLOWED) if last else []
            due = number - searched >= (SEARCH_EVERY if hands else SEARCH_EMPTY) and len(hands) < most
            if due or (last and not hands):
                searched = number
                hands = each_once([*hands, *find_in(network, sides, smallest, most)], most)
        hands = _numbered(hands, last, unused)
        shown = hands
        if smooth:
            new = {hand.index: OneEuro(rate, np.ptp(hand.keypoints_2d, axis=0).max()) for hand in hands}
            filters = {index: filters.get(index, fresh) for index, fresh in new.items()}
            shown = [replace(hand, keypoints_2d=filters[hand.index](hand.keypoints_2d)) for hand in hands]
        yield frame, shown


def _starts(
    network: PoseNetwork25D, sides: Sequence[HandImage], last: Sequence[HandPrediction]
) -> list[tuple[HandImage, Cut]]:
    """Where the hands of the last frame are looked for in this one, as it is and mirrored."""
    starts = []
    for hand in last:
        given = sides[hand.is_left]
        points = hand.keypoints_2d
        points = mirror_points(points, given.image.shape[1]) if hand.is_left else points
        centre = points.mean(axis=0)
        side = 2 * network.view_factor * np.linalg.norm(points - centre, axis=1).max()
        starts.append((given, square_cut(centre, side, network.image_size)))
    return starts


def _numbered(
    hands: Sequence[HandPrediction], last: Sequence[HandPrediction], unused: Iterator[int]
) -> list[HandPrediction]:
    """Number each hand as the nearest of its side a frame ago, within half its size, or with a new number."""
    pairs = sorted(
        (np.linalg.norm((hand.keypoints_2d - other.keypoints_2d).mean(axis=0)), place, other.index)
        for place, hand in enumerate(hands)
        for other in last
        if other.is_left == hand.is_left
    )
    numbers: dict[int, int] = {}
    for distance, place, number in pairs:
        near = distance < 0.5 * np.ptp(hands[place].keypoints_2d, axis=0).max()
        if near and place not in numbers and number not in numbers.values():
            numbers[place] = number
    return [
        replace(hand, index=numbers[place] if place in numbers else next(unused))
        for place, hand in enumerate(hands)
    ]


@dataclass
class OneEuro:
    """The One Euro filter (Casiez, Roussel and Vogel, CHI 2012): steady at rest, quick in motion.

    A first-order low-pass filter whose cut-off frequency rises with the speed of what it filters. Speeds are
    in sizes of the hand per second, so that it works the same in images of any size.
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
