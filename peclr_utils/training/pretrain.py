"""Pre-training: PeCLR, and SimCLR as the same call without the undoing.

Chapter 03 derives the loss and runs this loop.
"""

import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from peclr_utils.augmentation import AugmentationConfig
from peclr_utils.crops import CropSet
from peclr_utils.datasets.sample import HandDataset
from peclr_utils.equivariance import undo_on_projection
from peclr_utils.losses import nt_xent
from peclr_utils.models import ContrastiveModel
from peclr_utils.training.batches import PairBatch, PairBatches, pairs_on_device
from peclr_utils.training.command_line import run_command_line
from peclr_utils.training.config import PretrainConfig
from peclr_utils.training.curve import EquivarianceCurve, split_off
from peclr_utils.training.engine import (
    Machine,
    Stopping,
    check_finite,
    choose_machine,
    make_optimiser,
    parameter_groups,
    seeded,
    set_learning_rate,
    take_step,
)
from peclr_utils.training.resume import checkpoint_path, end_early, going_on, resume, save, start_folder
from peclr_utils.training.runlog import RunLog
from peclr_utils.training.sources import open_crops
from peclr_utils.training.views import background_pool, backgrounds_on, load
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
    augmentation = pair_augmentation(config)
    crops = open_crops(config, augmentation, config.sources, dataset)
    training, held_out = split_off(crops.identities, config.equivariance_pictures, config.seed)
    backgrounds = background_pool(augmentation, crops, config.image_size, config.seed)
    batches = PairBatches(
        crops, training, augmentation, config.batch_size, config.image_size, config.view_factor, config.seed,
        machine.executor, config.pair_identities, backgrounds, config.accumulate,
    )  # fmt: skip
    model = machine.place(_make_model(config))
    steps_per_epoch = batches.batches_per_epoch // config.accumulate
    steps, warmup = config.epochs * steps_per_epoch, round(config.warmup_epochs * steps_per_epoch)
    groups = parameter_groups(model, config.peak_learning_rate, config.weight_decay)
    optimiser, scaler = make_optimiser(config.optimiser, groups, machine.device), machine.scaler()
    first_step = resume(config, model, optimiser, scaler, len(training))
    if first_step < steps:
        start_folder(config)
    _introduce(config, machine, crops.source, len(training), steps_per_epoch, first_step)

    encode = torch.compile(model.encoder) if config.compile else model.encoder
    backgrounds = backgrounds_on(backgrounds, machine)
    curve = _make_curve(config, augmentation, crops, held_out, machine)
    stream = load(batches, range(first_step * config.accumulate, steps * config.accumulate), machine)
    log = RunLog(
        config, first_step, steps, 2 * config.batch_size * config.accumulate, f"pretrain {config.method}"
    )
    saved, reason, running = checkpoint_path(config.output), "", []
    with log, Stopping(config.time_limit_minutes, config.max_steps) as stopping:
        if curve and first_step == 0:
            log.write(0, {"epoch": 0.0, "equivariance_error": curve.measure(model)})
        model.train()
        for step in range(first_step, steps):
            if reason := stopping.reason(step):
                break
            rate = set_learning_rate(optimiser, step, steps, warmup)
            for item in itertools.islice(stream, config.accumulate):
                batch = pairs_on_device(item, machine, config.image_size, backgrounds)
                with machine.autocast():
                    features = encode(torch.cat([batch.view1, batch.view2]))
                # From here on in float32: batch statistics and cosines lose too much otherwise.
                z1, z2 = model.projector(features.float()).chunk(2)
                loss, alignment = contrastive_loss(z1, z2, batch, config)
                scaler.scale(loss / config.accumulate).backward()
                running.append(torch.stack([loss.detach(), alignment]))
            if machine.device.type == "cpu":  # elsewhere reading the loss would hold up the device: see below
                check_finite(running[-1][0], step, rate, saved)
            take_step(optimiser, scaler)
            log.tick()

            done, epoch_ends = step + 1, (step + 1) % steps_per_epoch == 0
            if done % config.log_every == 0 or epoch_ends:
                loss, alignment = torch.stack(running).mean(dim=0).tolist()
                running = []
                check_finite(loss, step, rate, saved)
                values = {
                    "epoch": done / steps_per_epoch,
                    "loss": loss,
                    "alignment": alignment,
                    "learning_rate": rate,
                }
                values["images_per_second"] = log.speed(done)
                if curve and epoch_ends:
                    values["equivariance_error"] = curve.measure(model)
                log.write(step, values)
            if epoch_ends and (done // steps_per_epoch) % config.save_every_epochs == 0 and done < steps:
                save(config, model, optimiser, scaler, done, len(training))
        if first_step < steps:
            save(
                config,
                model,
                optimiser,
                scaler,
                step if reason else steps,
                len(training),
                finished=not reason,
            )
    end_early(config, reason)
    return PretrainResult(model.eval(), config, log.history, saved, finished=not reason)


def pair_augmentation(config: PretrainConfig) -> AugmentationConfig:
    """Ranges of the views' parameters: the preset, the run's rotation, and the run's own changes.

    Both methods see the same views; what they undo tells them apart. Every view gets a new background where
    that is possible: the edge of a picture, where it shows, would tell a pair as well as the background does.
    """
    changes = {name: tuple(v) if isinstance(v, list) else v for name, v in config.augmentation.items()}
    background = 1.0 if config.exchange_background else 0.0
    return AugmentationConfig.peclr(
        **{"rotation": config.rotation_degrees, "background": background, **changes}
    )


def _make_model(config: PretrainConfig) -> ContrastiveModel:
    with seeded(config.seed):
        model = ContrastiveModel(config.arch, config.projector_hidden, config.projection_size)
    if config.encoder:
        model.encoder = load_encoder(config.encoder, config.arch)
    return model


def _make_curve(
    config: PretrainConfig,
    augmentation: AugmentationConfig,
    crops: CropSet,
    held_out: np.ndarray,
    machine: Machine,
) -> EquivarianceCurve | None:
    if not len(held_out):
        return None
    motion = AugmentationConfig.none(rotation=augmentation.rotation, shift=augmentation.shift)
    return EquivarianceCurve(
        crops, held_out, motion, config.image_size, config.view_factor, machine, config.seed
    )


def _introduce(
    config: PretrainConfig,
    machine: Machine,
    source: str,
    pictures: int,
    steps_per_epoch: int,
    first_step: int,
) -> None:
    if not config.progress:
        return
    undoing = "rotation and shift undone" if config.method == "peclr" else "nothing undone"
    print(
        f"pre-training {config.arch} by {config.method} ({undoing}) on {pictures:,} pictures of {source}: "
        f"{config.epochs} epochs of {steps_per_epoch} steps, {config.batch_size} pairs x "
        f"{config.accumulate}, peak learning rate {config.peak_learning_rate:.2e}\non {machine}"
        + going_on(first_step, config.epochs * steps_per_epoch)
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
