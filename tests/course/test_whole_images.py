"""A file evaluated on whole images: which hands, which row, and what is said about it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from peclr_utils.training.device import choose_device

from peclr_utils.course.whole_images import Measured, evaluate_whole_images, verdict
from peclr_utils.datasets import SyntheticHands, export_freihand, open_source
from peclr_utils.evaluation import evaluate_keypoints
from peclr_utils.inference import predict
from peclr_utils.models import PoseNetwork25D
from peclr_utils.weights import load_pose_network, save_checkpoint

NAMES = {"backbone.": "backend_model.", "root_refinement.": "zroot_ref.zroot_ref."}


def published_file(path, arch):
    """A file in the authors' layout, its weights random."""
    torch.manual_seed(0)
    state = {
        new + key.removeprefix(old): value
        for key, value in PoseNetwork25D(arch).state_dict().items()
        for old, new in NAMES.items()
        if key.startswith(old)
    }
    torch.save({"state_dict": state}, path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("downloads")
    published_file(folder / "rn18.pth", "resnet18")
    export_freihand(SyntheticHands(6, seed=5, size=64), folder / "FreiHAND", part="evaluation")
    return folder


def test_it_predicts_whole_images_by_two_crops_and_scores_all_of_them(folder):
    result = evaluate_whole_images(folder / "rn18.pth", [], 5)
    hands = open_source("synthetic:5?seed=3")
    samples = [hands[k] for k in range(5)]
    network = load_pose_network(folder / "rn18.pth").to(choose_device())
    found = np.stack([hand.keypoints_3d for hand in predict(network, samples)])
    true = np.stack([sample.keypoints_3d for sample in samples])
    assert (result.source, result.hands, result.name) == ("synthetic:5?seed=3", 5, "rn18.pth")
    assert result.evaluation.epe_mm == pytest.approx(evaluate_keypoints(found, true).epe_mm, rel=1e-4)


def test_a_published_network_on_freihands_evaluation_set_stands_below_its_published_row(folder):
    data = [f"freihand:{folder / 'FreiHAND'}"]
    result = evaluate_whole_images(published_file(folder / "file.pth", "resnet50"), data, 2)
    assert (result.name, result.hands) == ("rn50", 2)
    assert "split=evaluation" in result.source
    ours = save_checkpoint(folder / "ours.pt", PoseNetwork25D("resnet50"))
    assert evaluate_whole_images(ours, data, 1).name == "ours.pt"


HANDS = np.random.default_rng(0).normal(size=(4, 21, 3)) * 0.05 + [0, 0, 0.7]
EQUAL = replace(evaluate_keypoints(HANDS, HANDS), epe_mm=47.1, auc=0.357, pa_epe_mm=7.1, pa_auc=0.86)
FREIHAND = "freihand:data?split=evaluation"


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (Measured("rn50", FREIHAND, 3960, EQUAL), "every published number is met"),
        (Measured("rn152", FREIHAND, 3960, EQUAL), "NOT equal to the published numbers: aligned 0.71 cm"),
        (Measured("ours.pt", FREIHAND, 3960, EQUAL), "on the same hands"),
        (Measured("rn50", FREIHAND, 100, EQUAL), "100 hands of FreiHAND's evaluation set"),
        (Measured("rn50", "freihand:data?split=val", 3960, EQUAL), "the row flatters them"),
        (Measured("rn50", "synthetic:3960?seed=3", 3960, EQUAL), "that were rendered"),
    ],
)
def test_the_sentence_says_what_can_be_compared(result, words):
    assert words in verdict(result)
