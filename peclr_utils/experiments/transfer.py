"""What unlabelled photographs are worth: labels from one world, images from another.

    python -m peclr_utils.experiments.transfer --photographs FOLDER --test "coco:PATH?labels=keypoints.json"

Chapter 05 shows the table. Every method learns the pose from the same rendered labels in the same steps, and
is measured on labelled photographs, as they are and turned. The methods differ in what their encoders saw
before: nothing, rendered hands, or rendered hands and unlabelled photographs, equally many images in all.
Finished cells are kept, so a killed run resumes.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from peclr_utils.datasets import TURNED, UPRIGHT, HandSample
from peclr_utils.evaluation import ImageEvaluation, evaluate_in_image, format_table
from peclr_utils.experiments.label_fractions import LABELLED_VIEWS
from peclr_utils.experiments.photographs import TURNS, labelled_samples, score_in_boxes, turn
from peclr_utils.experiments.results import (
    interval_text,
    load_results,
    open_results,
    paired_values,
    require_table,
    write_results,
)
from peclr_utils.settings import JSON, Settings, run_and_exit, run_command_line
from peclr_utils.training import FinetuneConfig, PretrainConfig, finetune, pretrain
from peclr_utils.training.checkpoint import CHECKPOINT

FORMAT = "peclr_utils transfer 1"

NO_ROTATION: dict[str, Any] = {"method": "simclr", "rotation_degrees": 0.0}
METHODS: dict[str, tuple[str, dict[str, Any], bool] | None] = {
    "scratch": None,
    "simclr_no_rotation": ("SimCLR, no rotation: renders", NO_ROTATION, False),
    "simclr_no_rotation_photographs": ("SimCLR, no rotation: renders, photographs", NO_ROTATION, True),
    "peclr": ("PeCLR: renders", {}, False),
    "peclr_photographs": ("PeCLR: renders, photographs", {}, True),
}
"""Name, fields of PretrainConfig, and whether photographs are among the unlabelled images."""

TUNINGS = ("frozen", "full")
CELL = ("method", "tuning", "labels", "seed")
MEASURES = {
    "upright: error": "error_upright",
    "upright: PCK@0.2": "pck_upright",
    "turned: error": "error_turned",
    "turned: PCK@0.2": "pck_turned",
}
"""Measures of a cell by heading; errors in sides of the hand's box, turned by 90, 180 and 270 degrees."""

_LEVELS = {"centre": "none: centre of the box", "mean_pose": "none: mean of the other test hands, upright"}
"""What the rows without a network are called."""


