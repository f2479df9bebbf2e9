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


def test_a_folder_gives_what_can_be_read_and_the_reasons_for_the_rest(files, tmp_path, capsys):
    folder, output = tmp_path / "photographs", tmp_path / "out"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.jpg", "sub/b.jfif"):
        (folder / name).write_bytes((files / "image.jpg").read_bytes())
    (folder / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    (folder / "empty.jpg").touch()
    (folder / "notes.jpg").write_text("This is a list of all photographs.")
    arguments = [str(folder), "--weights", str(files / "network.pt"), "--output", str(output)]
    assert main([*arguments, "--json", str(tmp_path / "hands.json")]) == 1
    said = capsys.readouterr()
    for reason in (
        "phone.heic: a .heic file, which OpenCV can't read",
        "empty.jpg: an empty file",
        "notes.jpg: a text file",
    ):
        assert said.err.count(reason) == 1
    assert "skipped 3 of 5" in said.out and said.out.count("hand within") == 2
    assert sorted(path.name for path in output.rglob("*.*")) == ["a.jpg", "b.jfif.png"]
    alone = predict(load_pose_network(files / "network.pt"), folder / "a.jpg")
    values = json.loads((tmp_path / "hands.json").read_text())
    np.testing.assert_allclose([hand["keypoints_2d"] for hand in values], [alone.keypoints_2d] * 2)
    assert main([*arguments[:-1], str(folder / "inside")]) == 2
    assert "expected a folder of its own, outside of" in capsys.readouterr().err


def test_several_boxes_are_several_hands(files, tmp_path, capsys):
    boxes = [(10, 20, 90, 110), (120, 40, 220, 150)]
    more = [*"--box 10 20 90 110 --box 120 40 220 150 --json".split(), tmp_path / "two.json"]
    assert main(command(files, *more)) == 0
    assert capsys.readouterr().out.count("hand within") == 2
    expected = predict(load_pose_network(files / "network.pt"), files / "image.jpg", box=boxes)
    values = json.loads((tmp_path / "two.json").read_text())
    for hand, given in zip(expected, values, strict=True):
        np.testing.assert_allclose(given["keypoints_2d"], hand.keypoints_2d)
    table = tmp_path / "boxes.csv"
    table.write_text("name,x1,y1,x2,y2\nimage.jpg,10,20,90,110\nimage.jpg,120,40,220,150\n")
    folder = [str(files), "--weights", str(files / "network.pt"), "--output", str(tmp_path / "out")]
    assert main([*folder, "--boxes", str(table), "--json", str(tmp_path / "table.json")]) == 0
    named = [{**hand, "image": "image.jpg"} for hand in values]
    assert json.loads((tmp_path / "table.json").read_text()) == named


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
