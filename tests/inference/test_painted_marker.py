"""A model that finds a painted marker exactly: results must be exact in the original image, both hands."""

import numpy as np
import pytest
import torch

from peclr_utils.camera import project, transform_points
from peclr_utils.inference import predict
from peclr_utils.models import PoseOutput

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
SLOPES = np.array([[7.0, 3.0], [-3.0, 7.0]])
REACH = 12
FOCAL = 500.0
OFFSETS = np.random.default_rng(0).uniform(-9, 9, (21, 2))


def painted(width, height, x, y):
    """Black but for a square about (x, y), in which red and green rise along two slants, and blue is full."""
    image = np.zeros((height, width, 3), np.uint8)
    rows, columns = np.mgrid[y - REACH : y + REACH + 1, x - REACH : x + REACH + 1]
    slants = 128 + np.einsum("ca,aij->ijc", SLOPES, np.stack([columns - x, rows - y]))
    image[rows, columns] = np.concatenate([slants, np.full((*rows.shape, 1), 255)], -1)
    return image, np.array([[FOCAL, 0, width / 2], [0, FOCAL + 20, height / 2], [0, 0, 1]])


def find_marker(image):
    """The marker's centre in a crop, from all pixels in which blue is full."""
    v, u = np.nonzero(image[..., 2] > 254.9)
    design = np.column_stack([u, v, np.ones(len(u))])
    lines = np.linalg.lstsq(design, image[v, u][:, :2], rcond=None)[0].T
    return np.linalg.solve(lines[:, :2], 128 - lines[:, 2])


class MarkerModel:
    """Puts 21 keypoints about the marker, at distances fixed in the image's pixels, all 12 bones away."""

    keypoint_order = "freihand"

    def __call__(self, images, K):
        scale = (K[:, 0, 0] / FOCAL).numpy()
        crops = (images.numpy().transpose(0, 2, 3, 1) * STD + MEAN) * 255
        points = [find_marker(crop) + OFFSETS * s for crop, s in zip(crops, scale, strict=True)]
        points = torch.as_tensor(np.stack(points), dtype=torch.float64)
        ones = torch.ones(*points.shape[:2], 1, dtype=torch.float64)
        rays = torch.cat([points, ones], 2) @ K.double().inverse().transpose(1, 2)
        return PoseOutput(points, ones[..., 0], 12 * ones[:, 0, 0], 12 * rays)


PLACES = [(224, 224, 112, 112), (224, 224, 95, 130), (320, 240, 175, 108), (200, 300, 90, 165)]


@pytest.mark.parametrize("place", PLACES)
def test_a_marker_is_found_where_it_was_painted(place):
    image, K = painted(*place)
    result = predict(MarkerModel(), image, K)
    assert not result.fell_back
    assert np.abs(result.keypoints_2d - OFFSETS - place[2:]).max() < 1e-3
    expected = np.column_stack([(OFFSETS + place[2:] - K[:2, 2]) / [500, 520], np.ones(21)]) * 12
    np.testing.assert_allclose(result.keypoints_3d, expected, atol=1e-4)


@pytest.mark.parametrize("place", PLACES)
def test_a_left_hand_is_found_where_it_was_painted(place):
    width, height, x, y = place
    image, K = painted(*place)
    right = predict(MarkerModel(), image, K)
    mirrored_K = np.array([[500.0, 0, width - 1 - width / 2], [0, 520, height / 2], [0, 0, 1]])
    left = predict(MarkerModel(), image[:, ::-1], mirrored_K, is_left=True)
    assert left.is_left and not right.is_left
    np.testing.assert_allclose(left.keypoints_2d, right.keypoints_2d * [-1, 1] + [width - 1, 0], atol=1e-9)
    np.testing.assert_allclose(left.keypoints_3d, right.keypoints_3d * [-1, 1, 1], atol=1e-9)
    np.testing.assert_allclose(left.K, mirrored_K)
    np.testing.assert_allclose(project(left.keypoints_3d, mirrored_K), left.keypoints_2d, atol=1e-6)
    moved, unmoved = (transform_points(hand.crop, hand.keypoints_2d) for hand in (left, right))
    np.testing.assert_allclose(moved, unmoved, atol=1e-6)


def test_a_box_finds_a_hand_in_a_corner_also_in_a_mirror():
    image, K = painted(400, 300, 40, 250)
    box = np.array([25.0, 238, 55, 268])
    right = predict(MarkerModel(), image, K, box=box)
    assert np.abs(right.keypoints_2d - OFFSETS - [40, 250]).max() < 1e-3
    # The image shows the marker's mirror image: what a left hand is to a right one.
    left = predict(MarkerModel(), image[:, ::-1], K, box=[344.0, 238, 374, 268], is_left=True)
    assert np.abs(left.keypoints_2d - OFFSETS * [-1, 1] - [359, 250]).max() < 1e-3


def test_batches_equal_singles():
    places = [*PLACES, (640, 480, 300, 250)]
    images, Ks = zip(*(painted(*place) for place in places), strict=True)
    scales, left = [0.02, 0.03, 0.04, 0.05, 0.06], [False, True, False, True, False]
    images = [image[:, ::-1] if flip else image for image, flip in zip(images, left, strict=True)]
    for batch_size in (1, 2, 32):
        together = predict(MarkerModel(), images, np.stack(Ks), scales, is_left=left, batch_size=batch_size)
        assert len(together) == len(places)
        for i, result in enumerate(together):
            single = predict(MarkerModel(), images[i], Ks[i], scales[i], is_left=left[i])
            for name in ("keypoints_2d", "keypoints_3d", "K", "crop", "box"):
                np.testing.assert_array_equal(getattr(result, name), getattr(single, name))
            assert (result.bone_length, result.is_left) == (single.bone_length, single.is_left)
