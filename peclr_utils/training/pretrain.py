"""Pre-training: PeCLR, and SimCLR as the same call without undoing.

Chapter 03 derives the loss and has a small version of this loop. One page: data, model, optimiser, resume,
steps, log, save.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from peclr_utils.crops import CropSet, open_crops
from peclr_utils.datasets import HandDataset, open_source
from peclr_utils.equivariance import undo_on_projection
from peclr_utils.losses import nt_xent
from peclr_utils.models import ContrastiveModel
from peclr_utils.settings import run_and_exit, run_command_line
from peclr_utils.training import distributed as ranks
from peclr_utils.training.authors import AuthorsPairDataset
from peclr_utils.training.checkpoint import EarlyStop, RunFolder, locked_folder, report_early_stop
from peclr_utils.training.config import PretrainConfig
from peclr_utils.training.device import autocast, choose_compute, place, seeded
from peclr_utils.training.grad_cache import cached_gradients
from peclr_utils.training.log import RunLog
from peclr_utils.training.optim import (
    authors_parameter_groups,
    check_finite,
    make_optimiser,
    parameter_groups,
    set_learning_rate,
    take_step,
)
from peclr_utils.training.pairs import PairBatch, PairDataset, pair_augmentation
from peclr_utils.training.views import backgrounds_on, crop_margin, load
from peclr_utils.weights import load_encoder


@dataclass(frozen=True)
class PretrainResult:
    """What `pretrain` returns."""

    model: ContrastiveModel  # encoder and projector, in evaluation mode
    config: PretrainConfig
    # The log, one dict per line: step, epoch, loss, alignment, learning_rate, images_per_second...
    history: list[dict[str, Any]]
    checkpoint: Path | None  # None without an output folder
    finished: bool  # whether all epochs are done

    @property
    def losses(self) -> list[float]:
        """The logged losses in order."""
        return [row["loss"] for row in self.history]


def contrastive_loss(
    z1: Tensor, z2: Tensor, batch: PairBatch, config: PretrainConfig
) -> tuple[Tensor, Tensor]:
    """NT-Xent of a batch's projections; for PeCLR with each view's rotation, and its shift, undone first.

    Args:
        z1, z2: (B, D) projections of the two views.
        batch: the motions to undo; its views are not used.
        config: method, undo_shift, temperature, pair_identities.

    Returns:
        The loss; and the alignment, the mean cosine between the two views of a pair, detached.
    """
    if config.method == "peclr":
        shift = batch.shift if config.undo_shift else torch.zeros_like(batch.shift)
        # Not back to 0 but to the pair's own frame; all frames are 0 without `random_frames`.
        z1 = undo_on_projection(z1, batch.angle[0] - batch.frame, shift[0])
        z2 = undo_on_projection(z2, batch.angle[1] - batch.frame, shift[1])
    identity = batch.identity if config.pair_identities else None
    alignment = (normalize(z1.detach()) * normalize(z2.detach())).sum(dim=1).mean()
    return nt_xent(z1, z2, config.temperature, identity), alignment


def pretrain(config: PretrainConfig, dataset: HandDataset | None = None) -> PretrainResult:
    """Pre-train an encoder on unlabelled hands.

    A run with an output folder saves after every epoch, and every few minutes within one. Called again it
    resumes; a finished run is read back. Ctrl-C saves too. Started by torchrun, several processes train
    together (`training.distributed`).

    Args:
        config: all settings.
        dataset: hands to train on, instead of `config.sources`; crops (`CropSet`) are used as they are.

    Returns:
        The model and its history; of several processes only rank 0 has that of earlier parts of the run.

    Raises:
        ValueError: if a setting is wrong, or the output folder holds a run with other settings.
        BlockingIOError: if another run is using the output folder.
        FileNotFoundError: if the initial encoder is missing; nothing has been cropped by then.
        NonFiniteLossError: if the loss becomes NaN or infinite.
        KeyboardInterrupt: on Ctrl-C, once everything is saved.
    """
    config.validate()
    _check_processes(config, dataset)
    first = ranks.rank() == 0
    with ranks.process_group(config.device), locked_folder(config.output if first else ""):
        compute = choose_compute(config)
        device = compute.device

        # Model. The initial encoder is read before hours go into crops.
        with ranks.rank_zero_first(), seeded(config.seed):
            model = ContrastiveModel(config.arch, config.projector_hidden, config.projection_size)
            if config.encoder:
                model.encoder = load_encoder(config.encoder, config.arch)
        model = place(model, device)
        encoder = torch.compile(model.encoder) if config.compile else model.encoder
        split = authors_parameter_groups if config.authors_exact else parameter_groups
        groups = split(model, config.peak_learning_rate, config.weight_decay)
        optimiser = make_optimiser(config.optimiser, groups, device)
        scaler = torch.amp.GradScaler(device.type, enabled=compute.dtype == torch.float16)

        # Data.
        with ranks.rank_zero_first():
            pairs = open_pairs(config, dataset, compute.backend)
        backgrounds = backgrounds_on(pairs.backgrounds, compute.backend, device)
        steps = config.epochs * pairs.steps_per_epoch
        warmup = round(config.warmup_epochs * pairs.steps_per_epoch)

        # Resume.
        folder = RunFolder(config, pairs.images, writes=first)
        first_step = folder.resume(model, optimiser, scaler)
        if len(set(ranks.all_gather_object(first_step))) > 1:
            raise ValueError(f"{config.output}: all processes must see the same output folder")
        if first_step < steps:
            folder.start(first_step)
        if first and config.progress:
            print(_introduction(config, pairs, first_step, steps) + f"\non {compute}")

        def encode(batch: PairBatch) -> Tensor:
            """Features of B pairs, (2, B, F) float32: the projector's batch norm needs the precision."""
            views = batch.to(device, config.image_size, backgrounds).views
            with autocast(device, compute.dtype):
                features = encoder(views.flatten(0, 1))
            return features.float().unflatten(0, (2, -1))

        def compare(features: Tensor, batches: Sequence[PairBatch]) -> tuple[Tensor, Tensor]:
            """Loss and alignment; `features` are those of all processes, `batches` this one's."""
            z1, z2 = model.projector(features.flatten(0, 1)).chunk(2)
            motions = PairBatch.motions(batches, device)
            angle, shift = ranks.all_gather(motions.angle, dim=1), ranks.all_gather(motions.shift, dim=1)
            identity, frame = ranks.all_gather(motions.identity), ranks.all_gather(motions.frame)
            motions = motions._replace(angle=angle, shift=shift, identity=identity, frame=frame)
            return contrastive_loss(z1, z2, motions, config)

        # Steps.
        # Rank r takes a contiguous share of each step's batches: gathered order is batch order.
        mine = np.arange(config.accumulate).reshape(ranks.world_size(), -1)[ranks.rank()].tolist()
        numbers = [step * config.accumulate + batch for step in range(first_step, steps) for batch in mine]
        stream = iter(load(pairs, numbers, compute.workers, device))
        log_config = config if first else config.replace(output="", loggers=(), progress=False)
        images = 2 * config.batch_size * config.accumulate
        log = RunLog(log_config, first_step, steps, images, f"pretrain {config.method}")
        with log, EarlyStop(config) as stop:
            model.train()
            unread, reason, rate = [], "", 0.0  # losses that have not been read from the device yet
            for step in range(first_step, steps):
                if reason := next(
                    filter(None, ranks.all_gather_object(stop.reason(step))), ""
                ):  # of any rank
                    if unread:
                        loss = float(torch.stack(unread)[:, 0].mean())
                        check_finite(loss, step - 1, rate, folder.checkpoint)
                    folder.save(model, optimiser, scaler, step, finished=False)
                    break
                rate = set_learning_rate(optimiser, step, steps, warmup)
                batches = list(itertools.islice(stream, len(mine)))
                if config.grad_cache:
                    loss = cached_gradients(encode, batches, compare, model.encoder, scaler.scale)
                    # The encoder's are summed inside; every rank has the projector's whole gradient.
                    ranks.all_reduce_gradients(model.projector, mean=True)
                    ranks.average_buffers(model.encoder)
                    unread.append(torch.stack(loss))
                else:
                    for batch in batches:
                        loss, alignment = compare(encode(batch), [batch])
                        scaler.scale(loss / config.accumulate).backward()
                        unread.append(torch.stack([loss.detach(), alignment]))
                take_step(optimiser, scaler)
                log.tick()

                epoch, rest = divmod(step + 1, pairs.steps_per_epoch)
                if (step + 1) % config.log_every == 0 or not rest:
                    loss, alignment = torch.stack(unread).mean(dim=0).tolist()
                    unread = []
                    check_finite(loss, step, rate, folder.checkpoint)
                    row = {"epoch": (step + 1) / pairs.steps_per_epoch, "loss": loss, "alignment": alignment}
                    row |= {"learning_rate": rate, "images_per_second": log.speed(step + 1)}
                    log.write(step, row)
                    end = step + 1 == steps
                    if end or (not rest and epoch % config.save_every_epochs == 0) or folder.due():
                        folder.save(model, optimiser, scaler, step + 1, finished=end)
        ranks.barrier()  # until rank 0 has saved
    stopped = reason or ("interrupted" if stop.came else "")  # Ctrl-C may come in the last step
    report_early_stop(stopped, folder.checkpoint, first and config.progress)
    return PretrainResult(model.eval(), config, log.history, folder.checkpoint, finished=not reason)


