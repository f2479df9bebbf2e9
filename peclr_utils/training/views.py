"""From crops and sampled parameters to views on the device, and the loader in between.

Chapters 03 and 04 reach it through `training.batches` and `training.labelled`.

The parameters come first; then OpenCV warps in the loader, or one `grid_sample` on the device.

**Convention.** Views are (B, 3, S, S) float32, ImageNet-normalised RGB. Angles in degrees, shifts of the
content as fractions of the view's side, as in `peclr_utils.equivariance`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from peclr_utils.augmentation import (
    AugmentationConfig,
    ViewParameters,
    apply_batch,
    apply_opencv_batch,
    normalise,
    sample_parameters,
    to_batch,
)
from peclr_utils.crops import CropSet
from peclr_utils.hands.backgrounds import sample_background
from peclr_utils.interrupts import ignore_interrupts
from peclr_utils.training.engine import Machine
from peclr_utils.training.prefetch import prefetch

ORDER, VIEWS, BACKGROUNDS, HELD_OUT = 1, 2, 3, 4
"""Keep the streams of random numbers apart that are drawn from one seed."""

BACKGROUND_COUNT = 512
"""Painted backgrounds that views draw from: a second of painting, and 6 MB at 64 pixels."""


class Views(NamedTuple):
    """Views on their way to the device: finished pictures, or crops with the parameters to warp them by.

    Attributes:
        images: (B, S, S, 3) uint8, views or (larger) crops.
        masks: (B, S, S) uint8 of the crops, or None.
        parameters: what remains to be done, or None if the views are finished.
    """

    images: Tensor
    masks: Tensor | None = None
    parameters: ViewParameters | None = None


def fit_margin(augmentation: AugmentationConfig, crops: CropSet, view_factor: float) -> AugmentationConfig:
    """Tell an augmentation how much wider than a view of scale 1 the stored crops are."""
    return replace(augmentation, margin=max(1.0, float(crops.stamp["factor"]) / view_factor))


def make_views(
    crops: CropSet,
    indices: np.ndarray,
    parameters: ViewParameters,
    image_size: int,
    executor: str = "opencv",
    backgrounds: np.ndarray | None = None,
) -> Views:
    """Warp crops by OpenCV, or gather what the device needs to do it.

    Args:
        crops: the stored crops.
        indices: (B,) which.
        parameters: of B views.
        image_size: side S of a view in pixels.
        executor: "opencv" or "batch".
        backgrounds: (M, T, T, 3) uint8 to exchange backgrounds with, or None.

    Returns:
        The views.
    """
    exchanged = crops.has_mask[indices] & (parameters.background >= 0)
    if backgrounds is None or not exchanged.any():
        masks = None
    else:
        # Where no mask is known it is stored as zero, and would hide the hand.
        parameters = replace(parameters, background=np.where(exchanged, parameters.background, -1))
        masks = crops.masks[indices]
    images = crops.images[indices]
    if executor == "batch":
        return Views(torch.from_numpy(images), None if masks is None else torch.from_numpy(masks), parameters)
    return Views(torch.from_numpy(apply_opencv_batch(images, parameters, image_size, masks, backgrounds)))


def plain_views(
    crops: CropSet, indices: np.ndarray, image_size: int, view_factor: float, machine: Machine
) -> Tensor:
    """Views that nothing was done to: centred, unturned, at scale 1.

    Args:
        crops: the stored crops.
        indices: (B,) which.
        image_size: side S of a view in pixels.
        view_factor: see `PretrainConfig`.
        machine: where they shall be.

    Returns:
        (B, 3, S, S) float32, normalised.
    """
    config = fit_margin(AugmentationConfig.none(), crops, view_factor)
    parameters = sample_parameters(config, len(indices), np.random.default_rng(0))
    return finish_views(make_views(crops, indices, parameters, image_size), machine, image_size)


def _start_worker(_: int) -> None:
    cv2.setNumThreads(0)
    ignore_interrupts()


def load(batches: Dataset, numbers: Sequence[int], machine: Machine) -> Iterator[dict[str, Any]]:
    """Make batches by number, in order, by the machine's loader workers; a GPU gets each one early.

    Args:
        batches: `PairBatches` or `PoseBatches`.
        numbers: which.
        machine: how many workers, and for which device.

    Returns:
        The batches, their tensors on the GPU if it is one, else on the CPU.
    """
    loader = DataLoader(
        batches,
        batch_size=None,
        sampler=numbers,
        num_workers=machine.workers,
        collate_fn=_as_they_are,
        worker_init_fn=_start_worker,
        pin_memory=machine.device.type == "cuda",
        generator=torch.Generator(),  # else the loader draws its seed from the global one
    )
    return prefetch(loader, machine.device)


def _as_they_are(batch: dict[str, Any]) -> dict[str, Any]:
    return batch


def finish_views(
    views: Views, machine: Machine, image_size: int, backgrounds: Tensor | None = None
) -> Tensor:
    """Bring views to the device, warp them there if that is left to do, and normalise.

    Args:
        views: from a batch.
        machine: the device.
        image_size: side S of a view in pixels.
        backgrounds: (M, T, T, 3) uint8 on the device, or None.

    Returns:
        (B, 3, S, S) float32.
    """
    if views.parameters is None:
        images = to_batch(views.images, machine.device)
    else:
        images = views.images.to(machine.device, non_blocking=True).permute(0, 3, 1, 2)
        masks = None if views.masks is None else views.masks.to(machine.device, non_blocking=True)
        images = normalise(apply_batch(images, views.parameters, image_size, masks, backgrounds))
    order = torch.channels_last if machine.channels_last else torch.contiguous_format
    return images.contiguous(memory_format=order)


def background_pool(
    augmentation: AugmentationConfig, crops: CropSet, image_size: int, seed: int
) -> np.ndarray | None:
    """Paint backgrounds to exchange the pictures' own with, if that is wanted and possible.

    Args:
        augmentation: its `background` is the probability of an exchange.
        crops: the pictures; without masks nothing can be exchanged.
        image_size: side S in pixels.
        seed: of all backgrounds.

    Returns:
        (M, S, S, 3) uint8 RGB, or None.
    """
    if augmentation.background == 0 or not crops.has_mask.any():
        return None
    rngs = (np.random.default_rng((seed, BACKGROUNDS, index)) for index in range(BACKGROUND_COUNT))
    return np.stack([sample_background(rng, (image_size, image_size)) for rng in rngs])


def backgrounds_on(backgrounds: np.ndarray | None, machine: Machine) -> Tensor | None:
    """Bring backgrounds to the device, if it is the device that exchanges them."""
    if backgrounds is None or machine.executor != "batch":
        return None
    return torch.from_numpy(backgrounds).to(machine.device)
