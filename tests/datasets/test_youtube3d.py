import json
import pickle
import tracemalloc
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest

from peclr_utils.crops import crop
from peclr_utils.datasets import YouTube3DHands, cache, youtube_index
from peclr_utils.datasets.youtube3d import FINGER_TIPS, joints
from peclr_utils.skeleton import KEYPOINT_NAMES

WIDTH, HEIGHT = 40, 30


def mesh(seed: int) -> np.ndarray:
    """Vertices (778, 3) inside the picture."""
    rng = np.random.default_rng((9, seed))
    return rng.uniform((4, 4, -5), (WIDTH - 5, HEIGHT - 5, 5), (778, 3))


def frame(seed: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    rng = np.random.default_rng((10, seed))
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def youtube_root(tmp_path):
    """Write two frames with three hands, ids other than positions; `change` edits the label file."""

    def write(change=lambda content: content, split: str = "train", frames: bool = True, order=None) -> Path:
        root = tmp_path / "youtube_3d_hands"
        names = [f"youtube/abc/video/frames/{number}.png" for number in (17, 4)]
        content = {
            "images": [
                {"name": name, "width": WIDTH, "height": HEIGHT, "id": 100 + k}
                for k, name in enumerate(names)
            ],
            "annotations": [
                {"vertices": mesh(k).tolist(), "is_left": left, "image_id": image, "id": 500 + k}
                for k, (left, image) in enumerate([(0, 101), (1, 100), (0, 100)])
            ],
        }
        content = change(content)
        for k, name in enumerate(names if frames else []):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(root / name), frame(k)[..., ::-1])
        root.mkdir(exist_ok=True)
        ordered = {key: content[key] for key in order} if order else content
        (root / f"youtube_{split}.json").write_text(json.dumps(ordered))
        return root

    return write


def edited(kind: str, position: int, **changes: object):
    """A change to one entry; a value None removes the field."""

    def change(content: dict) -> dict:
        entry = {**content[kind][position], **changes}
        content[kind][position] = {key: value for key, value in entry.items() if value is not None}
        return content

    return change


def test_each_hand_is_a_sample_of_its_frame_with_its_own_identity(youtube_root):
    dataset = YouTube3DHands(youtube_root(), "train")
    assert dataset.identities.tolist() == [500, 501, 502]
    for index, picture in enumerate([1, 0, 0]):
        sample = dataset[index]
        image = frame(picture)
        np.testing.assert_array_equal(sample.image, image[:, ::-1] if index == 1 else image)
        assert sample.identity == 500 + index
        assert sample.source == "youtube"
        assert sample.keypoints_2d is None
        assert sample.keypoints_3d is None
        assert sample.K is None
        assert sample.outline.shape == (778, 2)
        assert sample.outline.dtype == np.float32


def test_left_hands_are_mirrored_with_their_vertices(youtube_root):
    dataset = YouTube3DHands(youtube_root(), "train")
    assert dataset.is_left.tolist() == [False, True, False]
    assert [dataset[index].handedness for index in range(3)] == ["right"] * 3
    expected = mesh(1)[:, :2] * [-1, 1] + [WIDTH - 1, 0]
    np.testing.assert_allclose(dataset[1].outline, expected, atol=1e-4)
    as_filmed = YouTube3DHands(youtube_root(), "train", mirror_left=False)[1]
    assert as_filmed.handedness == "left"
    np.testing.assert_allclose(as_filmed.outline, mesh(1)[:, :2], atol=1e-4)
    np.testing.assert_array_equal(as_filmed.image, frame(0))


def test_the_pixel_under_a_vertex_is_the_same_after_mirroring(youtube_root):
    root = youtube_root()
    filmed, mirrored = (YouTube3DHands(root, mirror_left=mirror)[1] for mirror in (False, True))
    for vertex in range(0, 778, 50):
        x, y = filmed.outline[vertex].round().astype(int)
        x_mirrored = int(np.round(WIDTH - 1 - x))
        np.testing.assert_array_equal(mirrored.image[y, x_mirrored], filmed.image[y, x])


