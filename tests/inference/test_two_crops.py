"""A recording model sees both crops and both K; every number here was worked out by hand."""

import numpy as np
import pytest
import torch

from peclr_utils.inference import predict
from peclr_utils.models import PoseNetwork25D, PoseOutput
from peclr_utils.skeleton import freihand_from_ait_palm

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
K = np.array([[480.0, 0, 112], [0, 470, 110], [0, 0, 1]])


class Recorder:
    """Records its inputs and returns given points, one (21, 2) array per call, the last one repeatedly."""

    def __init__(self, *answers, order="freihand"):
        self.answers, self.seen, self.keypoint_order = list(answers), [], order

    def __call__(self, images, K):
        self.seen.append((images.numpy().copy(), K.numpy().copy()))
        points = torch.as_tensor(self.answers[min(len(self.seen), len(self.answers)) - 1])
        points = points.float().expand(len(images), 21, 2)
        ones = torch.ones(*points.shape[:2], 1)
        rays = torch.cat([points, ones], 2) @ K.float().inverse().transpose(1, 2)
        return PoseOutput(points, ones[..., 0], 10 * ones[:, 0, 0], 10 * rays)


def points_within(x1, y1, x2, y2):
    """21 points whose box this is."""
    points = np.random.default_rng(0).uniform([x1, y1], [x2, y2], (21, 2))
    points[7], points[13] = [x1, y2], [x2, y1]
    return points


def pixels(batch):
    """The first image of a normalised batch in grey levels."""
    return (batch[0].transpose(1, 2, 0) * STD + MEAN) * 255


@pytest.fixture(scope="module")
def photograph():
    rng = np.random.default_rng(1)
    return rng.integers(0, 256, (224, 224, 3), dtype=np.uint8)


def test_the_first_crop_is_the_middle_third_at_seven_tenths(photograph, bilinear):
    model = Recorder(points_within(20, 30, 120, 150))
    predict(model, photograph, K)
    images, seen_K = model.seen[0]
    scale = 2.121212121212121  # 0.7 * 224 / 73.92
    expected = [[1018.181818, 0, 112], [0, 996.969697, 107.757576], [0, 0, 1]]
    np.testing.assert_allclose(seen_K[0], expected, rtol=1e-6)
    # Crop pixel 0 lies at 112 - 112 / scale = 59.2 of the image.
    matrix = np.array([[scale, 0, -59.2 * scale], [0, scale, -59.2 * scale], [0, 0, 1]])
    assert np.abs(pixels(images) - bilinear(photograph, matrix, 224)).max() < 0.7


def test_the_second_crop_is_the_box_of_the_prediction_and_its_own_prediction_counts(photograph, bilinear):
    # Truncated to 20, 30, 120, 150, and from the crop to the image; there its centre is (92.2, 101.6286).
    second = points_within(50, 60, 170, 165)
    model = Recorder(points_within(20.9, 30.2, 120.7, 150.99), second)
    result = predict(model, photograph, K)
    assert len(model.seen) == 2 and not result.fell_back
    np.testing.assert_allclose(result.box, [68.628571, 73.342857, 115.771429, 129.914286], rtol=1e-7)
    scale = 2.7717171717  # 0.7 * 224 / 56.571429, the larger side; no 0.33
    matrix = np.array([[scale, 0, -143.552323], [0, scale, -169.685657], [0, 0, 1]])
    np.testing.assert_allclose(result.crop, matrix, rtol=1e-6)
    images, seen_K = model.seen[1]
    expected = [[1330.424242, 0, 166.88], [0, 1302.707071, 135.203232], [0, 0, 1]]
    np.testing.assert_allclose(seen_K[0], expected, rtol=1e-6)
    assert np.abs(pixels(images) - bilinear(photograph, matrix, 224)).max() < 0.7
    np.testing.assert_allclose(result.keypoints_2d, (second - 112) / scale + [92.2, 101.628571], atol=1e-4)
    np.testing.assert_allclose(result.keypoints_3d[:, 2], 10)


def test_a_prediction_beyond_the_crop_is_truncated_towards_zero_and_shows_black(photograph):
    # -3.9 becomes -3, -0.7 becomes 0: the box 0, -3, 221, 300 of the first crop.
    model = Recorder(points_within(-0.7, -3.9, 221.2, 300.6))
    result = predict(model, photograph, K)
    np.testing.assert_allclose(result.box, [59.2, 57.785714, 163.385714, 200.628571], rtol=1e-7)
    crop = pixels(model.seen[1][0])
    # 112 / scale = 102.04 pixels each way around (111.29, 129.21): the image ends at crop row 216.
    np.testing.assert_allclose(crop[217:], 0, atol=1e-4)
    assert crop[150].max() > 100


def test_the_palm_counts_in_the_box(photograph):
    points = points_within(100, 100, 120, 120)
    points[0] = [60, 110]
    for order in ("freihand", "ait_palm"):
        result = predict(Recorder(points, order=order), photograph, K)
        assert result.box[0] == pytest.approx(112 + (60 - 112) / 2.121212121, abs=1e-5)


SOMEWHERE = np.random.default_rng(0).uniform(60, 90, (21, 2))
NO_BOX = {
    "within one pixel": np.full((21, 2), 90.0) + np.linspace(0, 0.9, 21)[:, None],
    "one nan": np.where(np.arange(42).reshape(21, 2) == 8, np.nan, SOMEWHERE),
    "one infinity": np.where(np.arange(42).reshape(21, 2) == 9, -np.inf, SOMEWHERE),
}


