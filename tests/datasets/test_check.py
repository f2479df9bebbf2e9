import json
import subprocess
import sys

import cv2
import numpy as np
import pytest

from peclr_utils.datasets.check import check, main


def problems(report) -> str:
    """All problems and remedies, for a match."""
    return "\n".join(f"{what} -> {remedy}" for what, remedy in report.problems)


@pytest.fixture
def whole(freihand_root):
    freihand_root(count=10, versions=4)
    return freihand_root(count=4, versions=1, part="evaluation")


def test_a_whole_freihand_has_nothing_wrong_and_is_described(whole):
    report = check("freihand", str(whole))
    text = str(report)
    assert report.ok, text
    assert "training: 10 photographs with K, xyz, scale" in text
    assert "training: 40 pictures, by version 10, 10, 10, 10" in text
    assert "training: 10 masks" in text
    assert "evaluation: 4 photographs" in text
    assert "decoded 8 of 40 pictures, 32 x 24 pixels" in text
    assert "train has 9 of the photographs, val 1" in text
    assert "100.0% of the keypoints lie inside" in text
    assert text.endswith("Nothing is wrong.")


def test_the_exit_code_says_whether_something_is_wrong(whole, capsys):
    assert main(["freihand", str(whole)]) == 0
    (whole / "training" / "rgb" / "00000013.jpg").unlink()
    assert main(["freihand", str(whole)]) == 1
    assert "PROBLEM: training: 1 pictures missing" in capsys.readouterr().out


def test_it_runs_from_the_command_line(whole):
    command = [sys.executable, "-m", "peclr_utils.datasets.check", "freihand", str(whole / "training")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert f"lies above the one named: {whole}" in done.stdout
    assert not done.stderr


def test_missing_and_superfluous_files_are_counted_and_named(whole):
    for number in (13, 14, 27, 28):
        (whole / "training" / "rgb" / f"{number:08d}.jpg").unlink()
    (whole / "training" / "mask" / "00000002.jpg").unlink()
    picture = (whole / "training" / "rgb" / "00000000.jpg").read_bytes()
    (whole / "training" / "rgb" / "00000040.jpg").write_bytes(picture)
    found = problems(check("freihand", str(whole)))
    assert "4 pictures missing" in found
    assert "00000013.jpg, 00000014.jpg, 00000027.jpg, ..." in found
    assert "1 masks missing" in found
    assert "1 pictures in" in found
    assert "have no label: 00000040.jpg -> pictures and label files are of different releases" in found


def test_a_folder_without_pictures_is_a_problem(freihand_root):
    root = freihand_root(versions=0)
    assert "no pictures in" in problems(check("freihand", str(root)))


def test_broken_pictures_are_found(whole):
    folder = whole / "training" / "rgb"
    (folder / "00000000.jpg").write_bytes(b"")
    (folder / "00000039.jpg").write_bytes((folder / "00000039.jpg").read_bytes()[:-40])
    (folder / "00000020.jpg").write_bytes(b"<html>")
    found = problems(check("freihand", str(whole), decode=None))
    assert "1 empty files" in found
    assert "3 of 40 decoded pictures are broken" in found
    assert "00000039.jpg: a JPEG that is cut short" in found


def test_damaged_labels_are_a_problem(whole):
    (whole / "training_K.json").write_text("[[")
    found = problems(check("freihand", str(whole)))
    assert "training_K.json: not valid JSON" in found
    assert "unpack FreiHAND's archive again" in found


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        (
            "xyz",
            lambda xyz: xyz * 1000,
            "the bone 9-10 is .* long in the median hand -> xyz must be in metres",
        ),
        ("xyz", lambda xyz: -xyz, "10 hands have keypoints behind the camera, first id 0"),
        ("scale", lambda scale: scale * 1.5, "scale differs from the bone 9-10 by 50%"),
        (
            "K",
            lambda K: K * [[5], [5], [1]],
            "only .* of the keypoints lie inside the pictures -> K, xyz and",
        ),
    ],
)
def test_labels_that_make_no_sense_are_a_problem(whole, kind, change, message):
    path = whole / f"training_{kind}.json"
    path.write_text(json.dumps(change(np.array(json.loads(path.read_text()))).tolist()))
    report = check("freihand", str(whole))
    with pytest.raises(AssertionError, match=message):
        assert not problems(report), problems(report)


