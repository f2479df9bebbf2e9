"""The label-fraction table: what pre-training is worth when labels are few.

    python -m peclr_utils.experiments.label_fractions --output runs/table

Chapter 04 reads the table; `make table` makes it. Unlabelled hands stand upright, as most photographs show
them; the hands to find are turned by any angle. For every seed each method pre-trains once. Its encoder is
then probed and fine-tuned, frozen or (`--tunings full`) whole, all with the same number of labels and steps.
Every finished cell is saved at once (`experiments.results`), so a killed run resumes, inside a training too.
"""

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

from peclr_utils.crops import CropSet, open_crops
from peclr_utils.datasets import TURNED, UPRIGHT
from peclr_utils.evaluation import Evaluation
from peclr_utils.evaluation.probe import HELD_OUT
from peclr_utils.evaluation.report import NAMES
from peclr_utils.experiments import results as table
from peclr_utils.experiments.probes import initial_model, measure_turn, probe_encoder
from peclr_utils.settings import JSON, Settings, run_and_exit, run_command_line
from peclr_utils.training import FinetuneConfig, PretrainConfig, finetune, pretrain
from peclr_utils.training.checkpoint import CHECKPOINT
from peclr_utils.training.device import choose_device
from peclr_utils.training.distributed import single_process
from peclr_utils.training.pairs import pair_augmentation
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

TUNINGS = ("probe", "frozen", "full")
"""How labels are used: a ridge regression on features, a head on the frozen encoder, the whole network."""

LABELLED_VIEWS: dict[str, Any] = {
    "rotation": 180.0, "scale": [0.8, 1.25], "shift": 0.1, "brightness": 0.3, "contrast": 0.3,
    "saturation": 0.4, "hue": 12.0, "gain": 0.1, "grey": 0.1, "background": 1.0,
}  # fmt: skip
"""Views of labelled images as strong as pre-training's, and turned as the test hands are."""


class Cell(NamedTuple):
    """Which cell of a table: the first five fields of its record."""

    method: str
    labelled: str  # a name of `LabelFractionsConfig.labelled`
    tuning: str  # one of `TUNINGS`; "none" for the mean pose
    labels: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class LabelFractionsConfig(Settings):
    """Settings of `run_label_fractions`; the defaults take hours on two cores without a GPU."""

    output: str = "runs/table"  # Folder: results.json, and one run folder per pre-training and fine-tuning.
    cache: str = "data/cache"  # Folder for packed crops; "" for a temporary one.
    methods: tuple[str, ...] = METHODS  # Which rows of the table.
    tunings: tuple[str, ...] = ("probe", "frozen")  # How labels are used; some of `TUNINGS`.
    labels: tuple[int, ...] = (64,)  # Numbers of labelled identities; fewer are a subset of more.
    seeds: tuple[int, ...] = (0, 1, 2)  # Of weights, order, views and the choice of labels.
    # Hands to pre-train on; the defaults tilt by up to 40° and roll by up to 15°.
    unlabelled: tuple[str, ...] = (f"synthetic:12288?seed=1&{UPRIGHT}",)
    # Hands to draw the labels from, by name; the defaults roll by any angle, or as the unlabelled ones do.
    # The equivariant read-out learns from the last.
    labelled: JSON = field(
        default_factory=lambda: {
            "any angle": f"synthetic:1024?seed=2&{TURNED}",
            "upright": f"synthetic:1024?seed=2&{UPRIGHT}",
        }
    )
    # Hands that every cell is evaluated on; the defaults roll by any angle.
    test: tuple[str, ...] = (f"synthetic:1024?seed=3&{TURNED}",)
    # Fields of PretrainConfig that differ from its defaults, the same for all methods.
    pretrain: JSON = field(
        default_factory=lambda: {
            "epochs": 4, "temperature": 0.1, "rotation_degrees": 180.0, "learning_rate": 3e-4,
            "random_frames": True,
        }
    )  # fmt: skip
    # Checkpoints to use instead of pre-training, by method; "{seed}" in a path stands for the seed.
    encoders: JSON = field(default_factory=dict)
    # Fields of FinetuneConfig that differ from its defaults, the same for all methods.
    finetune: JSON = field(default_factory=lambda: {"steps": 400, "augmentation": dict(LABELLED_VIEWS)})
    keep_networks: bool = False  # Keep every fine-tuned network's checkpoint, 45 MB each for a ResNet-18.

    @classmethod
    def smoke(cls, **changes: Any) -> Self:
        """The smallest settings that fill every kind of cell, for tests; they learn next to nothing."""
        small = {"batch_size": 8, "image_size": 32}
        start = cls(
            output="runs/smoke/table", cache="", tunings=TUNINGS, labels=(10, 16), seeds=(0,),
            unlabelled=("synthetic:64?seed=10",), labelled={"upright": "synthetic:16?seed=8"},
            test=("synthetic:16?seed=4",), pretrain={"epochs": 2, **small},
            finetune={"steps": 8, "warmup_steps": 2, **small},
        )  # fmt: skip
        return start.replace(**changes)

    def validate(self) -> None:
        """Check every field, and the settings of the trainings; errors as `Settings.validate`."""
        super().validate()
        table.require_table(self, METHODS, TUNINGS, tuple(PRETRAINED))
        self._require(min(self.seeds, default=-1) >= 0, "seeds", "at least one, none negative")
        least = 2 * HELD_OUT if "probe" in self.tunings else 2
        fine = min(self.labels, default=0) >= least
        self._require(fine, "labels", f"at least one number, none below {least}")
        self._require(bool(self.labelled), "labelled", "at least one name with its source")
        self.pretrain_config(self.seeds[0], "peclr").validate()
        for cell in self.cells(self.seeds[0], "peclr"):
            if cell.tuning != "probe":
                self.finetune_config(cell).validate()

    def cells(self, seed: int, method: str) -> Iterator[Cell]:
        """All cells of one encoder."""
        tunings = ("none",) if method == "mean_pose" else self.tunings
        for labelled, tuning, labels in itertools.product(self.labelled, tunings, self.labels):
            yield Cell(method, labelled, tuning, labels, seed)

    def pretrain_config(self, seed: int, method: str) -> PretrainConfig:
        """Settings of one pre-training by a method of `PRETRAINED`, with a folder of its own."""
        common = {"sources": self.unlabelled, "cache": self.cache, "seed": seed, **self.pretrain}
        folder = str(Path(self.output, "pretrain", f"{method}-seed{seed}"))
        return PretrainConfig().replace(**{**common, **PRETRAINED[method], "output": folder})

    def encoder(self, seed: int, method: str) -> str:
        """The checkpoint of a method's encoder; "" for random weights."""
        if method not in PRETRAINED:
            return ""
        own = str(Path(self.pretrain_config(seed, method).output, CHECKPOINT))
        return self.encoders.get(method, own).replace("{seed}", str(seed))

    def finetune_config(self, cell: Cell) -> FinetuneConfig:
        """Settings of one fine-tuning, with a folder of its own and its method's initial encoder."""
        name = "-".join((cell.method, cell.labelled, cell.tuning, str(cell.labels), f"seed{cell.seed}"))
        own = {
            "seed": cell.seed,
            "labels": cell.labels,
            "encoder": self.encoder(cell.seed, cell.method),
            "freeze_encoder": cell.tuning == "frozen",
            "output": str(Path(self.output, "finetune", name.replace(" ", "_"))),
        }
        return FinetuneConfig().replace(**{"cache": self.cache, **self.finetune, **own})


