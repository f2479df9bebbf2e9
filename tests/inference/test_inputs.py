"""Files, folders, data sets and samples; and errors that name what is wrong."""

import warnings

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from peclr_utils.datasets import HandSample, ImageFolderHands
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


def test_pillow_images_tensors_and_floats_are_what_the_file_is(folder):
    image = an_image(0)
    expected = predict(model, image, K)
    rgba = np.dstack([image, np.zeros(image.shape[:2], np.uint8)])
    tensor = torch.as_tensor(image).permute(2, 0, 1)
    given = [Image.open(folder / "b.png"), Image.fromarray(rgba), rgba, tensor, tensor / 255, image / 255.0]
    assert all(same(predict(model, one, K), expected) for one in given)
    assert all(same(one, expected) for one in predict(model, torch.stack([tensor, tensor]), K))
    grey = Image.fromarray(image).convert("L")
    repeated = np.repeat(np.asarray(grey)[..., None], 3, axis=2)
    for one in (grey, np.asarray(grey), torch.as_tensor(np.asarray(grey))[None]):
        assert same(predict(model, one, K), predict(model, repeated, K))


def test_16_bits_are_the_same_from_a_file_and_from_pillow(tmp_path):
    Image.fromarray(an_image(0)[..., 0].astype(np.uint16) * 257).save(tmp_path / "deep.png")
    assert same(predict(model, Image.open(tmp_path / "deep.png")), predict(model, tmp_path / "deep.png"))


def test_a_turned_pillow_image_is_turned_as_its_file_is(tmp_path):
    picture = Image.fromarray(an_image(3))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "turned.png", exif=exif)
    assert same(predict(model, Image.open(tmp_path / "turned.png")), predict(model, tmp_path / "turned.png"))


BOXES = [[10.0, 10, 60, 70], [50.0, 30, 110, 90]]


def test_many_boxes_of_one_image_give_a_hand_each():
    found = predict(model, an_image(0), K, [0.03, 0.04], BOXES, [True, False])
    for hand, box, bone, left in zip(found, BOXES, (0.03, 0.04), (True, False), strict=True):
        assert same(hand, predict(model, an_image(0), K, bone, box, left))
    assert [hand.index for hand in found] == [0, 1]
    assert len(predict(model, an_image(0), box=BOXES[:1])) == 1


def test_each_of_many_images_may_have_boxes_of_its_own():
    images = [an_image(0), an_image(1), an_image(2)]
    found = predict(model, images, K, box=[BOXES[0], BOXES, None])
    assert [hand.index for hand in found] == [0, 1, 1, 2]
    alone = [predict(model, images[0], K, box=BOXES[0]), *predict(model, images[1], K, box=BOXES)]
    assert all(same(a, b) for a, b in zip(found, [*alone, predict(model, images[2], K)], strict=True))


def test_the_boxes_and_sides_of_a_table_are_used(folder):
    (folder / "boxes.csv").write_text(
        "name,x,y,width,height,side\nb.png,10,10,50,60,left\nb.png,50,30,60,60,r\n"
    )
    found = predict(model, ImageFolderHands(folder, "boxes.csv"), K)
    for hand, box, left in zip(found, BOXES, (True, False), strict=True):
        assert same(hand, predict(model, an_image(0), K, box=box, is_left=left)) and hand.name == "b.png"


@pytest.mark.parametrize("change", [[8, 8, 1], [0.3, 0.3, 1], [1 / 480, 1 / 470, 1]])
def test_a_camera_of_another_image_gets_one_warning_and_makes_the_distance_a_guess(change):
    wrong = np.diag(change) @ K
    with pytest.warns(UserWarning, match="K doesn't fit an image of 120 x 100 pixels") as caught:
        found = predict(model, [an_image(0), an_image(1)], wrong, scale=0.04)
    assert len(caught) == 1
    assert all(hand.metric_depth_is_a_guess for hand in found)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not predict(model, an_image(0), K, scale=0.04).metric_depth_is_a_guess
        # A crop has a camera of its own, which need not look at its middle.
        crop = HandSample(an_image(0), 0, "mine", K=wrong, bone_length=0.04)
        assert not predict(model, crop).metric_depth_is_a_guess


def test_images_that_cannot_be_read_are_skipped_and_named_but_one_alone_is_an_error(folder):
    (folder / "c.jpg").write_text("no image, but a line of text")
    with pytest.warns(UserWarning, match=r"Skipped 1 of 4: .*c.jpg: a text file, not an image"):
        found = predict(model, folder, K)
    with pytest.warns(UserWarning, match="Skipped 1 of 2: image 1: expected an array, .* found NoneType"):
        assert len(predict(model, [an_image(0), None])) == 1
    assert [(hand.index, hand.name) for hand in found] == [(0, "a.png"), (1, "b.png"), (3, "deeper/c.png")]
    with pytest.raises(ValueError, match="c.jpg: a text file"):
        predict(model, folder / "c.jpg")


WRONG = {
    "floats to 255": ({"image": np.full((9, 9, 3), 255.0)}, ValueError, "divide by 255"),
    "normalised": ({"image": torch.randn(3, 9, 9)}, ValueError, "from -.*don't normalise: predict does"),
    "16 bits": ({"image": np.zeros((9, 9, 3), np.uint16)}, ValueError, "uint16; .*image >> 8"),
    "two channels": ({"image": np.zeros((9, 9, 2), np.uint8)}, ValueError, r"\(H, W, 3\).*\(9, 9, 2\)"),
    "a number": ({"image": 3}, TypeError, "a Pillow image or a file.*found int"),
    "x, y, width, height": ({"box": [70, 60, 30, 20]}, ValueError, "height, give 70, 60, 100, 80"),
    "boxes for others": ({"image": [an_image(0)] * 2, "box": [BOXES[0]] * 3}, ValueError, "2 images.* 3"),
    "K's count": ({"K": np.stack([K, K])}, ValueError, r"K: .*\(1, 3, 3\).*\(2, 3, 3\)"),
    "a box outside": ({"box": [130, 0, 150, 20]}, ValueError, "centre .139.5, 9.5. outside.*120 x 100"),
    "a box with a nan": ({"box": [np.nan, 50, 60, 80]}, ValueError, "x1 < x2"),
    "millimetres": ({"scale": 31.0}, ValueError, "metres.*31"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named(case):
    change, kind, message = WRONG[case]
    with pytest.raises(kind, match=message):
        predict(model, **{"image": an_image(0), **change})
