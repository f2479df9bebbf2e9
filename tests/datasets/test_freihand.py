import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from peclr_utils.camera import bone_length, project
from peclr_utils.datasets import FreiHAND
from peclr_utils.datasets.check import check


def rewrite(path: Path, change) -> None:
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def test_each_version_of_a_photograph_is_n_files_apart_and_shares_labels_and_identity(freihand_root):
    dataset = FreiHAND(freihand_root(count=5, versions=4), "training")
    assert len(dataset) == 20
    assert dataset.versions == (0, 1, 2, 3)
    for identity in range(5):
        samples = [dataset[int(index)] for index in np.flatnonzero(dataset.identities == identity)]
        names = [f"training/rgb/{identity + 5 * version:08d}.jpg" for version in range(4)]
        assert [sample.name for sample in samples] == names
        for sample in samples:
            assert sample.identity == identity
            np.testing.assert_array_equal(sample.keypoints_3d, samples[0].keypoints_3d)
            np.testing.assert_array_equal(sample.mask, samples[0].mask)


def test_a_sample_holds_what_the_files_say(freihand_root, write_image, tmp_path):
    root = freihand_root(count=3, versions=2)
    sample = FreiHAND(root, "training")[4]
    xyz = np.float32(json.loads((root / "training_xyz.json").read_text())[1])
    K = np.float32(json.loads((root / "training_K.json").read_text())[1])
    image = write_image(tmp_path / "again.jpg", 4)
    assert sample.image.shape == (24, 32, 3)
    # RGB, not BGR: the ramps differ by far more than JPEG changes.
    assert np.abs(sample.image.astype(int) - image).max() <= 12
    np.testing.assert_array_equal(sample.keypoints_3d, xyz)
    np.testing.assert_array_equal(sample.K, K)
    np.testing.assert_allclose(sample.keypoints_2d, project(xyz, K), rtol=1e-6)
    assert sample.bone_length == pytest.approx(bone_length(xyz), rel=1e-6)
    assert (sample.handedness, sample.source) == ("right", "freihand")
    assert np.abs(sample.mask.astype(int) - 10).max() <= 2
    for value in (sample.keypoints_3d, sample.keypoints_2d, sample.K):
        assert value.dtype == np.float32


@pytest.mark.parametrize("val_fraction", [0.1, 0.3, 0.5])
def test_no_photograph_is_in_both_train_and_val_and_each_is_in_one(freihand_root, val_fraction):
    root = freihand_root(count=20, versions=2)
    train = FreiHAND(root, "train", val_fraction=val_fraction)
    val = FreiHAND(root, "val", val_fraction=val_fraction)
    assert len(val.ids) == round(20 * val_fraction)
    assert not set(train.identities) & set(val.identities)
    assert set(train.identities) | set(val.identities) == set(range(20))
    for index in range(len(val)):
        assert val[index].identity == val.identities[index] == int(val[index].name[-12:-4]) % 20


def test_the_division_into_train_and_val_stays_the_same_for_ever(freihand_root):
    root = freihand_root(count=20, versions=1)
    assert FreiHAND(root, "val", val_fraction=0.2).ids.tolist() == [1, 8, 18, 19]
    assert FreiHAND(root, "val", val_fraction=0.2, split_seed=1).ids.tolist() != [1, 8, 18, 19]
    for fraction in (0.01, 1.5):
        with pytest.raises(ValueError, match=f"val_fraction {fraction} of 20 .* leaves a part empty"):
            FreiHAND(root, "val", val_fraction=fraction)
    with pytest.raises(ValueError, match="train, val, training, evaluation, found 'test'"):
        FreiHAND(root, "test")


def test_versions_are_those_found_or_those_chosen(freihand_root):
    for versions in (1, 2, 3, 4):
        root = freihand_root(count=3, versions=versions, name=f"with{versions}")
        assert len(FreiHAND(root, "training")) == 3 * versions
    chosen = FreiHAND(root, "training", versions=(1, 3))
    assert [chosen[index].name[-6:-4] for index in range(6)] == ["03", "04", "05", "09", "10", "11"]
    for versions, expected in ((np.int64(2), (0, 1)), (np.array([1, 3]), (1, 3)), (range(1, 3), (1, 2))):
        assert FreiHAND(root, "training", versions=versions).versions == expected
    for versions in (0, 5, (), (0, 0), (4,), -1, "a", (0.5, 1)):
        with pytest.raises(ValueError, match="versions must be a count from 1 to 4"):
            FreiHAND(root, "training", versions=versions)


def test_evaluation_has_one_version_and_its_labels_where_they_are(freihand_root):
    freihand_root(count=3)
    root = freihand_root(count=6, versions=1, part="evaluation")
    dataset = FreiHAND(root, "evaluation")
    assert len(dataset) == 6
    assert dataset[5].keypoints_3d is not None
    assert dataset[5].mask is None
    (root / "evaluation_xyz.json").unlink()
    sample = FreiHAND(root, "evaluation")[0]
    assert sample.keypoints_3d is None and sample.keypoints_2d is None
    assert sample.K is not None and sample.bone_length is not None


