"""What chapters leave for each other, and small stand-ins if an earlier chapter has not been run.

In a chapter's run folder::

    pretrain/<method>/checkpoint.pt            chapter 03: encoders of `label_fractions.PRETRAINED`
    finetune/<method>-<labels>/checkpoint.pt   chapter 04: pose networks
    finetune/results.json                      chapter 04: its cells, as in `experiments.results`
    small/pretrain, small/finetune             stand-ins; chapters that are run later ignore them
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from peclr_utils.crops import CropSet
from peclr_utils.evaluation.report import NAMES
from peclr_utils.evaluation.turning import turned_by
from peclr_utils.experiments import results
from peclr_utils.experiments.label_fractions import PRETRAINED
from peclr_utils.training import FinetuneConfig, PretrainConfig, finetune, predict_dataset, pretrain
from peclr_utils.training.checkpoint import CHECKPOINT, CONFIG, changed_settings
from peclr_utils.training.device import choose_device
from peclr_utils.training.predict import Predictions, extract_features, predict_mean_pose
from peclr_utils.weights import load_contrastive_model, load_pose_network

from . import base_folder, short_path
from .labelled_hands import labelled_crops, labelled_source

SMALL_LABELS = 64

Config = TypeVar("Config", PretrainConfig, FinetuneConfig)


@dataclass(frozen=True)
class Artefact:
    """What an earlier chapter left, or a small stand-in."""

    path: Path  # an encoder's checkpoint, or the folder of pose networks with their `results.json`
    small: bool  # whether it is a stand-in
    note: str  # a line about it


def resume_if_same(config: Config) -> Config:
    """Set `resume` if the output folder holds this same run, so that chapters can be run with new numbers.

    A run with other settings, or from an encoder that has been trained again since, starts over.
    """
    checkpoint, saved = Path(config.output, CHECKPOINT), Path(config.output, CONFIG)
    if not (checkpoint.is_file() and saved.is_file()):
        return config.replace(resume=False)
    encoder = Path(config.encoder)
    outdated = encoder.is_file() and encoder.stat().st_mtime > checkpoint.stat().st_mtime
    changed = changed_settings(config, json.loads(saved.read_text(encoding="utf-8")))
    return config.replace(resume=not changed and not outdated)


TRAINED_LONG = {"simclr_no_rotation": "simclr", "peclr": "peclr"}
"""Methods of `label_fractions.PRETRAINED` whose encoder comes with the repository; see `load_encoder`."""


def shipped_logs() -> dict[str, tuple[list[dict[str, float]], int]]:
    """Read how the encoders in `data/weights` were trained, from `data/results/pretraining.json`.

    Returns:
        By method, as tables name it: rows with "step" and "loss", and the number of pairs compared.
    """
    file = base_folder() / "data" / "results" / "pretraining.json"
    logs = json.loads(file.read_text(encoding="utf-8"))
    return {NAMES[method]: (log["rows"], log["pairs"]) for method, log in logs.items()}


def find_encoder(
    folder: Path, method: str, arch: str, image_size: int, seed: int = 0, long: bool = False
) -> Artefact:
    """Find the encoder that chapter 03 left in a run folder, or pre-train a small one.

    `method` is one of `label_fractions.PRETRAINED`. `long` takes the encoder that comes with the repository
    if there is one of this method; the other arguments are a small stand-in's.
    """
    if long and method in TRAINED_LONG:
        name = TRAINED_LONG[method]
        return Artefact(Path(name), False, f"{NAMES[method]}: trained longer, load_encoder({name!r})")
    path = folder / "pretrain" / method / CHECKPOINT
    if path.is_file():
        return Artefact(path, False, f"{NAMES[method]}: from chapter 03, {short_path(path)}")
    config = PretrainConfig.smoke(
        **PRETRAINED[method],
        arch=arch,
        image_size=image_size,
        seed=seed,
        output=str(folder / "small" / "pretrain" / method),
        cache=str(folder / "cache"),
        progress=False,
    )
    pretrain(resume_if_same(config))
    note = f"{NAMES[method]}: chapter 03 left none, so this is a small one ({config.epochs} epochs)"
    return Artefact(Path(config.output, CHECKPOINT), True, note)


def find_finetuned(folder: Path, image_size: int, seed: int = 0, arch: str = "resnet18") -> Artefact:
    """Find the pose networks that chapter 04 left in a run folder, or fine-tune small ones as given."""
    path = folder / "finetune"
    if (path / results.RESULTS).is_file():
        return Artefact(path, False, f"networks from chapter 04, {short_path(path)}")
    path = folder / "small" / "finetune"
    config = FinetuneConfig.smoke(
        sources=(labelled_source((), "training", SMALL_LABELS),),
        test_sources=(),
        labels=SMALL_LABELS,
        arch=arch,
        image_size=image_size,
        log_every=1,
        seed=seed,
        cache=str(folder / "cache"),
        progress=False,
    )
    crops, methods = labelled_crops(config), ("scratch", "simclr", "peclr")
    for method in methods:
        start = find_encoder(folder, method, arch, image_size, seed).path if method in PRETRAINED else ""
        output = str(path / f"{method}-{SMALL_LABELS}")
        finetune(resume_if_same(config.replace(encoder=str(start), output=output)), crops)
    uses = {"mean_pose": "none"} | dict.fromkeys(methods, "full")
    cells = [
        dict(zip(results.CELL, (method, "any angle", use, SMALL_LABELS, seed), strict=True))
        for method, use in uses.items()
    ]
    results.write_results(path, results.new_results({"steps": config.steps}, cells))
    size = f"{SMALL_LABELS} labels, {config.steps} steps"
    return Artefact(path, True, f"chapter 04 left no networks, so these are small ones ({size})")


def finetuned_config(folder: Path, labels: int) -> FinetuneConfig:
    """Read the settings of the fine-tuning from scratch in a folder from `find_finetuned`."""
    return FinetuneConfig.load(folder / f"scratch-{labels}" / CONFIG)


def turns_of_encoders(
    folder: Path, methods: Sequence[str], labels: int, hands: CropSet, angles: Sequence[float]
) -> dict[str, np.ndarray]:
    """Measure by how much the projections turn that pose networks started from.

    Args:
        folder: from `find_finetuned`.
        methods, labels: of networks in it; those that started from random weights are skipped.
        hands: images to turn, the first 256 of them.
        angles: (A,) degrees to turn them by.

    Returns:
        By method, as tables name it: (A, N) degrees, see `evaluation.turning.turned_by`.
    """
    turned, few = {}, np.arange(min(len(hands), 256))
    for method in (method for method in methods if method in PRETRAINED):
        config = FinetuneConfig.load(folder / f"{method}-{labels}" / CONFIG)
        model = load_contrastive_model(config.encoder).to(choose_device(config.device))
        view = (config.image_size, config.view_factor)
        still = extract_features(model, hands, *view, indices=few)
        moved = (extract_features(model, hands, *view, indices=few, angle=angle) for angle in angles)
        turned[NAMES[method]] = np.stack([turned_by(still, one) for one in moved])
    return turned


def predict_finetuned(folder: Path, method: str, labels: int, test: CropSet, cache: str = "") -> Predictions:
    """Predict the poses of a test set by one of the methods of a table.

    Args:
        folder: from `find_finetuned`.
        method, labels: of a cell in its `results.json`.
        test: the hands.
        cache: folder with packed crops of the labelled hands, for the mean pose.
    """
    if method != "mean_pose":
        network = load_pose_network(folder / f"{method}-{labels}" / CHECKPOINT)
        return predict_dataset(network.to(choose_device()), test)
    config = finetuned_config(folder, labels).replace(cache=cache)
    return predict_mean_pose(labelled_crops(config), None, test, config.image_size, config.view_factor)


def committed_table() -> dict[str, Any] | None:
    """Read the repository's label-fraction table, or None outside a clone."""
    file = base_folder() / "data" / "results" / "label_fractions.json"
    return results.load_results(file) if file.is_file() else None
