"""The command without a box: it finds the hands, names its outputs itself, and says what it found."""

import csv
import json
import os
import signal
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest

from peclr_utils.datasets.images import read_image
from peclr_utils.inference import __main__ as command
from peclr_utils.inference.film import Film, write_film

from .test_film import moving
from .test_finding import DiscNetwork, find, picture

RIGHT, LEFT = (120, 110, 50, "right"), (300, 190, 40, "left")


@pytest.fixture
def main(monkeypatch):
    """The command with a network that comes with it and knows discs."""
    asked = []
    monkeypatch.setattr(command, "load_pose_network", lambda *path: asked.append(path) or DiscNetwork())
    yield lambda *arguments: command.main([str(argument) for argument in arguments])
    assert all(path == () for path in asked)  # none was named


def write(path, *discs):
    cv2.imwrite(str(path), picture(*discs)[..., ::-1])
    return path


def test_a_photograph_needs_nothing_but_its_name(main, tmp_path, capsys):
    photo = write(tmp_path / "photo.png", RIGHT, LEFT)
    assert main(photo) == 0
    said = capsys.readouterr().out
    assert "right hand (" in said and "left hand (" in said and "photo_hand.png" in said
    assert "2 hands in 1 images" in said and "images per second" in said
    drawn = read_image(tmp_path / "photo_hand.png")
    assert drawn.shape == (300, 400, 3) and (drawn != read_image(photo)).any()


def test_keypoints_go_into_json_and_a_table(main, tmp_path):
    photo = write(tmp_path / "photo.png", RIGHT, LEFT)
    assert main(photo, "--json", tmp_path / "a.json", "--csv", tmp_path / "a.csv") == 0
    hands = json.loads((tmp_path / "a.json").read_text())
    rows = list(csv.DictReader((tmp_path / "a.csv").open(encoding="utf-8")))
    assert len(hands) == 2 and len(rows) == 42 and {row["side"] for row in rows} == {"left", "right"}
    for hand, part in zip(hands, (rows[:21], rows[21:]), strict=True):
        points = [[float(row["x"]), float(row["y"])] for row in part]
        np.testing.assert_allclose(points, hand["keypoints_2d"], atol=0.006)
        assert 0.5 < hand["presence"] <= 1 and [row["hand"] for row in part] == [part[0]["hand"]] * 21
    write(tmp_path / "empty.png")
    assert main(tmp_path / "empty.png", "--json", tmp_path / "b.json", "--csv", tmp_path / "b.csv") == 0
    assert json.loads((tmp_path / "b.json").read_text()) == []
    assert (tmp_path / "b.csv").read_text().count("\n") == 1


