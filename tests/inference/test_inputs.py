"""Files, folders, data sets and samples; and errors that name what is wrong."""

import cv2
import numpy as np
import pytest
import torch

from peclr_utils.datasets import HandSample
from peclr_utils.inference import AVERAGE_BONE, HandPrediction, predict
from peclr_utils.models import PoseOutput

K = np.array([[480.0, 0, 60], [0, 470, 50], [0, 0, 1]])


def model(images, intrinsics):
    """Says where the crop is brightest, so that results depend on the image."""
    grey = images.mean(1).flatten(1)
    spot = torch.stack([grey.argmax(1) % 224, grey.argmax(1) // 224], 1).double()
    points = spot[:, None] + torch.linspace(-30, 30, 42).reshape(21, 2)
    ones = torch.ones_like(points[..., :1])
    rays = torch.cat([points, ones], 2) @ intrinsics.double().inverse().transpose(1, 2)
    return PoseOutput(points, ones[..., 0], ones[:, 0, 0], 9 * rays)


def an_image(seed, width=120, height=100):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def same(a, b):
    for name in ("keypoints_2d", "keypoints_3d", "K", "box"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    return True


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "deeper").mkdir()
    for i, name in enumerate(("b.png", "a.png", "deeper/c.png")):
        assert cv2.imwrite(str(tmp_path / name), an_image(i)[..., ::-1])
    (tmp_path / "notes.txt").write_text("no image")
    return tmp_path


def test_files_arrays_and_samples_give_the_same(folder):
    expected = predict(model, an_image(0), K)
    assert isinstance(expected, HandPrediction)
    for given in (folder / "b.png", str(folder / "b.png"), HandSample(an_image(0), 0, "mine")):
        assert same(predict(model, given, K), expected)
    assert predict(model, folder / "b.png").name == str(folder / "b.png")


def test_a_folder_gives_all_its_images_by_name(folder):
    results = predict(model, folder, K)
    assert [result.name for result in results] == ["a.png", "b.png", "deeper/c.png"]
    for result, seed in zip(results, (1, 0, 2), strict=True):
        assert same(result, predict(model, an_image(seed), K))


def test_arrays_stacked_or_listed_give_a_list(folder):
    stacked = predict(model, np.stack([an_image(0), an_image(1)]), K)
    listed = predict(model, [an_image(0), folder / "a.png"], K)
    assert len(stacked) == len(listed) == 2
    assert all(same(a, b) for a, b in zip(stacked, listed, strict=True))
    assert predict(model, an_image(0)[None], K)[0].name == "image 0"
    assert predict(model, []) == []


def test_a_data_set_brings_its_own_camera_bone_and_side():
    hands = [
        HandSample(an_image(0), 0, "hands", K=K.astype(np.float32), bone_length=0.031, name="first"),
        HandSample(an_image(1), 1, "hands", "left", name="second"),
    ]
    first, second = predict(model, hands)
    assert same(first, predict(model, an_image(0), K, scale=0.031))
    assert (first.K_is_default, first.unit, first.is_left) == (False, "metres", False)
    assert same(second, predict(model, an_image(1), is_left=True))
    assert (second.K_is_default, second.unit, second.is_left) == (True, "bone lengths", True)
    # What is given explicitly counts.
    others = predict(model, hands, K=2 * K - np.diag([0, 0, 1]), scale="average")
    assert all(o.K[0, 0] == 960 and o.bone_length == AVERAGE_BONE for o in others)


def test_a_part_of_a_data_set_is_one_too():
    samples = [HandSample(an_image(k), k, "hands", name=str(k)) for k in range(4)]
    part = torch.utils.data.Subset(samples, [2, 0])
    joined = torch.utils.data.ConcatDataset([part, samples[3:]])
    assert [hand.name for hand in predict(model, part)] == ["2", "0"]
    assert [hand.name for hand in predict(model, joined)] == ["2", "0", "3"]


def test_inputs_are_not_modified():
    given = image, intrinsics, box = an_image(0), K.copy(), np.array([20.0, 10, 90, 80])
    copies = [array.copy() for array in given]
    for left in (False, True):
        predict(model, image, intrinsics, 0.03, box, left)
    assert all(map(np.array_equal, given, copies))


WRONG = {
    "floats": ({"image": np.zeros((9, 9, 3))}, ValueError, "uint8.*float64"),
    "a tensor": ({"image": torch.zeros(3, 9, 9)}, TypeError, "Tensor"),
    "K's count": ({"K": np.stack([K, K])}, ValueError, r"K: .*\(1, 3, 3\).*\(2, 3, 3\)"),
    "a box outside": ({"box": [130, 0, 150, 20]}, ValueError, "130.*outside.*120 x 100"),
    "a box with a nan": ({"box": [np.nan, 50, 60, 80]}, ValueError, "x1 < x2"),
    "millimetres": ({"scale": 31.0}, ValueError, "metres.*31"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named(case):
    change, kind, message = WRONG[case]
    with pytest.raises(kind, match=message):
        predict(model, **{"image": an_image(0), **change})


def test_what_is_no_image_is_named(tmp_path):
    path = tmp_path / "notes.jpg"
    path.write_text("no image")
    with pytest.raises(ValueError, match="notes.jpg"):
        predict(model, path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=tmp_path.name):
        predict(model, tmp_path)
