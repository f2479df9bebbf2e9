"""COCO keypoints: what labelling tools write becomes samples; what doesn't fit is one clear sentence."""

import json
import unicodedata

import numpy as np
import pytest

from peclr_utils.datasets import find_data, open_source
from peclr_utils.datasets.check import main as check_main
from peclr_utils.datasets.coco import CocoHands
from peclr_utils.datasets.images import write_jpeg

POINTS = np.column_stack([10 + 2 * np.arange(21), 60 - np.arange(21), np.full(21, 2)]).astype(float)
FINGERS = ("thumb", "index", "middle", "ring", "little")


def annotation(image_id=1, points=POINTS, **more):
    return {"image_id": image_id, "category_id": 1, "keypoints": np.ravel(points).tolist(), **more}


@pytest.fixture
def write(tmp_path):
    """Write three images, one in a folder below, and a label file; returns the folder."""

    def save(annotations, categories=(), images=("a.jpg", "below/b.jpg", "c.jpg"), **more):
        for name in ("a.jpg", "below/b.jpg", "c.jpg"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            write_jpeg(tmp_path / name, np.full((80, 100, 3), 99, np.uint8))
        rows = [{"id": number, "file_name": name} for number, name in enumerate(images, 1)]
        content = {"images": rows, "annotations": annotations, "categories": list(categories), **more}
        (tmp_path / "keypoints.json").write_text(json.dumps(content))
        return tmp_path

    return save


def test_a_hand_has_its_keypoints_box_and_side_and_nothing_in_3d(write):
    seen = POINTS.copy()
    seen[4, 2] = 0
    root = write([annotation(2, seen, bbox=[5, 6, 50, 40], is_right=False), annotation(1, is_right=True)])
    hands = open_source(f"coco:{root}?labels=keypoints.json")
    assert isinstance(hands, CocoHands) and len(hands) == 2
    left, right = hands[0], hands[-1]
    assert (left.handedness, right.handedness) == ("left", "right")
    assert left.name == "below/b.jpg" and left.image.shape == (80, 100, 3)
    assert np.array_equal(left.box, [5, 6, 55, 46]) and right.box is None
    assert np.isnan(left.keypoints_2d[4]).all()
    known = np.arange(21) != 4
    np.testing.assert_array_equal(left.keypoints_2d[known], POINTS[known, :2])
    for name in ("keypoints_3d", "K", "bone_length", "mask"):
        assert getattr(left, name) is None


def _named(*fingers, joints=((1, 2, 3, 4),) * 5, wrist="wrist", join=""):
    return [wrist, *(f"{f}{join}{j}" for f, own in zip(fingers, joints, strict=True) for j in own)]


_JOINTS = (("CMC", "MCP", "IP", "TIP"), *(("MCP", "PIP", "DIP", "TIP"),) * 4)
NAMINGS = {
    "numbered": _named(*FINGERS, join="_"),
    "COCO-WholeBody": _named("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger"),
    "joints": _named(
        "THUMB",
        "INDEX_FINGER",
        "MIDDLE_FINGER",
        "RING_FINGER",
        "PINKY",
        joints=_JOINTS,
        wrist="WRIST",
        join="_",
    ),
    "joints without separators": _named(
        "Thumb", "Index", "Middle", "Ring", "Little", joints=_JOINTS, wrist="Wrist"
    ),
    "numbers": [str(k) for k in range(21)],
}


@pytest.mark.parametrize("naming", NAMINGS)
@pytest.mark.parametrize("shuffled", [False, True])
def test_the_order_follows_the_names_of_the_keypoints(write, naming, shuffled):
    order = np.random.default_rng(0).permutation(21) if shuffled else np.arange(21)
    category = {"id": 1, "name": "right hand", "keypoints": [NAMINGS[naming][k] for k in order]}
    hand = CocoHands(write([annotation(points=POINTS[order])], [category]))[0]
    np.testing.assert_array_equal(hand.keypoints_2d, POINTS[:, :2])


@pytest.mark.parametrize(
    ("more", "category", "side"),
    [
        ({"is_right": True}, {}, "right"),
        ({"is_right": 0}, {}, "left"),
        ({"is_right": 0.0}, {}, "left"),
        ({"side": None, "attributes": {"side": ""}}, {"name": "left hand"}, "left"),
        ({"side": "Left"}, {}, "left"),
        ({"attributes": {"handedness": "R"}}, {}, "right"),
        ({}, {"name": "left-hand"}, "left"),
        ({}, {"name": "LeftHand"}, "left"),
        ({"is_right": True}, {"name": "left hand"}, "right"),
    ],
)
def test_the_side_comes_from_wherever_a_tool_puts_it(write, more, category, side):
    hands = CocoHands(write([annotation(**more)], [{"id": 1, **category}]))
    assert hands.sides_known and hands[0].handedness == side


def test_hands_without_a_side_count_as_right_with_one_warning(write):
    root = write([annotation(), annotation(2)], [{"id": 1, "name": "left or right hand"}])
    with pytest.warns(UserWarning, match="some hands have no side") as caught:
        hands = CocoHands(root)
    assert len(caught) == 1 and hands[0].handedness == "right" and not hands.sides_known


def test_whole_bodies_give_their_valid_hands(write):
    body = {"image_id": 1, "category_id": 1, "keypoints": [0] * 51}
    body |= {"lefthand_kpts": POINTS.ravel().tolist(), "lefthand_box": [1, 2, 30, 40], "lefthand_valid": True}
    body |= {"righthand_kpts": [0] * 63, "righthand_box": [0, 0, 0, 0], "righthand_valid": False}
    other = {**body, "image_id": 2, "righthand_kpts": POINTS.ravel().tolist(), "righthand_valid": True}
    hands = CocoHands(write([body, other]))
    assert [(hand.name, hand.handedness) for hand in map(hands.__getitem__, range(3))] == [
        ("a.jpg", "left"),
        ("below/b.jpg", "left"),
        ("below/b.jpg", "right"),
    ]
    assert np.array_equal(hands[0].box, [1, 2, 31, 42]) and hands[2].box is None
    del other["lefthand_kpts"]  # though it is said to be valid
    (hand,) = CocoHands(write([other]))
    assert hand.handedness == "right"


def test_images_of_one_group_share_their_identity(write):
    more = [annotation(k, is_right=True, group=group) for k, group in ((1, "x"), (2, "y"), (3, "x"))]
    hands = CocoHands(write(more))
    first, second, third = hands.identities
    assert first == third != second and hands.identities is hands.identities
    more = [annotation(k, is_right=True, group=0) for k in (1, 2)]
    assert len(set(CocoHands(write(more)).identities)) == 1
    assert len(set(CocoHands(write([annotation(k, is_right=True) for k in (1, 2, 3)])).identities)) == 3


def test_hands_without_a_keypoint_and_images_that_are_missing_are_skipped(write):
    unseen = POINTS * [1, 1, 0]
    images = ("a.jpg", "/elsewhere/on/my/disk/b.jpg", "gone.jpg")
    root = write(
        [annotation(k, p, is_right=True) for k, p in ((1, unseen), (2, POINTS), (3, POINTS))], images=images
    )
    with pytest.warns(UserWarning, match="1 images of keypoints.json are missing, such as gone") as caught:
        hands = CocoHands(root)
    assert len(caught) == 1 and "1 hands of keypoints.json have fewer than two" in str(caught[0].message)
    assert len(hands) == 1 and hands[0].name == "below/b.jpg" and hands.skipped == ["gone.jpg"]


def test_a_hand_needs_two_known_keypoints_at_different_places(write):
    one, same, two = (POINTS * [1, 1, 0] for _ in range(3))
    one[5], same[5:7], two[5:7] = POINTS[5], POINTS[5], POINTS[5:7]
    root = write([annotation(k, p, is_right=True) for k, p in ((1, one), (2, same), (3, two))])
    with pytest.warns(UserWarning, match="2 hands of keypoints.json have fewer than two different") as caught:
        hands = CocoHands(root)
    assert len(caught) == 1 and [hand.name for hand in hands] == ["c.jpg"]


def test_labels_are_not_paired_with_the_image_of_another_folder(write, tmp_path):
    annotations = [annotation(k, is_right=True) for k in (1, 2, 3)]
    root = write(annotations, images=("train/b.jpg", "below/b.jpg", "c.jpg"))
    with pytest.warns(UserWarning, match="1 images of keypoints.json are missing, such as train/b.jpg"):
        hands = CocoHands(root)
    assert [hand.name for hand in hands] == ["below/b.jpg", "c.jpg"]
    # Its file name alone doesn't say which of two images is meant.
    (tmp_path / "other").mkdir()
    write_jpeg(tmp_path / "other" / "b.jpg", np.zeros((80, 100, 3), np.uint8))
    root = write(annotations, images=("a.jpg", "elsewhere/b.jpg", "c.jpg"))
    with pytest.warns(UserWarning, match="missing, such as elsewhere/b.jpg"):
        hands = CocoHands(root)
    assert [hand.name for hand in hands] == ["a.jpg", "c.jpg"]


def test_accents_are_the_same_however_they_are_encoded(write):
    apart, composed = (unicodedata.normalize(form, "Hände.jpg") for form in ("NFD", "NFC"))
    root = write([annotation(is_right=True)], images=(composed,))
    (root / "a.jpg").rename(root / apart)
    assert CocoHands(root)[0].name == apart


def test_the_label_file_in_the_folder_comes_before_one_in_the_working_folder(write, tmp_path, monkeypatch):
    root = write([annotation(is_right=True)])
    working = tmp_path / "working"
    working.mkdir()
    (working / "keypoints.json").write_text("{}")
    monkeypatch.chdir(working)
    own = f"coco:{root}?labels=keypoints.json"
    (found,) = find_data(own)
    assert len(CocoHands(root)) == len(open_source(own)) == len(open_source(found)) == 1
    # Labels elsewhere are named by a path, absolute or from the working folder.
    (root / "keypoints.json").rename(working / "mine.json")
    assert len(CocoHands(root, "mine.json")) == len(CocoHands(root, working / "mine.json")) == 1
    (found,) = find_data(f"coco:{root}?labels=mine.json")
    assert found.options["labels"] == str(working / "mine.json")


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        ([annotation(points=POINTS[:17])], "expected 21 .* found 51 .*17 keypoints are a body's"),
        ([annotation(points=np.resize(POINTS, (42, 3)))], "found 126"),
        ([annotation(9)], "annotation 0: its image_id 9 is not among the images"),
        ([annotation(is_right=True), annotation(side="both")], "annotation 1: side must be .* found 'both'"),
        ([annotation(bbox=[1, 2, 3])], "bbox must be x, y, width, height"),
        ([{**annotation(), "keypoints": ["a"] * 63}], "keypoints must be numbers"),
        ([annotation(points=POINTS * [1, 1, 0])], "none of its annotations has two different known"),
        ([annotation(bbox=["a", 2, 3, 4])], r"annotation 0: bbox must be x, y, width, height, found \['a'"),
        ([annotation(bbox={"x": 1})], "annotation 0: bbox must be x, y, width, height, found {'x'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_in_one_sentence(write, annotations, message):
    with pytest.raises(ValueError, match=message):
        CocoHands(write(annotations))


def test_other_files_are_told_from_label_files(write, tmp_path):
    root = write([annotation()])
    for text, message in (
        ("{", "expected JSON"),
        ("[]", "found a list"),
        ('{"shapes": []}', "object with shapes"),
    ):
        (tmp_path / "other.json").write_text(text)
        with pytest.raises(ValueError, match=message):
            CocoHands(root, "other.json")
    with pytest.raises(FileNotFoundError, match="give .labels=FILE"):
        CocoHands(root, "gone.json")
    category = {"id": 1, "keypoints": ["nose", *NAMINGS["numbered"][1:]]}
    with pytest.raises(ValueError, match="names 21 keypoints, nose"):
        CocoHands(write([annotation()], [category]))


def test_the_check_says_what_a_label_file_holds_and_what_is_wrong(write, capsys):
    seen = POINTS.copy()
    seen[:7, 2] = 0
    root = write([annotation(1, is_right=True), annotation(2, seen, is_right=False)])
    assert check_main(["coco", str(root)]) == 0
    assert "2 hands; decoded 2: 50% left hands, 17% of the keypoints not known" in capsys.readouterr().out
    far = POINTS * [30, 1, 1]
    assert check_main(["coco", str(write([annotation(points=far), annotation(9)]))]) == 1
    assert "image_id 9 is not among the images" in capsys.readouterr().out
    assert check_main(["coco", str(write([annotation(points=far, is_right=True)]))]) == 1
    assert "of the keypoints lie outside their images; were the images resized" in capsys.readouterr().out
