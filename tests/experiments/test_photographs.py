"""Networks on photographs: labels turn with the image; a perfect network has no error and finds all."""

import json
from dataclasses import replace

import numpy as np
import pytest

from peclr_utils.camera import project
from peclr_utils.datasets import HandSample
from peclr_utils.datasets.images import write_jpeg
from peclr_utils.experiments import photographs
from peclr_utils.experiments.photographs import (
    PhotographsConfig,
    around,
    main,
    measure_photographs,
    score_in_boxes,
    turn,
)
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


def hand_in_space():
    """A disc with everything a rendered hand has: points in space that its camera projects onto its own."""
    flat, K = hand(), np.float32([[300, 0, 190], [0, 310, 140], [0, 0, 1]])
    xyz = np.column_stack([flat.keypoints_2d, np.ones(21)]) @ np.linalg.inv(K).T
    xyz = (xyz * np.linspace(0.5, 0.7, 21)[:, None]).astype(np.float32)
    mask, outline = np.ascontiguousarray(flat.image[..., 0]), flat.keypoints_2d[:7] + 3
    return replace(flat, keypoints_3d=xyz, K=K, mask=mask, outline=outline)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_turned_camera_projects_onto_the_turned_keypoints(degrees):
    sample = hand_in_space()
    np.testing.assert_allclose(project(sample.keypoints_3d, sample.K), sample.keypoints_2d, atol=0.01)
    turned = turn(sample, degrees)
    np.testing.assert_array_equal(turned.keypoints_3d, sample.keypoints_3d)
    np.testing.assert_allclose(project(turned.keypoints_3d, turned.K), turned.keypoints_2d, atol=0.01)
    np.testing.assert_array_equal(turned.mask, turned.image[..., 0])
    off = turned.outline - turned.keypoints_2d[:7]
    expected = {90: (3, -3), 180: (-3, -3), 270: (-3, 3)}[degrees]
    np.testing.assert_allclose(off, np.tile(expected, (7, 1)), atol=1e-3)


def test_hands_with_a_camera_are_scored_like_those_without():
    scores = (score_in_boxes(DiscNetwork(), [one]) for one in (hand_in_space(), hand()))
    with_camera, without = ({degrees: score.error for degrees, score in one.items()} for one in scores)
    assert with_camera == without and with_camera[0] < 0.05


def test_hands_of_one_photograph_keep_an_error_each(source, tmp_path, monkeypatch):
    monkeypatch.setattr(photographs, "load_pose_network", lambda path: DiscNetwork())
    file = tmp_path / "keypoints.json"
    content = json.loads(file.read_text())
    content["annotations"] = 2 * content["annotations"][:1]
    file.write_text(json.dumps(content))
    results = measure_photographs(PhotographsConfig(photographs=(source,), find=False, device="cpu"))
    assert [hand["name"] for hand in results["per_hand"]] == ["1.jpg", "1.jpg"]


def test_photographs_without_keypoints_are_refused(source, tmp_path, monkeypatch):
    monkeypatch.setattr(photographs, "load_pose_network", lambda path: DiscNetwork())
    with pytest.raises(ValueError, match="1.jpg has no 2D keypoints"):
        measure_photographs(PhotographsConfig(photographs=(f"folder:{tmp_path}",), device="cpu"))


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
    config = PhotographsConfig(photographs=(source,), device="cpu", output=str(tmp_path / "out.json"))
    results = measure_photographs(config)
    assert json.loads((tmp_path / "out.json").read_text()) == results
    upright = results["rows"][0]
    assert upright["error"] < 0.05 and upright["pck"] == 1 and upright["found"] == 1
    assert (upright["false_hands"], upright["backgrounds"]) == (0, 2)
    assert [row["turned"] for row in results["rows"]] == [0, 90, 180, 270]
    assert all("found" not in row for row in results["rows"][1:])
    assert [hand["name"] for hand in results["per_hand"]] == ["1.jpg", "2.jpg"]
    assert np.mean([hand["error"] for hand in results["per_hand"]]) == pytest.approx(upright["error"])
    assert main(["--photographs", source, "--no-find", "--device", "cpu"]) == 0
    assert "PCK@0.2" in (said := capsys.readouterr().out) and "found without box" not in said


