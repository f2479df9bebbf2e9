"""Labelled views: the labels move with the image, and the 3D keypoints stay."""

import numpy as np
import pytest
import torch

from peclr_utils import camera
from peclr_utils.augmentation import AugmentationConfig
from peclr_utils.training.poses import PoseDataset, choose_labels, plain_labels
from peclr_utils.training.views import load

CPU = torch.device("cpu")
MOVING = AugmentationConfig.weak(rotation=180.0, scale=(0.7, 1.4), shift=0.2)


@pytest.fixture(scope="module")
def crops(pack_dots):
    return pack_dots(12)


def _poses(crops, augmentation, size=48, **changes) -> PoseDataset:
    return PoseDataset(crops, None, augmentation, 6, size, 1.2, **changes)


@pytest.mark.parametrize("backend", ["opencv", "batch"])
def test_keypoints_camera_and_depths_of_a_moved_view_agree(crops, backend):
    batch = _poses(crops, MOVING, backend=backend)[0].to(CPU, 48)
    assert batch.image.shape == (6, 3, 48, 48)
    assert torch.allclose(camera.project(batch.keypoints_3d, batch.K), batch.keypoints_2d, atol=1e-3)
    points_25d = torch.cat([batch.keypoints_2d, batch.relative_depth[..., None]], dim=-1)
    root = batch.root_depth * batch.bone_length
    lifted = camera.from_25d(points_25d, batch.K, batch.bone_length, root)
    assert torch.allclose(lifted, batch.keypoints_3d, atol=1e-4)


def test_the_image_moves_with_its_keypoints(crops):
    """Every thumb is drawn in one colour; the pixels under its moved middle must have it."""
    batch = _poses(crops, AugmentationConfig.none(rotation=180.0, shift=0.1), size=96)[0]
    thumb = np.array([10, 120, 240])
    images = batch.image.images.numpy().astype(int)
    for image, points in zip(images, batch.keypoints_2d.numpy(), strict=True):
        x, y = np.rint((points[1] + points[2]) / 2).astype(int)
        assert np.abs(image[y - 1 : y + 2, x - 1 : x + 2] - thumb).sum(axis=-1).min() < 40


def test_plain_views_come_once_in_order_centred_and_filling_the_view(crops):
    poses = PoseDataset(crops, np.arange(3, 12), None, 4, 48, 1.2)
    assert np.concatenate([poses.plan(number)[0] for number in range(len(poses))]).tolist() == list(range(9))
    uv = plain_labels(crops, None, 48, 1.2)["keypoints_2d"]
    centres = uv.mean(axis=1)
    assert np.abs(centres - 23.5).max() < 0.01
    reach = np.linalg.norm(uv - centres[:, None], axis=2).max(axis=1)
    assert np.abs(reach * 1.2 - 24).max() < 0.01


def test_every_image_is_seen_equally_often_whatever_the_batch(crops):
    poses = PoseDataset(crops, np.arange(5), MOVING, 3, 48, 1.2)
    rows = np.concatenate([poses.plan(number)[0] for number in range(10)])
    assert (np.bincount(rows) == 6).all()


def test_a_batch_depends_on_seed_and_number_alone(crops):
    (shared,) = load(_poses(crops, MOVING, seed=5), range(3, 4), 1, CPU)
    poses = _poses(crops, MOVING, seed=5)
    poses[7]
    assert torch.equal(poses[3].image.images, shared.image.images) and torch.equal(poses[3].K, shared.K)
    assert not torch.equal(_poses(crops, MOVING, seed=6)[3].K, shared.K)


def test_mean_and_spread_describe_the_training_views(crops):
    poses = _poses(crops, AugmentationConfig.weak())
    mean, spread = poses.mean_and_spread()
    labels = [poses.labels(*poses.plan(number)) for number in range(50)]
    uv = np.concatenate([label["keypoints_2d"] for label in labels])
    assert np.abs(uv.mean(axis=0) - mean[:, :2]).max() < 1
    assert np.abs(uv.std(axis=0).mean() - spread[:, :2]).max() < 1
    assert mean.shape == spread.shape == (21, 3) and mean[0, 2] == 0 and (spread > 0).all()


def test_hands_labelled_in_the_image_alone_move_like_the_others(pack_dots):
    """2D labels, which are given, move as those that follow from 3D; what is unknown is NaN."""
    both, alone = (_poses(pack_dots(4, labelled=known), MOVING)[0].to(CPU, 48) for known in (True, False))
    assert torch.allclose(alone.keypoints_2d, both.keypoints_2d, atol=1e-3)
    assert torch.equal(alone.image, both.image)
    for name in ("relative_depth", "root_depth", "keypoints_3d"):
        assert getattr(alone, name).isnan().all() and getattr(both, name).isfinite().all()
    assert alone.K.isfinite().all()
    mean, spread = _poses(pack_dots(4, labelled=False), MOVING).mean_and_spread()
    assert np.isfinite(mean).all() and (spread > 0).all()


def test_images_without_any_label_are_reported(pack_dots):
    crops = pack_dots(4, labelled=False)
    crops.keypoints_2d = np.full((4, 21, 2), np.nan)
    with pytest.raises(ValueError, match="4 of 4 images lack 3D keypoints with camera intrinsics and 2D"):
        _poses(crops, None)


def test_of_several_sources_each_gives_equally_many_images(pack_dots):
    crops = pack_dots(12)
    crops.source_index = np.array([0] * 10 + [1] * 2)
    poses = _poses(crops, MOVING)
    rows = np.concatenate([poses.plan(number)[0] for number in range(20)])
    first, second = np.bincount(crops.source_index[rows])
    assert first == second == 60
    assert np.bincount(rows)[10:].tolist() == [30, 30]


def test_labels_are_whole_identities_and_fewer_lie_within_more():
    identities = np.tile(np.arange(100), 3)
    few, many = (choose_labels(identities, labels, seed=1) for labels in (10, 40))
    assert set(few) < set(many) and (len(few), len(many)) == (30, 120)
    assert (np.bincount(identities[few], minlength=100) % 3 == 0).all()
    assert set(few) != set(choose_labels(identities, 10, seed=2))
    assert choose_labels(identities, 0, seed=0).tolist() == list(range(300))
    with pytest.raises(ValueError, match="labels: expected at most 100.*found 101"):
        choose_labels(identities, 101, seed=0)