def open_pairs(
    config: PretrainConfig, dataset: HandDataset | None = None, backend: str = "opencv"
) -> PairDataset:
    """Open the images of a pre-training: packed crops of them, or with `authors_exact` whole ones."""
    hands = config.sources if dataset is None else dataset
    if config.authors_exact:
        return AuthorsPairDataset(open_source(hands) if dataset is None else hands, config)
    margin = crop_margin(pair_augmentation(config))
    crops = open_crops(hands, config.image_size, config.view_factor, margin, config.cache, config.progress)
    return PairDataset(crops, config, backend)


def _check_processes(config: PretrainConfig, dataset: HandDataset | None) -> None:
    """Refuse what several processes can't do together."""
    count = ranks.world_size()
    if count == 1:
        return
    if config.authors_exact:
        raise ValueError(f"authors_exact: expected one process, found {count}; the authors' code uses one")
    if not config.grad_cache:
        raise ValueError(f"grad_cache: expected True with {count} processes, which compute one loss together")
    if config.accumulate % count:
        raise ValueError(
            f"accumulate: expected a multiple of {count}, the number of processes, found "
            f"{config.accumulate}; they divide the batches of a step among them"
        )
    if not (config.cache or isinstance(dataset, CropSet)):
        raise ValueError(f"cache: expected a folder, because {count} processes share the packed crops")


