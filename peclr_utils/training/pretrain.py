"""Pre-training: PeCLR, and SimCLR as the same call without the undoing.

Chapter 03 derives the loss and runs this loop.
"""

import itertools
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from peclr_utils.datasets.sample import HandDataset
from peclr_utils.equivariance import undo_on_projection
from peclr_utils.losses import nt_xent
from peclr_utils.models import ContrastiveModel
from peclr_utils.training.batches import PairBatch, pairs_on_device
from peclr_utils.training.command_line import run_command_line
from peclr_utils.training.config import PretrainConfig
from peclr_utils.training.engine import (
    Machine,
    Run,
    Stopping,
    check_finite,
    choose_machine,
    make_optimiser,
    parameter_groups,
    seeded,
    set_learning_rate,
    take_step,
)
from peclr_utils.training.layerwise import authors_parameter_groups
from peclr_utils.training.pair_data import PairData, open_pair_data
from peclr_utils.training.pair_data import pair_augmentation as pair_augmentation
from peclr_utils.training.resume import checkpoint_path, end_early, going_on, resume, save, start_folder
from peclr_utils.training.runlog import RunLog
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


def contrastive_loss(
    z1: Tensor, z2: Tensor, batch: PairBatch, config: PretrainConfig
) -> tuple[Tensor, Tensor]:
    """NT-Xent of a batch's projections; for PeCLR with each view's rotation and shift undone first.

    Args:
        z1, z2: (B, D) projections of the two views.
        batch: the parameters to undo.
        config: method, temperature, pair_identities.

    Returns:
        The loss; and the alignment, the mean cosine between the two views of a pair, detached.
    """
    if config.method == "peclr":
        z1 = undo_on_projection(z1, batch.angle1, batch.shift1)
        z2 = undo_on_projection(z2, batch.angle2, batch.shift2)
    identity = batch.identity if config.pair_identities else None
    alignment = (normalize(z1.detach()) * normalize(z2.detach())).sum(dim=1).mean()
    return nt_xent(z1, z2, config.temperature, identity), alignment


def pretrain(config: PretrainConfig, dataset: HandDataset | None = None) -> PretrainResult:
    """Pre-train an encoder on unlabelled hands.

    A run with an output folder saves after every epoch and goes on from there when it is called again; a
    finished one is read back. Ctrl-C saves too.

    Args:
        config: all settings.
        dataset: hands to train on, instead of `config.sources`; crops (`CropSet`) are taken as they are.

    Returns:
        The model and its history.

    Raises:
        ValueError: if a setting is wrong, or the output folder holds a run with other settings.
        NonFiniteLossError: if the loss becomes NaN or infinite.
        KeyboardInterrupt: on Ctrl-C, once everything is saved.
    """
    config.validate()
    machine = choose_machine(config)
    data = open_pair_data(config, machine, dataset)
    model = machine.place(_make_model(config))
    optimiser, scaler = _make_optimiser(config, model, machine), machine.scaler()
    steps = config.epochs * data.steps_per_epoch
    first_step = resume(config, model, optimiser, scaler, data.pictures)
    if first_step < steps:
        start_folder(config)
    _introduce(config, machine, data, first_step)
    images = 2 * config.batch_size * config.accumulate
    log = RunLog(config, first_step, steps, images, f"pretrain {config.method}")
    run = Run(config, machine, model, optimiser, scaler)
    with log, Stopping(config.time_limit_minutes, config.max_steps) as stopping:
        reason = _train(run, data, range(first_step, steps), log, stopping)
    end_early(config, reason)
    saved = checkpoint_path(config.output)
    return PretrainResult(model.eval(), config, log.history, saved, finished=not reason)


