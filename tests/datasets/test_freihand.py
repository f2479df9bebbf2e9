import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from peclr_utils.camera import bone_length, project
from peclr_utils.datasets import FreiHAND


def rewrite(path: Path, change) -> None:
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def test_each_version_of_a_photograph_is_n_files_apart_and_shares_labels_and_identity(freihand_root):
    root = freihand_root(count=5, versions=4)
    dataset = FreiHAND(root, "training")
    assert len(dataset) == 20
    assert dataset.versions == (0, 1, 2, 3)
    for identity in range(5):
        indices = np.flatnonzero(dataset.identities == identity)
        samples = [dataset[int(index)] for index in indices]
        assert [sample.name for sample in samples] == [
            f"training/rgb/{identity + 5 * version:08d}.jpg" for version in range(4)
        ]
        for sample in samples:
            assert sample.identity == identity
            np.testing.assert_array_equal(sample.keypoints_3d, samples[0].keypoints_3d)
            np.testing.assert_array_equal(sample.mask, samples[0].mask)


def test_a_sample_holds_what_the_files_say(freihand_root, write_picture, tmp_path):
    root = freihand_root(count=3, versions=2)
    sample = FreiHAND(root, "training")[4]
    xyz = np.float32(json.loads((root / "training_xyz.json").read_text())[1])
    K = np.float32(json.loads((root / "training_K.json").read_text())[1])
    picture = write_picture(tmp_path / "again.jpg", 4)
    assert sample.image.shape == (24, 32, 3)
    assert (
        np.abs(sample.image.astype(int) - picture).max() <= 12
    )  # RGB, not BGR: the ramps differ by far more
    np.testing.assert_array_equal(sample.keypoints_3d, xyz)
    np.testing.assert_array_equal(sample.K, K)
    np.testing.assert_allclose(sample.keypoints_2d, project(xyz, K), rtol=1e-6)
    assert sample.bone_length == pytest.approx(bone_length(xyz), rel=1e-6)
    assert sample.handedness == "right"
    assert sample.source == "freihand"
    assert np.abs(sample.mask.astype(int) - 10).max() <= 2
    for value in (sample.keypoints_3d, sample.keypoints_2d, sample.K):
        assert value.dtype == np.float32


@pytest.mark.parametrize("val_fraction", [0.1, 0.3, 0.5])
def test_train_and_val_part_the_photographs(freihand_root, val_fraction):
    root = freihand_root(count=20, versions=2)
    train = FreiHAND(root, "train", val_fraction=val_fraction)
    val = FreiHAND(root, "val", val_fraction=val_fraction)
    assert len(val.ids) == round(20 * val_fraction)
    assert not set(train.identities) & set(val.identities)
    assert set(train.identities) | set(val.identities) == set(range(20))
    assert len(train) == 2 * len(train.ids)


def test_the_division_into_train_and_val_stays_the_same_for_ever(freihand_root):
    root = freihand_root(count=20, versions=1)
    assert FreiHAND(root, "val", val_fraction=0.2).ids.tolist() == [1, 8, 18, 19]
    assert FreiHAND(root, "val", val_fraction=0.2, split_seed=1).ids.tolist() != [1, 8, 18, 19]


def test_samples_of_a_split_are_those_of_its_identities(freihand_root):
    root = freihand_root(count=20, versions=2)
    val = FreiHAND(root, "val", val_fraction=0.2)
    for index in range(len(val)):
        sample = val[index]
        assert sample.identity == val.identities[index]
        assert int(sample.name[-12:-4]) % 20 == sample.identity


def test_the_number_of_versions_is_read_from_the_folder(freihand_root):
    for versions in (1, 2, 3, 4):
        root = freihand_root(count=3, versions=versions, name=f"with{versions}")
        assert len(FreiHAND(root, "training")) == 3 * versions


def test_versions_can_be_chosen(freihand_root):
    root = freihand_root(count=3, versions=4)
    chosen = FreiHAND(root, "training", versions=(1, 3))
    assert [chosen[index].name[-6:-4] for index in range(6)] == ["03", "04", "05", "09", "10", "11"]
    assert len(FreiHAND(root, "training", versions=2)) == 6


def test_numpys_whole_numbers_choose_versions_too(freihand_root):
    root = freihand_root(count=3, versions=4)
    assert FreiHAND(root, "training", versions=np.int64(2)).versions == (0, 1)
    assert FreiHAND(root, "training", versions=np.array([1, 3])).versions == (1, 3)
    assert FreiHAND(root, "training", versions=range(1, 3)).versions == (1, 2)


