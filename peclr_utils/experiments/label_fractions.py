"""The label-fraction table: what pre-training is worth when labels are few.

    python -m peclr_utils.experiments.label_fractions --output runs/table

Chapter 04 reads the table; `make table` makes it. For every seed each method pre-trains once. Then, for every
number of labels, each method fine-tunes with equally many steps and is evaluated on one common test set.
Every finished cell is saved at once (`experiments.results`), so a killed run resumes, inside a training too.
"""

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from peclr_utils.crops import CropSet, open_crops
from peclr_utils.evaluation import Evaluation
from peclr_utils.evaluation.report import NAMES
from peclr_utils.experiments import results as table
from peclr_utils.experiments.probes import initial_encoder, probe_encoder
from peclr_utils.settings import JSON, Settings, run_and_exit, run_command_line
from peclr_utils.training import FinetuneConfig, PretrainConfig, finetune, pretrain
from peclr_utils.training.checkpoint import CHECKPOINT
from peclr_utils.training.device import choose_device
from peclr_utils.training.distributed import single_process
from peclr_utils.training.finetune import weak_augmentation
from peclr_utils.training.poses import choose_labels
from peclr_utils.training.predict import predict_mean_pose
from peclr_utils.training.views import crop_margin

METHODS = tuple(NAMES)

PRETRAINED: dict[str, dict[str, Any]] = {
    "simclr_no_rotation": {"method": "simclr", "rotation_degrees": 0.0},
    "simclr": {"method": "simclr"},
    "peclr": {"method": "peclr"},
}
"""Methods that pre-train, and how each differs from the common settings."""

LABELLED_VIEWS: dict[str, Any] = {
    "rotation": 45.0, "scale": [0.8, 1.25], "shift": 0.1, "brightness": 0.3, "contrast": 0.3,
    "saturation": 0.4, "hue": 12.0, "gain": 0.1, "grey": 0.1, "background": 1.0,
}  # fmt: skip
"""Views of labelled images as strong as pre-training's: all methods do better with them on 64 labels."""


@dataclass(frozen=True, kw_only=True)
class LabelFractionsConfig(Settings):
    """Settings of `run_label_fractions`; the defaults take hours on two cores without a GPU."""

    output: str = "runs/table"  # Folder: results.json, and one run folder per pre-training and fine-tuning.
    cache: str = "data/cache"  # Folder for packed crops; "" for a temporary one.
    methods: tuple[str, ...] = METHODS  # Which rows of the table.
    labels: tuple[int, ...] = (64, 256)  # Numbers of labelled identities; fewer are a subset of more.
    seeds: tuple[int, ...] = (0, 1, 2)  # Of weights, order, views and the choice of labels.
    # Hands to pre-train on; the defaults tilt by up to 40° and roll by any angle.
    unlabelled: tuple[str, ...] = ("synthetic:6144?seed=1&view=40,180",)
    labelled: tuple[str, ...] = ("synthetic:256?seed=2&view=40,180",)  # Hands to draw the labels from.
    test: tuple[str, ...] = ("synthetic:1024?seed=3&view=40,180",)  # Hands that every cell is evaluated on.
    # Fields of PretrainConfig that differ from its defaults, the same for all methods.
    pretrain: JSON = field(default_factory=lambda: {"epochs": 10, "temperature": 0.2})
    # Fields of FinetuneConfig that differ from its defaults, the same for all methods.
    finetune: JSON = field(default_factory=lambda: {"steps": 400, "augmentation": dict(LABELLED_VIEWS)})
    # More such fields where the encoder was pre-trained, such as a smaller rate for it, or freeze_encoder.
    finetune_pretrained: JSON = field(default_factory=dict)
    keep_networks: bool = False  # Keep every fine-tuned network's checkpoint, 45 MB each for a ResNet-18.

    @classmethod
    def smoke(cls, **changes: Any) -> Self:
        """The smallest settings that fill every kind of cell, for tests; they learn next to nothing."""
        small = {"batch_size": 8, "image_size": 32}
        start = cls(
            output="runs/smoke/table", cache="", labels=(8, 16), seeds=(0,),
            unlabelled=("synthetic:64?seed=10",), labelled=("synthetic:16?seed=8",),
            test=("synthetic:16?seed=4",), pretrain={"epochs": 2, **small},
            finetune={"steps": 8, "warmup_steps": 2, **small},
        )  # fmt: skip
        return start.replace(**changes)

    def validate(self) -> None:
        """Check every field, and the settings of the trainings; errors as `Settings.validate`."""
        super().validate()
        self._require(bool(self.output), "output", "a folder, because a table takes long and resumes there")
        known = bool(self.methods) and set(self.methods) <= set(METHODS)
        self._require(known, "methods", f"some of {METHODS}")
        self._require(min(self.seeds, default=-1) >= 0, "seeds", "at least one, none negative")
        self._require(min(self.labels, default=0) >= 2, "labels", "at least one number, none below 2")
        self.pretrain_config(self.seeds[0], "peclr").validate()
        for method in ("scratch", "peclr"):
            self.finetune_config(self.seeds[0], method, self.labels[0]).validate()

    def pretrain_config(self, seed: int, method: str) -> PretrainConfig:
        """Settings of one pre-training by a method of `PRETRAINED`, with a folder of its own."""
        common = {"sources": self.unlabelled, "cache": self.cache, "seed": seed, **self.pretrain}
        folder = str(Path(self.output, "pretrain", f"{method}-seed{seed}"))
        return PretrainConfig().replace(**{**common, **PRETRAINED[method], "output": folder})

    def finetune_config(self, seed: int, method: str, labels: int) -> FinetuneConfig:
        """Settings of one fine-tuning, with a folder of its own and its method's initial encoder."""
        folder = str(Path(self.output, "finetune", f"{method}-{labels}-seed{seed}"))
        encoder, common = "", {"cache": self.cache, **self.finetune}
        if method in PRETRAINED:
            encoder = str(Path(self.pretrain_config(seed, method).output, CHECKPOINT))
            common |= self.finetune_pretrained
        own = {"seed": seed, "labels": labels, "encoder": encoder, "output": folder}
        return FinetuneConfig().replace(**{**common, **own})