def _train(run: Run, data: PairData, steps: range, log: RunLog, stopping: Stopping) -> str:
    """Take the steps that are left, log and save; returns why it stopped early, or nothing."""
    config, machine, model = run.config, run.machine, run.model
    encode = torch.compile(model.encoder) if config.compile else model.encoder
    backgrounds = backgrounds_on(data.backgrounds, machine)
    numbers = range(steps.start * config.accumulate, steps.stop * config.accumulate)
    stream, running = load(data.batches, numbers, machine), []
    warmup, saved = round(config.warmup_epochs * data.steps_per_epoch), checkpoint_path(config.output)
    if data.curve and steps.start == 0:
        log.write(0, {"epoch": 0.0, "equivariance_error": data.curve.measure(model)})
    model.train()
    for step in steps:
        if reason := stopping.reason(step):
            save(config, model, run.optimiser, run.scaler, step, data.pictures)
            return reason
        rate = set_learning_rate(run.optimiser, step, steps.stop, warmup)
        items = itertools.islice(stream, config.accumulate)
        batches = (pairs_on_device(item, machine, config.image_size, backgrounds) for item in items)
        running += gather_gradients(run, encode, batches)
        if machine.device.type == "cpu":  # elsewhere reading the loss would hold up the device: see below
            check_finite(running[-1][0], step, rate, saved)
        take_step(run.optimiser, run.scaler)
        log.tick()

        epochs, rest = divmod(step + 1, data.steps_per_epoch)
        if (step + 1) % config.log_every == 0 or not rest:
            loss, alignment = torch.stack(running).mean(dim=0).tolist()
            running = []
            check_finite(loss, step, rate, saved)
            values = {"epoch": (step + 1) / data.steps_per_epoch, "loss": loss, "alignment": alignment}
            values |= {"learning_rate": rate, "images_per_second": log.speed(step + 1)}
            if data.curve and not rest:
                values["equivariance_error"] = data.curve.measure(model)
            log.write(step, values)
        if not rest and epochs % config.save_every_epochs == 0 and epochs < config.epochs:
            save(config, model, run.optimiser, run.scaler, step + 1, data.pictures)
    if steps:
        save(config, model, run.optimiser, run.scaler, steps.stop, data.pictures, finished=True)
    return ""


def gather_gradients(run: Run, encode: nn.Module, batches: Iterable[PairBatch]) -> list[Tensor]:
    """Add up the gradients of one step's batches; each batch's loss compares the pairs of that batch alone.

    Args:
        run: its model's gradients are added to.
        encode: the model's encoder, perhaps compiled.
        batches: `config.accumulate` of them.

    Returns:
        For each batch (2,), detached: loss and alignment.
    """
    measured = []
    for batch in batches:
        with run.machine.autocast():
            features = encode(torch.cat([batch.view1, batch.view2]))
        # From here on in float32: batch statistics and cosines lose too much otherwise.
        z1, z2 = run.model.projector(features.float()).chunk(2)
        loss, alignment = contrastive_loss(z1, z2, batch, run.config)
        run.scaler.scale(loss / run.config.accumulate).backward()
        measured.append(torch.stack([loss.detach(), alignment]))
    return measured


def _make_model(config: PretrainConfig) -> ContrastiveModel:
    with seeded(config.seed):
        model = ContrastiveModel(config.arch, config.projector_hidden, config.projection_size)
    if config.encoder:
        model.encoder = load_encoder(config.encoder, config.arch)
    return model


def _make_optimiser(
    config: PretrainConfig, model: ContrastiveModel, machine: Machine
) -> torch.optim.Optimizer:
    split = authors_parameter_groups if config.authors_exact else parameter_groups
    groups = split(model, config.peak_learning_rate, config.weight_decay)
    return make_optimiser(config.optimiser, groups, machine.device)


def _introduce(config: PretrainConfig, machine: Machine, data: PairData, first_step: int) -> None:
    if not config.progress:
        return
    undoing = "rotation and shift undone" if config.method == "peclr" else "nothing undone"
    exactly = ", as the authors' code does it" if config.authors_exact else ""
    instead = config.precision == "fp16" and machine.dtype == torch.float32
    print(
        f"pre-training {config.arch} by {config.method} ({undoing}{exactly}) on {data.pictures:,} pictures "
        f"of {data.source}: {config.epochs} epochs of {data.steps_per_epoch} steps, {config.batch_size} "
        f"pairs x {config.accumulate}, peak learning rate {config.peak_learning_rate:.2e}\non {machine}"
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