def test_what_is_done_to_a_sample_does_not_reach_the_labels(freihand_root):
    hands = FreiHAND(freihand_root(), "training")
    sample = hands[0]
    keypoints, K = sample.keypoints_3d.copy(), sample.K.copy()
    sample.keypoints_3d[:] = 1000
    sample.K[:] = 0
    np.testing.assert_array_equal(hands[0].keypoints_3d, keypoints)
    np.testing.assert_array_equal(hands[0].K, K)


def test_a_wrong_folder_names_the_right_one_if_it_is_near(freihand_root, tmp_path):
    root = freihand_root()
    for wrong in (root / "training" / "rgb", root.parent):
        with pytest.raises(FileNotFoundError, match=rf"training_K.json: no such file; found it in {root}$"):
            FreiHAND(wrong)
    (root / "training_scale.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"training_scale.json: no such file; data/README.md says"):
        FreiHAND(root)
    for wrong, message in ((root / "training_K.json", "this is a file"), (root / "x", "no such folder")):
        with pytest.raises(FileNotFoundError, match=message):
            FreiHAND(wrong)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e: [*e[:3], e[3][:20], e[4]], "expected a JSON list of finite numbers of shape N x 21 x 3"),
        (lambda e: [entry[:20] for entry in e], r"found shape \(5, 20, 3\)"),
        (lambda e: [*e[:4], [*e[4][:20], [1, 2, float("nan")]]], r"\(5, 21, 3\) with 1 that are not finite"),
        (lambda e: {"xyz": e}, "expected a JSON list"),
    ],
)
def test_labels_of_another_shape_are_refused(freihand_root, change, message):
    path = freihand_root() / "training_xyz.json"
    rewrite(path, change)
    with pytest.raises(ValueError, match=f"training_xyz.json: .*{message}"):
        FreiHAND(path.parent)


def test_damaged_label_files_and_those_of_different_releases_are_named(freihand_root):
    path = freihand_root(count=5) / "training_K.json"
    text = path.read_bytes()
    for damaged in (text[:-200], b"<html>", b"[1.2.3, 1]", b""):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"training_K.json: expected a JSON list .* is it cut short\?"):
            FreiHAND(path.parent)
    path.write_bytes(text)
    rewrite(path, lambda entries: entries[:4])
    with pytest.raises(ValueError, match=r"found 4 in training_K.json, 5 in training_xyz.json"):
        FreiHAND(path.parent)


def test_images_may_be_png(freihand_root):
    root = freihand_root(count=4, versions=2)
    expected = FreiHAND(root, "training")[5]
    for path in root.rglob("*.jpg"):
        cv2.imwrite(str(path.with_suffix(".png")), cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
        path.unlink()
    sample = FreiHAND(root, "training")[5]
    np.testing.assert_array_equal(sample.image, expected.image)
    np.testing.assert_array_equal(sample.mask, expected.mask)
    assert sample.name == "training/rgb/00000005.png" and check("freihand", root).ok
    for path in root.rglob("rgb/*.png"):
        path.rename(path.with_suffix(".webp"))
    with pytest.raises(FileNotFoundError, match="expected 00000000.jpg or .* found 00000000.webp"):
        FreiHAND(root, "training")


def test_the_evaluations_labels_may_be_in_the_folder_their_archive_unpacks_to(freihand_root):
    root = freihand_root(count=4, versions=1, part="evaluation")
    expected = FreiHAND(root, "evaluation")[2]
    beside = root.with_name(f"{root.name}_eval")
    beside.mkdir()
    for kind in ("xyz", "scale"):
        (root / f"evaluation_{kind}.json").rename(beside / f"evaluation_{kind}.json")
    (link := root.parent / "link").symlink_to(root)
    sample = FreiHAND(link, "evaluation")[2]
    np.testing.assert_array_equal(sample.keypoints_3d, expected.keypoints_3d)
    assert sample.bone_length == expected.bone_length
    assert "with K, xyz, scale" in str(check("freihand", root))


def test_images_that_do_not_fit_the_labels_are_refused(freihand_root):
    root = freihand_root(count=5, versions=0)
    with pytest.raises(FileNotFoundError, match="expected 00000000.jpg or .png and so on, found no such"):
        FreiHAND(root, "training")
    assert len(FreiHAND(root, "training", versions=4)) == 20
    root = freihand_root(count=5, versions=5)
    with pytest.raises(ValueError, match="expected at most 4 versions of 5 images"):
        FreiHAND(root, "training")


def test_a_missing_or_broken_image_is_named_and_not_shown_half_grey(freihand_root):
    root = freihand_root()
    path = root / "training" / "rgb" / "00000003.jpg"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match=r"00000003.jpg: a JPEG that is cut short after \d+ bytes"):
        FreiHAND(root, "training")[3]
    path.unlink()
    with pytest.raises(FileNotFoundError, match="00000003.jpg"):
        FreiHAND(root, "training")[3]
