"""SyntheticHands: determinism, labels, layout, errors."""

import pickle

import cv2
import numpy as np
import pytest

from peclr_utils.augmentation import AugmentationConfig
from peclr_utils.camera import bone_length, project
from peclr_utils.crops.cropping import WHOLE_IMAGE, crop_box
from peclr_utils.datasets.synthetic import SyntheticHands
from peclr_utils.hands.scene import ViewRange


@pytest.fixture(scope="module")
def hands():
    """Sixty hands seen from near palm and back, half of them left ones."""
    dataset = SyntheticHands(60, seed=1, left_fraction=0.5)
    return [dataset[i] for i in range(60)]


def test_a_sample_is_a_function_of_seed_and_index_alone():
    forwards, backwards = SyntheticHands(6, seed=3, size=96), SyntheticHands(6, seed=3, size=96)
    first = [forwards[i] for i in range(6)]
    for i in reversed(range(6)):
        again = pickle.loads(pickle.dumps(backwards))[i]
        assert np.array_equal(again.image, first[i].image) and np.array_equal(again.mask, first[i].mask)
        assert np.array_equal(again.keypoints_3d, first[i].keypoints_3d)
    assert np.array_equal(SyntheticHands(300, seed=3, size=96)[2].image, first[2].image)
    assert not np.array_equal(SyntheticHands(6, seed=4, size=96)[0].image, first[0].image)


def test_labels_agree_with_each_other(hands):
    for sample in hands:
        assert sample.image.shape == (224, 224, 3) and sample.image.dtype == np.uint8
        assert sample.mask.shape == (224, 224) and sample.mask.dtype == np.uint8
        for values in (sample.keypoints_3d, sample.keypoints_2d, sample.K):
            assert values.dtype == np.float32
        assert np.abs(project(sample.keypoints_3d, sample.K) - sample.keypoints_2d).max() < 1e-3
        assert sample.bone_length == pytest.approx(float(bone_length(sample.keypoints_3d)), rel=1e-5)
        assert 0.02 < sample.bone_length < 0.07
        assert sample.source == "synthetic"


def test_the_root_is_4_to_50_bones_away(hands):
    ratio = [s.keypoints_3d[0, 2] / s.bone_length for s in hands]
    anywhere = SyntheticHands(40, seed=9, size=64, view=ViewRange.anywhere())
    ratio += [s.keypoints_3d[0, 2] / s.bone_length for s in map(anywhere.__getitem__, range(40))]
    assert 4 < min(ratio) and max(ratio) < 50


def test_a_border_shows_more_around_the_same_hand():
    """The widest crop of pre-training ends within the image: no cut forearm tells a view's angle."""
    narrow, wide = (SyntheticHands(20, seed=2, size=96, border=border) for border in (0, 0.62))
    for index in range(20):
        one, other = narrow[index], wide[index]
        margin = round(0.62 * 96)
        assert other.image.shape == (96 + 2 * margin, 96 + 2 * margin, 3)
        inner = other.mask[margin:-margin, margin:-margin].astype(int)
        assert np.abs(inner - one.mask).max() <= 2
        np.testing.assert_allclose(other.keypoints_2d, one.keypoints_2d + margin, atol=1e-3)
        np.testing.assert_array_equal(other.keypoints_3d, one.keypoints_3d)
        centre, side = crop_box(other, WHOLE_IMAGE * AugmentationConfig.peclr().full_margin)
        assert np.abs(centre - (96 + 2 * margin - 1) / 2).max() + side / 2 <= 48 + margin


def test_nearly_all_keypoints_are_in_the_image_and_on_the_mask(hands):
    points = np.stack([s.keypoints_2d for s in hands])
    inside = ((points >= 0) & (points <= 223)).all(axis=-1)
    assert inside.all(axis=1).mean() > 0.95
    near = [cv2.dilate(s.mask, np.ones((5, 5), np.uint8)) for s in hands]
    uv = np.clip(np.rint(points), 0, 223).astype(int)
    on_mask = np.stack([m[p[:, 1], p[:, 0]] > 127 for m, p in zip(near, uv, strict=True)])
    assert on_mask[inside].mean() >= 0.97


def test_versions_are_laid_out_as_in_freihand():
    dataset = SyntheticHands(8, seed=2, versions=4, size=96)
    assert dataset.identities.tolist() == [0, 1] * 4 and dataset.identities.dtype == np.int64
    samples = [dataset[i] for i in range(8)]
    assert [s.identity for s in samples] == [0, 1] * 4
    for first, other in ((0, 2), (0, 6), (1, 5)):
        assert np.array_equal(samples[first].keypoints_3d, samples[other].keypoints_3d)
        assert np.array_equal(samples[first].mask, samples[other].mask)
        assert not np.array_equal(samples[first].image, samples[other].image)
    assert not np.array_equal(samples[0].keypoints_3d, samples[1].keypoints_3d)


def test_size_changes_the_resolution_and_not_the_scene():
    small, large = SyntheticHands(3, size=64)[1], SyntheticHands(3, size=192)[1]
    assert small.image.shape == (64, 64, 3)
    assert np.abs((small.keypoints_2d + 0.5) * 3 - (large.keypoints_2d + 0.5)).max() < 1.0


def test_photographs_are_used_as_backgrounds(tmp_path):
    cv2.imwrite(str(tmp_path / "green.png"), np.full((80, 80, 3), (0, 255, 0), dtype=np.uint8))
    sample = SyntheticHands(4, size=96, backgrounds=tmp_path)[0]
    off = sample.image[cv2.dilate(sample.mask, np.ones((9, 9), np.uint8)) == 0].astype(int).mean(axis=0)
    assert off[1] > 200 and off[0] < 40 and off[2] < 40
    with pytest.raises(FileNotFoundError, match="nowhere"):
        SyntheticHands(4, backgrounds=tmp_path / "nowhere")
