"""The paper's experiment in one command: from the folders of FreiHAND and YouTube3DHands to the table.

    python -m peclr_utils.training.paper --preset paper_rn50 --data data/raw

It pre-trains on both data sets, fine-tunes on FreiHAND, evaluates on FreiHAND's evaluation set, and prints
the published numbers beside its own. Chapter 05 reads the table. Stopped at any time, the same command goes
on from there.

Pre-training is the paper's (`PretrainConfig.paper_rn50`), a true batch of 2,048 pairs, or with
`--authors_exact` what the authors' code does. Started by torchrun, all processes share in it, and the first
goes on alone. Fine-tuning (`FinetuneConfig.paper_rn50`) is ours, for the authors publish neither schedule nor
losses.

The published networks find the hand themselves, by two crops (`peclr_utils.inference`), and so does the row
"measured here" below theirs; each network sees the kind of crop it was trained on. The row "crops around the
true keypoints" is told where the hand is.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from peclr_utils.datasets import FreiHAND
from peclr_utils.evaluation import Evaluation, evaluate_keypoints
from peclr_utils.evaluation.published import EVALUATION_HANDS, published_table
from peclr_utils.inference import predict
from peclr_utils.models import PoseNetwork25D
from peclr_utils.training.command_line import run_command_line
from peclr_utils.training.config import FinetuneConfig, PretrainConfig
from peclr_utils.training.distributed import processes_started
from peclr_utils.training.finetune import finetune
from peclr_utils.training.pretrain import pretrain
from peclr_utils.training.raw_data import KINDS, find_set, find_sets
from peclr_utils.training.settings import Settings

TABLE = "table.md"

ROWS = {"resnet50": "rn50", "resnet152": "rn152"}
"""The published row that a network's own stands below."""


@dataclass(frozen=True)
class PaperConfig(Settings):
    """Settings of `run_paper`."""

    data: str = ""  # folder that holds FreiHAND, with evaluation_xyz.json, and YouTube3DHands
    output: str = "runs/paper_rn50"  # folder: pretrain, finetune, table.md; a stopped run goes on from there
    cache: str = "data/cache"  # folder for packed crops, some 130 GB; "" for a temporary one
    arch: str = "resnet50"  # a torchvision ResNet; the paper's are 50 and 152
    authors_exact: bool = False  # pre-train as the authors' published code does, mistakes included
    # fields of PretrainConfig that differ from the paper's
    pretrain: dict[str, Any] = field(default_factory=dict)
    # fields of FinetuneConfig that differ from its preset for the paper
    finetune: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def paper_rn50(cls, **changes: Any) -> Self:
        """The paper's ResNet-50; wants a GPU, and days."""
        return cls().replace(**changes)

    @classmethod
    def paper_rn152(cls, **changes: Any) -> Self:
        """The paper's ResNet-152."""
        return cls(arch="resnet152", output="runs/paper_rn152").replace(**changes)

    def validate(self) -> None:
        """Check every field, those of both trainings too.

        Raises:
            ValueError: naming the first field that is wrong, what was expected and what was found.
            FileNotFoundError: if the data are not there.
        """
        self._require(bool(self.data), "data", "the folder that holds FreiHAND and YouTube3DHands")
        self._require(bool(self.output), "output", "a folder: this takes long, and is resumed from there")
        for name in ("pretrain", "finetune"):
            fine = isinstance(getattr(self, name), dict)
            self._require(fine, name, "a dict of the settings that differ from the paper's")
            # A network of another architecture would be noticed after the pre-training only.
            fine = getattr(self, name).get("arch", self.arch) == self.arch
            self._require(fine, name, f"no 'arch' but {self.arch!r}; PaperConfig.arch sets it for both")
        if "sources" not in self.pretrain:
            found = find_sets(self.data)
            missing = ", ".join(f"{kind} ({file})" for kind, file in KINDS.items() if kind not in found)
            both = f"FreiHAND and YouTube3DHands in it, for the paper pre-trains on both; no {missing}"
            instead = "is there. To pre-train on others, give --pretrain '{\"sources\": [...]}'"
            self._require(not missing, "data", f"{both} {instead}")
        self.pretrain_config().validate()
        self.finetune_config().validate()

    def pretrain_config(self) -> PretrainConfig:
        """Settings of the pre-training."""
        common = {"arch": self.arch, "cache": self.cache, "authors_exact": self.authors_exact}
        start = PretrainConfig.paper_rn50(output=str(Path(self.output, "pretrain")), **common)
        return start.with_data(self.data).replace(**_tuples(self.pretrain))

    def finetune_config(self) -> FinetuneConfig:
        """Settings of the fine-tuning."""
        encoder = str(Path(self.pretrain_config().output, "checkpoint.pt"))
        common = {"arch": self.arch, "cache": self.cache, "encoder": encoder}
        start = FinetuneConfig.paper_rn50(output=str(Path(self.output, "finetune")), **common)
        return start.with_data(self.data).replace(**_tuples(self.finetune))


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    """JSON knows lists only."""
    return {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}


