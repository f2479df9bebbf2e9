import json
import os
import signal
import time
from dataclasses import replace

import numpy as np
import pytest

from peclr_utils.camera import bone_length
from peclr_utils.datasets import FreiHAND, SyntheticHands, export_freihand, mirror


@pytest.mark.parametrize("versions", [1, 3])
@pytest.mark.parametrize("workers", [0, 2])
def test_what_is_exported_comes_back(memory_hands, tmp_path, versions, workers):
    hands = memory_hands(5, versions)
    export_freihand(hands, tmp_path / "out", quality=98, workers=workers)
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


def test_ctrl_c_ends_an_export_soon_and_leaves_nothing_half_written(memory_hands, tmp_path, monkeypatch):
    hands = memory_hands(200)
    take, parent, log = type(hands).__getitem__, os.getpid(), tmp_path / "asked.txt"

    def interrupting(self, index):
        if os.getpid() != parent:
            with log.open("a") as file:
                file.write(f"{index}\n")
            if index == 0:
                os.kill(parent, signal.SIGINT)
            time.sleep(0.01)  # so that writing all of them takes a second
        return take(self, index)

    monkeypatch.setattr(type(hands), "__getitem__", interrupting)
    with pytest.raises(KeyboardInterrupt):
        export_freihand(hands, tmp_path / "out", workers=2)
    assert 0 < len(log.read_text().split()) < 200
    assert list((tmp_path / "out").iterdir()) == []


def test_rendered_hands_survive_the_round_trip(tmp_path):
    hands = SyntheticHands(4, seed=3, size=96, versions=2)
    export_freihand(hands, tmp_path / "out")
    again = FreiHAND(tmp_path / "out", "training")
    assert len(list((tmp_path / "out" / "training" / "mask").iterdir())) == 2
    for index in range(4):
        expected, found = hands[index], again[index]
        np.testing.assert_array_equal(found.keypoints_3d, expected.keypoints_3d)
        np.testing.assert_allclose(found.keypoints_2d, expected.keypoints_2d, atol=1e-3)
        assert np.abs(found.image.astype(int) - expected.image).mean() < 4
        assert ((found.mask > 127) == (expected.mask > 127)).mean() > 0.99


def test_identities_need_not_begin_at_zero_or_be_in_order(memory_hands, tmp_path):
    hands = memory_hands(3, versions=2)
    names = {0: 70, 1: -2, 2: 12}
    hands.samples = [replace(sample, identity=names[sample.identity]) for sample in hands.samples]
    export_freihand(hands, tmp_path)
    again = FreiHAND(tmp_path, "training")
    for index, expected in enumerate([1, 2, 0, 4, 5, 3]):  # -2, 12, 70
        np.testing.assert_array_equal(again[index].keypoints_3d, hands[expected].keypoints_3d)
        assert np.abs(again[index].image.astype(int) - hands[expected].image).mean() < 2


def test_left_hands_are_exported_as_right_ones(memory_hands, tmp_path):
    right = memory_hands(2)
    left = memory_hands(2)
    left.samples = [mirror(sample) for sample in left.samples]
    export_freihand(left, tmp_path)
    again = FreiHAND(tmp_path, "training")
    np.testing.assert_allclose(again[1].keypoints_3d, right[1].keypoints_3d)
    assert np.abs(again[1].image.astype(int) - right[1].image).mean() < 2


def test_training_and_evaluation_go_into_one_folder(memory_hands, tmp_path):
    export_freihand(memory_hands(3, versions=2), tmp_path)
    export_freihand(memory_hands(4), tmp_path, part="evaluation")
    assert len(FreiHAND(tmp_path, "training")) == 6
    assert len(FreiHAND(tmp_path, "evaluation")) == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["training", "evaluation"]
        + [f"{part}_{kind}.json" for part in ("training", "evaluation") for kind in ("K", "xyz", "scale")]
    )


def test_a_set_without_masks_or_bone_length_is_exported_too(memory_hands, tmp_path):
    export_freihand(memory_hands(2, mask=None, bone_length=None), tmp_path)
    sample = FreiHAND(tmp_path, "training")[0]
    assert sample.mask is None
    assert sample.bone_length == pytest.approx(bone_length(sample.keypoints_3d), rel=1e-6)


def test_a_folder_with_anything_in_it_is_not_written_to_unless_told(memory_hands, tmp_path):
    export_freihand(memory_hands(3), tmp_path)
    with pytest.raises(FileExistsError, match=r"not empty, holds training, .* overwrite=True"):
        export_freihand(memory_hands(2), tmp_path)
    assert len(FreiHAND(tmp_path, "training")) == 3
    export_freihand(memory_hands(2), tmp_path, overwrite=True)
    assert len(FreiHAND(tmp_path, "training")) == 2
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("")
    with pytest.raises(FileExistsError, match="not empty, holds thesis.tex"):
        export_freihand(memory_hands(2), tmp_path / "other")
    with pytest.raises(FileExistsError, match="is a file"):
        export_freihand(memory_hands(2), tmp_path / "other" / "thesis.tex")


def test_a_failed_export_leaves_what_was_there(memory_hands, tmp_path):
    export_freihand(memory_hands(3), tmp_path)
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    broken = memory_hands(3)
    broken.samples[2] = replace(broken[2], keypoints_3d=None)
    with pytest.raises(ValueError, match="sample 2 of memory has no keypoints_3d"):
        export_freihand(broken, tmp_path, overwrite=True)
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == before
    assert len(FreiHAND(tmp_path, "training")) == 3


def test_what_does_not_fit_the_layout_is_refused(memory_hands, tmp_path):
    uneven = memory_hands(3, versions=2)
    uneven.samples.pop()
    moved = memory_hands(3, versions=2)
    moved.samples[4] = replace(moved[4], keypoints_3d=moved[4].keypoints_3d + np.float32(0.01))
    some_masks = memory_hands(3)
    some_masks.samples[1] = replace(some_masks[1], mask=None)
    for dataset, message in [
        (uneven, "equally many versions, but 2 has 1, 0 has 2"),
        (moved, "versions 0 and 1 of photograph 1 differ in xyz"),
        (some_masks, "only 2 of 3 photographs have a mask"),
        (memory_hands(1, versions=5), "at most 4 versions of an identity, found 5"),
        (memory_hands(0), "is empty"),
    ]:
        with pytest.raises(ValueError, match=message):
            export_freihand(dataset, tmp_path / "out")
    with pytest.raises(ValueError, match="part must be one of training, evaluation"):
        export_freihand(memory_hands(1), tmp_path / "out", part="test")
    with pytest.raises(ValueError, match="at most 1 versions"):
        export_freihand(memory_hands(1, versions=2), tmp_path / "out", part="evaluation")


def test_labels_are_written_as_short_as_float32_allows(memory_hands, tmp_path):
    export_freihand(memory_hands(2), tmp_path)
    values = np.array(json.loads((tmp_path / "training_xyz.json").read_text())).ravel()
    assert max(len(repr(value)) for value in values.tolist()) <= 15
