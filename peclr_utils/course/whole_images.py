"""Whole images, in which a network finds the hand itself: chapter 05 evaluates on them and shows one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from peclr_utils.datasets import SyntheticHands
from peclr_utils.evaluation import EVALUATION_HANDS, PUBLISHED, Evaluation, evaluate_keypoints
from peclr_utils.hands import ViewRange
from peclr_utils.hands.backgrounds import composite, sample_background
from peclr_utils.inference import predict
from peclr_utils.training.device import choose_device
from peclr_utils.weights import load_pose_network

from .labelled_hands import held_out_hands, labelled_source


@dataclass(frozen=True, eq=False)
class Measured:
    """A network's evaluation on whole images."""

    name: str  # a key of `evaluation.PUBLISHED` if it is one of the authors' networks, else the file's name
    source: str  # the hands, as `labelled_source` names them
    hands: int  # how many
    evaluation: Evaluation


def evaluate_whole_images(checkpoint: str | Path, data: Sequence[str], count: int) -> Measured:
    """Evaluate a pose network from a file on hands that it has to find itself, by two crops.

    Args:
        checkpoint: a network of the authors, which sees their crops, or one of this project, which sees those
            it was trained on.
        data: source names; the hands are FreiHAND's evaluation set if it is among them, otherwise rendered.
        count: how many hands; chapter 05 tests every other network on the same ones.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds no pose network; names the file.
    """
    network = load_pose_network(checkpoint).to(choose_device())
    hands = held_out_hands(data, "test", count)
    found, true = [], []
    for start in range(0, len(hands), 32):  # decode each image once, for prediction and label
        samples = [hands[k] for k in range(start, min(start + 32, len(hands)))]
        true += [sample.keypoints_3d for sample in samples]
        found += [hand.keypoints_3d for hand in predict(network, samples, is_left=False)]
    row = network.arch.replace("resnet", "rn")
    name = row if network.keypoint_order == "ait_palm" and row in PUBLISHED else Path(checkpoint).name
    evaluation = evaluate_keypoints(np.stack(found), np.stack(true))
    return Measured(name, labelled_source(data, "test", count), len(hands), evaluation)


def verdict(result: Measured) -> str:
    """Say in a sentence how far a row can be compared with the published ones."""
    hands, every = f"Measured on {result.hands:,} hands", f"{EVALUATION_HANDS:,}"
    if not result.source.startswith("freihand:"):
        return f"{hands} that were rendered; the published numbers are over {every} photographs of FreiHAND."
    if "split=evaluation" not in result.source:
        return (
            f"{hands} of FreiHAND's training set, because the evaluation set's labels are missing. The "
            "published networks learned from these, so their errors here are too low."
        )
    if result.hands != EVALUATION_HANDS:
        return f"{hands} of FreiHAND's evaluation set, the published numbers on {every}: close, not equal."
    if result.name not in PUBLISHED:
        return "Measured on the same hands by the same metrics, with crops as this network was trained on."
    published, ours = PUBLISHED[result.name], result.evaluation
    if published.agrees(ours):
        return "Measured on the same hands: every published number is met, to its last digit."
    return (
        "Measured on the same hands, and NOT equal to the published numbers: aligned "
        f"{ours.pa_epe_mm / 10:.2f} cm instead of {published.pa_epe_cm:.2f}, unaligned "
        f"{ours.epe_mm / 10:.2f} cm instead of {published.epe_cm:.2f}."
    )


def render_two_hands(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Render a scene with a left hand in its left half and a right one in its right half.

    Returns:
        The scene with the hands and without them, (320, 520, 3) uint8 each.
    """
    empty = sample_background(np.random.default_rng(seed), (320, 520))
    image, view = empty.copy(), ViewRange(max_angle_degrees=30, roll_degrees=10)
    for left, x in ((1, 0), (0, 200)):
        # A border this wide ends at the scene's lower edge, where the forearm may be cut.
        options = {"size": 200, "border": 0.3, "view": view, "left_fraction": left}
        hand, part = SyntheticHands(1, seed + 1 - left, **options)[0], image[:, x : x + 320]
        part[:] = composite(hand.image, hand.mask, part)
    return image, empty
