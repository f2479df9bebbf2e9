import json
import os
import tracemalloc
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest

from peclr_utils.datasets import YouTube3DHands, youtube3d
from peclr_utils.datasets.check import check, main
from peclr_utils.datasets.youtube3d import FINGER_TIPS, joints

WIDTH, HEIGHT = 40, 30


def mesh(seed: int) -> np.ndarray:
    """Vertices (778, 3) inside the image."""
    rng = np.random.default_rng((9, seed))
    return rng.uniform((4, 4, -5), (WIDTH - 5, HEIGHT - 5, 5), (778, 3))


def frame(seed: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    rng = np.random.default_rng((10, seed))
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def youtube_root(tmp_path):
    """Write two frames with three hands, ids other than positions; `change` edits the label file."""

    def write(change=dict, name: str = "YouTube", frames: bool = True) -> Path:
        root = tmp_path / name
        names = [f"youtube/abc/video/frames/{number}.png" for number in (17, 4)]
        size = {"width": WIDTH, "height": HEIGHT}
        hands = enumerate([(0, 101), (1, 100), (0, 100)])
        content = {
            "images": [{"name": name, "id": 100 + k, **size} for k, name in enumerate(names)],
            "annotations": [
                {"vertices": mesh(k).tolist(), "is_left": left, "image_id": image, "id": 500 + k}
                for k, (left, image) in hands
            ],
        }
        root.mkdir(exist_ok=True)
        (root / "youtube_train.json").write_text(json.dumps(change(content)))
        for k, name in enumerate(names if frames else []):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(root / name), frame(k)[..., ::-1])
        return root

    return write


def edited(kind: str, position: int, **changes: object):
    """A change to one entry."""

    def change(content: dict) -> dict:
        content[kind][position] = {**content[kind][position], **changes}
        return content

    return change


def test_each_hand_is_a_sample_of_its_frame_with_its_own_identity(youtube_root):
    dataset = YouTube3DHands(youtube_root(), "train", mirror_left=False)
    assert dataset.identities.tolist() == [500, 501, 502]
    assert dataset.is_left.tolist() == [False, True, False]
    for index, (number, side) in enumerate([(1, "right"), (0, "left"), (0, "right")]):
        sample = dataset[index]
        np.testing.assert_array_equal(sample.image, frame(number))
        np.testing.assert_allclose(sample.outline, mesh(index)[:, :2], atol=1e-4)
        assert (sample.identity, sample.source, sample.handedness) == (500 + index, "youtube", side)
        assert sample.keypoints_2d is sample.keypoints_3d is sample.K is None
        assert sample.outline.dtype == np.float32


def test_left_hands_are_mirrored_with_their_vertices(youtube_root):
    root = youtube_root()
    filmed, mirrored = (YouTube3DHands(root, mirror_left=mirror)[1] for mirror in (False, True))
    assert mirrored.handedness == "right"
    np.testing.assert_allclose(mirrored.outline, filmed.outline * [-1, 1] + [WIDTH - 1, 0], atol=1e-4)
    for vertex in range(0, 778, 50):
        x, y = filmed.outline[vertex].round().astype(int)
        np.testing.assert_array_equal(mirrored.image[y, WIDTH - 1 - x], filmed.image[y, x])


@pytest.mark.parametrize("order", [("images", "annotations"), ("annotations", "images")])
def test_images_and_annotations_may_come_in_either_order(youtube_root, order):
    dataset = YouTube3DHands(youtube_root(lambda content: {key: content[key] for key in order}), "train")
    assert [Path(dataset[index].name).stem for index in range(3)] == ["4", "17", "17"]
    np.testing.assert_allclose(dataset.vertices(2), mesh(2), rtol=1e-6)


def test_frames_of_another_resolution_move_the_vertices(youtube_root):
    root = youtube_root()
    path = root / "youtube/abc/video/frames/4.png"
    cv2.imwrite(str(path), frame(1, 2 * WIDTH, 3 * HEIGHT))
    sample = YouTube3DHands(root, "train")[0]
    assert sample.image.shape == (3 * HEIGHT, 2 * WIDTH, 3)
    # An image's outer edges, half a pixel beyond the outer centres, stay its edges.
    np.testing.assert_allclose(sample.outline, (mesh(0)[:, :2] + 0.5) * [2, 3] - 0.5, rtol=1e-5)