def test_a_folder_becomes_a_folder_and_images_without_a_hand_are_named(main, tmp_path, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    write(folder / "a.png", RIGHT), write(folder / "b.png"), write(folder / "c.png", LEFT)
    (folder / "broken.jpg").write_bytes(b"")
    assert main(folder) == 1
    said = capsys.readouterr()
    assert "b.png: no hand found" in said.out and "broken.jpg: an empty file" in said.err
    assert "skipped 1 of 4; 2 hands in 3 images" in said.out
    assert sorted(path.name for path in (tmp_path / "photos_hands").iterdir()) == ["a.png", "b.png", "c.png"]


@pytest.fixture
def folder(tmp_path):
    """A folder of three images, with a name like an error's."""
    folder = tmp_path / "Rome: photos"
    folder.mkdir()
    write(folder / "a.png", RIGHT), write(folder / "b.png", RIGHT, LEFT), write(folder / "c.png", LEFT)
    return folder


def test_ctrl_c_ends_a_folder_and_keeps_what_was_found(main, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "_draw", lambda image, hands: signal.raise_signal(signal.SIGINT) or image)
    assert main(folder, "--json", tmp_path / "a.json") == 130
    assert "stopped after 1 images; what was found in them is written" in capsys.readouterr().err
    assert [hand["image"] for hand in json.loads((tmp_path / "a.json").read_text())] == ["a.png"]
    assert [path.name for path in (tmp_path / "Rome: photos_hands").iterdir()] == ["a.png"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such a name")
def test_a_name_that_is_not_unicode_reaches_the_table_as_far_as_it_is_text(main, tmp_path, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    write(folder / "a.png", RIGHT).rename(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.png"))
    assert main(folder, "--csv", tmp_path / "a.csv") == 0
    assert "caf?.png: right hand" in capsys.readouterr().out
    assert "\ncaf?.png," in (tmp_path / "a.csv").read_text(encoding="utf-8")


def test_what_is_skipped_in_a_folder_is_neither_looked_at_nor_written(main, folder, tmp_path, capsys):
    (folder / "b.png").write_bytes(b"")
    (folder / "clip.mp4").write_bytes(b"a film")
    assert main(folder) == 1
    said = capsys.readouterr()
    assert "skipped 2 of 4; 2 hands in 2 images" in said.out and "b.png: an empty file" in said.err
    assert "clip.mp4: a film; give it by its own name" in said.err
    assert main(folder, "--scale", "45", "--output", tmp_path / "none") == 1
    said = capsys.readouterr()
    assert "done; skipped 4 of 4; 0 hands in 0 images" in said.out and "no hand found" not in said.out
    assert "a.png: scale must be" in said.err and not (tmp_path / "none").exists()


@pytest.mark.parametrize(("first", "code", "looked"), [("a.png", 2, 1), ("b.png", 1, 3)])
def test_an_output_that_cannot_be_written_costs_nothing_found(
    main, folder, tmp_path, monkeypatch, capsys, first, code, looked
):
    """The first one ends the run at once, later ones are skipped."""
    searched, original, write_image = [], command.search, command.write_image

    def full(path, image):
        if path.name == first:
            raise OSError(28, "No space left on device", str(path))
        write_image(path, image)

    def search(*given, **more):
        for found in original(*given, **more):
            searched.append(found)
            yield found

    monkeypatch.setattr(command, "search", search)
    monkeypatch.setattr(command, "write_image", full)
    assert main(folder, "--csv", tmp_path / "a.csv") == code
    assert "No space left" in capsys.readouterr().err and len(searched) == looked
    if code == 1:
        assert (tmp_path / "a.csv").read_text().count("\n") == 1 + 4 * 21


@pytest.mark.parametrize("option", ["--csv", "--json"])
def test_a_table_of_boxes_is_never_overwritten(main, folder, tmp_path, capsys, option):
    for table in (folder / "boxes.csv", tmp_path / "boxes.csv"):
        table.write_text("name,x1,y1,x2,y2\na.png,70,60,170,160\n")
        named = table.name if table.parent == folder else table
        assert main(folder, "--boxes", named, option, table) == 2
        assert "would overwrite the input" in capsys.readouterr().err
        assert table.read_text().startswith("name,x1")


def test_the_folder_of_outputs_neither_holds_the_images_nor_lies_among_them(main, folder, tmp_path, capsys):
    for output in (folder, folder / "drawn", tmp_path, tmp_path / "x" / ".."):
        assert main(folder, "--output", output) == 2
        assert "expected a folder of its own" in capsys.readouterr().err


def test_a_film_becomes_a_film(main, tmp_path, capsys):
    write_film(tmp_path / "film.mp4", moving(), 24.0)
    assert main(tmp_path / "film.mp4", "--smooth", "--csv", tmp_path / "film.csv") == 0
    assert "20 hands in 12 frames" in capsys.readouterr().out
    film = Film(tmp_path / "film_hand.mp4")
    assert len(list(film)) == 12 and film.rate == 24.0
    rows = list(csv.DictReader((tmp_path / "film.csv").open(encoding="utf-8")))
    assert len(rows) == 20 * 21 and rows[0]["image"].endswith("film.mp4, frame 0")
    sides = {row["hand"]: row["side"] for row in rows}
    assert {row["frame"] for row in rows} == {str(k) for k in range(12)} and len(sides) == 2
    assert all(sides[row["hand"]] == row["side"] for row in rows)


def test_the_camera_and_the_bone_reach_a_film(main, tmp_path, capsys):
    write_film(tmp_path / "film.mp4", moving(3), 24.0)
    options = "--intrinsics 500 510 20 15 --scale 0.03 --json".split()
    assert main(tmp_path / "film.mp4", *options, tmp_path / "a.json") == 0
    for hand in json.loads((tmp_path / "a.json").read_text()):
        np.testing.assert_allclose(hand["K"], [[500, 0, 20], [0, 510, 15], [0, 0, 1]])
        assert hand["bone_length"] == 0.03 and hand["unit"] == "metres"
    assert capsys.readouterr().err.count("K doesn't fit an image of 400 x 300 pixels") == 1


def test_ctrl_c_ends_a_film_and_keeps_what_was_found(main, tmp_path, monkeypatch, capsys):
    write_film(tmp_path / "film.mp4", moving(), 24.0)
    drawn, original = [], command._draw

    def draw(*given):
        drawn.append(1)
        if len(drawn) == 5:
            signal.raise_signal(signal.SIGINT)
        return original(*given)

    monkeypatch.setattr(command, "_draw", draw)
    outputs = ["--json", tmp_path / "a.json", "--csv", tmp_path / "a.csv"]
    assert main(tmp_path / "film.mp4", *outputs) == 130
    assert "stopped after 5 frames" in capsys.readouterr().err
    assert len(list(Film(tmp_path / "film_hand.mp4"))) == 5
    hands = json.loads((tmp_path / "a.json").read_text())
    assert [hand["frame"] for hand in hands] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert (tmp_path / "a.csv").read_text().count("\n") == 1 + 10 * 21
    assert {path.name for path in tmp_path.iterdir()} == {"film.mp4", "film_hand.mp4", "a.json", "a.csv"}


def test_ctrl_c_in_an_image_is_one_line(main, tmp_path, monkeypatch, capsys):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "search", stop)
    assert main(write(tmp_path / "photo.png", RIGHT)) == 130
    assert capsys.readouterr().err.strip() == f"{command.PROGRAM}: stopped"


def test_the_network_of_the_repository_has_a_name(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(command, "load_pose_network", lambda *path: asked.append(path) or DiscNetwork())
    assert command.main([str(write(tmp_path / "photo.png", RIGHT)), "--weights", "hand"]) == 0
    assert asked == [("hand",)]


def test_a_table_without_a_usable_box_is_skipped_line_by_line(main, tmp_path, capsys):
    folder, table = tmp_path / "photos", tmp_path / "boxes.csv"
    folder.mkdir()
    write(folder / "a.png", RIGHT)
    table.write_text("name,x1,y1,x2,y2\na.png,500,400,600,500\na.png,700,400,800,500\n")
    assert main(folder, "--boxes", table, "--json", tmp_path / "a.json") == 1
    said = capsys.readouterr()
    assert said.err.count("outside the image") == 2
    assert "done; skipped 2 of 2; 0 hands in 0 images" in said.out
    assert json.loads((tmp_path / "a.json").read_text()) == []


def test_what_is_not_finite_is_null_in_json_and_unsure_in_words():
    (hand,) = find(picture(RIGHT))
    lost = replace(hand, keypoints_2d=hand.keypoints_2d * np.nan, keypoints_3d=hand.keypoints_3d * np.inf)
    values = json.loads(json.dumps(command.numbers(replace(lost, spread=np.inf)), allow_nan=False))
    assert values["spread"] is None and values["keypoints_2d"] == [[None] * 2] * 21
    assert values["keypoints_3d"] == [[None] * 3] * 21 and values["presence"] == hand.presence
    said = command.describe(replace(hand, spread=np.inf), 300, 400)
    assert "unsure, turned copies of the image disagree" in said and "inf" not in said
    assert "disagree by 25% of" in command.describe(replace(hand, spread=0.25), 300, 400)
    assert "unsure" not in command.describe(replace(hand, spread=0.05), 300, 400)
    assert "hand (" in (said := command.describe(lost, 300, 400)) and "without a finite keypoint" in said


def test_a_hand_is_described_by_its_keypoints_in_the_image():
    (hand,) = find(picture(RIGHT))
    (x1, y1), (x2, y2) = (
        end(axis=0).round().astype(int) for end in (hand.keypoints_2d.min, hand.keypoints_2d.max)
    )
    assert f"within x {x1}..{x2}, y {y1}..{y2}," in command.describe(hand, 300, 400)
    assert f"within x {x1}..99, y {y1}..79," in command.describe(hand, 80, 100)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected an image, a folder or a film; or --camera"),
        (["photo.png", "--camera", "0"], "or --camera NUMBER without one"),
        (["photo.png", "--smooth"], "--smooth: expected a film"),
        (["photo.png", "--left"], "--left: expected --box with it"),
        (["photo.png", "--smallest", "0"], "smallest must be from 0.02"),
        (["photo.png", "--most", "0"], "most must be at least 1"),
        (["photo.png", "--size", "64"], "--size: expected none; where hands are searched"),
        (["film.mp4", "--view-factor", "1.5"], "--view-factor: expected none"),
        (
            ["photo.png", *"--box 70 60 170 160 --most 2".split()],
            "--most: expected none; hands are searched only",
        ),
        (["photo.png", *"--box 70 60 170 160 --smallest 0.2".split()], "--smallest: expected none"),
        (["photo.png", *"--box 70 60 170 160 --size 0".split()], "size must be positive, found 0"),
        ([".", "--output", "../o", "--boxes", "b.csv", "--left"], "its table has a column for the side"),
        (["film.mp4", "--box", "1", "2", "30", "40"], "in a film hands are searched"),
        (["film.mp4", "--output", "film.png"], "ends in .mp4"),
        (["film.mp4"], "can't read a frame"),
        (["gone.mov"], "no such film"),
        (["photo.png", "--csv", "a.x", "--json", "a.x"], "must be different files"),
    ],
)
def test_mistakes_are_one_line(main, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "photo.png", RIGHT)
    (tmp_path / "film.mp4").write_text("not a film")
    assert main(*arguments) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith(command.PROGRAM)]
    assert len(lines) == 1 and message in lines[0]
