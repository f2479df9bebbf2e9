"""Labelled views: the labels move with the picture, and the 3D stays."""

import numpy as np
import pytest
import torch

from peclr_utils import camera
from peclr_utils.augmentation import AugmentationConfig
from peclr_utils.crops import pack
from peclr_utils.training.engine import Machine
from peclr_utils.training.labelled import PoseBatches, labelled_on_device, plain_labels
from peclr_utils.training.sources import choose_labels
from peclr_utils.training.views import background_pool

CPU = Machine(torch.device("cpu"), torch.float32, "opencv", 0, channels_last=True)
TURNING = AugmentationConfig.weak(rotation=180.0, scale=(0.7, 1.4), shift=0.2)


@pytest.fixture
def crops(dot_hands, tmp_path):
    return pack(dot_hands(12), tmp_path / "crops", 64, 2.4, progress=False)


def _batch(crops, augmentation, number=0, size=48, **changes):
    batches = PoseBatches(crops, np.arange(12), augmentation, 6, size, 1.2, **changes)
    return batches, labelled_on_device(batches[number], CPU, size)


def test_projecting_the_3d_keypoints_by_the_views_camera_gives_its_2d_keypoints(crops):
    _, batch = _batch(crops, TURNING)
    assert torch.allclose(camera.project(batch.keypoints_3d, batch.K), batch.keypoints_2d, atol=1e-3)


def test_labels_lift_back_to_the_3d_keypoints(crops):
    _, batch = _batch(crops, TURNING)
    points_25d = torch.cat([batch.keypoints_2d, batch.relative_depth[..., None]], dim=-1)
    root = batch.root_depth * batch.bone_length
    lifted = camera.from_25d(points_25d, batch.K, batch.bone_length, root)
    assert torch.allclose(lifted, batch.keypoints_3d, atol=1e-4)


def test_the_picture_moves_with_its_keypoints(crops):
    """Every thumb is drawn in one colour; the pixels under its moved middle must have it."""
    batches = PoseBatches(
        crops, np.arange(12), AugmentationConfig.none(rotation=180.0, shift=0.1), 6, 96, 1.2
    )
    item = batches[0]
    pictures, uv = item["views"].images.numpy().astype(int), item["keypoints_2d"].numpy()
    thumb = np.array([10, 120, 240])
    for picture, points in zip(pictures, uv, strict=True):
        x, y = np.rint((points[1] + points[2]) / 2).astype(int)
        assert np.abs(picture[y - 1 : y + 2, x - 1 : x + 2] - thumb).sum(axis=-1).min() < 40


def test_plain_views_come_in_order_and_once(crops):
    batches = PoseBatches(crops, np.arange(3, 12), None, 4, 48, 1.2)
    assert len(batches) == 3
    rows = np.concatenate([batches.plan(number)[0] for number in range(3)])
    assert list(rows) == list(range(9))


def test_plain_views_are_centred_and_fill_the_view(crops):
    labels = plain_labels(crops, np.arange(12), 48, 1.2)
    centres = labels["keypoints_2d"].mean(axis=1)
    assert np.abs(centres - 23.5).max() < 0.01
    reach = np.linalg.norm(labels["keypoints_2d"] - centres[:, None], axis=2).max(axis=1)
    assert np.abs(reach * 1.2 - 24).max() < 0.01


def test_every_picture_is_seen_equally_often_whatever_the_batch(crops):
    batches = PoseBatches(crops, np.arange(5), TURNING, 3, 48, 1.2)
    rows = np.concatenate([batches.plan(number)[0] for number in range(10)])
    assert (np.bincount(rows) == 6).all()


def test_a_batch_depends_on_seed_and_number_alone(crops):
    one, two = (_batch(crops, TURNING, number=3, seed=5)[1] for _ in range(2))
    other = _batch(crops, TURNING, number=3, seed=6)[1]
    assert torch.equal(one.image, two.image) and torch.equal(one.K, two.K)
    assert not torch.equal(one.K, other.K)


def test_mean_and_spread_describe_the_training_views(crops):
    batches, _ = _batch(crops, AugmentationConfig.weak())
    mean, spread = batches.mean_and_spread()
    labels = [batches.labels(*batches.plan(number)) for number in range(50)]
    uv = np.concatenate([label["keypoints_2d"] for label in labels])
    assert np.abs(uv.mean(axis=0) - mean[:, :2]).max() < 1
    assert mean.shape == spread.shape == (21, 3)
    assert mean[0, 2] == 0 and (spread > 0).all()


def test_missing_labels_are_reported_with_the_picture(dot_hands, tmp_path):
    bare = pack(dot_hands(4, labelled=False), tmp_path / "bare", 64, 2.4, progress=False)
    with pytest.raises(ValueError, match="4 of 4 pictures lack 3D keypoints or camera intrinsics"):
        PoseBatches(bare, np.arange(4), None, 2, 48, 1.2)


def test_fewer_labels_lie_within_more():
    identities = np.repeat(np.arange(100), 3)
    few, many = (set(choose_labels(identities, labels, seed=1)) for labels in (10, 40))
    assert few < many
    assert len(few) == 30 and len(many) == 120
    assert few != set(choose_labels(identities, 10, seed=2))


def test_all_pictures_of_a_labelled_identity_are_taken():
    identities = np.tile(np.arange(20), 4)
    chosen = choose_labels(identities, 5, seed=0)
    assert (np.bincount(identities[chosen], minlength=20) % 4 == 0).all()
    assert (choose_labels(identities, 0, seed=0) == np.arange(80)).all()


def test_more_labels_than_identities_are_an_error():
    with pytest.raises(ValueError, match="labels: expected at most 20.*found 21"):
        choose_labels(np.tile(np.arange(20), 4), 21, seed=0)


def test_labelled_views_can_get_new_backgrounds(crops):
    augmentation = AugmentationConfig.none(background=1.0)
    pool = background_pool(augmentation, crops, 48, seed=0)
    _, old = _batch(crops, augmentation)
    _, new = _batch(crops, augmentation, backgrounds=pool)
    assert (old.image[:, :, :4] != new.image[:, :, :4]).any(dim=1).float().mean() > 0.9
    assert torch.equal(old.keypoints_2d, new.keypoints_2d)