@pytest.mark.parametrize("order", [("images", "annotations"), ("annotations", "images")])
def test_images_and_annotations_may_come_in_either_order(youtube_root, order):
    dataset = YouTube3DHands(youtube_root(order=order), "train")
    assert [Path(dataset[index].name).stem for index in range(3)] == ["4", "17", "17"]
    np.testing.assert_allclose(dataset.vertices(2), mesh(2), rtol=1e-6)


def test_frames_of_another_resolution_move_the_vertices(youtube_root):
    root = youtube_root()
    path = root / "youtube/abc/video/frames/4.png"
    cv2.imwrite(str(path), frame(1, 2 * WIDTH, 3 * HEIGHT))
    sample = YouTube3DHands(root, "train")[0]
    assert sample.image.shape == (3 * HEIGHT, 2 * WIDTH, 3)
    # A picture's outer edges, half a pixel beyond the outer centres, stay its edges.
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


def test_missing_frames_are_left_out_and_counted_in_one_warning(youtube_root):
    root = youtube_root()
    (root / "youtube/abc/video/frames/17.png").unlink()
    with pytest.warns(UserWarning) as caught:
        dataset = YouTube3DHands(root, "train")
    assert len(caught) == 1
    assert "1 of 2 frames of the train split are missing" in str(caught[0].message)
    assert "left out are 2 of 3 hands" in str(caught[0].message)
    assert caught[0].filename == __file__
    assert len(dataset) == 1
    assert dataset.identities.tolist() == [500]
    assert dataset[0].identity == 500
    assert dataset.missing == ["youtube/abc/video/frames/17.png"]


def test_all_frames_missing_is_an_error(youtube_root):
    with pytest.raises(FileNotFoundError, match=r"2 of 2 frames .* extract the videos' frames"):
        YouTube3DHands(youtube_root(frames=False), "train")


def test_the_regressor_gives_keypoints_in_freihand_order(youtube_root):
    # MANO's joints: wrist, index, middle, little, ring, thumb. Joint k is vertex 10 k here.
    regressor = np.zeros((16, 778))
    regressor[np.arange(16), 10 * np.arange(16)] = 1
    found = YouTube3DHands(youtube_root(), "train", regressor=regressor)[0].keypoints_2d
    first = {"wrist": 0, "index": 1, "middle": 4, "little": 7, "ring": 10, "thumb": 13}
    tips = {"thumb": 744, "index": 320, "middle": 443, "ring": 555, "little": 672}
    step = {"CMC": 0, "MCP": 0, "PIP": 1, "DIP": 2, "IP": 2}
    for k, name in enumerate(KEYPOINT_NAMES):
        finger, _, joint = name.partition(" ")
        if finger == "wrist":
            vertex = 0
        elif joint == "tip":
            vertex = tips[finger]
        else:
            # The thumb's joints are CMC, MCP, IP; the fingers' MCP, PIP, DIP.
            along = {"CMC": 0, "MCP": 1, "IP": 2}[joint] if finger == "thumb" else step[joint]
            vertex = 10 * (first[finger] + along)
        np.testing.assert_allclose(found[k], mesh(0)[vertex, :2], atol=1e-4, err_msg=name)


def test_mirrored_hands_have_mirrored_keypoints(youtube_root):
    regressor = np.random.default_rng(0).dirichlet(np.ones(778), 16)
    sample = YouTube3DHands(youtube_root(), "train", regressor=regressor)[1]
    np.testing.assert_allclose(sample.keypoints_2d, joints(regressor, sample.outline), atol=1e-4)
    np.testing.assert_allclose(sample.keypoints_2d[4], sample.outline[FINGER_TIPS[0]])


def test_the_regressor_may_be_a_file(youtube_root, tmp_path):
    regressor = np.full((16, 778), 1 / 778)
    np.save(tmp_path / "regressor.npy", regressor)
    sample = YouTube3DHands(youtube_root(), "train", regressor=tmp_path / "regressor.npy")[0]
    np.testing.assert_allclose(sample.keypoints_2d[0], mesh(0)[:, :2].mean(0), atol=1e-4)


