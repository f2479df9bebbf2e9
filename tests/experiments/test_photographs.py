"""Networks on photographs: labels turn with the image; a perfect network has no error and finds all."""

import json

import numpy as np
import pytest

from peclr_utils.datasets import HandSample
from peclr_utils.datasets.images import write_jpeg
from peclr_utils.experiments import photographs
from peclr_utils.experiments.photographs import PhotographsConfig, around, main, measure_photographs, turn
from tests.inference.test_finding import CIRCLE, DiscNetwork, picture


def hand(x=120, y=90, radius=40):
    points = (np.array([x, y]) + radius * CIRCLE).astype(np.float32)
    return HandSample(picture((x, y, radius, "right")), 0, "disc", keypoints_2d=points, box=around(points))


def test_turning_moves_image_keypoints_and_box_together():
    sample = hand()
    for degrees in (90, 180, 270):
        turned = turn(sample, degrees)
        np.testing.assert_array_equal(turned.image, np.rot90(sample.image, degrees // 90))
        np.testing.assert_allclose(turned.box, around(turned.keypoints_2d), atol=1e-4)
        x, y = np.rint(turned.keypoints_2d.mean(axis=0)).astype(int)
        assert (turned.image[y, x] == (255, 0, 0)).all()
    again = turn(turn(sample, 270), 90)
    np.testing.assert_allclose(again.keypoints_2d, sample.keypoints_2d, atol=1e-4)
    np.testing.assert_allclose(again.box, sample.box, atol=1e-4)


@pytest.fixture
def source(tmp_path):
    """Two discs as photographs with COCO keypoints."""
    images, annotations = [], []
    for number, sample in enumerate((hand(), hand(250, 160, 60)), 1):
        write_jpeg(tmp_path / f"{number}.jpg", sample.image)
        images.append({"id": number, "file_name": f"{number}.jpg"})
        points = np.column_stack([sample.keypoints_2d, np.full(21, 2)]).ravel().tolist()
        annotations.append({"image_id": number, "keypoints": points, "is_right": True})
    content = {"images": images, "annotations": annotations}
    (tmp_path / "keypoints.json").write_text(json.dumps(content))
    return f"coco:{tmp_path}"


def test_a_network_that_knows_the_discs_is_right_and_finds_them(source, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(photographs, "load_pose_network", lambda path: DiscNetwork())
    config = PhotographsConfig(photographs=source, device="cpu", output=str(tmp_path / "out.json"))
    results = measure_photographs(config)
    assert json.loads((tmp_path / "out.json").read_text()) == results
    upright = results["rows"][0]
    assert upright["error"] < 0.05 and upright["pck"] == 1 and upright["found"] == 1
    # Upside down its notch is on the left: a disc is no longer a right hand, but a left one is found.
    assert [row["turned"] for row in results["rows"]] == [0, 90, 180, 270]
    assert results["rows"][2]["found"] == 1 and results["per_hand"].keys() == {"1.jpg", "2.jpg"}
    assert main(["--photographs", source, "--no-find", "--device", "cpu"]) == 0
    assert "PCK@0.2" in (said := capsys.readouterr().out) and "found without box" not in said


def test_photographs_must_be_named():
    with pytest.raises(ValueError, match="photographs"):
        measure_photographs(PhotographsConfig())
