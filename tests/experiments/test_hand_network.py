"""The recipe of the network for photographs: it labels what it predicts reliably; its steps resume."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from peclr_utils.camera import project
from peclr_utils.datasets import open_source
from peclr_utils.datasets.images import write_jpeg
from peclr_utils.experiments import hand_network
from peclr_utils.experiments.hand_network import (
    HandNetworkConfig,
    label_photographs,
    main,
    train_hand_network,
)
from peclr_utils.inference import predict
from peclr_utils.weights import load_pose_network
from tests.inference.test_finding import CIRCLE, DiscNetwork, picture


def folder_of_discs(folder, discs):
    for number, disc in enumerate(discs):
        write_jpeg(folder / f"{number}.jpg", picture(disc, width=120, height=120))
    return folder


class TurningNetwork(DiscNetwork):
    """Its circle of keypoints begins at the disc's notch, so it turns with the image."""

    any_angle = True

    def forward(self, images, K=None):
        output = super().forward(images, K)
        green = (images[:, 1] > 1.5).double() * (images[:, 0] < 0.5)
        axis = torch.arange(images.shape[2], dtype=torch.float64)
        notch = torch.stack([(green * axis).sum((1, 2)), (green * axis[:, None]).sum((1, 2))], 1)
        points = torch.view_as_complex(output.keypoints_2d.contiguous())
        centre = points[:, :20].mean(1, keepdim=True)
        notch = torch.view_as_complex(notch / green.sum((1, 2))[:, None])[:, None] - centre
        turned = centre + (points - centre) * notch / notch.abs()
        presence = torch.full_like(output.presence, 9.0)  # its notch may be anywhere
        return output._replace(keypoints_2d=torch.view_as_real(turned), presence=presence)


def test_turned_copies_of_a_crop_agree_if_the_network_turns_with_the_image():
    image = picture((60, 55, 30, "right"), width=120, height=120)
    hand = predict(TurningNetwork(), image, box=(30, 25, 90, 85))
    np.testing.assert_allclose(hand.keypoints_2d, np.array([60, 55]) + 30 * CIRCLE, atol=2)
    assert hand.spread < 0.04 and hand.presence > 0.9
    # What is lifted to 3D from all copies lies where the camera of the whole image sees it.
    np.testing.assert_allclose(project(hand.keypoints_3d, hand.K), hand.keypoints_2d, atol=1e-6)
    # A network whose keypoints don't turn with the hand disagrees with itself; one copy can't tell.
    still = DiscNetwork()
    assert predict(still, image, box=(30, 25, 90, 85)).spread is None
    still.any_angle = True
    assert predict(still, image, box=(30, 25, 90, 85)).spread > 0.3


def test_only_hands_that_the_network_is_sure_of_are_labelled(tmp_path):
    folder = folder_of_discs(tmp_path, [(60, 60, 30, "right"), (58, 62, 28, "right"), (60, 60, 2, "right")])
    assert label_photographs(TurningNetwork(), folder, tmp_path / "labels.json") == 2
    hands = open_source(f"coco:{folder}?labels={tmp_path / 'labels.json'}")
    assert [hand.name for hand in hands] == ["0.jpg", "1.jpg"] and hands[0].handedness == "right"
    np.testing.assert_allclose(hands[0].keypoints_2d, np.array([60, 60]) + 30 * CIRCLE, atol=3)
    unsure = DiscNetwork()
    unsure.any_angle = True
    with pytest.raises(ValueError, match="no right hand is predicted reliably in 3"):
        label_photographs(unsure, folder, tmp_path / "none.json")


def test_a_hand_away_from_the_middle_is_labelled_in_the_box_of_a_first_prediction(tmp_path, monkeypatch):
    folder = folder_of_discs(tmp_path, [(48, 70, 22, "right")])
    boxes = []

    def record(network, samples, is_left):
        boxes.append(samples[0].box)
        return predict(network, samples, is_left=is_left)

    monkeypatch.setattr(hand_network, "predict", record)
    assert label_photographs(TurningNetwork(), folder, tmp_path / "labels.json") == 1
    np.testing.assert_allclose(boxes[1], (26, 48, 70, 92), atol=4)


def test_photographs_that_cannot_be_read_are_skipped_with_one_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(hand_network, "CHUNK", 2)
    folder = folder_of_discs(tmp_path, [(52 + 4 * k, 60, 30, "right") for k in range(5)])
    for number in (1, 2, 3):  # one of the first chunk, and all of the second
        (folder / f"{number}.jpg").write_bytes(b"\xff\xd8 and no more")
    with pytest.warns(UserWarning, match="skipped 3 of 5 photographs.*1.jpg: a JPEG that is cut") as caught:
        assert label_photographs(TurningNetwork(), folder, tmp_path / "labels.json") == 2
    assert len([one for one in caught if "kipped" in str(one.message)]) == 1
    hands = open_source(f"coco:{folder}?labels={tmp_path / 'labels.json'}")
    assert [hand.name for hand in hands] == ["0.jpg", "4.jpg"]
    for hand, x in zip(hands, (52, 68), strict=True):
        np.testing.assert_allclose(hand.keypoints_2d, np.array([x, 60]) + 30 * CIRCLE, atol=3)


@pytest.mark.parametrize("stopped", ["pretrain", *hand_network.STEPS])
def test_no_step_starts_from_one_that_stopped_early(stopped, tmp_path, monkeypatch, capsys):
    started = []

    def train(config):
        started.append(Path(config.output).name)
        return SimpleNamespace(finished=started[-1] != stopped, model=None)

    monkeypatch.setattr(hand_network, "pretrain", train)
    monkeypatch.setattr(hand_network, "finetune", train)
    monkeypatch.setattr(hand_network, "label_photographs", lambda *_: 1)
    flags = ["--output", str(tmp_path), "--photographs", str(tmp_path), "--self_label"]
    assert main(flags) == 0
    steps = ["pretrain", *hand_network.STEPS]
    assert started == steps[: steps.index(stopped) + 1] and not list(tmp_path.glob("*.safetensors"))
    assert "stopped early; the same command resumes it" in capsys.readouterr().out


def test_the_steps_follow_one_another_and_are_read_back(tmp_path, monkeypatch):
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    folder_of_discs(photographs, [(60, 60, 30, "right")] * 8)

    def right_hands(network, samples, is_left):
        """An untrained network knows no sides: what it predicts is a right hand here."""
        hands = predict(network, samples, is_left=is_left)
        return [replace(hand, presence=float(not is_left)) for hand in hands]

    monkeypatch.setattr(hand_network, "predict", right_hands)
    monkeypatch.setattr("peclr_utils.experiments.hand_network.AGREEMENT", np.inf)
    monkeypatch.setattr("peclr_utils.experiments.hand_network.LIKELY", -np.inf)
    config = HandNetworkConfig.smoke(output=str(tmp_path / "run"), photographs=str(photographs))
    file = train_hand_network(config)
    network = load_pose_network(file)
    assert network.knows_presence and network.image_size == 32
    assert json.loads((tmp_path / "run" / "photographs.json").read_text())["annotations"]
    again = load_pose_network(train_hand_network(config)).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in network.state_dict().items())
