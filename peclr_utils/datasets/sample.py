"""The one sample type that every data set yields, and subsets of a data set.

Chapter 01 shows samples of every data set side by side.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

from peclr_utils.skeleton import NUM_KEYPOINTS


@dataclass(frozen=True)
class HandSample:
    """One picture of one hand, with whatever is known about it.

    **Convention.** RGB; pixel centres at integers; metres in the camera's frame (x right, y down, z forward);
    FreiHAND's keypoint order. None means not known.

    Attributes:
        image: (H, W, 3) uint8, RGB.
        identity: equal for different pictures of the same photograph or pose, different otherwise.
        source: name of the data set.
        handedness: "right" or "left": the hand that the picture shows.
        keypoints_3d: (21, 3) float32, metres, or None.
        keypoints_2d: (21, 2) float32, pixels, or None.
        K: (3, 3) float32 intrinsics in pixels, or None.
        bone_length: length of the middle proximal phalanx (FreiHAND's `scale`) in metres, or None.
        mask: (H, W) uint8, 255 on the hand, or None.
        outline: (M, 2) float32 pixels around the hand, for data that has no keypoints to crop by, or None.
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
    name: str = ""

    def __post_init__(self) -> None:
        expected = {
            "keypoints_3d": (NUM_KEYPOINTS, 3),
            "keypoints_2d": (NUM_KEYPOINTS, 2),
            "K": (3, 3),
            "mask": self.image.shape[:2],
        }
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            raise ValueError(
                f"sample {self.name!r} of {self.source}: image must be (H, W, 3) uint8, "
                f"found {self.image.shape} {self.image.dtype}"
            )
        for name, shape in expected.items():
            value = getattr(self, name)
            if value is not None and value.shape != shape:
                raise ValueError(
                    f"sample {self.name!r} of {self.source}: {name} must be {shape}, found {value.shape}"
                )
        if self.handedness not in ("right", "left"):
            raise ValueError(
                f"sample {self.name!r} of {self.source}: handedness must be 'right' or 'left', "
                f"found {self.handedness!r}"
            )


@runtime_checkable
class HandDataset(Protocol):
    """What a data set offers: a length, samples, and all identities without decoding a picture."""

    source: str

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> HandSample: ...

    @property
    def identities(self) -> np.ndarray: ...


class Subset:
    """Some samples of a data set, in the order given.

    Args:
        dataset: any data set.
        indices: positions in it, or a mask of the data set's length.

    Raises:
        IndexError: if an index lies outside the data set, or a mask has another length.
        TypeError: if the indices aren't whole numbers.
    """

    def __init__(self, dataset: HandDataset, indices: Sequence[int] | np.ndarray):
        self.dataset = dataset
        self.source = dataset.source
        chosen = np.asarray(indices)
        if chosen.dtype == bool:
            if chosen.shape != (len(dataset),):
                raise IndexError(
                    f"subset of {self.source}: expected a mask ({len(dataset)},), found {chosen.shape}"
                )
            chosen = np.flatnonzero(chosen)
        elif chosen.size and not np.issubdtype(chosen.dtype, np.integer):
            raise TypeError(f"subset of {self.source}: expected whole numbers, found {chosen.dtype}")
        self.indices = chosen.astype(np.int64)
        outside = self.indices[(self.indices < 0) | (self.indices >= len(dataset))]
        if outside.size:
            raise IndexError(f"subset of {self.source}: index {outside[0]} outside 0..{len(dataset) - 1}")

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> HandSample:
        return self.dataset[int(self.indices[index])]

    @property
    def identities(self) -> np.ndarray:
        return self.dataset.identities[self.indices]
