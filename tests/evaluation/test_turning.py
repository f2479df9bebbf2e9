"""The direct measures of equivariance on constructed projections, whose answers are known."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import lstsq

from peclr_utils.equivariance import apply_to_projection
from peclr_utils.evaluation import equivariant_read_out, turn_of_points
from peclr_utils.evaluation.turning import STRENGTHS, as_complex_points, turned_by

ANGLES = np.array([-90.0, -60, -30, 30, 60, 90])


def projections(count: int = 20, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 128, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def turned(projection: torch.Tensor, degrees: float) -> torch.Tensor:
    count = len(projection)
    return apply_to_projection(projection, torch.full((count,), float(degrees)), torch.zeros(count, 2))


@given(st.floats(-179, 179), st.floats(0.1, 10), st.floats(-3, 3))
def test_points_turned_as_training_turns_them_are_seen_to_turn_by_that_angle(angle, size, shift):
    """Scale and place of the points don't matter, and the sign is the image's."""
    still = projections()
    moved = turned(still, angle) * size + shift
    np.testing.assert_allclose(turned_by(still, moved), angle, atol=1e-4)


def test_the_turn_is_the_one_that_brings_the_points_closest():
    still, moved = projections(seed=1), projections(seed=2)
    before, after = as_complex_points(still), as_complex_points(moved)
    tried = np.arange(-180, 180, 0.05)
    turns = np.exp(-1j * np.radians(tried))[:, None]
    for a, b, found in zip(before, after, turned_by(still, moved), strict=True):
        distances = (np.abs(b - turns * a) ** 2).sum(axis=1)
        assert abs((tried[distances.argmin()] - found + 180) % 360 - 180) < 0.05


@pytest.mark.parametrize("per_degree", [0.0, 0.5, 1.0, -1.0])
def test_the_slope_is_degrees_of_the_points_per_degree_of_the_image(per_degree):
    still = projections()
    moved = np.stack([turned(still, per_degree * angle) for angle in ANGLES])
    turn = turn_of_points(still, moved, ANGLES)
    np.testing.assert_allclose([turn.slope, turn.low, turn.high], per_degree, atol=1e-6)


def test_quartiles_are_those_of_the_images():
    still = projections(5)
    own = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0])
    moved = np.stack([apply_to_projection(still, own * angle, torch.zeros(5, 2)) for angle in ANGLES])
    turn = turn_of_points(still, moved, ANGLES)
    np.testing.assert_allclose(turn.per_image, own, atol=1e-6)
    np.testing.assert_allclose(turn[:3], (0.5, 0.25, 0.75), atol=1e-6)


def test_a_projection_that_turns_needs_labels_at_one_angle_only():
    """Learnt upright, the read-out is right at every angle; of one that doesn't turn it can't be."""
    rng = np.random.default_rng(0)
    still, new = projections(80).numpy(), projections(30, seed=1).numpy()
    matrix = rng.normal(size=(64, 21)) + 1j * rng.normal(size=(64, 21))

    def keypoints(projection: np.ndarray) -> np.ndarray:
        found = as_complex_points(projection) @ matrix
        return np.stack([found.real, found.imag], axis=-1)

    labels = keypoints(still) + 5.0  # wherever the hand is: keypoints count about their mean
    moved = turned(torch.as_tensor(new), 130).numpy()
    found = equivariant_read_out(still, labels, moved, alpha=0)
    truth = keypoints(moved)
    truth -= truth.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(found, truth, atol=1e-8)
    unmoved = equivariant_read_out(still, labels, new, alpha=0)
    assert np.abs(unmoved - truth).mean() > 0.5 * np.abs(truth).mean()


def test_turning_the_projections_turns_what_is_read_out():
    still, labels, new = projections(30), np.random.default_rng(3).normal(size=(30, 21, 2)), projections(9, 4)
    one = equivariant_read_out(still, labels, new / new.norm(dim=1, keepdim=True))
    other = equivariant_read_out(still, labels, turned(new, 50))
    cos, sin = np.cos(np.radians(50)), np.sin(np.radians(50))
    np.testing.assert_allclose(one @ np.array([[cos, -sin], [sin, cos]]), other, atol=1e-8)


def test_the_read_out_is_least_squares_with_the_penalty_written_as_rows():
    still, new = projections(30), projections(9, seed=4)
    labels = np.random.default_rng(3).normal(size=(30, 21, 2))
    z, y = as_complex_points(still), labels[..., 0] + 1j * labels[..., 1]
    y -= y.mean(axis=1, keepdims=True)
    unit = np.mean(np.linalg.svd(z, compute_uv=False) ** 2)
    rows = np.vstack([z, np.sqrt(0.3 * unit) * np.eye(64)])
    weights = lstsq(rows, np.vstack([y, np.zeros((64, 21))]))[0]
    expected = as_complex_points(new) @ weights
    found = equivariant_read_out(still, labels, new, alpha=0.3)
    np.testing.assert_allclose(found[..., 0] + 1j * found[..., 1], expected, atol=1e-10)


def test_the_strength_is_the_largest_within_a_standard_error_of_the_best_left_out_one():
    rng, still = np.random.default_rng(0), projections(24)
    labels = (still.numpy() @ rng.normal(size=(128, 42))).reshape(24, 21, 2) + 20 * rng.normal(
        size=(24, 21, 2)
    )
    z = as_complex_points(still)
    unit = np.mean(np.linalg.svd(z, compute_uv=False) ** 2)

    def left_out(alpha: float) -> list[float]:
        errors = []
        for row in range(24):
            rest = np.arange(24) != row
            own = np.mean(np.linalg.svd(z[rest], compute_uv=False) ** 2)  # the same penalty in their unit
            found = equivariant_read_out(still[rest], labels[rest], still[[row]], alpha * unit / own)[0]
            errors.append(((found - labels[row] + labels[row].mean(axis=0)) ** 2).sum())
        return errors

    errors = np.array([left_out(alpha) for alpha in STRENGTHS])
    mean = errors.mean(axis=1)
    best = mean.argmin()
    within = mean <= mean[best] + errors[best].std(ddof=1) / 24**0.5
    alpha = STRENGTHS[within][-1]
    assert STRENGTHS[0] < STRENGTHS[best] < alpha  # all rules would agree otherwise
    chosen = equivariant_read_out(still, labels, projections(3, seed=9))
    np.testing.assert_allclose(chosen, equivariant_read_out(still, labels, projections(3, seed=9), alpha))


def test_shapes_that_do_not_fit_are_named():
    still = projections(4)
    with pytest.raises(ValueError, match="D even"):
        turned_by(still[:, :3], still[:, :3])
    with pytest.raises(ValueError, match="one for each of the 2 turned sets"):
        turn_of_points(still, torch.stack([still, still]), [30.0])
    with pytest.raises(ValueError, match="not all 0"):
        turn_of_points(still, still[None], [0.0])
    with pytest.raises(ValueError, match=r"keypoints \(N, J, 2\)"):
        equivariant_read_out(still, np.zeros((5, 21, 2)), still)
