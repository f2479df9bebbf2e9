"""The one sample type that every data set yields, its mirror image, subsets and even mixtures of data sets.

Chapter 01 shows samples of every data set side by side, and mirrors a hand.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import numpy as np

from peclr_utils.skeleton import NUM_KEYPOINTS


@dataclass(frozen=True)
class HandSample:
    """One image of one hand, with whatever is known about it.

    **Convention.** RGB; pixel centres at integers; metres in the camera's frame (x right, y down, z forward);
    FreiHAND's keypoint order. None means not known.

    Attributes:
        image: (H, W, 3) uint8, RGB.
        identity: equal for different images of the same photograph or pose, different otherwise.
        source: name of the data set.
        handedness: "right" or "left": the hand that the image shows.
        keypoints_3d: (21, 3) float32, metres, or None.
        keypoints_2d: (21, 2) float32, pixels, or None.
        K: (3, 3) float32 intrinsics in pixels, or None.
        bone_length: length of the middle proximal phalanx (FreiHAND's `scale`) in metres, or None.
        mask: (H, W) uint8, 255 on the hand, or None.
        outline: (M, 2) float32 pixels around the hand, for data that has no keypoints to crop by, or None.
        box: (4,) pixels x1, y1, x2, y2 around the hand, from a detector or a person, or None. `predict` looks
            there: unlike an outline, it is not made from labels.
        name: file or index, for messages.
    """

    image: np.ndarray = field(repr=False)
    identity: int
    source: str
    handedness: str = "right"
    keypoints_3d: np.ndarray | None = field(default=None, repr=False)
    keypoints_2d: np.ndarray | None = field(default=None, repr=False)
    K: np.ndarray | None = field(default=None, repr=False)
    bone_length: float | None = None
    mask: np.ndarray | None = field(default=None, repr=False)
    outline: np.ndarray | None = field(default=None, repr=False)
    box: np.ndarray | None = field(default=None, repr=False)
    name: str = ""

    def __post_init__(self) -> None:
        where = f"sample {self.name!r} of {self.source}"
        height, width = self.image.shape[:2]
        expected = {
            "image": (height, width, 3),
            "keypoints_3d": (NUM_KEYPOINTS, 3),
            "keypoints_2d": (NUM_KEYPOINTS, 2),
            "K": (3, 3),
            "mask": (height, width),
            "box": (4,),
        }
        for name, shape in expected.items():
            value = getattr(self, name)
            if value is not None and np.shape(value) != shape:
                raise ValueError(f"{where}: {name} must be {shape}, found {np.shape(value)}")
        if self.image.dtype != np.uint8:
            raise ValueError(f"{where}: image must be uint8, found {self.image.dtype}")
        if self.handedness not in ("right", "left"):
            raise ValueError(f"{where}: handedness must be 'right' or 'left', found {self.handedness!r}")


@runtime_checkable
class HandDataset(Protocol):
    """What a data set offers: a length, samples, and all identities without decoding an image."""

    source: str

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> HandSample: ...

    @property
    def identities(self) -> np.ndarray: ...


class Subset:
    """Some samples of a data set, in the order given.

    Args:
        indices: positions in the data set, or a mask of its length.

    Raises:
        IndexError: if an index is outside the data set or not a whole number, or a mask has another length.
    """

    def __init__(self, dataset: HandDataset, indices: Sequence[int] | np.ndarray):
        self.dataset = dataset
        self.source = dataset.source
        chosen = np.asarray(indices)
        self.indices = np.arange(len(dataset))[chosen if chosen.size else []]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> HandSample:
        return self.dataset[int(self.indices[index])]

    @property
    def identities(self) -> np.ndarray:
        return self.dataset.identities[self.indices]


def mirror(sample: HandSample) -> HandSample:
    """Return the mirror image of a sample; applied twice it gives the sample back.

    Networks for one hand learn right hands only, so left hands are mirrored.

    **Convention.** The image's columns are reversed: x goes to W - 1 - x with pixel centres at integers. In
    space X goes to -X, and K becomes F K D with F that reversal as a 3x3 matrix and D = diag(-1, 1, 1), so
    that the mirrored points project to the mirrored pixels.

    Returns the sample with image, mask, keypoints, outline, box and K mirrored and the other handedness.
    """
    width, K = sample.image.shape[1], sample.K
    if K is not None:
        reversal = np.array([[-1, 0, width - 1], [0, 1, 0], [0, 0, 1]], np.float64)
        K = (reversal @ K.astype(np.float64) @ np.diag([-1.0, 1.0, 1.0])).astype(K.dtype)
    return replace(
        sample,
        image=np.ascontiguousarray(sample.image[:, ::-1]),
        handedness="left" if sample.handedness == "right" else "right",
        keypoints_3d=None if sample.keypoints_3d is None else sample.keypoints_3d * np.float32([-1, 1, 1]),
        keypoints_2d=mirror_points(sample.keypoints_2d, width),
        K=K,
        mask=None if sample.mask is None else np.ascontiguousarray(sample.mask[:, ::-1]),
        outline=mirror_points(sample.outline, width),
        box=mirror_box(sample.box, width),
    )


def mirror_points(points: np.ndarray | None, width: int) -> np.ndarray | None:
    """Mirror pixels (..., 2 or more columns, x first) of an image `width` wide; None stays None."""
    if points is None:
        return None
    return np.concatenate([width - 1 - points[..., :1], points[..., 1:]], -1).astype(points.dtype)


def mirror_box(box: np.ndarray | None, width: int) -> np.ndarray | None:
    """Mirror a box (4,) x1, y1, x2, y2 of an image `width` wide; None stays None."""
    return None if box is None else np.array([width - 1 - box[2], box[1], width - 1 - box[0], box[3]])


class EvenMixture:
    """Data sets one after another, and a way to draw from each of them equally often.

    Their identities are made unique, and so are their names: a second source "folder" becomes "folder 2".

    Attributes:
        datasets: the sources.
        starts: (S + 1,) int64, where each source begins, and the total length.

    Raises:
        ValueError: if there is no source or one is empty.
    """

    def __init__(self, datasets: Sequence[HandDataset]):
        self.datasets = list(datasets)
        lengths = [len(dataset) for dataset in self.datasets]
        if not lengths or not all(lengths):
            raise ValueError(f"EvenMixture: expected data sets that are not empty, found lengths {lengths}")
        self.starts = np.cumsum([0, *lengths])
        names = [dataset.source for dataset in self.datasets]
        counts = [names[: place + 1].count(name) for place, name in enumerate(names)]
        self._names = [f"{name} {k}" if k > 1 else name for name, k in zip(names, counts, strict=True)]
        self.source = " + ".join(self._names)
        self._shifts: list[int] = []  # added to a source's identities, so that no two sources share one
        next_identity = 0
        for identities in (dataset.identities for dataset in self.datasets):
            self._shifts.append(next_identity - int(identities.min()))
            next_identity += int(identities.max()) - int(identities.min()) + 1

    def __len__(self) -> int:
        return int(self.starts[-1])

    @property
    def identities(self) -> np.ndarray:
        shifted = zip(self.datasets, self._shifts, strict=True)
        return np.concatenate([dataset.identities + shift for dataset, shift in shifted])

    def source_of(self, index: int | np.ndarray) -> int | np.ndarray:
        """Position in `datasets` of the source of one sample, or of an array of them."""
        source = np.searchsorted(self.starts, index, side="right") - 1
        return int(source) if np.ndim(index) == 0 else source

    def __getitem__(self, index: int) -> HandSample:
        index = range(len(self))[index]
        source = self.source_of(index)
        sample = self.datasets[source][index - int(self.starts[source])]
        return replace(sample, identity=sample.identity + self._shifts[source], source=self._names[source])

    def even_indices(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Draw samples so that every source comes equally often; see the function `even_indices`."""
        return even_indices(self.source_of(np.arange(len(self))), rng, count)


def even_indices(sources: np.ndarray, rng: np.random.Generator, count: int) -> np.ndarray:
    """Draw samples so that every source comes equally often, however large it is.

    The draws come in groups of S, the number of sources; each group holds every source once, in random order.
    A source is drawn without replacement until it is exhausted, then from the start again: a small source's
    samples come several times in an epoch, and their counts differ by at most one.

    `sources` (N,) says which source each sample is of. Returns (count,) int64 positions in it.
    """
    members = [np.flatnonzero(sources == source) for source in np.unique(sources)]
    groups = -(-count // len(members))
    order = rng.permuted(np.tile(np.arange(len(members)), (groups, 1)), axis=1).ravel()[:count]
    drawn = np.empty(count, np.int64)
    for source, indices in enumerate(members):
        places = np.flatnonzero(order == source)
        passes = -(-len(places) // len(indices))
        stream = [rng.permutation(indices) for _ in range(passes)]
        drawn[places] = np.concatenate([*stream, indices[:0]])[: len(places)]
    return drawn
