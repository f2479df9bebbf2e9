"""Pre-training: PeCLR, and SimCLR as the same call without the undoing.

Chapter 03 derives the loss and runs this loop.
"""

import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from peclr_utils.datasets.sample import HandDataset
from peclr_utils.models import ContrastiveModel
from peclr_utils.training.command_line import run_command_line
from peclr_utils.training.config import PretrainConfig
from peclr_utils.training.contrastive import StepGradients
from peclr_utils.training.contrastive import contrastive_loss as contrastive_loss
from peclr_utils.training.distributed import Group, divide, joined
from peclr_utils.training.engine import Machine, Run, choose_machine, seeded
from peclr_utils.training.layerwise import authors_parameter_groups
from peclr_utils.training.optimisation import (
    check_finite,
    make_optimiser,
    parameter_groups,
    set_learning_rate,
    take_step,
)
from peclr_utils.training.pair_data import PairData, open_pair_data
from peclr_utils.training.pair_data import pair_augmentation as pair_augmentation
from peclr_utils.training.resume import (
    Saving,
    check_start,
    checkpoint_path,
    end_early,
    going_on,
    resume,
    start_folder,
)
from peclr_utils.training.runlog import RunLog
from peclr_utils.training.stopping import Stopping
from peclr_utils.training.views import backgrounds_on, load
from peclr_utils.weights import load_encoder


@dataclass(frozen=True)
class PretrainResult:
    """What `pretrain` gives back.

    Attributes:
        model: encoder and projector, in evaluation mode.
        config: the settings.
        history: the log, one dict a line: step, epoch, loss, alignment, learning_rate, images_per_second, and
            equivariance_error at the end of an epoch if it is measured.
        checkpoint: the file, or None without an output folder.
        finished: whether all epochs are done.
    """

    model: ContrastiveModel
    config: PretrainConfig
    history: list[dict[str, Any]]
    checkpoint: Path | None
    finished: bool

    @property
    def losses(self) -> list[float]:
        """The logged losses in order."""
        return [row["loss"] for row in self.history if "loss" in row]


def pretrain(config: PretrainConfig, dataset: HandDataset | None = None) -> PretrainResult:
    """Pre-train an encoder on unlabelled hands.

    A run with an output folder saves after every epoch, and every few minutes within one; it goes on from
    there when it is called again, and a finished one is read back. Ctrl-C saves too.

    Started by torchrun, several processes train together (`training.distributed`).

    Args:
        config: all settings.
        dataset: hands to train on, instead of `config.sources`; crops (`CropSet`) are taken as they are.

    Returns:
        The model and its history; of several processes only the first has that of earlier parts of the run.

    Raises:
        ValueError: if a setting is wrong, the output folder holds a run with other settings, or a step can't
            be shared out to the processes.
        FileNotFoundError: if the initial encoder cannot be had; nothing has been cropped by then.
        NonFiniteLossError: if the loss becomes NaN or infinite.
        KeyboardInterrupt: on Ctrl-C, once everything is saved.
    """
    config.validate()
    with joined(config.device) as group, group.shared_folder(config.cache) as cache:
        with group.first_before_others():
            check_start(config)
        return _pretrain(config, dataset, group, cache)


def _pretrain(
    config: PretrainConfig, dataset: HandDataset | None, group: Group, cache: str
) -> PretrainResult:
    machine, own = choose_machine(config), group.own(config)
    division = divide(config, group, machine.device)
    with group.first_before_others():
        data = open_pair_data(own.replace(cache=cache), machine, dataset, division.rows)
        model = machine.place(_make_model(config, group))
    optimiser, scaler = _make_optimiser(config, model, machine), machine.scaler()
    steps = config.epochs * data.steps_per_epoch
    first_step = group.same(resume(config, model, optimiser, scaler, data.pictures), "output: steps done")
    if first_step < steps:
        start_folder(own)
    run = Run(own, machine, model, optimiser, scaler)
    gradients = StepGradients(run, group, division, backgrounds_on(data.backgrounds, machine))
    _introduce(own, machine, data, first_step, gradients)
    images = 2 * config.batch_size * config.accumulate
    log = RunLog(own, first_step, steps, images, f"pretrain {config.method}")
    with log, Stopping(config.time_limit_minutes, config.max_steps) as stopping:
        reason = _train(run, data, gradients, range(first_step, steps), log, stopping)
    group.wait()  # until the first has saved
    end_early(config.replace(progress=own.progress), reason)
    saved = checkpoint_path(config.output)
    return PretrainResult(model.eval(), config, log.history, saved, finished=not reason)


