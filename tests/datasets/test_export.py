import json
import os
from dataclasses import replace

import numpy as np
import pytest

from peclr_utils.camera import bone_length
from peclr_utils.datasets import FreiHAND, export_freihand, mirror


@pytest.mark.parametrize("versions", [1, 3])
def test_what_is_exported_comes_back(memory_hands, tmp_path, versions):
    hands = memory_hands(5, versions)
    export_freihand(hands, tmp_path / "out", quality=98)
    again = FreiHAND(tmp_path / "out", "training")
    assert again.versions == tuple(range(versions))
    np.testing.assert_array_equal(again.identities, hands.identities)
    for index in range(len(hands)):
        expected, found = hands[index], again[index]
        np.testing.assert_array_equal(found.keypoints_3d, expected.keypoints_3d)  # exact, to the last bit
        np.testing.assert_array_equal(found.K, expected.K)
        np.testing.assert_allclose(found.keypoints_2d, expected.keypoints_2d, atol=1e-5)
        assert np.float32(found.bone_length) == np.float32(expected.bone_length)
        assert np.abs(found.image.astype(int) - expected.image).mean() < 2
        assert np.abs(found.mask.astype(int) - expected.mask).max() < 20
    values = np.array(json.loads((tmp_path / "out" / "training_xyz.json").read_text())).ravel()
    assert max(len(repr(value)) for value in values.tolist()) <= 15  # as short as float32 allows


def test_the_labels_of_another_archive_stay_as_they_are(memory_hands, tmp_path):
    export_freihand(memory_hands(2), tmp_path / "out_eval", part="evaluation")
    before = (tmp_path / "out_eval" / "evaluation_xyz.json").read_bytes()
    export_freihand(memory_hands(3), tmp_path / "out", part="evaluation", overwrite=True)
    assert len(FreiHAND(tmp_path / "out", "evaluation")) == 3
    assert (tmp_path / "out_eval" / "evaluation_xyz.json").read_bytes() == before


def test_left_hands_are_exported_as_right_ones(memory_hands, tmp_path):
    left = memory_hands(2)
    left.samples = [mirror(sample) for sample in left.samples]
    export_freihand(left, tmp_path)
    sample, expected = FreiHAND(tmp_path, "training")[1], memory_hands(2)[1]
    np.testing.assert_allclose(sample.keypoints_3d, expected.keypoints_3d)
    assert np.abs(sample.image.astype(int) - expected.image).mean() < 2


def test_training_and_evaluation_go_into_one_folder(memory_hands, tmp_path):
    export_freihand(memory_hands(3, versions=2), tmp_path)
    export_freihand(memory_hands(4), tmp_path, part="evaluation")
    assert len(FreiHAND(tmp_path, "training")) == 6
    assert len(FreiHAND(tmp_path, "evaluation")) == 4
    labels = {f"{part}_{kind}.json" for part in ("training", "evaluation") for kind in ("K", "xyz", "scale")}
    assert set(os.listdir(tmp_path)) == {"training", "evaluation", *labels}


def test_a_set_without_masks_or_bone_length_is_exported_too(memory_hands, tmp_path):
    export_freihand(memory_hands(2, mask=None, bone_length=None), tmp_path)
    sample = FreiHAND(tmp_path, "training")[0]
    assert sample.mask is None
    assert sample.bone_length == pytest.approx(bone_length(sample.keypoints_3d), rel=1e-6)


def test_nothing_is_overwritten_unless_told(memory_hands, tmp_path):
    export_freihand(memory_hands(3), tmp_path)
    with pytest.raises(FileExistsError, match=r"training: exists; .* overwrite=True"):
        export_freihand(memory_hands(2), tmp_path)
    assert len(FreiHAND(tmp_path, "training")) == 3
    export_freihand(memory_hands(2), tmp_path, overwrite=True)
    assert len(FreiHAND(tmp_path, "training")) == 2
    with pytest.raises(FileExistsError):
        export_freihand(memory_hands(2), tmp_path / "training_K.json")


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_failed_export_leaves_what_was_there(memory_hands, tmp_path, monkeypatch, interrupted):
    export_freihand(memory_hands(3), tmp_path)
    before = sorted(tmp_path.rglob("*"))
    broken = memory_hands(3)
    broken.samples[2] = replace(broken[2], keypoints_3d=None)
    if interrupted:
        monkeypatch.setattr(type(broken), "__getitem__", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt if interrupted else ValueError):
        export_freihand(broken, tmp_path, overwrite=True)
    assert sorted(tmp_path.rglob("*")) == before
    assert len(FreiHAND(tmp_path, "training")) == 3


def test_what_does_not_fit_the_layout_is_refused(memory_hands, tmp_path):
    uneven, moved, some_masks, unlabelled = (memory_hands(3, versions=2) for _ in range(4))
    uneven.samples.pop()
    moved.samples[4] = replace(moved[4], keypoints_3d=moved[4].keypoints_3d + np.float32(0.01))
    some_masks.samples[1] = replace(some_masks[1], mask=None)
    unlabelled.samples[2] = replace(unlabelled[2], keypoints_3d=None, name="c.jpg")
    for dataset, part, message in [
        (uneven, "training", r"same number of versions .* found identities with \[1, 2\] versions"),
        (moved, "training", "versions 0 and 1 of photograph 1 differ in xyz"),
        (some_masks, "training", "2 of 3 photographs have a mask"),
        (unlabelled, "training", "memory c.jpg has no keypoints_3d"),
        (memory_hands(1, versions=5), "training", r"at most 4; found identities with \[5\] versions"),
        (memory_hands(0), "training", "at least one identity"),
        (memory_hands(1), "test", "part must be one of training, evaluation"),
    ]:
        with pytest.raises(ValueError, match=message):
            export_freihand(dataset, tmp_path / "out", part=part)