def run_label_fractions(config: LabelFractionsConfig) -> dict[str, Any]:
    """Fill the table, and keep the cells it already has.

    Returns:
        The results, as in `results.json`.

    Raises:
        ValueError: if a setting is wrong, or the output folder holds a table with other settings.
    """
    config.validate()
    single_process()
    results = _open_results(config)
    example = config.finetune_config(config.seeds[0], "scratch", config.labels[0])
    margin = crop_margin(weak_augmentation(example))
    cut = (example.image_size, example.view_factor, margin, example.cache, example.progress)
    hands = open_crops(config.labelled, *cut), open_crops(config.test, *cut)
    cells = {(cell["method"], cell["labels"], cell["seed"]) for cell in results["cells"]}
    probes = {(probe["method"], probe["seed"]) for probe in results["probes"]}
    for seed, method in itertools.product(config.seeds, config.methods):
        missing = [labels for labels in config.labels if (method, labels, seed) not in cells]
        unprobed = method != "mean_pose" and (method, seed) not in probes
        if method in PRETRAINED and (unprobed or missing):
            pretrain(config.pretrain_config(seed, method))
        if unprobed:
            evaluation = _probe(config.finetune_config(seed, method, max(config.labels)), *hands)
            results["probes"].append({"method": method, "seed": seed, **table.measures(evaluation)})
            table.write_results(config.output, results)
        for labels in missing:
            start, settings = time.perf_counter(), config.finetune_config(seed, method, labels)
            if method == "mean_pose":
                evaluation, losses = _mean_pose(settings, *hands), []
            else:
                result = finetune(settings, *hands)
                evaluation, losses = result.evaluation, result.losses
                if not config.keep_networks:
                    result.checkpoint.unlink()
            cell = table.make_cell(method, labels, seed, evaluation, losses)
            results["cells"].append({**cell, "seconds": round(time.perf_counter() - start, 1)})
            table.write_results(config.output, results)
    return results


def _open_results(config: LabelFractionsConfig) -> dict[str, Any]:
    """Open the results of earlier runs with these settings, or start new ones."""
    here, path = config.plain(), Path(config.output, table.RESULTS)
    results = table.load_results(path) if path.is_file() else table.new_results(here)
    settled = here.keys() - {"output", "cache", "keep_networks", "methods", "labels", "seeds"}
    changed = sorted(name for name in settled if here[name] != results["config"].get(name))
    if changed:
        text = f"made with other settings ({', '.join(changed)}); choose another output folder"
        raise ValueError(f"{path}: {text}")
    return {**results, "config": here}


def _mean_pose(settings: FinetuneConfig, hands: CropSet, test: CropSet) -> Evaluation:
    """Evaluate the mean pose of the labels, predicted for every test hand."""
    chosen = choose_labels(hands.identities, settings.labels, settings.seed)
    return predict_mean_pose(hands, chosen, test, settings.image_size, settings.view_factor).evaluate()


def _probe(settings: FinetuneConfig, hands: CropSet, test: CropSet) -> Evaluation:
    """Evaluate a ridge regression on the features of the encoder that a fine-tuning starts from."""
    encoder = initial_encoder(settings.encoder, settings.arch, settings.seed)
    chosen = choose_labels(hands.identities, settings.labels, settings.seed)
    view = (settings.image_size, settings.view_factor, chosen, settings.precision)
    return probe_encoder(encoder.to(choose_device(settings.device)), hands, test, *view)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fill the table as the command line says."""
    program = "python -m peclr_utils.experiments.label_fractions"
    return run_command_line(LabelFractionsConfig, run_label_fractions, program, table.markdown, arguments)


if __name__ == "__main__":
    run_and_exit(main)