@dataclass(frozen=True)
class PaperResult:
    """What `run_paper` gives back.

    Attributes:
        table: published numbers and ours in Markdown; what is left to do if a training stopped early.
        two_crops: evaluation where the network finds the hand itself, as the published ones do; None if a
            training stopped early.
        true_crops: evaluation on crops around the true keypoints, or None.
    """

    table: str
    two_crops: Evaluation | None = None
    true_crops: Evaluation | None = None


def run_paper(config: PaperConfig) -> PaperResult:
    """Pre-train, fine-tune, evaluate; parts that are done already are read back.

    Args:
        config: all settings.

    Returns:
        The table and what is in it; the table is also written to `table.md`.

    Raises:
        FileNotFoundError: if data or labels are missing, before anything is trained.
        ValueError: if a setting is wrong, or the output folder holds a run with other settings.
    """
    config.validate()
    evaluation_set = open_evaluation(config.data)
    pretrained = pretrain(config.pretrain_config())
    if not pretrained.finished:
        return PaperResult("pre-training stopped early; the same command goes on")
    if not processes_started().first:
        return PaperResult("the first process fine-tunes and evaluates")
    settings = config.finetune_config()
    finetuned = finetune(settings)
    if not finetuned.finished:
        return PaperResult("fine-tuning stopped early; the same command goes on")
    two_crops = evaluate_two_crops(finetuned.model, evaluation_set, settings.image_size)
    table = paper_table(pretrained.config, two_crops, finetuned.evaluation)
    Path(config.output, TABLE).write_text(table + "\n", encoding="utf-8")
    return PaperResult(table, two_crops, finetuned.evaluation)


def open_evaluation(data: str) -> FreiHAND:
    """Open FreiHAND's evaluation set and see that its labels are there.

    Raises:
        FileNotFoundError: if they are not.
    """
    root = find_set("freihand", data)
    dataset = FreiHAND(root, "evaluation")
    missing = [name for name in ("xyz", "scale") if getattr(dataset.labels, name) is None]
    if missing:
        raise FileNotFoundError(
            f"{root}: no evaluation_{missing[0]}.json; the evaluation needs it. data/README.md says where to "
            "get it"
        )
    return dataset


def evaluate_two_crops(network: PoseNetwork25D, dataset: FreiHAND, image_size: int) -> Evaluation:
    """Evaluate a network that finds the hand itself, by two crops of the kind it was trained on.

    Args:
        network: a pose network.
        dataset: labelled hands in the middle of their pictures, as FreiHAND's are.
        image_size: side of a crop in pixels.

    Returns:
        The measures.
    """
    predictions = predict(network, dataset, size=image_size)
    found = np.stack([hand.keypoints_3d for hand in predictions])
    return evaluate_keypoints(found, dataset.labels.xyz[dataset.ids])


def paper_table(
    pretrained: PretrainConfig, two_crops: Evaluation, true_crops: Evaluation | None = None
) -> str:
    """Put the published numbers beside ours.

    Args:
        pretrained: settings of the pre-training; they name the architecture.
        two_crops, true_crops: see `PaperResult`.

    Returns:
        A Markdown table, and under it what the reader must know to compare.
    """
    results = {ROWS.get(pretrained.arch, pretrained.arch): two_crops}
    if true_crops is not None:
        results[f"{pretrained.arch}, crops around the true keypoints"] = true_crops
    kinds = [source.partition(":")[0] for source in pretrained.sources]
    exactly = "as the authors' code does it" if pretrained.authors_exact else "as the paper says"
    notes = [
        f"Measured here: pre-trained {exactly}, {pretrained.epochs} epochs on {' and '.join(kinds)}.",
        "Fine-tuning's schedule and losses are ours: the authors do not publish theirs. Our networks see "
        "crops as they were trained on, the authors' see crops around the predicted keypoints' box.",
    ]
    hands = len(two_crops.per_hand_epe_mm)
    if hands != EVALUATION_HANDS:
        notes.append(
            f"The published numbers are over {EVALUATION_HANDS:,} hands, ours over {hands:,} others."
        )
    return "\n".join([published_table(results), "", *notes])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the experiment as the command line says."""
    program = "python -m peclr_utils.training.paper"
    return run_command_line(PaperConfig, run_paper, program, lambda result: result.table, arguments)


if __name__ == "__main__":
    sys.exit(main())
