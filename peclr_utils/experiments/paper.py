"""The paper's experiment in one command: from FreiHAND and YouTube3DHands to the table.

    python -m peclr_utils.experiments.paper --preset paper_rn50 --data data/raw

It pre-trains on both data sets, fine-tunes on FreiHAND, evaluates on FreiHAND's evaluation set, and prints
the published numbers beside its own. Chapter 05 reads the table. The same command resumes a stopped run.

Pre-training is the paper's (`PretrainConfig.paper_rn50`), a true batch of 2,048 pairs, or with
`--authors_exact` what the authors' code does. Started by torchrun, all processes pre-train together, and
rank 0 continues alone. Fine-tuning (`FinetuneConfig.paper_rn50`) is ours, because the authors publish neither
schedule nor losses. The published networks find the hand themselves, by two crops (`peclr_utils.inference`),
and so does the row "measured here" below theirs; "crops around the true keypoints" gets its place.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from peclr_utils.datasets import find_data, open_source
from peclr_utils.evaluation import EVALUATION_HANDS, Evaluation, evaluate_keypoints, published_table
from peclr_utils.files import write_text
from peclr_utils.inference import predict
from peclr_utils.settings import JSON, Settings, run_and_exit, run_command_line
from peclr_utils.training import FinetuneConfig, PretrainConfig, finetune, pretrain
from peclr_utils.training.checkpoint import CHECKPOINT
from peclr_utils.training.config import Arch
from peclr_utils.training.distributed import rank


@dataclass(frozen=True, kw_only=True)
class PaperConfig(Settings):
    """Settings of `run_paper`."""

    data: str = ""  # Folder that holds FreiHAND, with evaluation_xyz.json, and YouTube3DHands.
    output: str = "runs/paper_rn50"  # Folder: pretrain, finetune, table.md; a stopped run resumes there.
    cache: str = "data/cache"  # Folder for packed crops, some 130 GB; "" for a temporary one.
    arch: Arch = "resnet50"  # A torchvision ResNet; the paper's are 50 and 152.
    authors_exact: bool = False  # Pre-train as the authors' published code does, mistakes included.
    pretrain: JSON = field(default_factory=dict)  # Fields of PretrainConfig that differ from the paper's.
    finetune: JSON = field(default_factory=dict)  # Fields of FinetuneConfig that differ from its paper_rn50.

    @classmethod
    def paper_rn50(cls, **changes: Any) -> Self:
        """The paper's ResNet-50; needs a GPU and days."""
        return cls().replace(**changes)

    @classmethod
    def paper_rn152(cls, **changes: Any) -> Self:
        """The paper's ResNet-152."""
        return cls(arch="resnet152", output="runs/paper_rn152").replace(**changes)

    def validate(self) -> None:
        """Check every field, the settings of both trainings, and that the data are there."""
        super().validate()
        self._require(bool(self.output), "output", "a folder, because this takes long and resumes there")
        for part in ("pretrain", "finetune"):
            fine = not {"arch", "authors_exact"} & getattr(self, part).keys()
            self._require(fine, part, "neither 'arch' nor 'authors_exact', which PaperConfig sets")
        both = {"freihand", "youtube"} <= {source.kind for source in find_data(self.data)}
        expected = "a folder with FreiHAND and YouTube3DHands, because the paper pre-trains on both; to "
        expected += "pre-train on others, give --pretrain '{\"sources\": [...]}'"
        self._require(both or "sources" in self.pretrain, "data", expected)
        self.pretrain_config().validate()
        self.finetune_config().validate()

    def pretrain_config(self) -> PretrainConfig:
        """Settings of the pre-training."""
        output = str(Path(self.output, "pretrain"))
        start = PretrainConfig.paper_rn50(arch=self.arch, cache=self.cache, output=output)
        start = start.as_authors() if self.authors_exact else start
        return start.with_data(self.data).replace(**self.pretrain)

    def finetune_config(self) -> FinetuneConfig:
        """Settings of the fine-tuning."""
        encoder, output = Path(self.pretrain_config().output, CHECKPOINT), Path(self.output, "finetune")
        paths = {"cache": self.cache, "encoder": str(encoder), "output": str(output)}
        start = FinetuneConfig.paper_rn50(arch=self.arch, **paths)
        return start.with_data(self.data).replace(**self.finetune)


def run_paper(config: PaperConfig) -> str:
    """Pre-train, fine-tune, evaluate; finished parts are read back.

    Returns:
        Published numbers and ours in Markdown, also written to `table.md`; how to resume if a training
        stopped early; "" in all ranks but the first.

    Raises:
        FileNotFoundError: if data or labels are missing, before anything is trained.
        ValueError: if a setting is wrong, or the output folder holds a run with other settings.
    """
    config.validate()
    dataset = open_source(FinetuneConfig().with_data(config.data).test_sources[0])
    if dataset.labels.xyz is None or dataset.labels.scale is None:
        needed = "evaluation_xyz.json and evaluation_scale.json, to evaluate with"
        raise FileNotFoundError(f"{dataset.root}: expected {needed}; data/README.md says where to get them")
    pretrained = pretrain(config.pretrain_config())
    if rank() > 0:
        return ""
    if not pretrained.finished:
        return "Pre-training stopped early; the same command resumes it."
    finetuned = finetune(config.finetune_config())
    if not finetuned.finished:
        return "Fine-tuning stopped early; the same command resumes it."
    found = np.stack([hand.keypoints_3d for hand in predict(finetuned.model, dataset)])
    two_crops = evaluate_keypoints(found, dataset.labels.xyz[dataset.ids])
    table = _table(pretrained.config, two_crops, finetuned.evaluation)
    write_text(Path(config.output, "table.md"), table + "\n")
    return table


def _table(pretrained: PretrainConfig, two_crops: Evaluation, true_crops: Evaluation | None) -> str:
    """The published numbers beside ours, and below them what a reader must know to compare."""
    arch, hands = pretrained.arch, len(two_crops.per_hand_epe_mm)
    rows = {{"resnet50": "rn50", "resnet152": "rn152"}.get(arch, arch): two_crops}
    if true_crops is not None:
        rows[f"{arch}, crops around the true keypoints"] = true_crops
    kinds = " and ".join(source.partition(":")[0] for source in pretrained.sources)
    exactly = "as the authors' code does it" if pretrained.authors_exact else "as the paper says"
    return f"""{published_table(rows)}

Measured here on {hands:,} hands, published on {EVALUATION_HANDS:,}.
Pre-trained {exactly}, {pretrained.epochs} epochs on {kinds}.
Fine-tuning's schedule and losses are ours, because the authors do not publish theirs. Our networks see
crops like those they were trained on; the authors' see crops around the box of the predicted keypoints."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the experiment as the command line says."""
    program = "python -m peclr_utils.experiments.paper"
    return run_command_line(PaperConfig, run_paper, program, arguments=arguments)


if __name__ == "__main__":
    run_and_exit(main)
