"""Batches of pairs of views.

Chapter 03 shows one.

Every batch is a function of (seed, number of the batch) alone: not of the number of workers, of what came
before, or of where a run was resumed.

**Convention.** Views are (B, 3, S, S) float32, ImageNet-normalised RGB. Angles in degrees, shifts of the
content as fractions of the view's side, as in `peclr_utils.equivariance`.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from peclr_utils.augmentation import AugmentationConfig, ViewParameters, sample_parameters
from peclr_utils.crops import CropSet
from peclr_utils.datasets.mixture import even_indices
from peclr_utils.training.engine import Machine
from peclr_utils.training.views import ORDER, VIEWS, finish_views, fit_margin, make_views


class Pairs(NamedTuple):
    """What the loss must know of B pairs beside their projections.

    Attributes:
        angle1, angle2: (B,) float32 degrees.
        shift1, shift2: (B, 2) float32 fractions of the side.
        identity: (B,) int64; the views of a pair share it, and so may several pairs.
    """

    angle1: Tensor
    angle2: Tensor
    shift1: Tensor
    shift2: Tensor
    identity: Tensor

    @classmethod
    def join(cls, parts: Sequence["Pairs"]) -> "Pairs":
        """The pairs of several batches as those of one."""
        return cls(*map(torch.cat, zip(*parts, strict=True)))


class PairBatch(NamedTuple):
    """Two views of each of B pictures.

    Attributes:
        view1, view2: (B, 3, S, S) float32, normalised.
        angle1, angle2: (B,) float32 degrees.
        shift1, shift2: (B, 2) float32 fractions of the side.
        identity: (B,) int64; the views of a pair share it, and so may several pairs.
    """

    view1: Tensor
    view2: Tensor
    angle1: Tensor
    angle2: Tensor
    shift1: Tensor
    shift2: Tensor
    identity: Tensor


class Pictures(Protocol):
    """What `PairOrder` needs of the pictures: `CropSet` has it, and `authors.WholePictures`."""

    source: str
    identities: np.ndarray
    source_index: np.ndarray


ALL_ROWS = slice(None)
"""Every pair of a batch: one process makes it alone."""


class PairOrder:
    """Which pictures are paired in which batch, decided by (seed, number of the batch) alone.

    Args:
        pictures: all of them.
        indices: which of them to train on.
        batch_size: pairs in a batch.
        seed: of order and views.
        pair_identities: whether to pair different pictures of one identity.
        accumulate: batches in one step; an epoch is a whole number of steps.

    Attributes:
        batches_per_epoch: as many as are full, a whole number of steps.

    Raises:
        ValueError: if there are fewer pictures than a step needs.
    """

    def __init__(
        self,
        pictures: Pictures,
        indices: np.ndarray,
        batch_size: int,
        seed: int,
        pair_identities: bool = True,
        accumulate: int = 1,
    ):
        if len(indices) < batch_size * accumulate:
            raise ValueError(
                f"batch_size * accumulate: expected at most {len(indices)}, the number of pictures of "
                f"{pictures.source} to train on, found {batch_size} * {accumulate}"
            )
        self.indices = np.asarray(indices, dtype=np.int64)
        self.batch_size, self.seed = batch_size, seed
        self.batches_per_epoch = len(indices) // (batch_size * accumulate) * accumulate
        self._sources = np.asarray(pictures.source_index)[self.indices]
        self._partners = _Partners(np.asarray(pictures.identities)[self.indices]) if pair_identities else None
        self._epoch, self._order = -1, np.empty(0, np.int64)

    def draw(self, number: int) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
        """Pair the pictures of a batch.

        Args:
            number: of the batch, counted from the start of the run.

        Returns:
            first, second: (B,) pictures of the two views.
            rng: to draw the views' parameters with.
        """
        epoch, position = divmod(number, self.batches_per_epoch)
        if epoch != self._epoch:
            rng = np.random.default_rng((self.seed, ORDER, epoch))
            self._epoch, self._order = epoch, even_indices(self._sources, rng, len(self.indices))
        first = self._order[position * self.batch_size : (position + 1) * self.batch_size]
        rng = np.random.default_rng((self.seed, VIEWS, epoch, position))
        second = first if self._partners is None else self._partners.draw(first, rng)
        return self.indices[first], self.indices[second], rng


class PairBatches(Dataset):
    """Batches of pairs of views, by number.

    An epoch has as many pairs as there are pictures, less what does not fill a batch. Each source gives
    equally many of them, however large it is; with one source every picture is a first view once. The second
    view comes from another picture of the same identity where there is one.

    Args:
        crops: the pictures.
        indices: which of them to train on.
        augmentation: ranges of the views' parameters.
        batch_size: pairs in a batch.
        image_size: side of a view in pixels.
        view_factor: see `PretrainConfig`.
        seed: of order and views.
        executor: "opencv" or "batch".
        pair_identities: whether to pair different pictures of one identity.
        backgrounds: (M, T, T, 3) uint8 to exchange backgrounds with, or None.
        accumulate: batches in one step; an epoch is a whole number of steps.
        rows: which pairs of each batch to make; the others are drawn, but left to other processes.

    Raises:
        ValueError: if there are fewer pictures than a batch needs.
    """

    def __init__(
        self,
        crops: CropSet,
        indices: np.ndarray,
        augmentation: AugmentationConfig,
        batch_size: int,
        image_size: int,
        view_factor: float,
        seed: int,
        executor: str = "opencv",
        pair_identities: bool = True,
        backgrounds: np.ndarray | None = None,
        accumulate: int = 1,
        rows: slice = ALL_ROWS,
    ):
        self.crops, self.backgrounds, self.rows = crops, backgrounds, rows
        self.augmentation = fit_margin(augmentation, crops, view_factor)
        self.batch_size, self.image_size, self.executor = batch_size, image_size, executor
        self.order = PairOrder(crops, indices, batch_size, seed, pair_identities, accumulate)
        self.batches_per_epoch = self.order.batches_per_epoch

    def plan(self, number: int) -> tuple[np.ndarray, np.ndarray, ViewParameters]:
        """Decide a batch without making it.

        Args:
            number: of the batch, counted from the start of the run.

        Returns:
            first, second: (B,) pictures of the two views.
            parameters: of 2B views, all first ones before all second ones.
        """
        first, second, rng = self.order.draw(number)
        return first, second, sample_parameters(self.augmentation, 2 * self.batch_size, rng)

    def __getitem__(self, number: int) -> dict[str, Any]:
        first, second, parameters = self.plan(number)
        kept = views_of(self.rows, len(first))
        indices, parameters = np.concatenate([first, second])[kept], parameters[kept]
        return {
            "views": make_views(
                self.crops, indices, parameters, self.image_size, self.executor, self.backgrounds
            ),
            "angle": torch.as_tensor(parameters.angle, dtype=torch.float32),
            "shift": torch.as_tensor(parameters.shift, dtype=torch.float32),
            "identity": torch.as_tensor(self.crops.identities[first[self.rows]], dtype=torch.int64),
        }


def views_of(rows: slice, count: int) -> np.ndarray:
    """Places of some pairs' views among those of so many pairs, all first ones before all second ones."""
    return np.arange(2 * count).reshape(2, count)[:, rows].ravel()