def test_single_predictions_show_what_turned_copies_hide(source, monkeypatch):
    """Keypoints that don't turn with the hand are right upright only; their median over copies is never."""
    network = DiscNetwork()
    network.any_angle = True
    monkeypatch.setattr(photographs, "load_pose_network", lambda path: network)
    rows = measure_photographs(PhotographsConfig(photographs=(source,), find=False, device="cpu"))["rows"]
    np.testing.assert_allclose([row["error"] for row in rows], rows[0]["error"], rtol=0.05)
    assert rows[0]["error"] > 0.3 and rows[0]["error_once"] < 0.05
    assert all(row["error_once"] > 0.5 for row in rows[1:])


def test_sources_and_keypoints_are_scored_by_themselves(source, monkeypatch, tmp_path):
    """One of two sources has a wrist that is labelled half a box away; its error and the wrist's show it."""
    monkeypatch.setattr(photographs, "load_pose_network", lambda path: DiscNetwork())
    file = tmp_path / "keypoints.json"
    content = json.loads(file.read_text())
    for name, annotation in zip(("right", "wrong"), content["annotations"], strict=True):
        own = {**content, "annotations": [annotation]}
        (tmp_path / f"{name}.json").write_text(json.dumps(own))
    wrong = json.loads((tmp_path / "wrong.json").read_text())
    wrong["annotations"][0]["keypoints"][0] -= 60  # the disc's radius
    (tmp_path / "wrong.json").write_text(json.dumps(wrong))
    sources = tuple(f"{source}?labels={name}.json" for name in ("right", "wrong"))
    results = measure_photographs(PhotographsConfig(photographs=sources, find=False, device="cpu"))
    right, wrong = results["sources"]
    assert (right["source"], right["hands"], right["pck"]) == (sources[0], 1, 1.0)
    assert wrong["pck"] == pytest.approx(20 / 21) and wrong["error"] > right["error"] + 0.01
    wrist, *others = results["keypoints"]
    assert (wrist["keypoint"], wrist["pck"]) == ("wrist", 0.5)
    assert len(others) == 20 and all(one["pck"] == 1 for one in others)
    table = photographs.photographs_markdown(results).splitlines()
    assert len(table) == 2 + 4 + 2 and "0°, wrong.json" in table[-1]


def test_a_background_is_what_is_beside_a_hand_without_the_hand():
    sample = hand(x=120, y=90, radius=40)
    part = photographs.beside(sample.image, sample.keypoints_2d)
    left, _, right, _ = around(sample.keypoints_2d)
    assert part.shape[1] == sample.image.shape[1] - int(right + 0.35 * (right - left))
    np.testing.assert_array_equal(part, sample.image[:, -part.shape[1] :])
    assert not (part == (255, 0, 0)).all(axis=2).any()
    x1, y1, x2, y2 = around(sample.keypoints_2d).astype(int)
    assert photographs.beside(sample.image[y1:y2, x1:x2], sample.keypoints_2d - (x1, y1)) is None


def test_the_hands_of_one_photograph_share_a_background_without_any_of_them():
    image = picture((90, 90, 30, "right"), (330, 90, 30, "right"))
    points = [(np.array([x, 90]) + 30 * CIRCLE).astype(np.float32) for x in (90, 330)]
    samples = [HandSample(image, 0, "disc", keypoints_2d=each, name="one") for each in points]
    (part,) = photographs._backgrounds(samples)
    assert not part.any()


def test_photographs_must_be_named():
    with pytest.raises(ValueError, match="photographs"):
        measure_photographs(PhotographsConfig())