@dataclass(frozen=True, kw_only=True)
class TransferConfig(Settings):
    """Settings of `run_transfer`; the defaults take an hour on two cores without a GPU."""

    output: str = "runs/transfer"  # Folder: results.json, and a run folder per training.
    cache: str = "data/cache"  # Folder for packed crops; "" for a temporary one.
    photographs: str = ""  # Folder of unlabelled photographs of one hand each.
    test: str = ""  # Labelled photographs, such as "coco:PATH?labels=keypoints.json".
    methods: tuple[str, ...] = tuple(METHODS)
    tunings: tuple[str, ...] = TUNINGS  # Only a head on the frozen encoder, or all weights.
    labels: tuple[int, ...] = (64, 1024)  # Numbers of labelled rendered hands.
    seeds: tuple[int, ...] = (0, 1, 2)
    # Unlabelled rendered hands, alone and beside the photographs. Both sets are equally large with the
    # 2,168 photographs of the published table.
    renders: str = f"synthetic:12288?seed=1&{UPRIGHT}"
    renders_beside: str = f"synthetic:10120?seed=1&{UPRIGHT}"
    labelled: str = f"synthetic:1024?seed=2&{TURNED}"  # Labelled rendered hands.
    pretrain: JSON = field(default_factory=lambda: {"epochs": 4})  # Changes of PretrainConfig.laptop().
    # Changes of FinetuneConfig.
    finetune: JSON = field(default_factory=lambda: {"steps": 400, "augmentation": dict(LABELLED_VIEWS)})
    # Checkpoints to use instead of pre-training, by method; "{seed}" in a path stands for the seed.
    encoders: JSON = field(default_factory=dict)

    @classmethod
    def smoke(cls, **changes: Any) -> Self:
        """The same code in seconds, for tests; it learns next to nothing."""
        tiny = {"image_size": 32, "batch_size": 8}
        start = cls(
            output="runs/smoke/transfer", cache="", labels=(8,), seeds=(0,), renders="synthetic:16?seed=1",
            renders_beside="synthetic:8?seed=1", labelled="synthetic:8?seed=2",
            pretrain={"epochs": 2, "warmup_epochs": 0.5, **tiny},
            finetune={"steps": 4, "warmup_steps": 1, **tiny},
        )  # fmt: skip
        return start.replace(**changes)

    def validate(self) -> None:
        """Check every field; errors as `Settings.validate`."""
        super().validate()
        trained = tuple(method for method, own in METHODS.items() if own is not None)
        require_table(self, tuple(METHODS), TUNINGS, trained)
        self._require(bool(self.test), "test", 'labelled photographs, such as "coco:PATH"')
        own = [METHODS[method] for method in self.methods if method not in self.encoders]
        needed = any(one is not None and one[2] for one in own)
        self._require(bool(self.photographs) or not needed, "photographs", "a folder of photographs")

    def pretrain_config(self, method: str, seed: int) -> PretrainConfig:
        """Settings of one pre-training."""
        _, changes, photographs = METHODS[method]
        beside = (self.renders_beside, f"folder:{self.photographs}?disc=1")
        start = PretrainConfig.laptop(
            sources=beside if photographs else (self.renders,), cache=self.cache, seed=seed,
            output=str(Path(self.output, "pretrain", f"{method}-seed{seed}")),
        )  # fmt: skip
        return start.replace(**{**self.pretrain, **changes})

    def encoder(self, method: str, seed: int) -> str:
        """The checkpoint of a method's encoder; "" for random weights."""
        if METHODS[method] is None:
            return ""
        own = str(Path(self.pretrain_config(method, seed).output, CHECKPOINT))
        return self.encoders.get(method, own).replace("{seed}", str(seed))

    def finetune_config(self, method: str, tuning: str, labels: int, seed: int) -> FinetuneConfig:
        """Settings of one fine-tuning; it keeps nothing on the disk."""
        own = {"seed": seed, "labels": labels, "freeze_encoder": tuning == "frozen"}
        start = FinetuneConfig(sources=(self.labelled,), cache=self.cache, **own)
        return start.replace(encoder=self.encoder(method, seed), **self.finetune)


def run_transfer(config: TransferConfig) -> dict[str, Any]:
    """Fill the table, and keep the cells it already has. A training that stops early ends the run.

    Returns:
        format; config; levels: the values of `MEASURES` without a network; cells: method, tuning, labels,
        seed, and these values. Also written to `results.json`.

    Raises:
        ValueError: if a setting is wrong, the output folder holds a table with other settings, or a test hand
            has no 2D keypoints; or as `pretrain`, `finetune` and `predict`.
    """
    config.validate()
    results = open_results(config, {"format": FORMAT, "config": {}, "cells": []})
    done = {tuple(cell[name] for name in CELL) for cell in results["cells"]}
    samples = labelled_samples(config.test)
    results["levels"] = _levels(samples)
    write_results(config.output, results)
    for seed, method in itertools.product(config.seeds, config.methods):
        cells = itertools.product((method,), config.tunings, config.labels, (seed,))
        missing = [cell for cell in cells if cell not in done]
        if missing and METHODS[method] is not None and method not in config.encoders:
            if not pretrain(config.pretrain_config(method, seed)).finished:
                print("Pre-training stopped early; the same command resumes it.")
                return results
        for cell in missing:
            tuned = finetune(config.finetune_config(*cell))
            if not tuned.finished:
                print("Fine-tuning stopped early; the same command starts it again.")
                return results
            results["cells"].append(dict(zip(CELL, cell, strict=True)) | _measure(tuned.model, samples))
            write_results(config.output, results)
    return results


def _measure(network: Any, samples: Sequence[HandSample]) -> dict[str, float]:
    """The values of `MEASURES` for a network."""
    network.any_angle = False  # the mean of turned copies would hide how the image is turned
    return _values(score_in_boxes(network, samples))