def _introduction(config: PretrainConfig, pairs: PairDataset, first_step: int, steps: int) -> str:
    undone = "rotation and shift undone" if config.undo_shift else "rotation undone"
    undone = undone if config.method == "peclr" else "nothing undone"
    exactly = ", as in the authors' code" if config.authors_exact else ""
    text = (
        f"Pre-training {config.arch} by {config.method} ({undone}{exactly}) on {pairs.images:,} images of "
        f"{pairs.source}: {config.epochs} epochs of {pairs.steps_per_epoch} steps, {config.batch_size} x "
        f"{config.accumulate} pairs, loss over {config.compared_pairs:,} pairs, peak learning rate "
        f"{config.peak_learning_rate:.2e}, {ranks.world_size()} process(es)"
    )
    return text + resuming(first_step, steps)


def resuming(first_step: int, steps: int) -> str:
    """What to say about earlier parts of a run: nothing if there are none."""
    if first_step == steps:
        return "\nThis run is finished: reading its checkpoint."
    return f"\nResuming at step {first_step} of {steps}." if first_step else ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Pre-train as the command line says."""
    program = "python -m peclr_utils.training.pretrain"
    return run_command_line(PretrainConfig, pretrain, program, summary, arguments)


def summary(result: PretrainResult) -> str:
    """Say in one line how a run ended; "" in all ranks but the first."""
    if ranks.rank() > 0:
        return ""
    loss = f"last loss {result.losses[-1]:.4f}" if result.losses else "no loss logged"
    return f"{'Finished' if result.finished else 'Stopped early'}: {loss}, checkpoint {result.checkpoint}"


if __name__ == "__main__":
    run_and_exit(main)