@pytest.mark.parametrize(
    ("regressor", "error", "message"),
    [
        (np.ones((778, 16)), ValueError, r"expected shape \(16, 778\), found \(778, 16\)"),
        (np.ones((16, 778)), ValueError, "each row must sum to 1"),
        ("nowhere.npy", FileNotFoundError, "nowhere.npy: no such file"),
    ],
)
def test_a_wrong_regressor_is_refused(youtube_root, regressor, error, message):
    with pytest.raises(error, match=message):
        YouTube3DHands(youtube_root(), "train", regressor=regressor)


def test_the_crop_comes_from_the_vertices(youtube_root):
    sample = crop(YouTube3DHands(youtube_root(), "train")[1], 32, factor=1.0)
    distance = np.linalg.norm(sample.outline - sample.outline.mean(0), axis=1)
    np.testing.assert_allclose(sample.outline.mean(0), 15.5, atol=1e-3)
    assert distance.max() == pytest.approx(16, abs=1e-3)


def test_the_label_file_is_streamed_once(youtube_root, monkeypatch):
    root = youtube_root()
    expected = YouTube3DHands(root, "train")
    monkeypatch.setattr(youtube_index, "_stream", lambda *_: pytest.fail("parsed again"))
    again = YouTube3DHands(root, "train")
    np.testing.assert_array_equal(again.vertices(1), expected.vertices(1))
    assert again.identities.tolist() == expected.identities.tolist()
    assert {path.suffix for path in (root / cache.BESIDE).iterdir()} == {".npy", ".npz", ""}


def test_a_changed_label_file_is_streamed_again(youtube_root):
    root = youtube_root()
    assert len(YouTube3DHands(root, "train")) == 3
    youtube_root(lambda content: {**content, "annotations": content["annotations"][:2]})
    assert len(YouTube3DHands(root, "train")) == 2
    assert len(list((root / cache.BESIDE).glob("*.npy"))) == 1


