"""Pre-training's own steps, ready to be timed: what `training_step.py` and `grad_cache.py` share."""

import itertools
from collections.abc import Iterator
from typing import Any

import torch
from harness import SAMPLE
from pack_crops import Repeated

from peclr_utils.datasets import FreiHAND
from peclr_utils.models import ContrastiveModel
from peclr_utils.training.config import PretrainConfig
from peclr_utils.training.contrastive import StepGradients
from peclr_utils.training.distributed import Group, divide
from peclr_utils.training.engine import Machine, Run, choose_machine
from peclr_utils.training.optimisation import make_optimiser, parameter_groups, take_step
from peclr_utils.training.pair_data import open_pair_data
from peclr_utils.training.views import backgrounds_on, load

PICTURES = 2048
"""The 64 of `data/sample` again and again, each by itself in the packed file."""


class Steps:
    """Steps of one pre-training, from packed crops to the new weights, as `training.pretrain` takes them.

    Args:
        config: its settings; `sources` are not looked at.

    Attributes:
        run: model, optimiser and machine.
        machine: the run's.
        batches: of pairs of views, from the loader, one after the other.
    """

    def __init__(self, config: PretrainConfig):
        machine, group = choose_machine(config), Group()
        division = divide(config, group, machine.device)
        data = open_pair_data(config, machine, Repeated(FreiHAND(SAMPLE, "training"), PICTURES))
        model = ContrastiveModel(config.arch, config.projector_hidden, config.projection_size)
        model = machine.place(model).train()
        groups = parameter_groups(model, config.peak_learning_rate, config.weight_decay)
        optimiser = make_optimiser(config.optimiser, groups, machine.device)
        self.machine: Machine = machine
        self.run = Run(config, machine, model, optimiser, machine.scaler())
        numbers = division.numbers(range(1_000_000), config.accumulate)
        self.batches: Iterator[dict[str, Any]] = load(data.batches, numbers, machine)
        self._gradients = StepGradients(self.run, group, division, backgrounds_on(data.backgrounds, machine))

    def take(self) -> None:
        """Take the next step."""
        self._gradients(itertools.islice(self.batches, self.run.config.accumulate))
        take_step(self.run.optimiser, self.run.scaler)

    def bare(self) -> "BareSteps":
        """Steps of the same network on one batch that never changes."""
        return BareSteps(self.run)


class BareSteps:
    """Forward, backward and optimiser of a network, and nothing else."""

    def __init__(self, run: Run):
        config, machine = run.config, run.machine
        shape = (2 * config.batch_size, 3, config.image_size, config.image_size)
        images = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(machine.device)
        order = torch.channels_last if machine.channels_last else torch.contiguous_format
        self._run, self._images = run, images.contiguous(memory_format=order)
        self._gradient = torch.full((len(images), config.projection_size), 1e-4, device=machine.device)

    def take(self) -> None:
        """Take a step."""
        run = self._run
        with run.machine.autocast():
            features = run.model.encoder(self._images)
        run.model.projector(features.float()).backward(self._gradient)
        take_step(run.optimiser, run.scaler)
