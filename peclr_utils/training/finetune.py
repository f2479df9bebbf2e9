"""Fine-tuning: from few labels to a 2.5D pose network.

Chapter 04 runs this loop. The authors do not publish theirs; losses and schedule are ours.
"""

import itertools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from peclr_utils.augmentation import AugmentationConfig
from peclr_utils.crops import open_crops
from peclr_utils.datasets import HandDataset
from peclr_utils.evaluation import Evaluation
from peclr_utils.losses import pose_loss
from peclr_utils.models import PoseNetwork25D, PoseOutput
from peclr_utils.settings import run_and_exit, run_command_line
from peclr_utils.training.checkpoint import EarlyStop, RunFolder, locked_folder, report_early_stop
from peclr_utils.training.config import FinetuneConfig
from peclr_utils.training.device import autocast, choose_compute, place, seeded
from peclr_utils.training.distributed import single_process
from peclr_utils.training.log import RunLog
from peclr_utils.training.optim import (
    check_finite,
    make_optimiser,
    parameter_groups,
    set_learning_rate,
    take_step,
)
from peclr_utils.training.poses import PoseBatch, PoseDataset, choose_labels
from peclr_utils.training.predict import predict_dataset
from peclr_utils.training.pretrain import resuming, summary
from peclr_utils.training.views import backgrounds_on, crop_margin, load, paint_backgrounds
from peclr_utils.weights import load_encoder, load_pose_network


@dataclass(frozen=True)
class FinetuneResult:
    """What `finetune` returns, see `PretrainResult`; `evaluation` is on the test set, None without one."""

    model: PoseNetwork25D
    config: FinetuneConfig
    history: list[dict[str, Any]]
    evaluation: Evaluation | None
    checkpoint: Path | None
    finished: bool

    @property
    def losses(self) -> list[float]:
        """The logged losses in order."""
        return [row["loss"] for row in self.history]


def weak_augmentation(config: FinetuneConfig) -> AugmentationConfig:
    """Ranges of the training views: the preset for labelled data with the run's own changes."""
    return AugmentationConfig.weak(**config.augmentation)


def network_loss(output: PoseOutput, batch: PoseBatch, config: FinetuneConfig) -> dict[str, Tensor]:
    """`losses.pose_loss` of a batch with the run's weights; "total" comes first."""
    return pose_loss(
        output, batch.keypoints_2d, batch.relative_depth, batch.root_depth, config.image_size,
        config.weight_2d, config.weight_relative_depth, config.weight_root_depth,
        batch.presence if config.absent else None, config.weight_presence,
    )  # fmt: skip


def finetune(
    config: FinetuneConfig, dataset: HandDataset | None = None, test_dataset: HandDataset | None = None
) -> FinetuneResult:
    """Train a pose network on labelled hands, from random or pre-trained weights.

    A run with an output folder saves every few steps and minutes. Called again it resumes; a finished run is
    read back. Ctrl-C saves too.

    Args:
        config: all settings.
        dataset: labelled hands, instead of `config.sources`; crops (`CropSet`) are used as they are.
        test_dataset: hands to evaluate on, instead of `config.test_sources`.

    Returns:
        The network, its history, and its evaluation if there is a test set.

    Raises:
        ValueError: if a hand lacks its label, or some show wrong units, axes, keypoint order, side or camera;
            otherwise as `pretrain`.
    """
    config.validate()
    with locked_folder(config.output):
        compute = choose_compute(config)
        device = compute.device
        start = load_encoder(config.encoder, config.arch) if config.encoder else None
        if config.network:
            start = load_pose_network(config.network)
            if start.arch != config.arch:
                raise ValueError(f"{config.network}: expected a {config.arch}, found a {start.arch}")
            if start.keypoint_order != "freihand":
                found = f"expected FreiHAND's keypoint order, found {start.keypoint_order!r}"
                raise ValueError(
                    f"{config.network}: {found}; start from its encoder: encoder={config.network!r}"
                )
            if start.knows_presence and not config.absent:
                text = "it will no longer know whether a hand is in its place, because absent is 0"
                warnings.warn(f"{config.network}: {text}", stacklevel=2)

        # Data.
        augmentation = weak_augmentation(config)
        size = (config.image_size, config.view_factor)
        cut = (*size, crop_margin(augmentation), config.cache, config.progress, True)
        crops = open_crops(config.sources if dataset is None else dataset, *cut)
        test = config.test_sources if test_dataset is None else test_dataset
        test = open_crops(test, *cut) if len(test) else None
        labelled = choose_labels(crops.identities, config.labels, config.seed)
        backgrounds = paint_backgrounds(
            augmentation, crops, config.image_size, config.seed, config.people, config.backgrounds
        )
        poses = PoseDataset(
            crops,
            labelled,
            augmentation,
            config.batch_size,
            *size,
            config.seed,
            compute.backend,
            backgrounds,
            config.absent,
        )

        # Model, optimiser, resume.
        network = place(_make_network(config, start, poses), device)
        forward = torch.compile(network) if config.compile else network
        optimiser = make_optimiser(config.optimiser, _parameter_groups(network, config), device)
        scaler = torch.amp.GradScaler(device.type, enabled=compute.dtype == torch.float16)
        folder = RunFolder(config, len(labelled))
        first_step = folder.resume(network, optimiser, scaler)
        if first_step < config.steps:
            folder.start(first_step)
        if config.progress:
            print(_introduction(config, crops.source, len(labelled), first_step) + f"\non {compute}")

        # Steps.
        numbers = range(first_step * config.accumulate, config.steps * config.accumulate)
        stream = iter(load(poses, numbers, compute.workers, device))
        on_device = backgrounds_on(backgrounds, compute.backend, device)
        log = RunLog(config, first_step, config.steps, config.batch_size * config.accumulate, "fine-tune")
        with log, EarlyStop(config) as stop:
            train_mode(network, config)
            unread, reason, rate = [], "", 0.0  # losses that have not been read from the device yet
            for step in range(first_step, config.steps):
                if reason := stop.reason(step):
                    if unread:
                        check_finite(_means(unread)["total"], step - 1, rate, folder.checkpoint)
                    folder.save(network, optimiser, scaler, step, finished=False)
                    break
                rate = set_learning_rate(optimiser, step, config.steps, config.warmup_steps)
                for batch in itertools.islice(stream, config.accumulate):
                    batch = batch.to(device, config.image_size, on_device)
                    with autocast(device, compute.dtype):  # the network leaves it after its linear layer
                        output = forward(batch.image, batch.K)
                    terms = network_loss(output, batch, config)
                    scaler.scale(terms["total"] / config.accumulate).backward()
                    unread.append({name: term.detach() for name, term in terms.items()})
                take_step(optimiser, scaler)
                log.tick()

                done = step + 1
                due, end = done % config.save_every_steps == 0, done == config.steps
                if done % config.log_every == 0 or due or end:
                    means = _means(unread)
                    unread = []
                    check_finite(means["total"], step, rate, folder.checkpoint)
                    row = {"loss": means.pop("total"), **means, "learning_rate": rate}
                    log.write(step, {**row, "images_per_second": log.speed(done)})
                    if due or end or folder.due():
                        folder.save(network, optimiser, scaler, done, finished=end)
    report_early_stop(reason or ("interrupted" if stop.came else ""), folder.checkpoint, config.progress)
    evaluation = None
    if test is not None:
        evaluation = predict_dataset(network, test, precision=config.precision).evaluate()
    return FinetuneResult(network.eval(), config, log.history, evaluation, folder.checkpoint, not reason)


