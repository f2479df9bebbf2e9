"""The command without a box: it finds the hands, names its outputs itself, and says what it found."""

import csv
import json

import cv2
import numpy as np
import pytest

from peclr_utils.datasets.images import read_image
from peclr_utils.inference import __main__ as command
from peclr_utils.inference.film import Film, write_film

from .test_film import moving
from .test_finding import DiscNetwork, picture

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


def test_a_film_becomes_a_film(main, tmp_path, capsys):
    write_film(tmp_path / "film.mp4", moving(), 24.0)
    assert main(tmp_path / "film.mp4", "--smooth", "--csv", tmp_path / "film.csv") == 0
    assert "20 hands in 12 frames" in capsys.readouterr().out
    film = Film(tmp_path / "film_hand.mp4")
    assert len(list(film)) == 12 and film.rate == 24.0
    rows = list(csv.DictReader((tmp_path / "film.csv").open(encoding="utf-8")))
    assert len(rows) == 20 * 21 and rows[0]["image"].endswith("film.mp4, frame 0")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected an image, a folder or a film; or --camera"),
        (["photo.png", "--camera", "0"], "or --camera NUMBER without one"),
        (["photo.png", "--smooth"], "--smooth: expected a film"),
        (["photo.png", "--left"], "--left: expected --box with it"),
        (["photo.png", "--smallest", "0"], "smallest must be from 0.02"),
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
