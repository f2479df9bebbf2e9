"""Augmented pairs per second: a 224 x 224 image becomes two normalised views of 128 x 128.

    python tests/benchmarks/augment_pairs.py

From uint8 images to float tensors, parameters drawn by each side. Kornia is compared on the GPU if there is
one, with one `grid_sample` per batch; the authors' pipeline always on one core.
"""

import time
from collections.abc import Callable

import numpy as np
import torch
from harness import SAMPLE, Row, installed, interleaved, main, not_installed, use_threads
from torch import Tensor, nn

from peclr_utils.augmentation import (
    AugmentationConfig,
    apply_batch,
    apply_opencv_batch,
    normalise,
    sample_parameters,
    to_batch,
)
from peclr_utils.augmentation import authors_views as authors
from peclr_utils.augmentation.batch import IMAGENET_MEAN, IMAGENET_STD
from peclr_utils.datasets import FreiHAND
from peclr_utils.training.device import choose_device

PAIRS, VIEW, REPEATS = 32, 128, 15
CONFIG = AugmentationConfig.peclr(background=0.0)  # five views in six are antialiased


def measure() -> list[Row]:
    use_threads(1)
    dataset = FreiHAND(SAMPLE, "training")
    samples = [dataset[k] for k in range(PAIRS)]
    images = np.stack([sample.image for sample in samples])
    points = [sample.keypoints_2d for sample in samples]
    rng = np.random.default_rng(0)
    twice = np.concatenate([images, images])

    def by_opencv() -> Tensor:
        return to_batch(apply_opencv_batch(twice, sample_parameters(CONFIG, 2 * PAIRS, rng), VIEW))

    def by_authors() -> Tensor:
        drawn = authors.sample_authors_parameters(authors.AuthorsAugmentation(), 2 * PAIRS, rng)
        views = (authors.apply_authors(twice[k], points[k % PAIRS], drawn, k, VIEW) for k in range(2 * PAIRS))
        return to_batch(np.stack([view.image for view in views]))

    found = interleaved(by_opencv, by_authors, REPEATS, clock=time.process_time)
    what = f"augmented pairs, {images.shape[1]}² → two {VIEW}², one core"
    against = f"turn, crop, resize, HSV as the authors do it: {PAIRS / found.against:,.0f}/s"
    row = Row(what, f"{PAIRS / found.ours:,.0f}/s", against, found.times, at_least=2.5)
    return [_against_kornia(twice, rng, by_opencv), row]


def _against_kornia(twice: np.ndarray, rng: np.random.Generator, by_opencv: Callable[[], Tensor]) -> Row:
    device = choose_device()
    where = "one core" if device.type == "cpu" else "on the GPU"
    row = Row(f"augmented pairs, {twice.shape[1]}² → two {VIEW}², {where}", at_least=6)
    if not installed("kornia"):
        return not_installed("kornia", row)
    images = torch.as_tensor(twice, device=device).permute(0, 3, 1, 2).contiguous()
    theirs = _kornia().to(device)

    def by_kornia() -> list[Tensor]:
        return [theirs(part.float() / 255) for part in images.split(PAIRS)]

    def by_torch() -> Tensor:
        return normalise(apply_batch(images, sample_parameters(CONFIG, 2 * PAIRS, rng), VIEW))

    ours, clock = (by_opencv, time.process_time) if device.type == "cpu" else (by_torch, time.perf_counter)
    found = interleaved(ours, by_kornia, REPEATS, device, clock)
    against = f"kornia's RandomAffine, Resize, ColorJiggle, Normalize: {PAIRS / found.against:,.0f}/s"
    return Row(row.measure, f"{PAIRS / found.ours:,.0f}/s", against, found.times, at_least=6)


def _kornia() -> nn.Module:
    """The same ranges; two interpolations, and no antialiasing."""
    from kornia import augmentation

    return nn.Sequential(
        augmentation.RandomAffine(CONFIG.rotation, (CONFIG.shift, CONFIG.shift), CONFIG.scale, p=1.0),
        augmentation.Resize((VIEW, VIEW)),
        augmentation.ColorJiggle(
            CONFIG.brightness, CONFIG.contrast, CONFIG.saturation, CONFIG.hue / 360, p=CONFIG.colour
        ),
        augmentation.Normalize(torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)),
    )


if __name__ == "__main__":
    main(measure)