def test_an_interrupted_first_opening_leaves_nothing_behind(youtube_root, monkeypatch):
    root = youtube_root()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(youtube_index, "_vertices", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        YouTube3DHands(root, "train")
    assert [path.name for path in (root / cache.BESIDE).iterdir()] == [".gitignore"]
    assert len(YouTube3DHands(root, "train")) == 3


@pytest.mark.parametrize("pattern", ["*.index.npz", "*.vertices.npy"])
@pytest.mark.parametrize("keep", [0, 30, 0.7, -1, None])
def test_damaged_compact_files_are_made_again_and_that_is_said_once(youtube_root, pattern, keep):
    root = youtube_root()
    YouTube3DHands(root)
    (compact,) = (root / cache.BESIDE).glob(pattern)
    whole = compact.read_bytes()
    if keep is None:
        compact.unlink()
    else:
        compact.write_bytes(whole[: int(len(whole) * keep) if 0 < keep < 1 else keep])
    if keep is None and compact.suffix == ".npz":  # nothing is damaged: the first opening was interrupted
        dataset = YouTube3DHands(root)
    else:
        with pytest.warns(UserWarning, match=r"youtube_train.json: read again, for damaged is") as caught:
            dataset = YouTube3DHands(root)
        assert len(caught) == 1
        assert caught[0].filename == __file__
    np.testing.assert_allclose(dataset[0].outline, mesh(0)[:, :2], atol=1e-4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(YouTube3DHands(root)) == 3


def test_vertices_of_another_number_of_hands_are_made_again(youtube_root):
    root = youtube_root()
    YouTube3DHands(root)
    (vertices,) = (root / cache.BESIDE).glob("*.vertices.npy")
    np.save(vertices, np.load(vertices)[:2])
    with pytest.warns(UserWarning, match=r"expected 3 hands, found shape \(2, 778, 3\)"):
        dataset = YouTube3DHands(root)
    assert dataset.vertices(2).shape == (778, 3)


def test_a_damaged_file_that_cannot_be_replaced_does_not_hide_a_whole_one(youtube_root, home_is_empty):
    root = youtube_root()
    (root / cache.BESIDE).write_text("in the way: stands for a read-only root, also for the superuser")
    YouTube3DHands(root)
    (table,) = (home_is_empty / ".cache").rglob("*.index.npz")
    (root / cache.BESIDE).unlink()
    (root / cache.BESIDE).mkdir()
    (root / cache.BESIDE / table.name).write_bytes(table.read_bytes()[:50])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(YouTube3DHands(root)) == 3


def test_a_read_only_root_uses_the_users_cache(youtube_root, home_is_empty):
    root = youtube_root()
    (root / cache.BESIDE).write_text("in the way: stands for a read-only root, also for the superuser")
    assert len(YouTube3DHands(root, "train")) == 3
    assert list((home_is_empty / ".cache" / "peclr_utils").rglob("*.vertices.npy"))


def test_vertices_are_not_read_into_memory_or_pickled(youtube_root):
    dataset = YouTube3DHands(youtube_root(), "train")
    assert len(pickle.dumps(dataset)) < 778 * 3 * 4
    again = pickle.loads(pickle.dumps(dataset))
    np.testing.assert_array_equal(again[1].outline, dataset[1].outline)


def test_index_past_the_end_is_refused(youtube_root):
    dataset = YouTube3DHands(youtube_root(), "train")
    with pytest.raises(IndexError):
        dataset[3]
    assert len(list(dataset)) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (edited("annotations", 1, image_id=7), "annotation 501: its image_id 7 is not among the images"),
        (edited("annotations", 1, is_left=2), "annotation 501: is_left must be 0 or 1, found 2"),
        (edited("annotations", 2, vertices=[[1, 2, 3]]), r"annotation 502: vertices .* found \(1, 3\)"),
        (
            edited("annotations", 2, vertices=[[1, 2], [3]]),
            "annotation 502: vertices must be 778 x 3 numbers",
        ),
        (edited("annotations", 2, vertices=None), "annotation 502: vertices missing, found is_left"),
        (edited("annotations", 0, id="x"), "annotation number 0: its id must be a whole number, found 'x'"),
        (edited("annotations", 1, id=True), "annotation number 1: its id must be a whole number, found True"),
        (edited("images", 1, id=1.5), "image number 1: its id must be a whole number, found 1.5"),
        (edited("annotations", 1, image_id=[0]), r"annotation 501: its image_id must be .* found \[0\]"),
        (edited("annotations", 1, is_left=[1]), r"annotation 501: is_left must be 0 or 1, found \[1\]"),
        (edited("annotations", 2, vertices=[["a"] * 3] * 778), "annotation 502: vertices must be 778 x 3"),
        (edited("annotations", 2, vertices=[[1e300] * 3] * 778), "annotation 502: vertices must be finite"),
        (edited("images", 1, name=5), "image 101: expected a file's name as name, found 5"),
        (edited("images", 1, width="40"), "image 101: expected a positive .* found '40' x 30"),
        (edited("images", 1, height=[30]), r"image 101: expected a positive .* found 40 x \[30\]"),
        (edited("images", 1, width=40.5), "image 101: expected a positive width .* found 40.5 x 30"),
        (edited("images", 1, width=10**10), "image 101: expected a positive width .* found 10000000000 x"),
        (edited("images", 1, id=100), "image 100: its id is given twice"),
        (edited("images", 1, width=0), "image 101: expected a positive width and height, found 0 x 30"),
        (edited("images", 1, name=None), "image 101: name missing"),
        (lambda content: {"images": content["images"]}, "expected a list of hands named 'annotations'"),
        (lambda content: {"annotations": content["annotations"]}, "expected a list of frames named 'images'"),
        (lambda content: {**content, "annotations": [5]}, "annotation number 0: expected an object"),
        (
            lambda content: {**content, "images": [*content["images"], 5]},
            "image number 2: expected an object with fields, found 5",
        ),
        (
            lambda content: {**content, "images": [[content["images"][0]], content["images"][1]]},
            "image number 0: expected an object with fields, found",
        ),
    ],
)
def test_a_wrong_entry_is_named(youtube_root, change, message):
    with pytest.raises(ValueError, match=f"youtube_train.json.*{message}"):
        YouTube3DHands(youtube_root(change), "train")


