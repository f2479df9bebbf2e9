"""Fine-tuning: from few labels to a 2.5D pose network.

Chapter 04 runs this loop. The authors do not publish theirs; losses and schedule are ours.
"""

import itertools
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from peclr_utils.augmentation import AugmentationConfig
from peclr_utils.crops import CropSet
from peclr_utils.datasets.sample import HandDataset
from peclr_utils.evaluation import Evaluation
from peclr_utils.losses import pose_loss
from peclr_utils.models import PoseNetwork25D, PoseOutput
from peclr_utils.training.command_line import run_command_line
from peclr_utils.training.config import FinetuneConfig
from peclr_utils.training.distributed import in_one_process
from peclr_utils.training.engine import Machine, Run, choose_machine, seeded
from peclr_utils.training.labelled import PoseBatch, PoseBatches, labelled_on_device
from peclr_utils.training.optimisation import (
    check_finite,
    make_optimiser,
    parameter_groups,
    set_learning_rate,
    take_step,
)
from peclr_utils.training.predict import predict_dataset
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
from peclr_utils.training.sources import choose_labels, open_crops
from peclr_utils.training.stopping import Stopping
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

    A run with an output folder saves every so many steps and minutes; it goes on from there when it is
    called again, and a finished one is read back. Ctrl-C saves too.

    Args:
        config: all settings.
        dataset: labelled hands, instead of `config.sources`; crops (`CropSet`) are taken as they are.
        test_dataset: hands to evaluate on, instead of `config.test_sources`.

    Returns:
        The network, its history, and its evaluation if there is a test set.

    Raises:
        ValueError: if a setting is wrong, labels are missing, or the output folder holds a run with other
            settings.
        FileNotFoundError: if the initial encoder cannot be had; nothing has been cropped by then.
        NonFiniteLossError: if the loss becomes NaN or infinite.
        KeyboardInterrupt: on Ctrl-C, once everything is saved.
    """
    config.validate()
    check_start(config)
    machine = choose_machine(config)
    data = _open_data(config, machine, dataset, test_dataset)
    network = machine.place(_make_network(config, data.batches))
    optimiser = make_optimiser(config.optimiser, _groups(network, config), machine.device)
    scaler = machine.scaler()
    first_step = resume(config, network, optimiser, scaler, data.pictures)
    if first_step < config.steps:
        start_folder(config)
    _introduce(config, machine, data, first_step)
    log = RunLog(config, first_step, config.steps, config.batch_size * config.accumulate, "fine-tune")
    run = Run(config, machine, network, optimiser, scaler)
    with log, Stopping(config.time_limit_minutes, config.max_steps) as stopping:
        reason = _train(run, data, range(first_step, config.steps), log, stopping)
    end_early(config, reason)
    evaluation = None
    if data.test is not None:
        evaluation = predict_dataset(
            network, data.test, config.image_size, config.view_factor, machine=machine
        ).evaluate()
    saved = checkpoint_path(config.output)
    return FinetuneResult(network.eval(), config, log.history, evaluation, saved, finished=not reason)


def _train(run: Run, data: "_Data", steps: range, log: RunLog, stopping: Stopping) -> str:
    """Take the steps that are left, log and save; returns why it stopped early, or nothing."""
    config, machine, network = run.config, run.machine, run.model
    forward = machine.compiled(network)
    backgrounds = backgrounds_on(data.backgrounds, machine)
    numbers = range(steps.start * config.accumulate, steps.stop * config.accumulate)
    stream, running = load(data.batches, numbers, machine), []
    saving = Saving(run, data.pictures, steps.stop)
    train_mode(network, config)
    for step in steps:
        if reason := stopping.reason(step):
            saving.save(step, unread=[terms["total"] for terms in running])
            return reason
        rate = set_learning_rate(run.optimiser, step, steps.stop, config.warmup_steps)
        items = itertools.islice(stream, config.accumulate)
        batches = (labelled_on_device(item, machine, config.image_size, backgrounds) for item in items)
        measured = gather_gradients(run, forward, batches)
        if machine.device.type == "cpu":  # elsewhere reading the loss would hold up the device: see below
            check_finite(_means(measured)["total"], step, rate, saving.path)
        running += measured
        take_step(run.optimiser, run.scaler)
        log.tick()

        done = step + 1
        due = done % config.save_every_steps == 0
        if done % config.log_every == 0 or due or done == steps.stop:
            means = _means(running)
            running = []
            check_finite(means["total"], step, rate, saving.path)
            values = {"loss": means.pop("total"), **means, "learning_rate": rate}
            log.write(step, {**values, "images_per_second": log.speed(done)})
            saving.after_log_line(done, due)
    if steps:
        saving.save(steps.stop)
    return ""


def gather_gradients(
    run: Run, forward: torch.nn.Module, batches: Iterable[PoseBatch]
) -> list[dict[str, torch.Tensor]]:
    """Add up the gradients of one step's batches.

    Args:
        run: its network's gradients are added to.
        forward: the network, perhaps compiled.
        batches: `config.accumulate` of them.

    Returns:
        Each batch's losses as `network_loss` gives them, detached.
    """
    measured = []
    for batch in batches:
        with run.machine.autocast():  # the network itself leaves it behind its linear layer
            output = forward(batch.image, batch.K)
        terms = network_loss(output, batch, run.config)
        run.scaler.scale(terms["total"] / run.config.accumulate).backward()
        measured.append({name: term.detach() for name, term in terms.items()})
    return measured


def _means(measured: list[dict[str, torch.Tensor]]) -> dict[str, float]:
    stacked = torch.stack([torch.stack(list(terms.values())) for terms in measured])
    return dict(zip(measured[0], stacked.mean(dim=0).tolist(), strict=True))


class _Data(NamedTuple):
    """What a run learns from and is evaluated on."""

    batches: PoseBatches
    source: str
    pictures: int
    backgrounds: np.ndarray | None
    test: CropSet | None


def _open_data(
    config: FinetuneConfig, machine: Machine, dataset: HandDataset | None, test_dataset: HandDataset | None
) -> _Data:
    augmentation = weak_augmentation(config)
    crops = open_crops(config, augmentation, config.sources, dataset)
    test = None
    if config.test_sources or test_dataset is not None:
        test = open_crops(config, augmentation, config.test_sources, test_dataset)
    labelled = choose_labels(crops.identities, config.labels, config.seed)
    backgrounds = background_pool(augmentation, crops, config.image_size, config.seed)
    batches = PoseBatches(
        crops, labelled, augmentation, config.batch_size, config.image_size, config.view_factor, config.seed,
        machine.executor, backgrounds,
    )  # fmt: skip
    return _Data(batches, crops.source, len(labelled), backgrounds, test)


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
    # Inference shows a network the crops that it learnt from.
    network.image_size, network.view_factor = config.image_size, config.view_factor
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


def _introduce(config: FinetuneConfig, machine: Machine, data: _Data, first_step: int) -> None:
    if not config.progress:
        return
    start, frozen = config.encoder or "random weights", " (frozen)" if config.freeze_encoder else ""
    print(
        f"fine-tuning {config.arch} from {start}{frozen} on {data.pictures:,} labelled pictures of "
        f"{data.source}: {config.steps} steps of {config.batch_size} x {config.accumulate}, peak learning "
        f"rates {config.learning_rate:.1e} (head), {config.encoder_learning_rate:.1e} (encoder)\non {machine}"
        + going_on(first_step, config.steps)
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Fine-tune as the command line says."""
    program = "python -m peclr_utils.training.finetune"
    return run_command_line(FinetuneConfig, in_one_process(finetune), program, _summary, arguments)


def _summary(result: FinetuneResult) -> str:
    loss = f"last loss {result.losses[-1]:.4f}" if result.losses else "no step done"
    text = f"{'finished' if result.finished else 'stopped early'}: {loss}, checkpoint {result.checkpoint}"
    return text if result.evaluation is None else f"{text}\n{result.evaluation}"


if __name__ == "__main__":
    sys.exit(main())