def _train(
    run: Run, data: PairData, gradients: StepGradients, steps: range, log: RunLog, stopping: Stopping
) -> str:
    """Take the steps that are left, log and save; returns why it stopped early, or nothing."""
    config, machine, model = run.config, run.machine, run.model
    group, division = gradients.group, gradients.division
    stream, running = load(data.batches, division.numbers(steps, config.accumulate), machine), []
    warmup = round(config.warmup_epochs * data.steps_per_epoch)
    saving = Saving(run, data.pictures, steps.stop)
    curve = data.curve if group.first else None
    if curve and steps.start == 0:
        log.write(0, {"epoch": 0.0, "equivariance_error": curve.measure(model)})
    model.train()
    for step in steps:
        if reason := group.agree(stopping.reason(step)):
            saving.save(step, unread=[loss for loss, _ in running])
            return reason
        rate = set_learning_rate(run.optimiser, step, steps.stop, warmup)
        measured = gradients(itertools.islice(stream, len(division.batches)))
        if machine.device.type == "cpu":  # elsewhere reading the loss would hold up the device: see below
            check_finite(torch.stack(measured)[:, 0].mean(), step, rate, saving.path)
        running += measured
        take_step(run.optimiser, run.scaler)
        log.tick()

        epochs, rest = divmod(step + 1, data.steps_per_epoch)
        if (step + 1) % config.log_every == 0 or not rest:
            loss, alignment = torch.stack(running).mean(dim=0).tolist()
            running = []
            check_finite(loss, step, rate, saving.path)
            values = {"epoch": (step + 1) / data.steps_per_epoch, "loss": loss, "alignment": alignment}
            values |= {"learning_rate": rate, "images_per_second": log.speed(step + 1)}
            if curve and not rest:
                values["equivariance_error"] = curve.measure(model)
            log.write(step, values)
            saving.after_log_line(step + 1, due=not rest and epochs % config.save_every_epochs == 0)
    if steps:
        saving.save(steps.stop)
    return ""


def _make_model(config: PretrainConfig, group: Group) -> ContrastiveModel:
    with seeded(config.seed):
        model = ContrastiveModel(config.arch, config.projector_hidden, config.projection_size)
    if config.encoder:
        model.encoder = load_encoder(config.encoder, config.arch)
    if config.sync_batch_norm and group.size > 1:
        model.encoder = nn.SyncBatchNorm.convert_sync_batchnorm(model.encoder)
    return model


def _make_optimiser(
    config: PretrainConfig, model: ContrastiveModel, machine: Machine
) -> torch.optim.Optimizer:
    split = authors_parameter_groups if config.authors_exact else parameter_groups
    groups = split(model, config.peak_learning_rate, config.weight_decay)
    return make_optimiser(config.optimiser, groups, machine.device)


def _introduce(
    config: PretrainConfig, machine: Machine, data: PairData, first_step: int, gradients: StepGradients
) -> None:
    if not config.progress:
        return
    group, held = gradients.group, ", all activations held" if gradients.holding else ""
    undone = "rotation and shift" if config.undo_shift else "rotation"
    undoing = f"{undone} undone" if config.method == "peclr" else "nothing undone"
    exactly = ", as the authors' code does it" if config.authors_exact else ""
    instead = config.precision == "fp16" and machine.dtype == torch.float32
    print(
        f"pre-training {config.arch} by {config.method} ({undoing}{exactly}) on {data.pictures:,} pictures "
        f"of {data.source}: {config.epochs} epochs of {data.steps_per_epoch} steps, {config.batch_size} "
        f"pairs x {config.accumulate}, loss over {config.compared_pairs:,} pairs"
        + (f" (gradient cache{held})" if config.grad_cache else "")
        + f", peak learning rate {config.peak_learning_rate:.2e}\non "
        + (f"{group.size} processes, each with " if group.size > 1 else "")
        + str(machine)
        + (" (in place of float16, which is for GPUs)" if instead else "")
        + going_on(first_step, config.epochs * data.steps_per_epoch)
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Pre-train as the command line says."""
    return run_command_line(
        PretrainConfig, pretrain, "python -m peclr_utils.training.pretrain", _summary, arguments
    )


def _summary(result: PretrainResult) -> str:
    last = result.history[-1] if result.history else {}
    loss = f"last loss {last['loss']:.4f}" if "loss" in last else "no step done"
    return f"{'finished' if result.finished else 'stopped early'}: {loss}, checkpoint {result.checkpoint}"


if __name__ == "__main__":
    sys.exit(main())