@pytest.mark.parametrize(
    ("kind", "field", "message"),
    [
        ("images", "width", "image 101: expected a positive .* found null x 30"),
        ("images", "name", "image 101: expected a file's name as name, found null"),
        ("images", "id", "image number 1: its id must be a whole number, found null"),
        ("annotations", "image_id", "annotation 501: its image_id must be a whole number, found null"),
        ("annotations", "is_left", "annotation 501: is_left must be 0 or 1, found null"),
        ("annotations", "vertices", r"annotation 501: vertices must be of shape .* found \(\)"),
    ],
)
def test_an_entry_with_a_field_that_is_null_is_named(youtube_root, kind, field, message):
    def change(content: dict) -> dict:
        content[kind][1][field] = None
        return content

    with pytest.raises(ValueError, match=f"youtube_train.json: {message}"):
        YouTube3DHands(youtube_root(change), "train")


def test_whole_numbers_written_with_a_point_are_numbers(youtube_root):
    def change(content: dict) -> dict:
        content["images"][1].update(width=40.0, id=101.0)
        return content

    np.testing.assert_allclose(YouTube3DHands(youtube_root(change))[0].outline, mesh(0)[:, :2], atol=1e-4)


@pytest.mark.parametrize("keep", [0.2, 0.999])
def test_a_label_file_cut_short_is_said_to_be(youtube_root, keep):
    root = youtube_root()
    path = root / "youtube_train.json"
    text = path.read_bytes()
    path.write_bytes(text[: int(len(text) * keep)])
    with pytest.raises(ValueError, match=r"youtube_train.json: not valid JSON, probably cut short"):
        YouTube3DHands(root, "train")


def test_what_is_no_json_is_said_to_be_none(youtube_root):
    root = youtube_root()
    (root / "youtube_train.json").write_text("<html>quota exceeded</html>")
    with pytest.raises(ValueError, match=r"youtube_train.json: not valid JSON"):
        YouTube3DHands(root, "train")


def test_wrong_folders_name_the_right_one(youtube_root):
    root = youtube_root()
    with pytest.raises(FileNotFoundError, match=r"folder is below: .*youtube_3d_hands$"):
        YouTube3DHands(root.parent)
    with pytest.raises(FileNotFoundError, match=r"folder is above: .*youtube_3d_hands$"):
        YouTube3DHands(root / "youtube" / "abc")
    with pytest.raises(FileNotFoundError, match="youtube_val.json: no such file, found youtube_train.json"):
        YouTube3DHands(root, "val")
    with pytest.raises(FileNotFoundError, match="there is no such folder"):
        YouTube3DHands(root / "nowhere")
    with pytest.raises(FileNotFoundError, match="youtube_train.json: this is a file; name the folder"):
        YouTube3DHands(root / "youtube_train.json")
    with pytest.raises(ValueError, match="split must be one of train, val, test, found 'training'"):
        YouTube3DHands(root, "training")


def test_memory_stays_bounded_while_the_label_file_is_streamed(youtube_root):
    def many(content: dict) -> dict:
        entry = content["annotations"][0]
        return {**content, "annotations": [{**entry, "id": k} for k in range(60)]}

    root = youtube_root(many)
    tracemalloc.start()
    dataset = YouTube3DHands(root, "train")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(dataset) == 60
    one_hand = 778 * (3 * 24 + 3 * 8 + 56)  # as Python objects: three numbers in a list, 778 times
    assert peak < 10 * one_hand