def _levels(samples: Sequence[HandSample]) -> dict[str, dict[str, float]]:
    """The values of `MEASURES` without a network.

    Every keypoint at the centre of its hand's box, and the mean pose of the other test hands in that box,
    upright even if the image is turned. The latter knows the labels of the test set.
    """
    scores: dict[str, dict[int, ImageEvaluation]] = {"centre": {}, "mean_pose": {}}
    upright = _in_boxes([sample.keypoints_2d for sample in samples])[0]  # (N, 21, 2)
    count = np.isfinite(upright).sum(axis=0) - np.isfinite(upright)
    others = (np.nansum(upright, axis=0) - np.nan_to_num(upright)) / np.maximum(count, 1)
    for degrees in TURNS:
        truth = np.stack([turn(sample, degrees).keypoints_2d for sample in samples])
        _, centre, side = _in_boxes(truth)
        for name, pose in (("centre", np.zeros_like(others)), ("mean_pose", others)):
            scores[name][degrees] = evaluate_in_image(centre + side * pose, truth)
    return {name: _values(own) for name, own in scores.items()}


def _in_boxes(points: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keypoints (N, 21, 2) in their boxes, in longer sides; the boxes' centres (N, 1, 2), sides (N, 1, 1)."""
    points = np.asarray(points, dtype=np.float64)
    low, high = np.nanmin(points, axis=1, keepdims=True), np.nanmax(points, axis=1, keepdims=True)
    centre, side = (low + high) / 2, (high - low).max(axis=2, keepdims=True)
    return (points - centre) / side, centre, side


def _values(scores: Mapping[int, ImageEvaluation]) -> dict[str, float]:
    """The values of `MEASURES` from the scores by degrees, rounded to five decimals."""
    turned = [score for degrees, score in scores.items() if degrees]
    values = {
        "error_upright": scores[0].error,
        "pck_upright": scores[0].pck,
        "error_turned": np.mean([score.error for score in turned]),
        "pck_turned": np.mean([score.pck for score in turned]),
    }
    return {name: round(float(value), 5) for name, value in values.items()}


def load_transfer(path: str | Path) -> dict[str, Any]:
    """Read a table that `run_transfer` wrote, from its file or its folder; errors as `load_results`."""
    return load_results(path, FORMAT)


def transfer_markdown(results: Mapping[str, Any]) -> str:
    """Lay out the table: mean ± deviation over seeds, and PeCLR with photographs against each other method.

    The differences are paired by seed, with 95% intervals (`paired_interval`); an asterisk where they exclude
    zero. The first two rows need no network (`_levels`).
    """
    rows, groups = [], {}
    for name, values in results.get("levels", {}).items():
        own = {heading: [values[key]] for heading, key in MEASURES.items()}
        rows.append({"labels": "", "trained": "nothing", "encoder": _LEVELS[name], **own})
    for cell in results["cells"]:
        groups.setdefault((cell["tuning"], cell["labels"]), []).append(cell)
    best = "peclr_photographs"
    for (tuning, labels), cells in sorted(groups.items()):
        head = {"labels": labels, "trained": {"frozen": "head", "full": "all weights"}[tuning]}
        found = [method for method in METHODS if any(cell["method"] == method for cell in cells)]
        for method in found:
            own = [cell for cell in cells if cell["method"] == method]
            values = {heading: [cell[key] for cell in own] for heading, key in MEASURES.items()}
            rows.append({**head, "encoder": name_of(method), **values})
        for other in found if best in found else ():
            if other != best:
                pairs = {h: paired_values(cells, best, other, key) for h, key in MEASURES.items()}
                texts = {heading: interval_text(own, 3) for heading, own in pairs.items()}
                rows.append({**head, "encoder": f"{name_of(best)}, minus {name_of(other)}", **texts})
    return format_table(rows, 3) if rows else "no cell is finished"


def name_of(method: str) -> str:
    """What a method of `METHODS` is called in tables and figures."""
    return "from scratch" if METHODS[method] is None else METHODS[method][0]


def main(arguments: Sequence[str] | None = None) -> int:
    """Fill the table as the command line says."""
    program = "python -m peclr_utils.experiments.transfer"
    return run_command_line(TransferConfig, run_transfer, program, transfer_markdown, arguments)


if __name__ == "__main__":
    run_and_exit(main)