@pytest.mark.parametrize(
    "versions",
    [0, 5, (), (0, 0), (4,), -1, 10**30, 1.0, True, "a", "12", ("1",), (0.5, 1), [None], [False]],
)
def test_impossible_versions_are_refused(freihand_root, versions):
    with pytest.raises(ValueError, match="versions must be a count from 1 to 4"):
        FreiHAND(freihand_root(), "training", versions=versions)


def test_evaluation_has_one_version_and_its_labels(freihand_root):
    freihand_root(count=3)
    dataset = FreiHAND(freihand_root(count=6, versions=1, part="evaluation"), "evaluation")
    assert len(dataset) == 6
    assert dataset[5].keypoints_3d is not None
    assert dataset[5].mask is None


def test_evaluation_without_public_labels_has_k_and_pictures_only(freihand_root):
    root = freihand_root(count=6, versions=1, part="evaluation")
    (root / "evaluation_xyz.json").unlink()
    sample = FreiHAND(root, "evaluation")[0]
    assert sample.keypoints_3d is None
    assert sample.keypoints_2d is None
    assert sample.K is not None
    assert sample.bone_length is not None


def test_index_past_the_end_ends_iteration(freihand_root):
    dataset = FreiHAND(freihand_root(count=2, versions=1), "training")
    with pytest.raises(IndexError, match="index 2 outside 0..1"):
        dataset[2]
    assert len(list(dataset)) == 2
    assert dataset[-1].name == dataset[1].name


def test_a_pickled_data_set_gives_the_same_samples(freihand_root):
    dataset = FreiHAND(freihand_root(), "train", val_fraction=0.2)
    again = pickle.loads(pickle.dumps(dataset))
    np.testing.assert_array_equal(again[3].image, dataset[3].image)


def test_unknown_split_is_refused_with_the_known_ones(freihand_root):
    with pytest.raises(ValueError, match="train, val, training, evaluation, found 'test'"):
        FreiHAND(freihand_root(), "test")


def test_a_fraction_that_leaves_nothing_is_refused(freihand_root):
    with pytest.raises(ValueError, match="leaves a part empty"):
        FreiHAND(freihand_root(count=3), "val", val_fraction=0.01)


@pytest.mark.parametrize("split", ["train", "training"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"val_fraction": "x"}, "FreiHAND: val_fraction must be a number from 0 to 1, found 'x'"),
        ({"val_fraction": float("nan")}, "val_fraction must be a number from 0 to 1, found nan"),
        ({"val_fraction": None}, "val_fraction must be a number from 0 to 1, found None"),
        ({"val_fraction": 1.5}, "val_fraction must be a number from 0 to 1, found 1.5"),
        (
            {"split_seed": None},
            "FreiHAND: split_seed must be a whole number from 0 to 4294967295, found None",
        ),
        ({"split_seed": -1}, "split_seed must be a whole number from 0 to .* found -1"),
        ({"split_seed": 2**32}, "split_seed must be a whole number from 0 to .* found 4294967296"),
    ],
)
def test_what_is_no_fraction_or_no_seed_is_refused(freihand_root, split, arguments, message):
    with pytest.raises(ValueError, match=message):
        FreiHAND(freihand_root(), split, **arguments)


def test_missing_folder_is_said_to_be_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no such folder"):
        FreiHAND(tmp_path / "nowhere")


@pytest.mark.parametrize("below", ["training", "training/rgb"])
def test_a_folder_too_far_down_names_the_right_one(freihand_root, below):
    root = freihand_root()
    with pytest.raises(FileNotFoundError, match=r"lies above the one named: .*FreiHAND$"):
        FreiHAND(root / below)


def test_a_folder_too_far_up_names_the_right_one(freihand_root):
    root = freihand_root()
    with pytest.raises(FileNotFoundError, match=r"lies below the one named: .*FreiHAND$"):
        FreiHAND(root.parent)


