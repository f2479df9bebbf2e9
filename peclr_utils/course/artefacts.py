"""What chapters leave for each other, and small stand-ins where an earlier chapter has not been run.

Chapters 04 and 05 look here for what they start from. In a chapter's run folder::

    pretrain/<method>/checkpoint.pt            chapter 03: encoders of `label_fractions.PRETRAINED`
    finetune/<method>-<labels>/checkpoint.pt   chapter 04: pose networks
    finetune/results.json                      chapter 04: its cells, as in `label_fractions`
    small/pretrain, small/finetune             stand-ins, as small as can be

Stand-ins lie apart, so that a chapter that is run later never finds them in its way.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from peclr_utils.crops import CropSet
from peclr_utils.evaluation import Evaluation, mean_pose
from peclr_utils.evaluation.report import NAMES
from peclr_utils.training import results as table
from peclr_utils.training.config import FinetuneConfig, PretrainConfig
from peclr_utils.training.engine import choose_machine
from peclr_utils.training.finetune import finetune
from peclr_utils.training.label_fractions import PRETRAINED
from peclr_utils.training.labelled import plain_labels
from peclr_utils.training.predict import Predictions, predict_dataset
from peclr_utils.training.pretrain import pretrain
from peclr_utils.training.results import RESULTS, load_results
from peclr_utils.training.resume import CHECKPOINT, CONFIG, FREE_TO_CHANGE
from peclr_utils.settings import RunSettings
from peclr_utils.weights import load_pose_network

from .folders import short_path
from .labelled_hands import labelled_crops, labelled_source
from .runner import find_repository

SMALL_HANDS, SMALL_EPOCHS = 192, 1
SMALL_LABELS, SMALL_STEPS = 64, 12

Config = TypeVar("Config", bound=RunSettings)


@dataclass(frozen=True)
class Encoder:
    """A pre-trained encoder: its checkpoint, whether it is a stand-in, and a line about it."""

    path: Path
    small: bool
    note: str


def find_encoder(folder: Path, method: str, arch: str, image_size: int, seed: int = 0) -> Encoder:
    """Find the encoder that chapter 03 left, or pre-train a small one.

    Args:
        folder: the run folder.
        method: one of `label_fractions.PRETRAINED`.
        arch: architecture of a small one.
        image_size: side of a small one's views in pixels.
        seed: of a small one.

    Returns:
        The encoder.

    Raises:
        ValueError: There is no such method.
    """
    if method not in PRETRAINED:
        raise ValueError(f"method: expected one of {', '.join(PRETRAINED)}, found {method!r}")
    path = folder / "pretrain" / method / CHECKPOINT
    if path.is_file():
        return Encoder(path, False, f"{NAMES[method]}: chapter 03's, {short_path(path)}")
    config = PretrainConfig(
        sources=(f"synthetic:{SMALL_HANDS}?seed=1",),
        **PRETRAINED[method],
        arch=arch,
        image_size=image_size,
        epochs=SMALL_EPOCHS,
        warmup_epochs=SMALL_EPOCHS / 4,
        batch_size=min(64, SMALL_HANDS // 2),
        temperature=0.2,
        seed=seed,
        output=str(folder / "small" / "pretrain" / method),
        cache=str(folder / "cache"),
        progress=False,
        tensorboard=False,
    )
    pretrain(resume_if_same(config))
    size = f"{SMALL_HANDS} rendered hands, {SMALL_EPOCHS} epoch{'s' if SMALL_EPOCHS > 1 else ''}"
    note = f"{NAMES[method]}: chapter 03 left none, so this is a small one ({size})"
    return Encoder(Path(config.output, CHECKPOINT), True, note)


def resume_if_same(config: Config) -> Config:
    """Let a run go on from its output folder only if that holds this very run.

    Where the folder holds a run with other settings, or one that started from an encoder that has been
    trained anew since, the run starts again. So a chapter may be run again with other numbers.

    Args:
        config: the run's settings, with an output folder.

    Returns:
        The same with `resume` set.
    """
    checkpoint, saved = Path(config.output, CHECKPOINT), Path(config.output, CONFIG)
    if not (checkpoint.is_file() and saved.is_file()):
        return config.replace(resume=False)
    wanted, found = json.loads(config.to_json()), json.loads(saved.read_text())
    same = all(wanted[name] == found.get(name) for name in wanted if name not in FREE_TO_CHANGE)
    start = Path(getattr(config, "encoder", "") or os.devnull)
    outdated = start.is_file() and start.stat().st_mtime > checkpoint.stat().st_mtime
    return config.replace(resume=same and not outdated)


def make_cell(
    method: str, labels: int, seed: int, evaluation: Evaluation, losses: Sequence[float] = ()
) -> dict[str, Any]:
    """Make one cell of a result table.

    Args:
        method: one of `label_fractions.METHODS`.
        labels: number of labelled hands.
        seed: of the run.
        evaluation: its measures.
        losses: the logged training losses; none for the mean pose.

    Returns:
        The cell, as in `label_fractions`; "training_loss" is the mean over the last tenth of the log.
    """
    return {
        "method": method,
        "labels": labels,
        "seed": seed,
        **table.measures(evaluation),
        "training_loss": table.last_loss(losses),
    }


def write_results(folder: Path, cells: Sequence[Mapping[str, Any]], config: Mapping[str, Any]) -> Path:
    """Write `results.json` into a folder, in the format of `label_fractions.load_results`.

    Args:
        folder: where to.
        cells: from `make_cell`.
        config: whatever tells how they came about, as plain values.

    Returns:
        The file.
    """
    return table.write_results(folder, table.new_results(config, cells))


def committed_table() -> dict[str, Any] | None:
    """Read the repository's label-fraction table, `data/results/label_fractions.json`.

    Returns:
        The results, or None outside a clone and before the table is made.
    """
    try:
        file = find_repository() / "data" / "results" / "label_fractions.json"
    except FileNotFoundError:
        return None
    return load_results(file) if file.is_file() else None


@dataclass(frozen=True)
class PoseNetworks:
    """Fine-tuned networks: their folder, whether they are stand-ins, and a line about them."""

    folder: Path
    small: bool
    note: str


def find_finetuned(folder: Path, image_size: int, seed: int = 0, arch: str = "resnet18") -> PoseNetworks:
    """Find the pose networks that chapter 04 left, or fine-tune small ones.

    Args:
        folder: the run folder.
        image_size: side of small ones' views in pixels.
        seed: of small ones.
        arch: architecture of small ones.

    Returns:
        The networks; the cells of their folder's `results.json` say which there are.
    """
    if (folder / "finetune" / RESULTS).is_file():
        path = folder / "finetune"
        return PoseNetworks(path, False, f"chapter 04's networks, {short_path(path)}")
    made = folder / "small" / "finetune"
    config = FinetuneConfig(
        sources=(labelled_source((), "training", SMALL_LABELS),),
        labels=SMALL_LABELS,
        arch=arch,
        image_size=image_size,
        steps=SMALL_STEPS,
        warmup_steps=2,
        log_every=1,
        seed=seed,
        cache=str(folder / "cache"),
        progress=False,
        tensorboard=False,
    )
    crops = labelled_crops(config)
    cells = [{"method": "mean_pose", "labels": SMALL_LABELS, "seed": seed}]
    for method in ("scratch", "simclr", "peclr"):
        start = find_encoder(folder, method, arch, image_size, seed).path if method in PRETRAINED else ""
        output = str(made / f"{method}-{SMALL_LABELS}")
        finetune(resume_if_same(config.replace(encoder=str(start), output=output)), crops)
        cells.append({"method": method, "labels": SMALL_LABELS, "seed": seed})
    write_results(made, cells, {"steps": SMALL_STEPS})
    note = (
        f"chapter 04 left no networks, so these are small ones ({SMALL_LABELS} labels, {SMALL_STEPS} steps)"
    )
    return PoseNetworks(made, True, note)


def finetuned_config(folder: Path, labels: int, method: str = "scratch") -> FinetuneConfig:
    """Read the settings of one fine-tuning.

    Args:
        folder: from `find_finetuned`.
        labels: its number of labels.
        method: its method; the mean pose has none of its own.

    Returns:
        The settings.
    """
    return FinetuneConfig.load(folder / f"{method}-{labels}" / CONFIG)


def predict_finetuned(folder: Path, method: str, labels: int, test: CropSet, cache: str = "") -> Predictions:
    """Predict the poses of a test set by one of the methods of a table.

    Args:
        folder: from `find_finetuned`.
        method: one of `label_fractions.METHODS`.
        labels: number of labels.
        test: the hands.
        cache: folder with packed crops of the labelled hands, for the mean pose.

    Returns:
        The predictions.
    """
    if method != "mean_pose":
        config = finetuned_config(folder, labels, method)
        network = load_pose_network(folder / f"{method}-{labels}" / CHECKPOINT)
        return predict_dataset(
            network, test, config.image_size, config.view_factor, machine=choose_machine(config)
        )
    config = finetuned_config(folder, labels).replace(cache=cache)
    crops = labelled_crops(config)
    mine, truth = (
        plain_labels(hands, np.arange(len(hands)), config.image_size, config.view_factor)
        for hands in (crops, test)
    )
    points, pixels = (mean_pose(mine[name], len(test)) for name in ("keypoints_3d", "keypoints_2d"))
    return Predictions(points, pixels, truth["keypoints_3d"], truth["keypoints_2d"], truth["K"])
