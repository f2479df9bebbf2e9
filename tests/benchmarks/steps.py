"""Steps of pre-training, ready to be timed: what `training_step.py` and `grad_cache.py` share."""

import statistics

import numpy as np
import torch
from harness import SAMPLE, seconds

from peclr_utils.crops import CropSet, open_crops
from peclr_utils.datasets import FreiHAND, HandSample
from peclr_utils.models import ContrastiveModel
from peclr_utils.training import PretrainConfig, pretrain
from peclr_utils.training.device import autocast, choose_compute, place
from peclr_utils.training.optim import make_optimiser, parameter_groups
from peclr_utils.training.pairs import pair_augmentation
from peclr_utils.training.views import crop_margin

IMAGES = 2048  # the 64 of `data/sample` again and again, each by itself in the packed file


class Repeated:
    """A small data set as a large one: sample i is sample i modulo its length."""

    def __init__(self, dataset: FreiHAND, length: int):
        self.dataset, self.length, self.source = dataset, length, dataset.source

    def __len__(self) -> int:
        return self.length

    @property
    def identities(self) -> np.ndarray:
        return np.arange(self.length)

    def __getitem__(self, index: int) -> HandSample:
        return self.dataset[index % len(self.dataset)]


def sample_crops(config: PretrainConfig) -> CropSet:
    """Pack the sample's images for a run."""
    margin = crop_margin(pair_augmentation(config))
    hands = Repeated(FreiHAND(SAMPLE, "training"), IMAGES)
    return open_crops(hands, config.image_size, config.view_factor, margin)


def training_seconds(config: PretrainConfig, crops: CropSet, steps: int) -> float:
    """Median time of a step of `pretrain`, from packed crops to new weights, by its own log."""
    run = pretrain(config.replace(max_steps=steps + 2), crops)
    images = 2 * config.batch_size * config.accumulate
    return statistics.median(images / row["images_per_second"] for row in run.history[2:])


def bare_seconds(config: PretrainConfig, steps: int) -> float:
    """Median time of forward, backward and optimiser of the same network on one batch that never changes."""
    compute = choose_compute(config)
    device = compute.device
    model = place(
        ContrastiveModel(config.arch, config.projector_hidden, config.projection_size), device
    ).train()
    groups = parameter_groups(model, config.peak_learning_rate, config.weight_decay)
    optimiser = make_optimiser(config.optimiser, groups, device)
    images = torch.randn(2 * config.batch_size, 3, config.image_size, config.image_size, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    gradient = torch.full((len(images), config.projection_size), 1e-4, device=device)

    def step() -> None:
        with autocast(device, compute.dtype):
            features = model.encoder(images)
        model.projector(features.float()).backward(gradient)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    return statistics.median([seconds(step, device) for _ in range(steps + 2)][2:])