def run_label_fractions(config: LabelFractionsConfig) -> dict[str, Any]:
    """Fill the table, and keep the cells it already has.

    Returns:
        The results, as in `results.json`.

    Raises:
        ValueError: if a setting is wrong, or the output folder holds a table with other settings.
    """
    config.validate()
    single_process()
    results = table.open_results(config, table.new_results({}))
    pools, test = _open_hands(config)
    done = {tuple(cell[name] for name in table.CELL) for cell in results["cells"]}
    turned = {(turn["method"], turn["seed"]) for turn in results["turns"]}
    for seed, method in itertools.product(config.seeds, config.methods):
        missing = [cell for cell in config.cells(seed, method) if cell not in done]
        unturned = method != "mean_pose" and (method, seed) not in turned
        if method in PRETRAINED and method not in config.encoders and (unturned or missing):
            pretrain(config.pretrain_config(seed, method))
        if unturned:
            found = _turn(config, seed, method, pools, test)
            results["turns"].append({"method": method, "seed": seed, **found})
            table.write_results(config.output, results)
        for cell in missing:
            start = time.perf_counter()
            evaluation, losses = _fill(config, cell, pools[cell.labelled], test)
            record = table.make_cell(cell, evaluation, losses)
            results["cells"].append({**record, "seconds": round(time.perf_counter() - start, 1)})
            table.write_results(config.output, results)
    return results


def _open_hands(config: LabelFractionsConfig) -> tuple[dict[str, CropSet], CropSet]:
    """Crops of the hands to draw labels from, by name, and of the test hands; wide enough for any view."""
    settings = config.pretrain_config(config.seeds[0], "peclr")
    margin = crop_margin(pair_augmentation(settings))
    cut = (settings.image_size, settings.view_factor, margin, config.cache, settings.progress)
    pools = {name: open_crops([source], *cut) for name, source in config.labelled.items()}
    return pools, open_crops(config.test, *cut)


def _turn(
    config: LabelFractionsConfig, seed: int, method: str, pools: dict[str, CropSet], test: CropSet
) -> dict[str, float]:
    """Measure how a method's projections turn; the read-out learns from the last kind of labels."""
    settings = config.pretrain_config(seed, "peclr")
    model = initial_model(config.encoder(seed, method), settings).to(choose_device(settings.device))
    hands = list(pools.values())[-1]
    chosen = choose_labels(hands.identities, config.labels[0], seed)
    return measure_turn(model, hands, test, settings.image_size, settings.view_factor, chosen)


def _fill(
    config: LabelFractionsConfig, cell: Cell, hands: CropSet, test: CropSet
) -> tuple[Evaluation, list[float]]:
    """Evaluate a cell; also the training losses of a fine-tuning."""
    settings = config.finetune_config(cell)
    chosen = choose_labels(hands.identities, cell.labels, cell.seed)
    view = (settings.image_size, settings.view_factor)
    if cell.method == "mean_pose":
        return predict_mean_pose(hands, chosen, test, *view).evaluate(), []
    if cell.tuning == "probe":
        encoder = initial_model(settings.encoder, config.pretrain_config(cell.seed, "peclr")).encoder
        encoder = encoder.to(choose_device(settings.device))
        return probe_encoder(encoder, hands, test, *view, chosen, settings.precision), []
    result = finetune(settings, hands, test)
    if not config.keep_networks:
        result.checkpoint.unlink()
    return result.evaluation, result.losses


def main(arguments: Sequence[str] | None = None) -> int:
    """Fill the table as the command line says."""
    program = "python -m peclr_utils.experiments.label_fractions"
    return run_command_line(LabelFractionsConfig, run_label_fractions, program, table.markdown, arguments)


if __name__ == "__main__":
    run_and_exit(main)
