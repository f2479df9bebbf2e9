"""Networks of this project see what they were trained on: crops about the mean keypoint, never too tight."""

import numpy as np
import pytest
import torch

from peclr_utils.augmentation import AugmentationConfig
from peclr_utils.camera import project
from peclr_utils.crops import open_crops
from peclr_utils.crops.cropping import crop_box, crop_matrix
from peclr_utils.datasets import FreiHAND, SyntheticHands
from peclr_utils.inference import predict
from peclr_utils.inference.cutting import SMALLEST_REACH, USUAL_REACH
from peclr_utils.models import PoseNetwork25D, PoseOutput
from peclr_utils.training.poses import PoseDataset
from peclr_utils.weights import load_pose_network, save_checkpoint, save_safetensors

K = np.array([[480.0, 0, 112], [0, 480, 110], [0, 0, 1]])
BLACK = np.zeros((224, 224, 3), np.uint8)


class Finds:
    """Finds the same points of the image in every crop, from its intrinsics; notes what it sees."""

    def __init__(self, points, K=K, image_size=64, view_factor=1.2):
        self.points, self.K = np.asarray(points, np.float64), np.asarray(K, np.float64)
        self.image_size, self.view_factor, self.seen = image_size, view_factor, []

    def __call__(self, images, K):
        self.seen.append((images.numpy().copy(), K.numpy().astype(np.float64)))
        affines = K.numpy().astype(np.float64) @ np.linalg.inv(self.K)
        points = torch.as_tensor(self.points @ affines[:, :2, :2].swapaxes(1, 2) + affines[:, None, :2, 2])
        ones = torch.ones(*points.shape[:2], 1, dtype=torch.float64)
        return PoseOutput(points, ones[..., 0], ones[:, 0, 0], torch.cat([points, ones], 2))

    def affine(self, call):
        return self.seen[call][1][0] @ np.linalg.inv(self.K)


def spread_out(x, y, reach, seed=0):
    """21 points with this mean, of which the farthest lies this far from it."""
    points = np.random.default_rng(seed).normal(size=(21, 2))
    points -= points.mean(0)
    return points * reach / np.linalg.norm(points, axis=1).max() + [x, y]


@pytest.mark.parametrize("boxed", [False, True])
def test_a_network_that_finds_the_hand_gets_the_crop_and_camera_of_training(boxed):
    hands = SyntheticHands(3, seed=5)
    crops = open_crops(hands, 64, 1.2, AugmentationConfig.weak(rotation=45).full_margin)
    poses = PoseDataset(crops, None, None, 3, 64, 1.2)
    labels, views = poses.labels(*poses.plan(0)), poses[0].image.images.numpy()
    for i, hand in enumerate(hands[i] for i in range(3)):
        model, uv = Finds(hand.keypoints_2d, hand.K), hand.keypoints_2d
        result = predict(model, hand, box=[*uv.min(0), *uv.max(0)] if boxed else None)
        np.testing.assert_allclose(result.crop, crop_matrix(*crop_box(hand, 1.2), 64), rtol=1e-5, atol=1e-3)
        np.testing.assert_allclose(model.seen[1][1][0], labels["K"][i], rtol=1e-5, atol=2e-3)
        np.testing.assert_allclose(result.box, [*uv.min(0), *uv.max(0)], atol=1e-3)
        grey = model.seen[1][0][0].transpose(1, 2, 0) * [0.229, 0.224, 0.225] + [0.485, 0.456, 0.406]
        # Training interpolates a second time, from the stored crop.
        assert np.abs(grey * 255 - views[i]).mean() < 3


BOX = [80, 90, 130, 140]  # of side 50: a hand in it needs a crop of 1.2 x 50 at least


@pytest.mark.parametrize(
    ("reach", "box", "side"), [(3, BOX, 60), (20, BOX, 60), (3, None, 1.2 * 73.92), (150, BOX, 2 * 1.2 * 150)]
)
def test_the_second_crop_fits_the_hand_that_was_found_but_is_never_too_small(reach, box, side):
    points = spread_out(100, 120, reach)
    result = predict(Finds(points), BLACK, K, box=box)
    assert not result.fell_back
    assert 64 / result.crop[0, 0] == pytest.approx(side)
    np.testing.assert_allclose(result.crop[:2] @ [*points.mean(0), 1], [31.5, 31.5], atol=1e-6)