def test_a_frame_may_be_a_jpeg_whatever_its_stated_name(youtube_root):
    root = youtube_root()
    path = root / "youtube/abc/video/frames/4.png"
    path.unlink()
    cv2.imwrite(str(path.with_suffix(".jpg")), np.full((HEIGHT, WIDTH, 3), 90, np.uint8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sample = YouTube3DHands(root, "train")[0]
    assert sample.name.endswith("4.jpg")
    assert abs(int(sample.image.mean()) - 90) <= 1


def test_hands_of_missing_frames_are_skipped_and_counted_in_one_warning(youtube_root):
    root = youtube_root()
    (root / "youtube/abc/video/frames/17.png").unlink()
    expected = "1 of 2 frames are missing, such as youtube/abc/video/frames/17.png. Skipped 2 of 3 hands."
    with pytest.warns(UserWarning, match=expected) as caught:
        dataset = YouTube3DHands(root, "train")
    assert [warning.filename for warning in caught] == [__file__]
    assert dataset.identities.tolist() == [500] == [dataset[0].identity]
    assert dataset.missing == ["youtube/abc/video/frames/17.png"]
    with pytest.raises(FileNotFoundError, match=r"2 of 2 frames are missing, .* how to get the frames"):
        YouTube3DHands(youtube_root(name="empty", frames=False), "train")


def test_the_regressor_gives_keypoints_in_freihand_order(youtube_root):
    # MANO's joints: wrist, index, middle, little, ring, thumb. Joint k is vertex 10 k here.
    regressor = np.zeros((16, 778))
    regressor[np.arange(16), 10 * np.arange(16)] = 1
    found = YouTube3DHands(youtube_root(), "train", regressor=regressor)[0].keypoints_2d
    thumb, index, middle = [130, 140, 150, 744], [10, 20, 30, 320], [40, 50, 60, 443]
    ring, little = [100, 110, 120, 555], [70, 80, 90, 672]
    np.testing.assert_allclose(found, mesh(0)[[0, *thumb, *index, *middle, *ring, *little], :2], atol=1e-4)


def test_a_regressor_may_be_a_file_and_is_applied_after_mirroring(youtube_root, tmp_path):
    regressor = np.random.default_rng(0).dirichlet(np.ones(778), 16)
    np.save(tmp_path / "regressor.npy", regressor)
    sample = YouTube3DHands(youtube_root(), "train", regressor=tmp_path / "regressor.npy")[1]
    np.testing.assert_allclose(sample.keypoints_2d, joints(regressor, sample.outline), atol=1e-4)
    np.testing.assert_allclose(sample.keypoints_2d[4], sample.outline[FINGER_TIPS[0]])
    for wrong in (regressor.T, 2 * regressor):
        with pytest.raises(ValueError, match=r"regressor must have shape \(16, 778\) and rows that sum to 1"):
            YouTube3DHands(youtube_root(), "train", regressor=wrong)


def test_the_label_file_is_streamed_once_and_again_if_it_changes(youtube_root, monkeypatch):
    root = youtube_root()
    expected = YouTube3DHands(root, "train")
    with monkeypatch.context() as patch:
        patch.setattr(youtube3d, "_stream", lambda *_: pytest.fail("parsed again"))
        again = YouTube3DHands(root, "train")
    np.testing.assert_array_equal(again.vertices(1), expected.vertices(1))
    assert again.identities.tolist() == expected.identities.tolist()
    youtube_root(lambda content: {**content, "annotations": content["annotations"][:2]})
    assert len(YouTube3DHands(root, "train")) == 2
    assert sorted(path.suffix for path in (root / ".peclr_utils").iterdir()) == ["", ".npz", ".vertices"]


def test_the_compact_files_go_where_they_can_be_written(youtube_root, home_is_empty, monkeypatch, tmp_path):
    root = youtube_root()
    YouTube3DHands(root, "train", cache=tmp_path / "mine")
    monkeypatch.setattr(os, "access", lambda *_: False)  # a read-only folder, also for the superuser
    YouTube3DHands(root, "train")
    for place in (tmp_path / "mine", home_is_empty / ".cache" / "peclr_utils"):
        assert len(list(place.rglob("*.vertices"))) == 1
    assert not (root / ".peclr_utils").exists()


def test_a_wrong_folder_names_the_right_one_and_a_wrong_split_the_known_ones(youtube_root):
    root = youtube_root()
    with pytest.raises(FileNotFoundError, match=rf"youtube_train.json: no such file; found it in {root}$"):
        YouTube3DHands(root.parent)
    with pytest.raises(ValueError, match="split must be one of train, val, test, found 'training'"):
        YouTube3DHands(root, "training")


def test_memory_stays_bounded_while_the_label_file_is_streamed(youtube_root):
    root = youtube_root(lambda content: {**content, "annotations": content["annotations"][:1] * 60})
    tracemalloc.start()
    dataset = YouTube3DHands(root, "train")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(dataset) == 60
    one_hand = 778 * (3 * 24 + 3 * 8 + 56)  # as Python objects: three numbers in a list, 778 times
    assert peak < 10 * one_hand


def test_the_check_describes_it_and_counts_missing_frames(youtube_root):
    root = youtube_root()
    (root / "youtube/abc/video/frames/17.png").unlink()
    report = check("youtube", str(root), decode=None)
    text = str(report)
    assert report.ok, text
    assert "val: not there" in text
    assert "train: 3 hands in 2 frames, 33% left hands; 1 frames are missing: youtube/abc/video/" in text


def test_the_check_finds_what_is_broken(youtube_root, capsys):
    def move(content):
        hands = [{**hand, "vertices": (mesh(0) + 1000).tolist()} for hand in content["annotations"]]
        return {**content, "annotations": hands}

    moved = check("youtube", str(youtube_root(move, "moved")))
    assert "only 0.0% of the vertices lie inside" in str(moved)
    assert main(["youtube", str(youtube_root(edited("images", 1, width="wide"), "wide"))]) == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "PROBLEM" in line]
    assert "youtube_train.json: expected an image with an id of its own" in line
    root = youtube_root()
    (root / "youtube/abc/video/frames/4.png").write_bytes(b"no image")
    assert "1 decoded images are broken" in str(check("youtube", str(root), decode=None))
    for path in root.rglob("*.png"):
        path.unlink()
    assert "2 of 2 frames are missing" in str(check("youtube", str(root)))
    (root / "youtube_train.json").write_text('{"images": [')
    assert "not valid JSON" in str(check("youtube", str(root)))
