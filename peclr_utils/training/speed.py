"""How fast this machine trains."""

import time
from collections.abc import Callable

import torch

from peclr_utils.models import ContrastiveModel
from peclr_utils.training.config import PretrainConfig
from peclr_utils.training.device import autocast, choose_compute, place
from peclr_utils.training.optim import make_optimiser, parameter_groups


def bare_step(config: PretrainConfig) -> Callable[[], None]:
    """Prepare a pre-training step without data and loss: forward, backward, optimiser, one batch of noise."""
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

    return step


def images_per_second(config: PretrainConfig, seconds: float = 3.0) -> float:
    """Measure for some seconds how many images, two a pair, a CPU trains in one second."""
    step, steps = bare_step(config.replace(device="cpu")), 0
    step()  # the first one is slow
    start = time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds:
        step()
        steps += 1
    return 2 * config.batch_size * steps / passed
