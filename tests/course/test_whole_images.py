"""A file evaluated on whole images: which hands, which row, and what is said about it."""

from dataclasses import replace

import numpy as np
import pytest

from peclr_utils.course import whole_images
from peclr_utils.course.whole_images import Measured, evaluate_whole_images, render_two_hands, verdict
from peclr_utils.datasets import TURNED, SyntheticHands, export_freihand
from peclr_utils.evaluation import evaluate_keypoints
from peclr_utils.models import PoseNetwork25D
from peclr_utils.weights import save_checkpoint


def test_networks_are_evaluated_on_freihands_evaluation_set_below_a_published_row_or_by_name(
    tmp_path, published_pose_file
):
    export_freihand(SyntheticHands(3, seed=5, size=64), tmp_path / "FreiHAND", part="evaluation")
    data = [f"freihand:{tmp_path / 'FreiHAND'}"]
    result = evaluate_whole_images(published_pose_file(tmp_path / "file.pth"), data, 2)
    assert (result.name, result.hands) == ("rn50", 2)
    assert "split=evaluation" in result.source
    ours = save_checkpoint(tmp_path / "ours.pt", PoseNetwork25D("resnet18"))
    result = evaluate_whole_images(ours, data, 9)
    assert (result.name, result.hands, len(result.evaluation.per_hand_epe_mm)) == ("ours.pt", 3, 3)


def test_without_freihand_it_is_evaluated_on_rendered_hands_and_a_missing_file_is_named(
    tmp_path, published_pose_file
):
    file = published_pose_file(tmp_path / "rn18.pth", "resnet18")
    result = evaluate_whole_images(file, [], 2)
    assert (result.source, result.hands, result.name) == (f"synthetic:2?seed=3&{TURNED}", 2, "rn18.pth")
    with pytest.raises(FileNotFoundError, match=r"typo\.pth"):
        evaluate_whole_images("typo.pth", [], 2)


HANDS = np.random.default_rng(0).normal(size=(4, 21, 3)) * 0.05 + [0, 0, 0.7]
EQUAL = replace(evaluate_keypoints(HANDS, HANDS), epe_mm=47.1, auc=0.357, pa_epe_mm=7.1, pa_auc=0.86)
FREIHAND = "freihand:data?split=evaluation"


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (Measured("rn50", FREIHAND, 3960, EQUAL), "every published number is met"),
        (Measured("rn152", FREIHAND, 3960, EQUAL), "NOT equal to the published numbers: aligned 0.71 cm"),
        (Measured("rn50", "freihand:data?split=val", 3960, EQUAL), "their errors here are too low"),
        (Measured("rn50", "synthetic:3960?seed=3", 3960, EQUAL), "that were rendered"),
    ],
)
def test_the_sentence_says_what_can_be_compared(result, words):
    assert words in verdict(result)


def test_the_chapters_scene_differs_from_the_empty_one_where_its_two_hands_are():
    scene, empty = render_two_hands(0)
    changed = (scene != empty).any(axis=2)
    assert scene.shape == empty.shape == (320, 520, 3) and changed[-1].any()
    halves = changed[:, :260].mean(), changed[:, 260:].mean()
    assert min(halves) > 0.03 and max(halves) < 0.3
    assert not changed[:60].any() and not changed[:, 240:280].all(axis=0).any()


def test_hands_are_right_ones_also_for_a_network_that_searches(tmp_path, monkeypatch, published_pose_file):
    told, original = [], whole_images.predict
    monkeypatch.setattr(whole_images, "predict", lambda *a, **k: told.append(k) or original(*a, **k))
    evaluate_whole_images(published_pose_file(tmp_path / "rn18.pth", "resnet18"), [], 1)
    assert told == [{"is_left": False}]
