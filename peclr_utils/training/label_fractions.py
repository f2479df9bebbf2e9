"""The label-fraction table: what pre-training is worth when labels are few.

Chapter 04 reads the table; `python -m peclr_utils.training.label_fractions --output runs/table` (`make
table`) makes it.

For every seed, each method pre-trains once; then for every number of labels each method fine-tunes with
equally many steps and is evaluated on one common test set. Every finished cell is written at once, so that
a run that was killed goes on where it stopped, inside a pre-training too. `training.results` says what is
written.
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from peclr_utils.crops import CropSet
from peclr_utils.evaluation import Evaluation, evaluate_keypoints, mean_pose
from peclr_utils.evaluation.report import NAMES
from peclr_utils.models import build_encoder
from peclr_utils.training.command_line import run_command_line
from peclr_utils.training.config import FinetuneConfig, PretrainConfig
from peclr_utils.training.distributed import in_one_process
from peclr_utils.training.engine import choose_machine, seeded
from peclr_utils.training.finetune import finetune, weak_augmentation
from peclr_utils.training.labelled import plain_labels
from peclr_utils.training.pretrain import pretrain
from peclr_utils.training.probe_encoders import probe_encoder
from peclr_utils.training.results import (
    RESULTS,
    last_loss,
    load_results,
    markdown,
    measures,
    new_results,
    write_results,
)
from peclr_utils.training.settings import Settings
from peclr_utils.training.sources import choose_labels, open_crops
from peclr_utils.weights import load_encoder

PRETRAINED: dict[str, dict[str, Any]] = {
    "simclr_no_rotation": {"method": "simclr", "rotation_degrees": 0.0},
    "simclr": {"method": "simclr"},
    "peclr": {"method": "peclr"},
}
"""Methods that pre-train, and how each differs from the common settings."""

METHODS = tuple(NAMES)

LABELLED_VIEWS: dict[str, Any] = {
    "rotation": 45.0, "scale": [0.8, 1.25], "shift": 0.1, "brightness": 0.3, "contrast": 0.3,
    "saturation": 0.4, "hue": 12.0, "gain": 0.1, "grey": 0.1, "background": 1.0,
}  # fmt: skip
"""How labelled views differ from the mild ones that fine-tuning has by default: as strong as in pre-training.
With 64 labels both PeCLR and training from scratch did better with them."""


@dataclass(frozen=True)
class LabelFractionsConfig(Settings):
    """Settings of `run_label_fractions`."""

    output: str = "runs/table"  # folder: results.json, and one run folder per pre-training and fine-tuning
    cache: str = "data/cache"  # folder for packed crops; "" for a temporary one
    methods: tuple[str, ...] = METHODS  # which rows of the table
    labels: tuple[int, ...] = (128, 512)  # numbers of labelled identities, fewer within more
    seeds: tuple[int, ...] = (0, 1, 2)  # of weights, order, views and the choice of labels
    unlabelled: tuple[str, ...] = ("synthetic:6144?seed=1",)  # hands to pre-train on
    labelled: tuple[str, ...] = ("synthetic:512?seed=2",)  # hands to draw the labels from
    test: tuple[str, ...] = ("synthetic:1024?seed=3",)  # hands that every cell is evaluated on
    # fields of PretrainConfig that differ from its defaults, for all methods alike
    pretrain: dict[str, Any] = field(default_factory=dict)
    # fields of FinetuneConfig that differ from its defaults, for all methods alike
    finetune: dict[str, Any] = field(default_factory=dict)
    # and further ones where the encoder was pre-trained, such as a smaller rate for it, or freeze_encoder
    finetune_pretrained: dict[str, Any] = field(default_factory=dict)
    keep_networks: bool = False  # keep every fine-tuned network's checkpoint, some 45 MB each for a ResNet-18

    def validate(self) -> None:
        """Check every field.

        Raises:
            ValueError: naming the first field that is wrong, what was expected and what was found.
        """
        self._require_types()
        self._require_sources("unlabelled", "labelled", "test")
        for name in ("pretrain", "finetune", "finetune_pretrained"):
            self._require(isinstance(getattr(self, name), dict), name, 'settings such as {"batch_size": 64}')
        for name in ("methods", "labels", "seeds"):
            value = getattr(self, name)
            kind = str if name == "methods" else int
            fine = isinstance(value, tuple) and all(type(one) is kind for one in value)
            self._require(fine, name, f"a tuple of {'texts' if kind is str else 'whole numbers'}")
        self._require(bool(self.output), "output", "a folder: a table takes long, and is resumed from there")
        self._require(
            bool(self.methods) and set(self.methods) <= set(METHODS), "methods", f"some of {METHODS}"
        )
        self._require(bool(self.seeds) and min(self.seeds) >= 0, "seeds", "at least one, none negative")
        self._require(
            bool(self.labels) and min(self.labels) >= 2, "labels", "at least one number, none below 2"
        )
        self.pretrain_config(self.seeds[0], "peclr").validate()
        for method in ("scratch", "peclr"):
            self.finetune_config(self.seeds[0], method, self.labels[0]).validate()

    @classmethod
    def laptop(cls, **changes: Any) -> Self:
        """Give the settings of `make table`: for two cores without a GPU, and for hours.

        The hands tilt by up to 40° and roll by any angle, as in photographs.

        Args:
            changes: fields that differ.

        Returns:
            The settings.
        """
        start = cls(
            labels=(64, 256),
            unlabelled=("synthetic:6144?seed=1&view=40,180",),
            labelled=("synthetic:256?seed=2&view=40,180",),
            test=("synthetic:1024?seed=3&view=40,180",),
            pretrain={"epochs": 10, "temperature": 0.2},
            finetune={"steps": 400, "augmentation": dict(LABELLED_VIEWS)},
        )
        return start.replace(**changes)

    @classmethod
    def smoke(cls, **changes: Any) -> Self:
        """Give the smallest settings that fill every kind of cell, for tests; they learn next to nothing.

        Args:
            changes: fields that differ.

        Returns:
            The settings.
        """
        hands = {"unlabelled": 64, "labelled": 16, "test": 16}
        sources = {name: (f"synthetic:{count}?seed={len(name)}",) for name, count in hands.items()}
        start = cls(output="runs/smoke/table", cache="", labels=(8, 16), seeds=(0,), **sources)
        small = {"batch_size": 8, "image_size": 32}
        start = start.replace(
            pretrain={"epochs": 2, **small}, finetune={"steps": 8, "warmup_steps": 2, **small}
        )
        return start.replace(**changes)

    def pretrain_config(self, seed: int, method: str) -> PretrainConfig:
        """Give the settings of one pre-training.

        Args:
            seed: of the run.
            method: one of `PRETRAINED`.

        Returns:
            The settings, with a folder of its own.
        """
        common = {"sources": self.unlabelled, "cache": self.cache, "seed": seed, **self.pretrain}
        folder = str(Path(self.output, "pretrain", f"{method}-seed{seed}"))
        return PretrainConfig.from_dict({**common, **PRETRAINED[method], "output": folder})

    def finetune_config(self, seed: int, method: str, labels: int) -> FinetuneConfig:
        """Give the settings of one fine-tuning.

        Args:
            seed: of the run.
            method: one of `METHODS`.
            labels: number of labelled identities.

        Returns:
            The settings, with a folder of its own and the encoder that the method starts from.
        """
        folder = str(Path(self.output, "finetune", f"{method}-{labels}-seed{seed}"))
        encoder, values = "", {"cache": self.cache, **self.finetune}
        if method in PRETRAINED:
            encoder = str(Path(self.pretrain_config(seed, method).output, "checkpoint.pt"))
            values |= self.finetune_pretrained
        values |= {"seed": seed, "labels": labels}
        return FinetuneConfig.from_dict({**values, "encoder": encoder, "output": folder})


def run_label_fractions(config: LabelFractionsConfig) -> dict[str, Any]:
    """Fill the table, going on from what is there.

    Args:
        config: all settings.

    Returns:
        The results, as in `results.json`.

    Raises:
        ValueError: if a setting is wrong, or the output folder holds a table with other settings.
    """
    config.validate()
    results = _start(config)
    example = config.finetune_config(config.seeds[0], "scratch", config.labels[0])
    crops, test = (
        open_crops(example, weak_augmentation(example), sources) for sources in (config.labelled, config.test)
    )
    done = {(cell["method"], cell["labels"], cell["seed"]) for cell in results["cells"]}
    probed = {(probe["method"], probe["seed"]) for probe in results["probes"]}
    for seed in config.seeds:
        for method in config.methods:
            if all((method, labels, seed) in done for labels in config.labels) and (method, seed) in probed:
                continue
            if method in PRETRAINED:
                pretrain(config.pretrain_config(seed, method))
            if method != "mean_pose" and (method, seed) not in probed:
                results["probes"].append(
                    {"method": method, "seed": seed, **_probe(config, seed, method, crops, test)}
                )
                write_results(config.output, results)
            for labels in config.labels:
                if (method, labels, seed) not in done:
                    cell = _cell(config, seed, method, labels, crops, test)
                    results["cells"].append({"method": method, "labels": labels, "seed": seed, **cell})
                    write_results(config.output, results)
    return results


def _start(config: LabelFractionsConfig) -> dict[str, Any]:
    """Open the results of earlier runs with these settings, or start new ones."""
    mine = json.loads(config.to_json())
    path = Path(config.output, RESULTS)
    if not path.is_file():
        return new_results(mine)
    results = load_results(path)
    free = {"output", "cache", "keep_networks", "methods", "labels", "seeds"}
    changed = [name for name in mine if name not in free and mine[name] != results["config"].get(name)]
    if changed:
        raise ValueError(
            f"{path}: made with other settings ({', '.join(changed)}); choose another output folder"
        )
    return {**results, "config": mine}


def _cell(
    config: LabelFractionsConfig, seed: int, method: str, labels: int, crops: CropSet, test: CropSet
) -> dict[str, Any]:
    start, losses = time.perf_counter(), []
    settings = config.finetune_config(seed, method, labels)
    if method == "mean_pose":
        mine = _labels(crops, choose_labels(crops.identities, labels, seed), settings)
        evaluation = _score(
            _labels(test, np.arange(len(test)), settings),
            *(mean_pose(mine[name], len(test)) for name in ("keypoints_3d", "keypoints_2d")),
        )
    else:
        result = finetune(settings, crops, test)
        evaluation, losses = result.evaluation, result.losses
        if not config.keep_networks:
            result.checkpoint.unlink()
    seconds = round(time.perf_counter() - start, 1)
    return {**measures(evaluation), "training_loss": last_loss(losses), "seconds": seconds}


def _probe(
    config: LabelFractionsConfig, seed: int, method: str, crops: CropSet, test: CropSet
) -> dict[str, float]:
    """Ridge regression from frozen features to 2D and to 3D relative to the wrist."""
    settings = config.finetune_config(seed, method, max(config.labels))
    if settings.encoder:
        encoder = load_encoder(settings.encoder)
    else:
        with seeded(seed):
            encoder = build_encoder(settings.arch)
    evaluation = probe_encoder(
        encoder, crops, test, settings.image_size, settings.view_factor, choose_machine(settings),
        indices=choose_labels(crops.identities, settings.labels, seed),
    )  # fmt: skip
    return measures(evaluation)


def _labels(crops: CropSet, indices: np.ndarray, settings: FinetuneConfig) -> dict[str, np.ndarray]:
    return plain_labels(crops, indices, settings.image_size, settings.view_factor)


def _score(truth: Mapping[str, np.ndarray], points: np.ndarray, pixels: np.ndarray) -> Evaluation:
    return evaluate_keypoints(points, truth["keypoints_3d"], pred_2d=pixels, gt_2d=truth["keypoints_2d"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Fill the table as the command line says.

    Args:
        arguments: those of the command line; None takes them from there.

    Returns:
        The process's exit code: 0, 2 for a wrong setting or missing file, 130 after Ctrl-C.
    """
    program = "python -m peclr_utils.training.label_fractions"
    run = in_one_process(run_label_fractions)
    return run_command_line(LabelFractionsConfig, run, program, markdown, arguments)


if __name__ == "__main__":
    sys.exit(main())
