"""Fine-tuning: from few labels to a 2.5D pose network.

Chapter 04 runs this loop. The authors do not publish theirs; losses and schedule are ours.
"""

import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from peclr_utils.augmentation import AugmentationConfig
from peclr_utils.datasets.sample import HandDataset
from peclr_utils.evaluation import Evaluation
from peclr_utils.losses import pose_loss
from peclr_utils.models import PoseNetwork25D, PoseOutput
from peclr_utils.training.command_line import run_command_line
from peclr_utils.training.config import FinetuneConfig
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
from peclr_utils.training.labelled import PoseBatch, PoseBatches, labelled_on_device
from peclr_utils.training.predict import predict_dataset
from peclr_utils.training.resume import checkpoint_path, end_early, going_on, resume, save, start_folder
from peclr_utils.training.runlog import RunLog
from peclr_utils.training.sources import choose_labels, open_crops
from peclr_utils.training.views import background_pool, backgrounds_on, load
from peclr_utils.weights import load_encoder


@dataclass(frozen=True)
class FinetuneResult:
    """What `finetune` gives back.

    Attributes:
        model: the pose network, in evaluation mode.
        config: the settings.
        history: the log, one dict a line: step, loss, its parts, learning_rate, images_per_second.
        evaluation: on the test set, or None without one.
        checkpoint: the file, or None without an output folder.
        finished: whether all steps are done.
    """

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


def finetune(
    config: FinetuneConfig, dataset: HandDataset | None = None, test_dataset: HandDataset | None = None
) -> FinetuneResult:
    """Train a pose network on labelled hands, from random or pre-trained weights.

    A run with an output folder saves every so often and goes on from there when it is called again; a
    finished one is read back. Ctrl-C saves too.

    Args:
        config: all settings.
        dataset: labelled hands, instead of `config.sources`; crops (`CropSet`) are taken as they are.
        test_dataset: hands to evaluate on, instead of `config.test_sources`.

    Returns:
        The network, its history, and its evaluation if there is a test set.

    Raises:
        ValueError: if a setting is wrong, labels are missing, or the output folder holds a run with other
            settings.
        NonFiniteLossError: if the loss becomes NaN or infinite.
        KeyboardInterrupt: on Ctrl-C, once everything is saved.
    """
    config.validate()
    machine = choose_machine(config)
    augmentation = weak_augmentation(config)
    crops = open_crops(config, augmentation, config.sources, dataset)
    test_crops = None
    if config.test_sources or test_dataset is not None:
        test_crops = open_crops(config, augmentation, config.test_sources, test_dataset)
    labelled = choose_labels(crops.identities, config.labels, config.seed)
    backgrounds = background_pool(augmentation, crops, config.image_size, config.seed)
    batches = PoseBatches(
        crops, labelled, augmentation, config.batch_size, config.image_size, config.view_factor, config.seed,
        machine.executor, backgrounds,
    )  # fmt: skip
    network = machine.place(_make_network(config, batches))
    groups = _groups(network, config)
    optimiser, scaler = make_optimiser(config.optimiser, groups, machine.device), machine.scaler()
    first_step = resume(config, network, optimiser, scaler, len(labelled))
    if first_step < config.steps:
        start_folder(config)
    _introduce(config, machine, crops.source, batches, first_step)

    forward = torch.compile(network) if config.compile else network
    backgrounds = backgrounds_on(backgrounds, machine)
    stream = load(batches, range(first_step * config.accumulate, config.steps * config.accumulate), machine)
    log = RunLog(config, first_step, config.steps, config.batch_size * config.accumulate, "fine-tune")
    saved, reason, running = checkpoint_path(config.output), "", []
    with log, Stopping(config.time_limit_minutes, config.max_steps) as stopping:
        train_mode(network, config)
        for step in range(first_step, config.steps):
            if reason := stopping.reason(step):
                break
            rate = set_learning_rate(optimiser, step, config.steps, config.warmup_steps)
            for item in itertools.islice(stream, config.accumulate):
                batch = labelled_on_device(item, machine, config.image_size, backgrounds)
                with machine.autocast():  # the network itself leaves it behind its linear layer
                    output = forward(batch.image, batch.K)
                terms = network_loss(output, batch, config)
                scaler.scale(terms["total"] / config.accumulate).backward()
                running.append(torch.stack([term.detach() for term in terms.values()]))
            if machine.device.type == "cpu":  # elsewhere reading the loss would hold up the device: see below
                check_finite(running[-1][0], step, rate, saved)
            take_step(optimiser, scaler)
            log.tick()

            done = step + 1
            if done % config.log_every == 0 or done == config.steps:
                means = dict(zip(terms, torch.stack(running).mean(dim=0).tolist(), strict=True))
                running = []
                check_finite(means["total"], step, rate, saved)
                values = {"loss": means.pop("total"), **means, "learning_rate": rate}
                log.write(step, {**values, "images_per_second": log.speed(done)})
            if done % config.save_every_steps == 0 and done < config.steps:
                save(config, network, optimiser, scaler, done, len(labelled))
        if first_step < config.steps:
            done = step if reason else config.steps
            save(config, network, optimiser, scaler, done, len(labelled), finished=not reason)
    end_early(config, reason)
    evaluation = None
    if test_crops is not None:
        predictions = predict_dataset(
            network, test_crops, config.image_size, config.view_factor, machine=machine
        )
        evaluation = predictions.evaluate()
    return FinetuneResult(network.eval(), config, log.history, evaluation, saved, finished=not reason)


