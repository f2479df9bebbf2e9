import json
import os
import re

import cv2
import numpy as np
import pytest
import torch

from peclr_utils.datasets.images import read_image
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
    cv2.imwrite(str(folder / "image.jpg"), np.full((180, 240, 3), 90, np.uint8))
    return folder


def command(folder, *more, output="out.png"):
    paths = [folder / "image.jpg", "--weights", folder / "network.pt", "--output", folder / output]
    return [*map(str, paths), *map(str, more)]


def test_the_skeleton_is_drawn_over_the_image_cropped_as_in_training(files, capsys):
    assert main(command(files, "--json", files / "out.json")) == 0
    said = capsys.readouterr().out
    assert "bone lengths (a guess: the camera is unknown" in said and "out.png" in said
    drawn, original = read_image(files / "out.png"), read_image(files / "image.jpg")
    assert drawn.shape == original.shape
    network = load_pose_network(files / "network.pt")
    expected = predict(network, files / "image.jpg", size=64, view_factor=1.2)
    values = json.loads((files / "out.json").read_text())
    np.testing.assert_allclose(values["keypoints_2d"], expected.keypoints_2d)
    np.testing.assert_allclose(values["keypoints_3d"], expected.keypoints_3d)
    assert values["unit"] == "bone lengths" and values["metric_depth_is_a_guess"] is True
    changed = (drawn != original).any(2)
    x, y = expected.keypoints_2d.round().astype(int).clip(0, [239, 179]).T
    assert changed[y, x].mean() > 0.5 and 0.005 < changed.mean() < 0.5


def test_everything_that_is_known_can_be_given(files, capsys):
    more = "--box 60 40 160 140 --intrinsics 300 310 120 90 --scale 0.03 --left".split()
    assert main(command(files, *more, "--json", files / "left.json", output="left.jpg")) == 0
    assert "metres" in (said := capsys.readouterr().out) and "guess" not in said
    values = json.loads((files / "left.json").read_text())
    assert values["K"] == [[300, 0, 120], [0, 310, 90], [0, 0, 1]] and values["is_left"] is True
    assert main(command(files, *"--scale average --size 32 --view-factor 1.5".split())) == 0
    assert "average adult" in capsys.readouterr().out


def copy(files, folder):
    """The inputs in a folder of their own, and links to the image."""
    for name in ("image.jpg", "network.pt"):
        (folder / name).write_bytes((files / name).read_bytes())
    (folder / "symlink.jpg").symlink_to(folder / "image.jpg")
    os.link(folder / "image.jpg", folder / "hardlink.jpg")
    (folder / "sub").mkdir()
    return {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}


NAMES = ["image.jpg", "sub/../image.jpg", "symlink.jpg", "hardlink.jpg"]


@pytest.mark.parametrize(
    ("option", "name"), [*((o, n) for o in ("--output", "--json") for n in NAMES), ("--json", "network.pt")]
)
def test_no_output_overwrites_an_input_by_any_name(files, tmp_path, capsys, option, name):
    before = copy(files, tmp_path)
    assert main(command(tmp_path, option, tmp_path / name)) == 2
    assert "would overwrite the input" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in before} == before and not (tmp_path / "out.png").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda line: ["nowhere.jpg", *line[1:]], "nowhere.jpg"),
        (lambda line: [*line[:3], "--output", "o.png", "--json", "./o.png"], "different files"),
        (lambda line: [*line, "--box", "500", "0", "600", "90"], "outside"),
    ],
)
def test_mistakes_are_one_line(files, capsys, change, message):
    assert main(change(command(files))) == 2
    (said,) = [line for line in capsys.readouterr().err.splitlines() if "peclr_utils.inference" in line]
    assert re.search(message, said)