class _Partners:
    """Draws for each picture another one of its identity, or itself where it is the only one."""

    def __init__(self, identities: np.ndarray):
        # Pictures sorted by identity: each identity is one run of this order.
        self.order = np.argsort(identities, kind="stable")
        _, group, count = np.unique(identities, return_inverse=True, return_counts=True)
        self.count = count[group]
        self.start = (np.cumsum(count) - count)[group]
        self.place = np.empty(len(identities), np.int64)
        self.place[self.order] = np.arange(len(identities)) - self.start[self.order]

    def draw(self, pictures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        count, start, place = self.count[pictures], self.start[pictures], self.place[pictures]
        step = rng.integers(1, np.maximum(count, 2))
        return self.order[start + (place + step) % count]


def pairs_on_device(
    batch: dict[str, Any], machine: Machine, image_size: int, backgrounds: Tensor | None = None
) -> PairBatch:
    """Finish a batch of `PairBatches` on the device."""
    view1, view2 = finish_views(batch["views"], machine, image_size, backgrounds).chunk(2)
    return PairBatch(view1, view2, *pairs_without_views(batch, machine))


def pairs_without_views(batch: dict[str, Any], machine: Machine) -> Pairs:
    """Bring to the device what the loss must know of a batch of `PairBatches`."""
    angle1, angle2 = batch["angle"].to(machine.device, non_blocking=True).chunk(2)
    shift1, shift2 = batch["shift"].to(machine.device, non_blocking=True).chunk(2)
    return Pairs(angle1, angle2, shift1, shift2, batch["identity"].to(machine.device, non_blocking=True))
