"""The measures against a slow reference that follows the official evaluator, and against closed forms."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import orthogonal_procrustes

from peclr_utils import evaluation
from peclr_utils.evaluation import evaluate_keypoints
from peclr_utils.skeleton import FINGERS


def random_hands(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, 21, 3)) * 0.05 + rng.normal(size=(count, 1, 3)) * 0.1 + [0, 0, 0.7]


def flat(hands: np.ndarray) -> np.ndarray:
    return hands * [1, 1, 0] + [0, 0, 0.5]


def mirrored(hands: np.ndarray) -> np.ndarray:
    return hands * [-1, 1, 1]


def slow_alignment(pred: np.ndarray, gt: np.ndarray) -> np.ndarray:
    gt_mean, pred_mean = gt.mean(0), pred.mean(0)
    gt_norm = np.linalg.norm(gt - gt_mean) + 1e-8
    a = (gt - gt_mean) / gt_norm
    b = (pred - pred_mean) / (np.linalg.norm(pred - pred_mean) + 1e-8)
    rotation, scale = orthogonal_procrustes(a, b)
    return (b @ rotation.T) * scale * gt_norm + gt_mean


def slow_measures(pred: np.ndarray, gt: np.ndarray) -> tuple[float, float, np.ndarray]:
    """Mean error, AUC and PCK curve, keypoint by keypoint."""
    thresholds = np.linspace(0.0, 0.05, 100)
    means, areas, curves = [], [], []
    for k in range(21):
        errors = np.array([np.sqrt(np.sum((p[k] - g[k]) ** 2)) for p, g in zip(pred, gt, strict=True)])
        curve = (errors[:, None] <= thresholds).astype(float).mean(0)
        means.append(errors.mean())
        curves.append(curve)
        areas.append(np.trapezoid(curve, thresholds) / np.trapezoid(np.ones(100), thresholds))
    return float(np.mean(means)), float(np.mean(areas)), np.mean(curves, 0)


def cases() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    gt = random_hands(40, seed=1)
    noise = np.random.default_rng(2).normal(size=gt.shape) * 0.012
    zero = np.zeros_like(gt)
    some_zero = gt.copy()
    some_zero[::3] = 0
    return {
        "noisy": (gt + noise, gt),
        "far off": (random_hands(40, seed=3) * 1.7, gt),
        "flat truth": (gt + noise, flat(gt)),
        "flat prediction": (flat(gt + noise), gt),
        "both flat": (flat(gt + noise), flat(gt)),
        "in one line": (gt * [1, 0, 0], gt + noise),
        "mirrored": (mirrored(gt), gt),
        "mirrored and noisy": (mirrored(gt + noise), gt),
        "identical": (gt, gt),
        "zero prediction": (zero, gt),
        "zero truth": (gt, zero),
        "zero both": (zero, zero),
        "some zero": (gt + noise, some_zero),
        "one point": (np.broadcast_to(gt[:, :1], gt.shape), gt),
        "one hand": (gt[:1] + noise[:1], gt[:1]),
        "tiny": (gt * 1e-7, gt),
    }


CASES = cases()


def assert_official(pred: np.ndarray, gt: np.ndarray) -> np.ndarray:
    """Compare all measures with the slow ones; gives the slowly aligned prediction."""
    found = evaluate_keypoints(pred, gt, check_units=False)
    aligned = np.stack([slow_alignment(p, g) for p, g in zip(pred, gt, strict=True)])
    for expected, values in (
        (slow_measures(pred, gt), (found.epe_mm / 1000, found.auc, found.pck)),
        (slow_measures(aligned, gt), (found.pa_epe_mm / 1000, found.pa_auc, found.pa_pck)),
    ):
        for a, b in zip(expected, values, strict=True):
            np.testing.assert_allclose(b, a, rtol=0, atol=1e-6)
    return aligned


@pytest.mark.parametrize("name", CASES)
def test_equals_the_official_protocol(name):
    pred, gt = CASES[name]
    aligned = assert_official(pred, gt)
    distances = evaluation.joint_errors(evaluation.procrustes_align(pred, gt), gt)
    np.testing.assert_allclose(distances, np.linalg.norm(aligned - gt, axis=-1), rtol=0, atol=1e-9)


def squashed(rng: np.random.Generator, axes: tuple[float, ...]) -> np.ndarray:
    """Hands made thin, flat, a line or a point, each along directions of its own."""
    turns = np.linalg.qr(rng.normal(size=(5, 3, 3)))[0]
    return rng.normal(size=(5, 21, 3)) * 0.05 * np.array(axes) @ turns + rng.normal(size=(5, 1, 3))


THICKNESS = st.tuples(*[st.sampled_from([0.0, 1e-12, 1e-7, 1e-3, 1.0, 3.0])] * 3)


@given(seed=st.integers(0, 2**32 - 1), pred_axes=THICKNESS, gt_axes=THICKNESS, related=st.booleans())
@settings(max_examples=50, deadline=None)
def test_equals_the_official_protocol_for_hands_of_any_thickness(seed, pred_axes, gt_axes, related):
    rng = np.random.default_rng(seed)
    gt = squashed(rng, gt_axes)
    pred = gt * np.array(pred_axes) if related else squashed(rng, pred_axes)
    assert_official(pred, gt)


@given(
    step=st.integers(0, 99), sides=st.sampled_from([(3, 4, 0, 5), (0, 1, 0, 1), (2, 3, 6, 7), (1, 4, 8, 9)])
)
@settings(max_examples=60, deadline=None)
def test_an_error_that_equals_a_threshold_falls_on_the_official_side(step, sides):
    gt = np.zeros((1, 21, 3))
    pred = gt + np.array(sides[:3]) * (np.linspace(0.0, 0.05, 100)[step] / sides[3])
    np.testing.assert_array_equal(evaluate_keypoints(pred, gt).pck, slow_measures(pred, gt)[2])


def test_a_constant_offset_is_the_epe_and_nothing_after_alignment():
    gt = random_hands(30, seed=4)
    found = evaluate_keypoints(gt + np.array([0.006, 0.0, -0.008]), gt)
    assert found.epe_mm == pytest.approx(10.0, abs=1e-9)
    assert found.pa_epe_mm == pytest.approx(0.0, abs=1e-4)
    assert found.root_relative_epe_mm == pytest.approx(0.0, abs=1e-9)
    np.testing.assert_allclose(found.per_joint_epe_mm, 10.0)
    np.testing.assert_allclose(found.per_hand_epe_mm, 10.0)


@pytest.mark.parametrize("millimetres", [0.0, 0.3, 7.0, 24.99, 49.9, 50.1])
def test_auc_of_a_constant_error_is_the_trapezoid_of_a_step(millimetres):
    gt = random_hands(5, seed=5)
    found = evaluate_keypoints(gt + np.array([millimetres / 1000, 0, 0]), gt)
    step = 50 / 99
    below = int(np.ceil(millimetres / step))
    expected = 1.0 if below == 0 else (99 - below + 0.5) / 99 if below <= 99 else 0.0
    assert found.auc == pytest.approx(expected, abs=1e-12)


@given(
    seed=st.integers(0, 2**32 - 1),
    scale=st.floats(0.01, 100),
    shift=st.tuples(*[st.floats(-5, 5)] * 3),
    mirror=st.booleans(),
)
@settings(max_examples=50, deadline=None)
def test_pa_epe_ignores_every_similarity_of_the_prediction(seed, scale, shift, mirror):
    rng = np.random.default_rng(seed)
    gt = random_hands(4, seed=6)
    pred = gt + rng.normal(size=gt.shape) * 0.02
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    rotation *= np.sign(np.linalg.det(rotation)) * (-1 if mirror else 1)
    moved = scale * pred @ rotation.T + np.array(shift)
    assert evaluation.pa_epe(moved, gt) == pytest.approx(evaluation.pa_epe(pred, gt), abs=1e-7)
    if not mirror:
        before, after = (evaluation.pa_epe(p, gt, proper_rotation=True) for p in (pred, moved))
        assert after == pytest.approx(before, abs=1e-7)


def test_proper_rotation_never_mirrors_and_the_official_alignment_does():
    gt = random_hands(20, seed=9)
    official = evaluate_keypoints(mirrored(gt), gt)
    proper = evaluate_keypoints(mirrored(gt), gt, proper_rotation=True)
    assert official.pa_epe_mm < 1e-3
    assert proper.pa_epe_mm > 5
    np.testing.assert_allclose(official.epe_mm, proper.epe_mm)
    assert proper.proper_rotation and not official.proper_rotation


def test_proper_rotation_is_the_best_similarity_without_mirroring():
    gt, pred = random_hands(1, seed=10)[0], mirrored(random_hands(1, seed=10)[0])
    best = np.square(evaluation.procrustes_align(pred, gt, proper_rotation=True) - gt).sum()
    rng = np.random.default_rng(11)
    for _ in range(300):
        rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        rotation *= np.sign(np.linalg.det(rotation))
        turned = (pred - pred.mean(0)) @ rotation.T
        scale = max(0.0, (turned * (gt - gt.mean(0))).sum() / np.square(turned).sum())
        assert best <= np.square(scale * turned + gt.mean(0) - gt).sum() + 1e-12


def test_joints_hands_and_fingers_are_means_of_the_same_errors():
    pred, gt = CASES["noisy"]
    found = evaluate_keypoints(pred, gt)
    errors = 1000 * np.linalg.norm(pred - gt, axis=-1)
    np.testing.assert_allclose(found.per_joint_epe_mm, errors.mean(0))
    np.testing.assert_allclose(found.per_hand_epe_mm, errors.mean(1))
    for each in (found.per_joint_pa_epe_mm, found.per_hand_pa_epe_mm):
        assert each.mean() == pytest.approx(found.pa_epe_mm)
    assert list(found.per_finger_pa_epe_mm) == list(FINGERS)
    assert found.per_finger_pa_epe_mm["thumb"] == pytest.approx(found.per_joint_pa_epe_mm[1:5].mean())


def test_root_relative_epe_puts_the_chosen_root_into_place():
    pred, gt = CASES["noisy"]
    expected = np.linalg.norm((pred - pred[:, 9:10]) - (gt - gt[:, 9:10]), axis=-1).mean()
    assert evaluation.root_relative_epe(pred, gt, root=9) == pytest.approx(expected)
    assert (evaluation.joint_errors(evaluation.align_root(pred, gt), gt)[:, 0] == 0).all()


def test_epe_2d_is_the_mean_distance_in_pixels_and_is_absent_without_2d_keypoints():
    pred, gt = CASES["noisy"]
    gt_2d = gt[..., :2] * 1000
    found = evaluate_keypoints(pred, gt, pred_2d=gt_2d + [3, 4], gt_2d=gt_2d)
    assert found.epe_2d == pytest.approx(5.0)
    assert evaluate_keypoints(pred, gt).epe_2d is None
    assert evaluate_keypoints(pred, gt).in_plane_error_degrees is None


def turned(points: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    moved = (points[..., 0] + 1j * points[..., 1]) * np.exp(1j * np.radians(degrees))[:, None]
    return np.stack([moved.real, moved.imag], axis=-1)


@given(st.floats(-180, 180), st.floats(0.1, 10), st.floats(-50, 50))
def test_the_in_plane_error_is_the_turn_whatever_the_size_and_place(degrees, size, shift):
    true = random_hands(4, seed=1)[..., :2] * 1000
    found = evaluation.in_plane_errors(turned(true, np.full(4, degrees)) * size + shift, true)
    np.testing.assert_allclose(found, abs(degrees), atol=1e-6)


def test_the_in_plane_error_is_where_a_search_over_all_angles_finds_the_smallest_distance():
    pred, gt = (random_hands(5, seed=s)[..., :2] for s in (2, 3))
    p, q = (x - x.mean(1, keepdims=True) for x in (pred, gt))
    angles = np.linspace(-180, 180, 36001)
    for hand, found in enumerate(evaluation.in_plane_errors(pred, gt)):
        moved = turned(np.repeat(p[hand : hand + 1], len(angles), 0), angles)
        # The best size for each angle is known: the moved points' product with the true ones.
        size = np.maximum((moved * q[hand]).sum((1, 2)) / (p[hand] ** 2).sum(), 0)[:, None, None]
        distances = ((size * moved - q[hand]) ** 2).sum((1, 2))
        assert found == pytest.approx(abs(angles[distances.argmin()]), abs=0.02)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_tensors_give_what_arrays_give_and_nothing_is_changed(dtype):
    pred, gt = (torch.tensor(x).to(dtype).requires_grad_() for x in CASES["noisy"])
    copies = pred.detach().clone(), gt.detach().clone()
    found = evaluate_keypoints(pred, gt)
    arrays = [x.detach().double().numpy() for x in (pred, gt)]
    assert found.pa_epe_mm == evaluate_keypoints(*arrays).pa_epe_mm
    assert torch.equal(pred, copies[0]) and torch.equal(gt, copies[1])
    assert found.pck.dtype == np.float64


GT = random_hands(8, seed=13)


@pytest.mark.parametrize(
    ("pred", "gt", "words"),
    [
        (np.where(GT == GT[3, 4, 1], np.nan, GT), GT, r"pred: 1 of 504 values are NaN.*\[3, 4, 1\]"),
        (GT[:, :20], GT[:, :20], r"pred: expected shape \(N, 21, 3\) with N > 0, found \(8, 20, 3\)"),
        (GT[:7], GT, r"one shape .*, found \(7, 21, 3\), \(8, 21, 3\)"),
        (GT, GT * 1000, "gt doesn't look like metres"),
    ],
)
def test_bad_hands_are_refused_with_the_reason(pred, gt, words):
    with pytest.raises((TypeError, ValueError), match=words):
        evaluate_keypoints(pred, gt)
