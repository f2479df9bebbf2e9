import json
import re

import numpy as np
import pytest

from peclr_utils.datasets.check import check, main
from peclr_utils.skeleton import reorder


@pytest.fixture
def whole(freihand_root):
    freihand_root(count=10, versions=4)
    return freihand_root(count=4, versions=1, part="evaluation")


def test_a_whole_freihand_has_nothing_wrong_and_is_described(whole):
    report = check("freihand", str(whole))
    text = str(report)
    assert report.ok, text
    assert "training: 10 photographs with K, xyz, scale" in text
    assert f"{whole / 'training' / 'rgb'}: 40 files, 4 version(s) of 10 photographs" in text
    assert f"{whole / 'training' / 'mask'}: 10 files, 1 version(s)" in text
    assert "evaluation: 4 photographs" in text
    assert "training: decoded 8 of 40 images, 32 x 24 pixels" in text
    assert text.endswith("Nothing is wrong.")


def test_the_command_line_and_its_exit_code_say_what_is_wrong(whole, capsys):
    assert main(["freihand", str(whole)]) == 0
    (whole / "training" / "rgb" / "00000013.jpg").unlink()
    assert main(["freihand", str(whole)]) == 1
    problem = f"PROBLEM: {whole / 'training' / 'rgb'}: 1 files are missing: 00000013.jpg"
    assert problem in capsys.readouterr().out
    assert main(["freihand", str(whole / "training")]) == 1
    assert f"found it in {whole}" in capsys.readouterr().out


def test_missing_superfluous_and_broken_files_are_counted_and_named(whole):
    rgb = whole / "training" / "rgb"
    for number in (13, 14, 27, 28):
        (rgb / f"{number:08d}.jpg").unlink()
    (whole / "training" / "mask" / "00000002.jpg").unlink()
    (rgb / "00000040.jpg").write_bytes((rgb / "00000000.jpg").read_bytes())
    (rgb / "00000000.jpg").write_bytes(b"")
    (rgb / "00000020.jpg").write_bytes(b"<html>")
    (rgb / "00000039.jpg").write_bytes((rgb / "00000039.jpg").read_bytes()[:-40])
    found = str(check("freihand", str(whole), decode=None))
    assert f"{rgb}: 4 files are missing: 00000013.jpg, 00000014.jpg, 00000027.jpg, ...; unpack" in found
    assert f"{whole / 'training' / 'mask'}: 1 files are missing: 00000002.jpg" in found
    assert f"{rgb}: 1 files have no label: 00000040.jpg; images and labels must be of one release" in found
    assert "training: 3 decoded images are broken" in found
    assert "00000039.jpg: a JPEG that is cut short" in found


def test_damaged_labels_and_folders_without_images_are_a_problem(whole, tmp_path):
    (whole / "training_K.json").write_text("[[")
    assert "training_K.json: expected a JSON list" in str(check("freihand", str(whole)))
    for number in range(4):
        (whole / "evaluation" / "rgb" / f"{number:08d}.jpg").unlink()
    assert "rgb: 4 files are missing" in str(check("freihand", str(whole)))
    for kind in ("freihand", "youtube", "folder"):
        assert "PROBLEM" in str(check(kind, tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("xyz", lambda xyz: xyz * 1000, r"the bone 9-10 is .* long in the median hand, .* must be metres"),
        ("xyz", lambda xyz: -xyz, "10 of 10 hands have keypoints behind the camera; .* negate y and z"),
        ("xyz", lambda xyz: reorder(xyz, "freihand", "mano"), "the keypoints .* may be in 'mano'"),
        ("xyz", lambda xyz: xyz * [-1, 1, 1], "100% of the hands bend .* as hands of the other side"),
        ("scale", lambda scale: scale * 1.5, "scale differs from the bone 9-10 by 50%"),
        ("K", lambda K: K * [[5], [5], [1]], ".* of the keypoints lie inside the images .*; K, xyz and"),
    ],
)
def test_units_axes_and_orders_that_make_no_sense_are_a_problem(whole, kind, change, message):
    path = whole / f"training_{kind}.json"
    path.write_text(json.dumps(change(np.array(json.loads(path.read_text()))).tolist()))
    problems = check("freihand", str(whole)).problems
    assert any(re.search(f"training: {message}", problem) for problem in problems), problems


def test_an_evaluation_set_alone_is_enough(freihand_root):
    root = freihand_root(count=4, versions=1, part="evaluation")
    (root / "evaluation_xyz.json").unlink()
    text = str(check("freihand", str(root)))
    assert text.endswith("Nothing is wrong."), text
    assert "training: not there" in text and "no xyz, so no keypoints" in text


def test_a_folder_of_images_and_its_boxes(tmp_path, write_image, capsys):
    for name in ("a.jpg", "b.jpg"):
        write_image(tmp_path / name)
    (tmp_path / "boxes.csv").write_text("name,x,y,width,height\na.jpg,1,1,9,9\na.jpg,50,1,9,9\n")
    assert check("folder", str(tmp_path)).ok
    assert main(["folder", str(tmp_path), "--boxes", "boxes.csv"]) == 1
    text = capsys.readouterr().out
    assert "2 boxes in 1 images" in text
    assert "a.jpg, line 3 of its boxes: the box [50.0, 1.0, 59.0, 10.0] has its centre (54, 5) out" in text
