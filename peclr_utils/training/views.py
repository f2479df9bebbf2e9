"""From crops and sampled parameters to views on the device, and the loader in between.

The parameters are sampled first; then OpenCV warps in the loader, or one `grid_sample` on the device.

**Convention.** Views are (B, 3, S, S) float32, ImageNet-normalised RGB. Angles in degrees, shifts of the
content as fractions of the view's side, as in `peclr_utils.equivariance`.
"""

from collections.abc import Sequence
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

ORDER, VIEWS, BACKGROUNDS, FRAMES = 1, 2, 3, 5
"""Keep apart the streams of random numbers that are drawn from one seed."""

BACKGROUND_COUNT = 512
"""Painted backgrounds that views draw from by default: a second of painting, and 6 MB at 64 pixels."""


class Views(NamedTuple):
    """Views on their way to the device: finished images, or crops with the parameters to warp them by."""

    images: Tensor  # (B, S, S, 3) uint8, views or (larger) crops
    masks: Tensor | None = None  # (B, S, S) uint8 of the crops
    parameters: ViewParameters | None = None  # what remains to be done; None if the views are finished


def crop_margin(augmentation: AugmentationConfig) -> float:
    """How many times wider than a view to crop, so that no view looks beyond its crop.

    At least as for views that turn by 45°, so that runs with and without rotation share their crops.
    """
    return replace(augmentation, rotation=45.0).full_margin


def fit_margin(augmentation: AugmentationConfig, crops: CropSet, view_factor: float) -> AugmentationConfig:
    """Set how much wider than a view of scale 1 the stored crops are."""
    return replace(augmentation, margin=max(1.0, crops.factor / view_factor))


def make_views(
    crops: CropSet,
    indices: np.ndarray,
    parameters: ViewParameters,
    image_size: int,
    backend: str = "opencv",
    backgrounds: np.ndarray | None = None,
) -> Views:
    """Warp crops by OpenCV, or collect what the device needs to warp them.

    `parameters` are those of B views, `backgrounds` (M, T, T, 3) uint8 to exchange backgrounds with.
    """
    masks = None
    exchanged = crops.has_mask[indices] & (parameters.background >= 0)
    if backgrounds is not None and exchanged.any():
        # An unknown mask is stored as zero, which would hide the hand.
        parameters = replace(parameters, background=np.where(exchanged, parameters.background, -1))
        masks = crops.masks[indices]
    images = crops.images[indices]
    if backend == "batch":
        return Views(torch.from_numpy(images), None if masks is None else torch.from_numpy(masks), parameters)
    return Views(torch.from_numpy(apply_opencv_batch(images, parameters, image_size, masks, backgrounds)))


def finish_views(
    views: Views, image_size: int, device: torch.device, backgrounds: Tensor | None = None
) -> Tensor:
    """Bring views to the device, warp them if that is still to do; (B, 3, S, S) float32, normalised."""
    if views.parameters is None:
        images = to_batch(views.images, device)
    else:
        images = views.images.to(device, non_blocking=True).permute(0, 3, 1, 2)
        masks = None if views.masks is None else views.masks.to(device, non_blocking=True)
        images = normalise(apply_batch(images, views.parameters, image_size, masks, backgrounds))
    return images.contiguous(memory_format=torch.channels_last)


def plain_views(
    crops: CropSet,
    indices: np.ndarray,
    image_size: int,
    view_factor: float,
    device: torch.device,
    angle: float = 0.0,
) -> Tensor:
    """Views of (B,) crops, centred, at scale 1: (B, 3, S, S) float32, normalised, on the device.

    `image_size` is their side S in pixels, `view_factor` their width; see `PretrainConfig`. `angle` turns all
    of them, in degrees, counter-clockwise on screen.
    """
    config = fit_margin(AugmentationConfig.none(), crops, view_factor)
    parameters = sample_parameters(config, len(indices), np.random.default_rng(0))
    parameters = replace(parameters, angle=np.full(len(indices), angle))
    return finish_views(make_views(crops, indices, parameters, image_size), image_size, device)


def paint_backgrounds(
    augmentation: AugmentationConfig,
    crops: CropSet,
    image_size: int,
    seed: int,
    people: float = 0.0,
    count: int = BACKGROUND_COUNT,
) -> np.ndarray | None:
    """Paint (`count`, S, S, 3) uint8 RGB to exchange the images' own backgrounds with.

    A person is in each with chance `people`. None if the augmentation exchanges none, or no image has a mask.
    """
    if augmentation.background == 0 or not crops.has_mask.any():
        return None
    rngs = (np.random.default_rng((seed, BACKGROUNDS, index)) for index in range(count))
    return np.stack([sample_background(rng, (image_size, image_size), people) for rng in rngs])


def backgrounds_on(backgrounds: np.ndarray | None, backend: str, device: torch.device) -> Tensor | None:
    """Bring backgrounds to the device if it is the device that exchanges them."""
    return None if backgrounds is None or backend != "batch" else torch.from_numpy(backgrounds).to(device)


def load(batches: Dataset, numbers: Sequence[int], workers: int, device: torch.device) -> DataLoader:
    """Make batches by number, in order, in loader processes; for CUDA in pinned memory."""
    return DataLoader(
        batches,
        batch_size=None,
        sampler=numbers,
        num_workers=workers,
        collate_fn=_unchanged,
        worker_init_fn=_start_worker,
        pin_memory=device.type == "cuda",
        generator=torch.Generator(),  # otherwise the loader draws its seed from the global one
    )


def _unchanged(batch: Any) -> Any:
    return batch


def _start_worker(_: int) -> None:
    cv2.setNumThreads(0)
    ignore_interrupts()
