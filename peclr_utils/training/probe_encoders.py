"""What frozen encoders know of hands: a ridge regression on their features, on any labelled hands.

    python -m peclr_utils.training.probe_encoders --encoders runs/table/pretrain/*/checkpoint.pt \
        --test "synthetic:1024?seed=3&view=40,180" --labelled "synthetic:1024?seed=2&view=40,180"

It needs no training and takes seconds for each encoder. Chapter 03 builds the probe step by step.
"""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from peclr_utils.crops import CropSet
from peclr_utils.evaluation import Evaluation, evaluate_keypoints, ridge_probe
from peclr_utils.models import build_encoder
from peclr_utils.skeleton import ROOT
from peclr_utils.training.command_line import run_command_line
from peclr_utils.training.config import FinetuneConfig
from peclr_utils.training.distributed import in_one_process
from peclr_utils.training.engine import Machine, choose_machine, seeded
from peclr_utils.training.finetune import weak_augmentation
from peclr_utils.training.labelled import plain_labels
from peclr_utils.training.predict import extract_features
from peclr_utils.training.results import measures, probes_markdown, write_json
from peclr_utils.training.settings import Settings
from peclr_utils.training.sources import open_crops
from peclr_utils.weights import load_encoder

FORMAT = "peclr_utils probes 1"
UNTRAINED = "untrained"


@dataclass(frozen=True)
class ProbeConfig(Settings):
    """Settings of `probe_encoders`."""

    encoders: tuple[str, ...] = ()  # checkpoints; those in folders NAME-seed0, NAME-seed1, ... share a row
    labelled: tuple[str, ...] = ("synthetic:1024?seed=2",)  # hands to fit the regression to
    test: tuple[str, ...] = ("synthetic:1024?seed=3",)  # hands to measure it on
    untrained_seeds: tuple[int, ...] = (0, 1, 2)  # untrained networks, the bar to clear; none leaves it out
    arch: str = "resnet18"  # a torchvision ResNet; must be the checkpoints'
    image_size: int = 64  # side of a view in pixels, at least 32
    view_factor: float = 1.2  # see PretrainConfig
    cache: str = ""  # folder for packed crops that later runs reuse; "" for a temporary one
    device: str = "auto"  # "auto", "cpu", "cuda", "cuda:1", "mps"
    output: str = ""  # JSON file for the numbers; "" for none
    progress: bool = True  # show a progress bar while crops are made

    def validate(self) -> None:
        """Check every field.

        Raises:
            ValueError: naming the first field that is wrong, what was expected and what was found.
        """
        self._require_types()
        self._require_sources("encoders", "labelled", "test")
        self._require(bool(self.encoders or self.untrained_seeds), "encoders", "at least one checkpoint")
        self.views().validate()

    def views(self) -> FinetuneConfig:
        """The settings that say how hands are cropped and where they are computed with."""
        names = ("arch", "image_size", "view_factor", "cache", "device", "progress")
        return FinetuneConfig(sources=self.labelled, **{name: getattr(self, name) for name in names})


def probe_encoder(
    encoder: nn.Module,
    labelled: CropSet,
    test: CropSet,
    image_size: int,
    view_factor: float,
    machine: Machine,
    indices: np.ndarray | None = None,
) -> Evaluation:
    """Predict hands by ridge regression on a frozen encoder's features.

    Args:
        encoder: from (B, 3, S, S) to (B, features).
        labelled: hands to fit the regression to.
        test: hands to measure it on.
        image_size: side S of a view in pixels.
        view_factor: see `PretrainConfig`.
        machine: what to compute with.
        indices: which of the labelled hands; None for all.

    Returns:
        The test hands' errors; 3D with the true wrist, for which the regression is not asked.
    """
    chosen = np.arange(len(labelled)) if indices is None else indices
    mine, truth = (
        plain_labels(crops, rows, image_size, view_factor)
        for crops, rows in ((labelled, chosen), (test, np.arange(len(test))))
    )
    view = {"image_size": image_size, "view_factor": view_factor, "machine": machine}
    features = extract_features(encoder, labelled, indices=chosen, **view)
    wrists = mine["keypoints_3d"][:, ROOT : ROOT + 1]
    targets = np.concatenate([mine["keypoints_3d"] - wrists, mine["keypoints_2d"]], axis=2)
    found = ridge_probe(
        features, targets.reshape(len(targets), -1), extract_features(encoder, test, **view),
        identity=labelled.identities[chosen],
    ).reshape(len(test), 21, 5)  # fmt: skip
    points = found[..., :3] + truth["keypoints_3d"][:, ROOT : ROOT + 1]
    labels = {"gt": truth["keypoints_3d"], "gt_2d": truth["keypoints_2d"]}
    return evaluate_keypoints(points, pred_2d=found[..., 3:], **labels)


def probe_encoders(config: ProbeConfig) -> dict[str, Any]:
    """Probe several encoders on the same hands.

    Args:
        config: all settings.

    Returns:
        format; config; probes, one per encoder: name, encoder (its path, or the seed of an untrained one),
        and the measures of a label-fraction table's cell.

    Raises:
        ValueError: if a setting is wrong, or a checkpoint has another architecture.
        FileNotFoundError: if a checkpoint is missing.
    """
    config.validate()
    encoders = {path: load_encoder(path, config.arch) for path in config.encoders}
    for seed in config.untrained_seeds:
        with seeded(seed):
            encoders[f"{UNTRAINED}-seed{seed}"] = build_encoder(config.arch)
    views = config.views()
    labelled, test = (
        open_crops(views, weak_augmentation(views), source) for source in (config.labelled, config.test)
    )
    common = (labelled, test, config.image_size, config.view_factor, choose_machine(views))
    probes = [
        {"name": _name(path), "encoder": path} | measures(probe_encoder(encoder, *common))
        for path, encoder in encoders.items()
    ]
    results = {"format": FORMAT, "config": json.loads(config.to_json()), "probes": probes}
    if config.output:
        write_json(Path(config.output), results)
    return results


def _name(path: str) -> str:
    """What an encoder's row is called: its folder, less the seed."""
    folder = path if path.startswith(UNTRAINED) else Path(path).resolve().parent.name
    return re.sub(r"-seed\d+$", "", folder)


def markdown(results: Mapping[str, Any]) -> str:
    """Show probes as a Markdown table: mean and standard deviation over the encoders of one name."""
    return probes_markdown(results["probes"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Probe as the command line says."""
    program = "python -m peclr_utils.training.probe_encoders"
    return run_command_line(ProbeConfig, in_one_process(probe_encoders), program, markdown, arguments)


if __name__ == "__main__":
    sys.exit(main())
