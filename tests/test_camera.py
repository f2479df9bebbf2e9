import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

from peclr_utils import camera
from peclr_utils.skeleton import REFERENCE_BONE, ROOT

K = np.array([[480.0, 0, 112], [0, 470.0, 110], [0, 0, 1]])


def random_hands(count: int, seed: int = 0) -> np.ndarray:
    """Hands of about adult size, 0.3 to 1.1 m away, the reference bone in any direction."""
    rng = np.random.default_rng(seed)
    hands = rng.normal(scale=0.04, size=(count, 21, 3))
    direction = rng.normal(size=(count, 3))
    direction *= 0.03 / np.linalg.norm(direction, axis=1, keepdims=True)
    hands[:, REFERENCE_BONE[1]] = hands[:, REFERENCE_BONE[0]] + direction
    where = rng.normal(scale=0.05, size=(count, 3))
    where[:, 2] = rng.uniform(0.3, 1.1, count)
    return hands + where[:, None]


def random_affine(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    linear, shift = np.eye(2) + 0.3 * rng.normal(size=(2, 2)), 20 * rng.normal(size=(2, 1))
    return np.vstack([np.hstack([linear, shift]), [0, 0, 1]])


def test_a_point_on_the_axis_falls_on_the_principal_point_and_one_to_the_right_falls_right():
    points = np.array([[0, 0, 0.5], [0.1, 0, 0.5], [0, 0.1, 0.5]])
    np.testing.assert_allclose(camera.project(points, K), [[112, 110], [208, 110], [112, 204]])


def test_unproject_inverts_project():
    hands = random_hands(100)
    back = camera.unproject(camera.project(hands, K), hands[..., 2], K)
    np.testing.assert_allclose(back, hands, atol=1e-12)


@given(st.integers(0, 10_000))
@settings(max_examples=50, deadline=None)
def test_moving_the_camera_matrix_is_moving_the_projection(seed):
    affine, hand = random_affine(seed), random_hands(1, seed)[0]
    moved = camera.project(hand, camera.transform_intrinsics(affine, K))
    np.testing.assert_allclose(moved, camera.transform_points(affine, camera.project(hand, K)), atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_25d_and_back_given_the_root_depth_to_a_hundredth_of_a_millimetre(dtype):
    hands, intrinsics = (torch.from_numpy(array).to(dtype) for array in (random_hands(5_000), K))
    points = camera.to_25d(hands, intrinsics)
    back = camera.from_25d(points, intrinsics, camera.bone_length(hands), hands[:, ROOT, 2])
    assert (back - hands).abs().max() < 1e-5


def test_the_quadratic_gives_the_root_depth_wherever_its_larger_root_is_the_true_one():
    hands = random_hands(20_000)
    length = camera.bone_length(hands)
    points = camera.to_25d(hands, K)
    a, b, _ = camera.root_depth_quadratic(points, K)
    # The discriminant's square root, with the true root's sign.
    slope = 2 * a * hands[:, ROOT, 2] / length + b
    holds = slope > camera.EPSILON**0.5
    assert 0 < (slope < 0).mean() < 0.005, "some bones seen end-on should be among the hands"
    assert 0.99 < holds.mean() < 1
    back = camera.from_25d(points, K, length)
    assert np.abs(back - hands)[holds].max() < 1e-5
    assert np.abs(back - hands)[slope < 0].max() > 1e-3, "where it does not hold, it does not"


def test_the_true_depth_solves_the_quadratic_whichever_root_it_is():
    hands = random_hands(2_000)
    a, b, c = camera.root_depth_quadratic(camera.to_25d(hands, K), K)
    z = hands[:, ROOT, 2] / camera.bone_length(hands)
    np.testing.assert_allclose(a * z**2 + b * z + c, 0, atol=1e-9)


def test_25d_does_not_depend_on_units_of_length():
    hands = random_hands(50)
    np.testing.assert_allclose(camera.to_25d(1000 * hands, K), camera.to_25d(hands, K), atol=1e-9)


def test_arrays_and_tensors_give_the_same():
    hands = random_hands(7)
    points = camera.to_25d(hands, K)
    tensor = camera.to_25d(torch.from_numpy(hands), torch.from_numpy(K))
    np.testing.assert_allclose(tensor.numpy(), points, atol=1e-12)
    lifted = camera.from_25d(tensor, torch.from_numpy(K), 0.03)
    np.testing.assert_allclose(lifted.numpy(), camera.from_25d(points, K, 0.03), atol=1e-12)


def test_lengths_given_as_numbers_go_where_the_points_are():
    """No GPU is needed: fake tensors have a device but no values."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        points = torch.ones(2, 21, 3, device="cuda")
        intrinsics = torch.eye(3, device="cuda")
        for root in (None, 0.5):
            assert camera.from_25d(points, intrinsics, 0.03, root).device.type == "cuda"


def test_one_camera_for_each_hand_of_a_batch():
    hands = random_hands(4)
    each = np.stack([camera.transform_intrinsics(random_affine(s), K) for s in range(4)])
    for hand, own, uv in zip(hands, each, camera.project(hands, each), strict=True):
        np.testing.assert_allclose(camera.project(hand, own), uv)


def test_random_rotations_turn_and_never_mirror():
    turns = camera.random_rotations(1000, np.random.default_rng(0))
    squares = turns @ turns.swapaxes(1, 2)
    np.testing.assert_allclose(squares, np.broadcast_to(np.eye(3), turns.shape), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(turns), 1)


def test_random_rotations_are_uniform():
    """Haar on SO(3): every entry has mean 0 and variance 1/3; the trace's moments are 0, 1, 1, 3.

    The angle then has the density (1 - cos) / pi: P(angle < 90 degrees) = 1/2 - 1/pi. A fixed turn before or
    after changes nothing.
    """
    turns = camera.random_rotations(40_000, np.random.default_rng(1))
    fixed = camera.random_rotations(1, np.random.default_rng(2))[0]
    for moved in (turns, fixed @ turns, turns @ fixed):
        np.testing.assert_allclose(moved.mean(axis=0), 0, atol=0.015)
        np.testing.assert_allclose((moved**2).mean(axis=0), 1 / 3, atol=0.01)
        trace = np.einsum("kii->k", moved)
        moments = np.array([(trace**power).mean() for power in (1, 2, 3, 4)])
        assert (np.abs(moments - [0, 1, 1, 3]) < [0.02, 0.03, 0.08, 0.2]).all(), moments
        assert abs((trace > 1).mean() - (0.5 - 1 / np.pi)) < 0.01


@pytest.mark.parametrize("name", ["bone_length", "root_depth"])
@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_lengths_that_would_broadcast_into_more_hands_are_refused(name, kind):
    points = kind(camera.to_25d(random_hands(3), K))
    lengths = {"bone_length": kind(np.full(3, 0.03)), "root_depth": kind(np.full(3, 0.5))}
    assert camera.from_25d(points, kind(K), **lengths).shape == (3, 21, 3)
    lengths[name] = lengths[name][:, None]
    with pytest.raises(ValueError, match=rf"{name} as one number or of shape \(3,\), found \(3, 1\)"):
        camera.from_25d(points, kind(K), **lengths)


def test_whole_pixels_do_not_round_lengths_to_whole_metres():
    points, lengths = np.round(camera.to_25d(random_hands(2), K)).astype(np.int64), np.array([0.03, 0.02])
    found = camera.from_25d(points, K, lengths, 0.5)
    np.testing.assert_allclose(found, camera.from_25d(points.astype(float), K, lengths, 0.5))
