"""A network from a file, evaluated on whole pictures, to stand beside the published numbers.

Chapter 05 does so with chapter 04's networks where the pictures are FreiHAND's, and with the file that its
parameter `published_checkpoint` names.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from peclr_utils.datasets import Subset, open_source
from peclr_utils.datasets.sample import HandDataset
from peclr_utils.evaluation import EVALUATION_HANDS, PUBLISHED, Evaluation, evaluate_keypoints
from peclr_utils.inference import predict
from peclr_utils.models import PoseNetwork25D
from peclr_utils.training.engine import choose_device
from peclr_utils.training.paper import ROWS
from peclr_utils.weights import load_pose_network

from .labelled_hands import labelled_source, one_of_each
from .runner import find_repository

_TOGETHER = 32
_MM_PER_CM = 10.0


@dataclass(frozen=True, eq=False)
class Measured:
    """A network's evaluation on whole pictures.

    Attributes:
        name: its row: a key of `evaluation.PUBLISHED` for a network with the authors' keypoints, which stands
            below the published row of that name; otherwise the file's name.
        source: the hands, as `labelled_source` names them.
        hands: how many.
        evaluation: the measures.
    """

    name: str
    source: str
    hands: int
    evaluation: Evaluation


def evaluate_whole_pictures(checkpoint: str | Path, data: Sequence[str], count: int) -> Measured:
    """Evaluate a pose network from a file on hands that it has to find itself, by two crops.

    A published network sees the authors' crops, one of this project those it was trained on.

    Args:
        checkpoint: a fine-tuned network as the authors published them, or one of this project. A relative
            path counts from the current folder or, where nothing is there, from the repository.
        data: source names; the hands are FreiHAND's evaluation set if it is among them, otherwise rendered.
        count: how many hands; those on which chapter 05 tests every other network.

    Returns:
        The evaluation.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds no pose network, or a hand has no labels; names the file.
    """
    path = _find(Path(checkpoint).expanduser())
    network = load_pose_network(path).to(choose_device("auto"))
    source = labelled_source(data, "test", count)
    everyone = open_source(source)
    hands = Subset(everyone, one_of_each(everyone.identities, count))
    found, true = _predict(network, hands)
    published = ROWS.get(network.arch) if network.keypoint_order == "ait_palm" else None
    return Measured(published or path.name, source, len(hands), evaluate_keypoints(found, true))


def verdict(result: Measured) -> str:
    """Say in a sentence what a row of ours has to do with the published ones."""
    hands = f"Measured on {result.hands:,} hands"
    if not result.source.startswith("freihand:"):
        return (
            f"{hands} that were rendered: the published networks learned from photographs. The published "
            f"numbers are over FreiHAND's {EVALUATION_HANDS:,} pictures, so there is nothing to compare."
        )
    if "split=evaluation" not in result.source:
        return (
            f"{hands} of FreiHAND's training set, for the evaluation set's labels are missing. The "
            "published networks learned from these, so the row flatters them."
        )
    if result.hands != EVALUATION_HANDS:
        return (
            f"{hands} of FreiHAND's evaluation set, the published numbers on {EVALUATION_HANDS:,}: the rows "
            f"can be close, not equal. With test_images = {EVALUATION_HANDS} they are over the same hands."
        )
    if result.name not in PUBLISHED:
        return (
            "Measured on the same hands as the published numbers and by the same metrics, with crops as this "
            "network was trained on."
        )
    published, ours = PUBLISHED[result.name], result.evaluation
    if published.agrees(ours):
        return "Measured on the same hands: every published number is met, to its last digit."
    return (
        "Measured on the same hands, and NOT equal to the published numbers: aligned "
        f"{ours.pa_epe_mm / _MM_PER_CM:.2f} cm instead of {published.pa_epe_cm:.2f}, unaligned "
        f"{ours.epe_mm / _MM_PER_CM:.2f} cm instead of {published.epe_cm:.2f}."
    )


def _find(path: Path) -> Path:
    if path.is_absolute() or path.exists():
        return path
    try:
        inside = find_repository() / path
    except FileNotFoundError:
        return path
    return inside if inside.exists() else path


def _predict(network: PoseNetwork25D, hands: HandDataset) -> tuple[np.ndarray, np.ndarray]:
    """Predict and read the labels in one go, for a picture takes as long to decode as to look at."""
    found, true = [], []
    for start in range(0, len(hands), _TOGETHER):
        samples = [hands[k] for k in range(start, min(start + _TOGETHER, len(hands)))]
        for sample in samples:
            if sample.keypoints_3d is None or sample.bone_length is None:
                raise ValueError(
                    f"{sample.source} {sample.name}: expected keypoints and the bone's length (FreiHAND: "
                    "evaluation_xyz.json and evaluation_scale.json), found none; data/README.md says where "
                    "to get them"
                )
        true += [sample.keypoints_3d for sample in samples]
        found += [hand.keypoints_3d for hand in predict(network, samples)]
    return np.stack(found), np.stack(true)