def test_evaluation_alone_is_enough(freihand_root):
    root = freihand_root(count=4, versions=1, part="evaluation")
    (root / "evaluation_xyz.json").unlink()
    report = check("freihand", str(root))
    assert report.ok, str(report)
    assert "training: not there" in str(report)
    assert "no xyz, so no keypoints" in str(report)


@pytest.fixture
def youtube(tmp_path):
    root = tmp_path / "yt"
    images = [{"name": f"youtube/v/{k}.png", "width": 40, "height": 30, "id": k} for k in range(6)]
    vertices = np.random.default_rng(0).uniform(2, 28, (778, 3)).tolist()
    annotations = [{"vertices": vertices, "is_left": k % 2, "image_id": k // 2, "id": k} for k in range(12)]
    (root / "youtube" / "v").mkdir(parents=True)
    for k in range(6):
        cv2.imwrite(str(root / images[k]["name"]), np.zeros((30, 40, 3), np.uint8))
    (root / "youtube_val.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    return root


def test_youtube_is_described_and_missing_frames_are_counted(youtube):
    for k in (1, 4):
        (youtube / f"youtube/v/{k}.png").unlink()
    cv2.imwrite(str(youtube / "youtube/v/0.png"), np.zeros((60, 80, 3), np.uint8))
    report = check("youtube", str(youtube), decode=None)
    text = str(report)
    assert report.ok, text
    assert "train: not there" in text
    assert "val: 12 hands in 6 frames, up to 2 in one; 50% are left hands" in text
    assert "2 of 6 frames missing, their hands left out: youtube/v/1.png, youtube/v/4.png" in text
    assert "2 of 8 frames are not of the stated size" in text
    assert "100.0% of the vertices lie inside" in text


def test_a_broken_youtube_folder_is_a_problem(youtube):
    (youtube / "youtube/v/0.png").write_bytes(b"no picture")
    assert "1 of 6 decoded pictures are broken" in problems(check("youtube", str(youtube), decode=None))
    for k in range(6):
        (youtube / f"youtube/v/{k}.png").unlink()
    assert "6 of 6 frames of the val split are missing" in problems(check("youtube", str(youtube)))
    (youtube / "youtube_val.json").write_text('{"images": [')
    assert "not valid JSON" in problems(check("youtube", str(youtube)))
    (youtube / "youtube_val.json").unlink()
    assert "data/README.md" in problems(check("youtube", str(youtube)))
    assert "there is no such folder" in problems(check("youtube", str(youtube / "nowhere")))


@pytest.mark.parametrize("damage", [{"width": "64"}, {"height": None}, {"name": 5}, {"id": [0]}])
def test_a_youtube_label_of_another_type_is_one_line(youtube, damage, capsys):
    path = youtube / "youtube_val.json"
    content = json.loads(path.read_text())
    content["images"][2].update(damage)
    path.write_text(json.dumps(content))
    assert main(["youtube", str(youtube)]) == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "PROBLEM" in line]
    assert f"val: {path}: image " in line
    assert "found" in line


def test_vertices_outside_the_frames_are_a_problem(youtube):
    path = youtube / "youtube_val.json"
    content = json.loads(path.read_text())
    for annotation in content["annotations"]:
        annotation["vertices"] = (np.array(annotation["vertices"]) + 1000).tolist()
    path.write_text(json.dumps(content))
    assert "only 0.0% of the vertices lie inside" in problems(check("youtube", str(youtube)))


def test_a_folder_of_pictures_and_its_boxes(tmp_path, write_picture, capsys):
    for name in ("a.jpg", "b.jpg"):
        write_picture(tmp_path / name)
    (tmp_path / "boxes.csv").write_text("name,x,y,width,height\na.jpg,1,1,9,9\na.jpg,50,1,9,9\n")
    assert check("folder", str(tmp_path)).ok
    assert main(["folder", str(tmp_path), "--boxes", "boxes.csv"]) == 1
    text = capsys.readouterr().out
    assert "2 boxes in 1 pictures" in text
    assert "the box in line 3 (50,1,9,9) has its centre outside the picture" in text


def test_an_empty_folder_is_a_problem(tmp_path):
    assert "holds no picture" in problems(check("folder", str(tmp_path)))


def test_an_unknown_kind_is_refused(tmp_path):
    with pytest.raises(ValueError, match="kind must be freihand, youtube or folder, found 'mpii'"):
        check("mpii", str(tmp_path))