def train_mode(network: PoseNetwork25D, config: FinetuneConfig) -> None:
    """Set the network to train, except for what the configuration freezes."""
    network.train()
    if config.freeze_encoder or config.freeze_batch_norm:
        for module in network.backbone.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()


def _make_network(config: FinetuneConfig, start: nn.Module | None, poses: PoseDataset) -> PoseNetwork25D:
    """The network to train: random, from an encoder, or a pose network to continue from."""
    with seeded(config.seed):
        network = start if isinstance(start, PoseNetwork25D) else PoseNetwork25D(config.arch)
    # Inference shows a network the kind of crops that it was trained on.
    network.image_size, network.view_factor = config.image_size, config.view_factor
    network.knows_presence = config.absent > 0
    network.any_angle = weak_augmentation(config).rotation == 180
    if start is not None and start is not network:
        start.fc = network.backbone.fc
        network.backbone = start
    if config.freeze_encoder:
        for name, parameter in network.backbone.named_parameters():
            parameter.requires_grad_(name.startswith("fc."))
    mean, spread = poses.mean_and_spread()
    if not poses.in_3d.any():
        warnings.warn("fine-tuning: no hand is labelled in 3D, so depth is not learnt", stacklevel=3)
        if start is network:  # what it knows of depth stays
            mean[:, 2], spread[:, 2] = (t[2:-1:3].cpu().numpy() for t in (network.offset, network.scale))
    network.start_at(*(torch.as_tensor(value, dtype=torch.float32) for value in (mean, spread)))
    return network


def _parameter_groups(network: PoseNetwork25D, config: FinetuneConfig) -> list[dict]:
    """Head and encoder, each with its own rate."""
    encoder = nn.ModuleList(child for name, child in network.backbone.named_children() if name != "fc")
    head = nn.ModuleList([network.backbone.fc, network.root_refinement])
    return [
        *parameter_groups(head, config.learning_rate, config.weight_decay),
        *parameter_groups(encoder, config.encoder_learning_rate, config.weight_decay),
    ]


def _means(measured: list[dict[str, Tensor]]) -> dict[str, float]:
    stacked = torch.stack([torch.stack(list(terms.values())) for terms in measured])
    return dict(zip(measured[0], stacked.mean(dim=0).tolist(), strict=True))


def _introduction(config: FinetuneConfig, source: str, images: int, first_step: int) -> str:
    start, frozen = (
        config.network or config.encoder or "random weights",
        " (frozen)" if config.freeze_encoder else "",
    )
    text = (
        f"Fine-tuning {config.arch} from {start}{frozen} on {images:,} labelled images of {source}: "
        f"{config.steps} steps of {config.batch_size} x {config.accumulate}, peak learning rates "
        f"{config.learning_rate:.1e} (head), {config.encoder_learning_rate:.1e} (encoder)"
    )
    return text + resuming(first_step, config.steps)


def _finetune_alone(config: FinetuneConfig) -> FinetuneResult:
    single_process()
    return finetune(config)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fine-tune as the command line says."""
    program = "python -m peclr_utils.training.finetune"
    return run_command_line(FinetuneConfig, _finetune_alone, program, _summary, arguments)


def _summary(result: FinetuneResult) -> str:
    return summary(result) + ("" if result.evaluation is None else f"\n{result.evaluation}")


if __name__ == "__main__":
    run_and_exit(main)
