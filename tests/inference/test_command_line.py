import json
import re
import runpy
import sys

import cv2
import numpy as np
import pytest
import torch

from peclr_utils.datasets.images import read_image
from peclr_utils.inference import __main__ as command_line
from peclr_utils.inference import predict
from peclr_utils.inference.__main__ import main
from peclr_utils.models import PoseNetwork25D
from peclr_utils.weights import load_pose_network, save_checkpoint


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("a folder with spaces")
    torch.manual_seed(0)
    network = PoseNetwork25D("resnet18")
    angle = torch.linspace(0, 6, 21)
    hand = torch.stack([32 + 20 * torch.cos(angle), 32 + 20 * torch.sin(angle), 0.1 * angle], 1)
    network.start_at(hand, torch.full((21, 3), 0.1))
    save_checkpoint(folder / "network.pt", network, config={"image_size": 64, "view_factor": 1.2})
    image = np.full((180, 240, 3), 90, np.uint8)
    cv2.imwrite(str(folder / "image.jpg"), image)
    return folder


def command(files, *more, output="out.png"):
    return [
        str(files / "image.jpg"), "--weights", str(files / "network.pt"), "--output", str(files / output),
        *more,
    ]  # fmt: skip


def test_the_skeleton_is_drawn_over_the_picture(files, capsys):
    assert main(command(files, "--json", str(files / "out.json"))) == 0
    said = capsys.readouterr().out
    assert "bone lengths (a guess: its camera is unknown" in said and "out.png" in said
    drawn, original = read_image(files / "out.png"), read_image(files / "image.jpg")
    assert drawn.shape == original.shape
    expected = predict(load_pose_network(files / "network.pt"), files / "image.jpg")
    values = json.loads((files / "out.json").read_text())
    np.testing.assert_allclose(values["keypoints_2d"], expected.keypoints_2d)
    np.testing.assert_allclose(values["keypoints_3d"], expected.keypoints_3d)
    assert values["unit"] == "bone lengths" and values["metric_depth_is_a_guess"] is True
    changed = (drawn != original).any(2)
    for x, y in expected.keypoints_2d.round().astype(int):
        if 0 <= x < 240 and 0 <= y < 180:
            assert changed[y, x]
    assert 0.005 < changed.mean() < 0.5


def test_all_that_is_known_can_be_given(files, capsys):
    more = [
        "--box",
        "60",
        "40",
        "160",
        "140",
        "--intrinsics",
        "300",
        "310",
        "120",
        "90",
        "--scale",
        "0.03",
        "--left",
    ]
    assert main(command(files, *more, "--json", str(files / "left.json"), output="left.jpg")) == 0
    assert "metres" in (said := capsys.readouterr().out) and "guess" not in said
    values = json.loads((files / "left.json").read_text())
    assert values["K"] == [[300, 0, 120], [0, 310, 90], [0, 0, 1]] and values["is_left"] is True
    assert main(command(files, "--scale", "average", "--size", "64")) == 0
    assert "average adult" in capsys.readouterr().out


def test_crops_are_cut_as_in_training_unless_said_otherwise(files, monkeypatch):
    crops = []

    def note(network, image, *_, **options):
        crops.append((network.image_size, network.view_factor, options["size"], options["view_factor"]))
        return predict(network, image, **options)

    monkeypatch.setattr(command_line, "predict", note)
    assert main(command(files)) == main(command(files, "--size", "32", "--view-factor", "1.5")) == 0
    assert crops == [(64, 1.2, None, None), (64, 1.2, 32, 1.5)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda line: ["nowhere.jpg", *line[1:]], "nowhere.jpg: no such image"),
        (lambda line: [line[0], "--weights", "nowhere.pt", *line[3:]], "nowhere.pt"),
        (lambda line: [*line[:3], "--output", "out.hand"], "out.hand.*ending"),
        (lambda line: [*line[:3], "--output", "no such folder/out.png"], "folder"),
        (lambda line: [*line, "--box", "500", "0", "600", "90"], "outside"),
    ],
)
def test_mistakes_are_one_line(files, capsys, change, message):
    assert main(change(command(files))) == 2
    said = capsys.readouterr().err.strip().splitlines()
    said = [line for line in said if "peclr_utils.inference" in line]
    assert len(said) == 1
    assert re.search(message, said[0])


def test_it_runs_as_a_module(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["inference", "--help"])
    monkeypatch.delitem(sys.modules, "peclr_utils.inference.__main__")
    with pytest.raises(SystemExit) as end:
        runpy.run_module("peclr_utils.inference", run_name="__main__")
    said = capsys.readouterr().out
    assert end.value.code == 0 and "--weights" in said and "Buryanov" in said