@pytest.mark.parametrize("points", NO_BOX.values(), ids=NO_BOX)
def test_a_predicted_box_of_no_size_falls_back_to_the_first_crop(photograph, points):
    model = Recorder(points, points_within(50, 60, 170, 165))
    result = predict(model, photograph, K)
    assert result.fell_back
    for first, second in zip(*model.seen, strict=True):
        np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(result.box, [75.04, 75.04, 148.96, 148.96])


def test_a_predicted_line_has_a_size(photograph):
    points = np.full((21, 2), 90.0)
    points[4] = [90.0, 130]
    result = predict(Recorder(points), photograph, K)
    assert not result.fell_back and result.crop[0, 0] == pytest.approx(156.8 / (40 / 2.121212121))


def test_a_given_box_replaces_the_middle_third(photograph):
    model = Recorder(points_within(20, 30, 120, 150))
    predict(model, photograph, K, box=[100, 40, 140, 120])
    # Square on its larger side, 80; scale 0.7 * 224 / 80 = 1.96; centre (120, 80); no 0.33.
    expected = [[940.8, 0, 112 - 8 * 1.96], [0, 921.2, 112 + 30 * 1.96], [0, 0, 1]]
    np.testing.assert_allclose(model.seen[0][1][0], expected, rtol=1e-6)


def test_other_sizes_take_the_largest_square_about_the_centre():
    wide, tall = np.zeros((480, 640, 3), np.uint8), np.zeros((640, 480, 3), np.uint8)
    model = Recorder(points_within(20, 30, 120, 150))
    predict(model, wide, K)
    predict(model, tall, K)
    scale = 156.8 / 158.4  # 0.33 * 480 = 158.4
    for (_, seen), centre in ((model.seen[0], (320, 240)), (model.seen[2], (240, 320))):
        expected = [112 + scale * (112 - centre[0]), 112 + scale * (110 - centre[1])]
        np.testing.assert_allclose(seen[0, :2, 2], expected, rtol=1e-6)
        np.testing.assert_allclose(seen[0, 0, 0], 480 * scale, rtol=1e-6)


def test_without_intrinsics_the_default_scales_with_the_images_square_and_the_result_says_so(photograph):
    model = Recorder(points_within(20, 30, 120, 150))
    result = predict(model, photograph)
    assert result.K_is_default and result.metric_depth_is_a_guess
    expected = np.array([[388.9018310596544, 0, 112], [0, 388.71231836584275, 112], [0, 0, 1]])
    np.testing.assert_array_equal(result.K, expected)
    np.testing.assert_allclose(model.seen[0][1][0, 0, 0], 824.943278, rtol=1e-6)  # T K: times 2.1212
    np.testing.assert_allclose(model.seen[1][1][0, 0, 0], 1077.925883, rtol=1e-6)  # times 2.7717
    known = predict(model, photograph, K)
    assert not known.K_is_default and not known.metric_depth_is_a_guess
    larger = predict(model, np.zeros((448, 600, 3), np.uint8)).K
    np.testing.assert_allclose(
        larger, [[2 * expected[0, 0], 0, 300], [0, 2 * expected[1, 1], 224], [0, 0, 1]]
    )


def test_metres_need_a_bone_and_an_average_one_is_said(photograph):
    model = Recorder(points_within(20, 30, 120, 150))
    in_bones = predict(model, photograph, K)
    assert in_bones.unit == "bone lengths" and in_bones.bone_length is None
    metric = predict(model, photograph, K, scale=0.03)
    assert metric.unit == "metres" and not metric.metric_depth_is_a_guess
    np.testing.assert_allclose(metric.keypoints_3d, in_bones.keypoints_3d * 0.03)
    np.testing.assert_allclose(metric.keypoints_3d[:, 2], 0.3)
    average = predict(model, photograph, K, scale="average")
    assert average.bone_length == 0.0446 and average.bone_is_average and average.metric_depth_is_a_guess
    np.testing.assert_allclose(average.keypoints_3d[:, 2], 0.446)


def test_the_published_order_becomes_freihands_with_a_projected_wrist(photograph):
    answer = points_within(20, 30, 120, 150)
    raw = predict(Recorder(answer), photograph, K)
    result = predict(Recorder(answer, order="ait_palm"), photograph, K)
    np.testing.assert_allclose(result.keypoints_3d, freihand_from_ait_palm(raw.keypoints_3d))
    np.testing.assert_allclose(result.keypoints_2d[[1, 5, 9]], raw.keypoints_2d[1:4])
    np.testing.assert_allclose(result.palm_2d, raw.keypoints_2d[0])
    assert raw.palm_2d is None
    projected = result.keypoints_3d @ K.T
    np.testing.assert_allclose(projected[:, :2] / projected[:, 2:], result.keypoints_2d, atol=1e-4)


def test_the_network_predicts_in_evaluation_mode_and_keeps_its_own(photograph):
    network = PoseNetwork25D("resnet18").train()
    network.backbone.layer1.eval()
    modes = [part.training for part in network.modules()]
    first, second = (predict(network, photograph, K, size=64) for _ in range(2))
    np.testing.assert_array_equal(first.keypoints_3d, second.keypoints_3d)
    assert [part.training for part in network.modules()] == modes
    assert network.backbone.bn1.num_batches_tracked == 0