def test_the_first_crop_of_a_box_is_as_large_as_its_hand_usually_needs():
    model = Finds(spread_out(120, 80, 50))
    predict(model, BLACK, K, box=[100, 40, 140, 120])
    # The larger side is 80: 2 x 1.2 x 0.63 x 80 = 120.96 pixels about (120, 80).
    scale = 64 / 120.96
    expected = [[scale, 0, 31.5 - 120 * scale], [0, scale, 31.5 - 80 * scale], [0, 0, 1]]
    np.testing.assert_allclose(model.affine(0), expected, rtol=1e-5, atol=1e-4)


def test_without_a_box_the_first_crop_lies_between_a_third_and_all_of_the_image():
    model = Finds(spread_out(120, 80, 50))
    predict(model, BLACK, K)
    # A hand's box of 73.92 needs 88.704 at least, one that fills the image 224: sqrt(88.704 x 224).
    scale = 64 / 140.9599
    np.testing.assert_allclose(model.affine(0)[0], [scale, 0, 31.5 - 111.5 * scale], rtol=1e-5, atol=1e-4)
    wide = Finds(spread_out(120, 80, 50), view_factor=1.5)
    predict(wide, np.zeros((448, 600, 3), np.uint8), K)
    # 1.5 x 0.33 x 448 = 221.76; 448 x 1.5 / 1.2 = 560.
    scale = 64 / 352.4
    np.testing.assert_allclose(wide.affine(0)[1], [0, scale, 31.5 - 223.5 * scale], rtol=1e-4, atol=1e-3)
    assert wide.affine(0)[0, 2] == pytest.approx(31.5 - 299.5 * scale, abs=1e-2)


A_NAN = np.where(np.arange(42).reshape(21, 2) == 8, np.nan, spread_out(90, 90, 20))


@pytest.mark.parametrize("points", [spread_out(90, 90, 0.3), A_NAN], ids=["within one pixel", "nan"])
def test_a_prediction_without_extent_falls_back_to_the_first_crop(points):
    model = Finds(points)
    assert predict(model, BLACK, K, box=[60, 60, 120, 120]).fell_back
    np.testing.assert_array_equal(model.affine(0), model.affine(1))


def test_sizes_are_the_models_own_unless_given_and_without_a_factor_crops_are_the_authors():
    model = Finds(spread_out(112, 112, 50), image_size=None, view_factor=None)
    scales = []
    for sizes, given in (((None, None), {}), ((64, 1.2), {}), ((64, 1.2), {"size": 32, "view_factor": 1.5})):
        model.image_size, model.view_factor = sizes
        predict(model, BLACK, K, **given)
        scales.append((model.seen[-2][0].shape[-1], model.affine(-2)[0, 0]))
    expected = [(224, 0.7 * 224 / 73.92), (64, 64 / 140.9599), (32, 32 / 176.1998)]
    np.testing.assert_allclose(scales, expected, rtol=1e-5)
    assert model.affine(-1)[0, 0] == pytest.approx(32 / 150, rel=1e-5)


@pytest.mark.parametrize("save", [save_checkpoint, save_safetensors])
def test_a_network_from_a_file_knows_how_it_was_trained(tmp_path, save):
    network = PoseNetwork25D("resnet18")
    network.image_size, network.view_factor = 48, 1.25
    name = "pose.pt" if save is save_checkpoint else "pose.safetensors"
    loaded = load_pose_network(save(tmp_path / name, network))
    assert (loaded.image_size, loaded.view_factor) == (48, 1.25)
    unknown = load_pose_network(save(tmp_path / name, PoseNetwork25D("resnet18")))
    assert unknown.image_size is None and unknown.view_factor is None


def test_the_usual_reach_is_that_of_the_committed_hands(repository):
    labels = FreiHAND(repository / "data/sample").labels
    uv = project(labels.xyz.astype(np.float64), labels.K.astype(np.float64))
    reach = np.linalg.norm(uv - uv.mean(1, keepdims=True), axis=2).max(1) / np.ptp(uv, axis=1).max(1)
    assert np.median(reach) == pytest.approx(USUAL_REACH, abs=0.01)
    assert SMALLEST_REACH < reach.min() and reach.max() < 0.8
