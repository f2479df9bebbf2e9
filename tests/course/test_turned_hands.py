"""Turned hands are the set's own, in orientations without a preferred direction."""

import numpy as np

from peclr_utils.camera import bone_length, project
from peclr_utils.course.turned_hands import NEAREST, angle_to_sight, turned_hands
from peclr_utils.datasets import SyntheticHands


def test_a_turned_hand_keeps_its_wrist_its_bones_and_its_camera():
    hands = SyntheticHands(2, seed=3, size=64)
    points, K = turned_hands(hands, 500, np.random.default_rng(0))
    assert points.shape[1:] == (21, 3) and len(points) == len(K) and points[..., 2].min() > NEAREST
    for sample in (hands[0], hands[1]):
        own = (K == sample.K).all(axis=(1, 2))
        assert own.sum() > 400
        assert np.abs(project(points[own], K[own])[:, 0] - sample.keypoints_2d[0]).max() < 1e-3
        np.testing.assert_allclose(bone_length(points[own]), sample.bone_length, rtol=1e-5)


def test_no_direction_is_preferred():
    points, _ = turned_hands(SyntheticHands(1, seed=3, size=64), 4000, np.random.default_rng(0))
    finger = points[:, 9] - points[:, 0]
    assert np.abs((finger / np.linalg.norm(finger, axis=1, keepdims=True)).mean(axis=0)).max() < 0.05


def test_a_bone_along_the_line_of_sight_is_seen_at_0_degrees_and_one_across_it_at_90():
    points = np.zeros((3, 21, 3))
    points[:, 9] = [0.1, 0, 0.5]
    points[:, 10] = points[:, 9] + [[0.02, 0, 0.1], [0, 0.04, 0], [-0.02, 0, -0.1]]
    np.testing.assert_allclose(angle_to_sight(points), [0, 90, 0], atol=3)
    assert angle_to_sight(points)[0] < 1e-5
