"""Batches of pairs of views: the data of pre-training.

Chapter 03 shows one. Every batch is a function of (seed, number of the batch) alone: not of the number of
workers, of earlier batches, or of where a run resumed.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from peclr_utils.augmentation import AugmentationConfig, ViewParameters, sample_parameters
from peclr_utils.crops import CropSet
from peclr_utils.datasets import HandDataset, even_indices
from peclr_utils.training.config import PretrainConfig
from peclr_utils.training.views import (
    FRAMES,
    ORDER,
    VIEWS,
    Views,
    finish_views,
    fit_margin,
    make_views,
    paint_backgrounds,
)


class PairBatch(NamedTuple):
    """Two views of each of B images. The views of a pair share their identity, and so may several pairs."""

    views: Tensor | Views  # (2, B, 3, S, S) float32, normalised; from the loader 2B views, first ones first
    angle: Tensor  # (2, B) float32 degrees
    shift: Tensor  # (2, B, 2) float32 fractions of the side
    identity: Tensor  # (B,) int64
    frame: Tensor  # (B,) float32 degrees: the turn to which a pair's views are undone; see `random_frames`

    def to(self, device: torch.device, image_size: int, backgrounds: Tensor | None = None) -> "PairBatch":
        """Move the batch to the device and finish its views there; see `views.finish_views`."""
        views = finish_views(self.views, image_size, device, backgrounds).unflatten(0, (2, -1))
        return PairBatch(views, *(part.to(device, non_blocking=True) for part in self[1:]))

    @staticmethod
    def motions(batches: Sequence["PairBatch"], device: torch.device) -> "PairBatch":
        """Join several batches without their views: what the loss needs beside the projections."""
        moved = [[part.to(device, non_blocking=True) for part in batch[1:]] for batch in batches]
        angle, shift, identity, frame = zip(*moved, strict=True)
        joined = torch.cat(angle, 1), torch.cat(shift, 1), torch.cat(identity), torch.cat(frame)
        return PairBatch(torch.empty(0), *joined)


def pair_augmentation(config: PretrainConfig) -> AugmentationConfig:
    """Ranges of the views' parameters: the preset "peclr", the run's rotation, and the run's own changes.

    Every view gets a new background where that is possible; an image's edge would identify a pair, too.
    """
    background = 1.0 if config.exchange_background else 0.0
    return AugmentationConfig.peclr(
        **{"rotation": config.rotation_degrees, "background": background, **config.augmentation}
    )


class PairDataset(Dataset):
    """Batches of pairs of views, by number.

    An epoch has as many pairs as there are images, minus what does not fill a step. Each source gives equally
    many of them, however large it is; with one source every image is a first view once. The second view comes
    from another image of the same identity where there is one and `pair_identities` is on.

    Args:
        crops: the images.
        config: the run's settings.
        backend: "opencv" or "batch".

    Attributes:
        images: how many are trained on.
        steps_per_epoch: whole optimiser steps.
        backgrounds: (M, S, S, 3) uint8 to exchange the images' own with, or None.
    """

    backgrounds: np.ndarray | None = None

    def __init__(self, crops: CropSet, config: PretrainConfig, backend: str = "opencv"):
        augmentation = pair_augmentation(config)
        self.crops, self.backend = crops, backend
        self.augmentation = fit_margin(augmentation, crops, config.view_factor)
        self.backgrounds = paint_backgrounds(augmentation, crops, config.image_size, config.seed)
        self._set_order(crops, np.asarray(crops.source_index), config)

    def _set_order(self, hands: HandDataset, source_index: np.ndarray, config: PretrainConfig) -> None:
        self.source, self.config, self._source_index = hands.source, config, source_index
        self.identities = np.asarray(hands.identities)
        self.images = len(self.identities)
        self.steps_per_epoch = self.images // (config.batch_size * config.accumulate)
        if self.steps_per_epoch == 0:
            raise ValueError(
                f"batch_size * accumulate: expected at most {self.images}, the number of images of "
                f"{self.source}, found {config.batch_size} * {config.accumulate}"
            )
        self._epoch, self._order = -1, np.empty(0, np.int64)
        # Images sorted by identity: each identity is one run of `_sorted`, from `_start` on, `_count` long.
        self._sorted = np.argsort(self.identities, kind="stable")
        _, group, count = np.unique(self.identities, return_inverse=True, return_counts=True)
        self._count, self._start = count[group], (np.cumsum(count) - count)[group]
        self._place = np.empty(self.images, np.int64)
        self._place[self._sorted] = np.arange(self.images) - self._start[self._sorted]

    def draw(self, number: int) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
        """Pair the images of a batch: (B,) first ones, (B,) second ones, and a generator for their views."""
        size, seed = self.config.batch_size, self.config.seed
        epoch, position = divmod(number, self.steps_per_epoch * self.config.accumulate)
        if epoch != self._epoch:
            rng = np.random.default_rng((seed, ORDER, epoch))
            self._epoch, self._order = epoch, even_indices(self._source_index, rng, self.images)
        first = self._order[position * size : (position + 1) * size]
        rng = np.random.default_rng((seed, VIEWS, epoch, position))
        second = self._partners(first, rng) if self.config.pair_identities else first
        return first, second, rng

    def _partners(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw for each image another one of its identity, or itself where it is the only one."""
        count, start, place = self._count[images], self._start[images], self._place[images]
        step = rng.integers(1, np.maximum(count, 2))
        return self._sorted[start + (place + step) % count]

    def plan(self, number: int) -> tuple[np.ndarray, np.ndarray, ViewParameters]:
        """Decide a batch without making it: (B,) first and second images, parameters of their 2B views."""
        first, second, rng = self.draw(number)
        return first, second, sample_parameters(self.augmentation, 2 * len(first), rng)

    def __getitem__(self, number: int) -> PairBatch:
        first, second, parameters = self.plan(number)
        frames = np.zeros(len(first))
        if self.config.random_frames:
            rng = np.random.default_rng((self.config.seed, FRAMES, number))
            frames = rng.uniform(-180, 180, len(first))
        images, size = np.concatenate([first, second]), self.config.image_size
        views = make_views(self.crops, images, parameters, size, self.backend, self.backgrounds)
        identity = torch.as_tensor(self.identities[first], dtype=torch.int64)
        return pair_batch(views, parameters.angle, parameters.shift, identity, frames)


def pair_batch(
    views: Views,
    angle: np.ndarray,
    shift: np.ndarray,
    identity: Tensor,
    frame: np.ndarray | None = None,
) -> PairBatch:
    """Put together a batch from 2B views and their motions, all first ones before all second ones."""
    frame = np.zeros(len(identity)) if frame is None else frame
    angle, shift, frame = (torch.as_tensor(value, dtype=torch.float32) for value in (angle, shift, frame))
    return PairBatch(views, angle.unflatten(0, (2, -1)), shift.unflatten(0, (2, -1)), identity, frame)
