"""What frozen encoders know about hands: a ridge regression on their features, on any labelled hands.

    python -m peclr_utils.experiments.probes --encoders runs/table/pretrain/*/checkpoint.pt \
        --test "synthetic:1024?seed=3&view=40,180" --labelled "synthetic:1024?seed=2&view=40,180"

It takes seconds per encoder, because nothing is trained. Chapter 03 builds the probe step by step.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from peclr_utils.augmentation import AugmentationConfig
from peclr_utils.crops import CropSet, open_crops
from peclr_utils.evaluation import Evaluation, ridge_probe
from peclr_utils.experiments.results import measures, probes_markdown
from peclr_utils.files import write_json
from peclr_utils.models import build_encoder
from peclr_utils.settings import Settings, run_and_exit, run_command_line
from peclr_utils.skeleton import ROOT
from peclr_utils.training import Predictions, extract_features
from peclr_utils.training.config import Arch
from peclr_utils.training.device import choose_device, seeded
from peclr_utils.training.poses import plain_labels
from peclr_utils.training.views import crop_margin
from peclr_utils.weights import load_encoder

FORMAT = "peclr_utils probes 1"


@dataclass(frozen=True, kw_only=True)
class ProbeConfig(Settings):
    """Settings of `probe_encoders`."""

    encoders: tuple[str, ...] = ()  # Checkpoints; those in folders NAME-seed0, NAME-seed1, ... share a row.
    labelled: tuple[str, ...] = ("synthetic:1024?seed=2",)  # Hands to fit the regression to.
    test: tuple[str, ...] = ("synthetic:1024?seed=3",)  # Hands to measure it on.
    untrained_seeds: tuple[int, ...] = (0, 1, 2)  # Untrained networks, the bar to clear; empty: skip them.
    arch: Arch = "resnet18"  # A torchvision ResNet; must be the checkpoints'.
    image_size: int = 64  # Side of a view in pixels, at least 32.
    view_factor: float = 1.2  # See PretrainConfig.
    cache: str = ""  # Folder for packed crops that later runs reuse; "" for a temporary one.
    device: str = "auto"  # "auto", "cpu", "cuda", "cuda:1", "mps"
    output: str = ""  # JSON file for the numbers; "" for none.
    progress: bool = True  # Show a progress bar while crops are made.


def probe_encoder(
    encoder: nn.Module,
    labelled: CropSet,
    test: CropSet,
    image_size: int,
    view_factor: float,
    indices: np.ndarray | None = None,
    precision: str = "fp32",
) -> Evaluation:
    """Predict hands by ridge regression on a frozen encoder's features.

    Args:
        encoder: from (B, 3, S, S) to (B, features), on the device to compute on.
        labelled, test: hands to fit the regression to, and to measure it on.
        image_size, view_factor: side S of a view in pixels, and its width; see `PretrainConfig`.
        indices: which of the labelled hands; None for all.
        precision: see `RunSettings`.

    Returns:
        The test hands' errors; in 3D with the true wrist, because the regression is relative to it.

    Raises:
        ValueError: if a hand lacks its 3D keypoints or its intrinsics, or the labelled hands are too few.
    """
    chosen = np.arange(len(labelled)) if indices is None else indices
    view = (image_size, view_factor)
    known, truth = plain_labels(labelled, chosen, *view), plain_labels(test, None, *view)
    relative = known["keypoints_3d"] - known["keypoints_3d"][:, [ROOT]]
    targets = np.concatenate([relative, known["keypoints_2d"]], axis=2)
    found = ridge_probe(
        extract_features(encoder, labelled, *view, indices=chosen, precision=precision),
        targets.reshape(len(targets), -1),
        extract_features(encoder, test, *view, precision=precision),
        identity=labelled.identities[chosen],
    ).reshape(len(test), 21, 5)
    points = found[..., :3] + truth["keypoints_3d"][:, [ROOT]]
    labels = (truth[name] for name in ("keypoints_3d", "keypoints_2d", "K"))
    return Predictions(points, found[..., 3:], *labels).evaluate()


def initial_encoder(path: str, arch: str, seed: int) -> nn.Module:
    """Load an encoder, or draw its weights from a seed if the path is ""."""
    if path:
        return load_encoder(path, arch)
    with seeded(seed):
        return build_encoder(arch)


def probe_encoders(config: ProbeConfig) -> dict[str, Any]:
    """Probe several encoders on the same hands.

    Returns:
        format; config; probes, one per encoder: name, encoder (its path, or the seed of an untrained one),
        and the measures of a label-fraction table's cell. Also written to `config.output`.

    Raises:
        ValueError: if a setting is wrong, or a checkpoint has another architecture.
        FileNotFoundError: if a checkpoint is missing; nothing has been cropped by then.
    """
    config.validate()
    device, encoders = choose_device(config.device), []
    for path in config.encoders:
        name = re.sub(r"-seed\d+$", "", Path(path).resolve().parent.name)
        encoders.append((name, path, load_encoder(path, config.arch)))
    for seed in config.untrained_seeds:
        encoders.append(("untrained", f"untrained-seed{seed}", initial_encoder("", config.arch, seed)))
    if not encoders:
        raise ValueError("ProbeConfig.encoders: expected at least one checkpoint, or an untrained seed")
    view = (config.image_size, config.view_factor)
    cut = (*view, crop_margin(AugmentationConfig.weak()), config.cache, config.progress)
    hands = open_crops(config.labelled, *cut), open_crops(config.test, *cut)
    results = {"format": FORMAT, "config": config.plain(), "probes": []}
    for name, path, encoder in encoders:
        evaluation = probe_encoder(encoder.to(device), *hands, *view, precision="auto")
        results["probes"].append({"name": name, "encoder": path, **measures(evaluation)})
    if config.output:
        write_json(Path(config.output), results)
    return results


def main(arguments: Sequence[str] | None = None) -> int:
    """Probe as the command line says."""
    program = "python -m peclr_utils.experiments.probes"
    return run_command_line(
        ProbeConfig, probe_encoders, program, lambda found: probes_markdown(found["probes"]), arguments
    )


if __name__ == "__main__":
    run_and_exit(main)