def test_a_folder_of_something_else_says_what_is_expected(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected FreiHAND's folder, which holds training/"):
        FreiHAND(tmp_path)


def test_a_missing_label_file_is_named(freihand_root):
    root = freihand_root()
    (root / "training_scale.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"training_scale.json missing; found only training_K.json"):
        FreiHAND(root)


def test_a_label_file_cut_short_is_named(freihand_root):
    path = freihand_root() / "training_xyz.json"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match=r"training_xyz.json: not valid JSON, probably cut short"):
        FreiHAND(path.parent)


def test_label_files_of_different_lengths_are_told_apart(freihand_root):
    path = freihand_root(count=5) / "training_K.json"
    rewrite(path, lambda entries: entries[:4])
    with pytest.raises(ValueError, match=r"training_K.json has 4, training_xyz.json has 5"):
        FreiHAND(path.parent)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e: [*e[:3], e[3][:20], e[4]], r"entry 3: expected shape \(21, 3\), found \(20, 3\)"),
        (lambda e: [*e[:2], [[1, 2]] * 21, *e[3:]], r"entry 2: expected shape \(21, 3\), found \(21, 2\)"),
        (lambda e: [*e[:2], [*e[2][:20], [1, 2]], *e[3:]], r"entry 2: expected numbers of shape \(21, 3\)"),
        (
            lambda e: [*e[:2], [*e[2][:20], [1, 2, "a"]], *e[3:]],
            r"entry 2: expected numbers of shape \(21, 3\)",
        ),
        (lambda e: [*e[:4], [*e[4][:20], [1, 2, float("nan")]]], r"entry 4: expected finite numbers"),
        (lambda e: [*e[:4], [*e[4][:20], [1, 2, 1e400]]], r"entry 4: expected finite numbers"),
        (lambda e: {"xyz": e}, r"expected a list with one entry for each photograph"),
        (lambda e: [], r"expected a list with one entry for each photograph"),
    ],
)
def test_a_wrong_entry_is_named(freihand_root, change, message):
    path = freihand_root() / "training_xyz.json"
    rewrite(path, change)
    with pytest.raises(ValueError, match=f"training_xyz.json: {message}"):
        FreiHAND(path.parent)


@pytest.mark.parametrize(
    "text", ["[1.2.3, 1, 1, 1, 1]", "[1, , 1, 1, 1]", "[1 2, 1, 1, 1, 1]", "[1, 1, 1, 1, -]", "[1, 1, 1, 1"]
)
def test_what_is_no_number_is_no_valid_file(freihand_root, text):
    root = freihand_root(count=5)
    (root / "training_scale.json").write_text(text)
    with pytest.raises(ValueError, match=r"training_scale.json: not valid JSON"):
        FreiHAND(root, "training")


def test_labels_may_be_spread_over_lines(freihand_root):
    root = freihand_root()
    expected = FreiHAND(root, "training").labels
    for path in root.glob("*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()), indent=1))
    np.testing.assert_array_equal(FreiHAND(root, "training").labels.xyz, expected.xyz)


def test_a_folder_without_pictures_is_refused_unless_versions_are_given(freihand_root):
    root = freihand_root(count=5, versions=0)
    with pytest.raises(FileNotFoundError, match="no pictures, expected 00000000.jpg"):
        FreiHAND(root, "training")
    assert len(FreiHAND(root, "training", versions=4)) == 20


def test_more_pictures_than_labels_are_refused(freihand_root):
    root = freihand_root(count=5, versions=5)
    with pytest.raises(ValueError, match="holds more pictures than 4 versions of the 5 photographs"):
        FreiHAND(root, "training")


def test_a_missing_picture_is_named(freihand_root):
    root = freihand_root()
    (root / "training" / "rgb" / "00000003.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"00000003.jpg: no such picture"):
        FreiHAND(root, "training")[3]


def test_a_corrupt_picture_is_named(freihand_root):
    root = freihand_root()
    (root / "training" / "rgb" / "00000003.jpg").write_bytes(b"<html>not found</html>")
    with pytest.raises(ValueError, match=r"00000003.jpg: its 22 bytes don't decode"):
        FreiHAND(root, "training")[3]


def test_a_picture_that_is_cut_short_is_named_and_not_shown_half_grey(freihand_root):
    root = freihand_root()
    path = root / "training" / "rgb" / "00000003.jpg"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    with pytest.raises(ValueError, match=r"00000003.jpg: a JPEG that is cut short after \d+ bytes"):
        FreiHAND(root, "training")[3]


def test_what_is_done_to_a_sample_does_not_reach_the_labels(freihand_root):
    hands = FreiHAND(freihand_root(), "training")
    sample = hands[0]
    keypoints, K = sample.keypoints_3d.copy(), sample.K.copy()
    sample.keypoints_3d[:] = 1000
    sample.K[:] = 0
    np.testing.assert_array_equal(hands[0].keypoints_3d, keypoints)
    np.testing.assert_array_equal(hands[0].K, K)