def network_loss(output: PoseOutput, batch: PoseBatch, config: FinetuneConfig) -> dict[str, torch.Tensor]:
    """`losses.pose_loss` of a batch with the run's weights; "total" comes first."""
    return pose_loss(
        output, batch.keypoints_2d, batch.relative_depth, batch.root_depth, config.image_size,
        config.weight_2d, config.weight_relative_depth, config.weight_root_depth,
    )  # fmt: skip


def train_mode(network: PoseNetwork25D, config: FinetuneConfig) -> None:
    """Set the network to train, but for what the configuration freezes."""
    network.train()
    if config.freeze_encoder or config.freeze_batch_norm:
        for module in network.backbone.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eval()


def weak_augmentation(config: FinetuneConfig) -> AugmentationConfig:
    """Ranges of the training views: the preset for labelled data with the run's own changes."""
    changes = {name: tuple(v) if isinstance(v, list) else v for name, v in config.augmentation.items()}
    return AugmentationConfig.weak(**changes)


def _make_network(config: FinetuneConfig, batches: PoseBatches) -> PoseNetwork25D:
    with seeded(config.seed):
        network = PoseNetwork25D(config.arch)
    if config.encoder:
        linear, encoder = network.backbone.fc, load_encoder(config.encoder, config.arch)
        encoder.fc = linear
        network.backbone = encoder
    if config.freeze_encoder:
        for name, parameter in network.backbone.named_parameters():
            parameter.requires_grad_(name.startswith("fc."))
    network.start_at(*(torch.as_tensor(value, dtype=torch.float32) for value in batches.mean_and_spread()))
    return network


def _groups(network: PoseNetwork25D, config: FinetuneConfig) -> list[dict]:
    encoder = torch.nn.ModuleList(child for name, child in network.backbone.named_children() if name != "fc")
    head = torch.nn.ModuleList([network.backbone.fc, network.root_refinement])
    return [
        *parameter_groups(head, config.learning_rate, config.weight_decay),
        *parameter_groups(encoder, config.encoder_learning_rate, config.weight_decay),
    ]


def _introduce(
    config: FinetuneConfig, machine: Machine, source: str, batches: PoseBatches, first_step: int
) -> None:
    if not config.progress:
        return
    start, frozen = config.encoder or "random weights", " (frozen)" if config.freeze_encoder else ""
    print(
        f"fine-tuning {config.arch} from {start}{frozen} on {len(batches.indices):,} labelled pictures of "
        f"{source}: {config.steps} steps of {config.batch_size} x {config.accumulate}, peak learning rates "
        f"{config.learning_rate:.1e} (head), {config.encoder_learning_rate:.1e} (encoder)\non {machine}"
        + going_on(first_step, config.steps)
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Fine-tune as the command line says."""
    return run_command_line(
        FinetuneConfig, finetune, "python -m peclr_utils.training.finetune", _summary, arguments
    )


def _summary(result: FinetuneResult) -> str:
    loss = f"last loss {result.losses[-1]:.4f}" if result.losses else "no step done"
    text = f"{'finished' if result.finished else 'stopped early'}: {loss}, checkpoint {result.checkpoint}"
    return text if result.evaluation is None else f"{text}\n{result.evaluation}"


if __name__ == "__main__":
    sys.exit(main())
