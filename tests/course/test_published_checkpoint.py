"""A published file evaluated in the course: which hands, which row, and what is said about it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from peclr_utils.course import published
from peclr_utils.course.published import Measured, evaluate_whole_pictures, verdict
from peclr_utils.datasets import SyntheticHands, export_freihand, open_source
from peclr_utils.evaluation import PUBLISHED, evaluate_keypoints, published_table
from peclr_utils.inference import predict
from peclr_utils.models import PoseNetwork25D
from peclr_utils.training.engine import choose_device
from peclr_utils.weights import load_pose_network, save_checkpoint

NAMES = {"backbone.": "backend_model.", "root_refinement.": "zroot_ref.zroot_ref."}


def published_file(path, arch="resnet18"):
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
    published_file(folder / "rn18.pth")
    export_freihand(SyntheticHands(6, seed=5, size=64), folder / "FreiHAND", part="evaluation")
    return folder


def scored(**numbers):
    hands = np.random.default_rng(0).normal(size=(4, 21, 3)) * 0.05 + [0, 0, 0.7]
    return replace(evaluate_keypoints(hands, hands), **numbers)


def test_it_predicts_whole_pictures_by_two_crops_and_scores_all_of_them(folder):
    result = evaluate_whole_pictures(folder / "rn18.pth", [], 5)
    hands = open_source("synthetic:5?seed=3")
    samples = [hands[k] for k in range(5)]
    network = load_pose_network(folder / "rn18.pth").to(choose_device("auto"))
    found = np.stack([hand.keypoints_3d for hand in predict(network, samples)])
    true = np.stack([sample.keypoints_3d for sample in samples])
    assert (result.source, result.hands, result.name) == ("synthetic:5?seed=3", 5, "rn18.pth")
    assert result.evaluation.epe_mm == pytest.approx(evaluate_keypoints(found, true).epe_mm, rel=1e-4)


def test_the_hands_are_freihands_evaluation_set_if_it_is_there(folder):
    result = evaluate_whole_pictures(folder / "rn18.pth", [f"freihand:{folder / 'FreiHAND'}"], 4)
    assert result.hands == 4
    assert "split=evaluation" in result.source


@pytest.mark.parametrize(
    ("arch", "row"), [("resnet50", "rn50"), ("resnet152", "rn152"), ("resnet18", "file")]
)
def test_a_published_network_stands_below_its_published_row(arch, row, tmp_path, monkeypatch):
    with torch.device("meta"):
        network = PoseNetwork25D(arch, "ait_palm")
    monkeypatch.setattr(PoseNetwork25D, "to", lambda self, device: self)
    monkeypatch.setattr(published, "load_pose_network", lambda path: network)
    monkeypatch.setattr(published, "_predict", lambda network, hands: (np.ones((2, 21, 3)) * 0.1,) * 2)
    assert evaluate_whole_pictures(tmp_path / "file", [], 2).name == row


def test_a_network_of_ours_is_evaluated_under_its_files_name(folder):
    save_checkpoint(folder / "ours.pt", PoseNetwork25D("resnet18"))
    assert evaluate_whole_pictures(folder / "ours.pt", [], 2).name == "ours.pt"


def test_a_relative_path_counts_from_the_current_folder_then_from_the_repository(
    folder, tmp_path, monkeypatch
):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(published, "find_repository", lambda: folder)
    assert published._find(published.Path("rn18.pth")) == folder / "rn18.pth"
    (tmp_path / "here" / "rn18.pth").touch()
    assert published._find(published.Path("rn18.pth")) == published.Path("rn18.pth")


def test_a_missing_file_and_one_of_another_kind_are_refused_by_name(folder):
    with pytest.raises(FileNotFoundError, match=r"typo\.pth: there is no such checkpoint"):
        evaluate_whole_pictures("typo.pth", [], 2)
    torch.save({"state_dict": {"weight": torch.ones(2)}}, folder / "other.pth")
    with pytest.raises(ValueError, match=r"other\.pth"):
        evaluate_whole_pictures(folder / "other.pth", [], 2)


EQUAL = scored(epe_mm=47.1, auc=0.357, pa_epe_mm=7.1, pa_auc=0.86)
FREIHAND = "freihand:data?split=evaluation"


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (Measured("rn50", FREIHAND, 3960, EQUAL), "every published number is met"),
        (
            Measured("rn152", FREIHAND, 3960, EQUAL),
            "NOT equal to the published numbers: aligned 0.71 cm instead",
        ),
        (Measured("ours.pt", FREIHAND, 3960, EQUAL), "on the same hands"),
        (Measured("rn50", FREIHAND, 100, EQUAL), "100 hands of FreiHAND's evaluation set"),
        (Measured("rn50", "freihand:data?split=val", 3960, EQUAL), "the row flatters them"),
        (Measured("rn50", "synthetic:3960?seed=3", 3960, EQUAL), "nothing to compare"),
    ],
)
def test_the_sentence_says_what_can_be_compared(result, words):
    assert words in verdict(result)


def test_the_row_appears_in_the_table_of_published_numbers():
    assert set(PUBLISHED) == {"rn50", "rn152"}
    table = published_table({"rn50": EQUAL}).splitlines()
    assert "published" in table[2] and "measured here" in table[3]
    assert table[2].split("|")[3:] == table[3].split("|")[3:]
