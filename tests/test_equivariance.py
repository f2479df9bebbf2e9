import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from peclr_utils import equivariance


def projections(count: int = 8, dim: int = 128, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def motion(count: int = 8, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    angle = 360 * torch.rand(count, generator=generator, dtype=torch.float64) - 180
    return angle, 0.6 * torch.rand(count, 2, generator=generator, dtype=torch.float64) - 0.3


def test_a_quarter_turn_takes_right_to_up_on_screen():
    points = torch.tensor([[[1.0, 0.0], [-1.0, 0.0]]])
    turned = equivariance.rotate_points(points, torch.tensor([90.0]))
    torch.testing.assert_close(turned, torch.tensor([[[0.0, -1.0], [0.0, 1.0]]]), atol=1e-6, rtol=0)


@given(st.integers(0, 1000), st.sampled_from([4, 10, 128]))
@settings(max_examples=40, deadline=None)
def test_undoing_a_motion_returns_the_projection(seed, dim):
    z, (angle, shift) = projections(dim=dim, seed=seed), motion(seed=seed)
    moved = equivariance.apply_to_projection(z, angle, shift)
    torch.testing.assert_close(
        equivariance.undo_on_projection(moved, angle, shift), normalize(z), atol=1e-10, rtol=0
    )


def slow_undo(projection: np.ndarray, angle: float, shift: np.ndarray) -> np.ndarray:
    """One row at a time, from the wording of the method. OpenCV keeps the centre in single precision."""
    points = (projection / np.linalg.norm(projection)).reshape(-1, 2).copy()
    for axis in range(2):
        points[:, axis] -= shift[axis] * (points[:, axis].max() - points[:, axis].min())
    matrix = cv2.getRotationMatrix2D(points.mean(0).tolist(), -angle, 1.0)
    points = points @ matrix[:, :2].T + matrix[:, 2]
    return points.ravel() / np.linalg.norm(points)


def test_undo_agrees_with_a_slow_reference():
    z, (angle, shift) = projections(), motion()
    before = z.clone()
    fast = equivariance.undo_on_projection(z, angle, shift).numpy()
    assert torch.equal(z, before)
    for row, turn, move, result in zip(z.numpy(), angle.tolist(), shift.numpy(), fast, strict=True):
        np.testing.assert_allclose(result, slow_undo(row, turn, move), atol=1e-7)


def test_no_gradient_flows_through_centroid_and_extent():
    z, (angle, shift) = projections(3, 8), motion(3)
    with_constants = z.clone().requires_grad_()
    unit = normalize(with_constants).reshape(3, -1, 2)
    fixed = unit.detach()
    extent = fixed.amax(1) - fixed.amin(1)
    moved = unit - (shift * extent)[:, None]
    centre = moved.detach().mean(1, keepdim=True)
    cos, sin = torch.deg2rad(-angle).cos()[:, None], torch.deg2rad(-angle).sin()[:, None]
    x, y = (moved - centre).unbind(-1)
    expected = normalize((torch.stack([cos * x + sin * y, cos * y - sin * x], -1) + centre).flatten(1))
    weights = projections(3, 8, seed=9)
    (expected * weights).sum().backward()
    direct = z.clone().requires_grad_()
    (equivariance.undo_on_projection(direct, angle, shift) * weights).sum().backward()
    torch.testing.assert_close(direct.grad, with_constants.grad)


def test_the_relative_error_is_not_fooled_by_a_network_that_can_not_tell_two_images_apart():
    z, (angle, shift) = projections(64), motion(64)
    moved = equivariance.apply_to_projection(z, angle, shift)
    relative = equivariance.relative_equivariance_error
    assert relative(z, moved, angle, shift) < 1e-6 and relative(z, z, angle, shift) > 0.3
    collapsed = projections(1).expand(64, -1) + 1e-3 * z
    unrelated = projections(1).expand(64, -1) + 1e-3 * projections(64, seed=5)
    assert relative(collapsed, unrelated, 0 * angle, 0 * shift).item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(
    ("dim", "angle", "shift"),
    [(127, (8,), (8, 2)), (128, (8, 1), (8, 2)), (128, (8,), (8,)), (128, (7,), (7, 2))],
)
def test_shapes_that_do_not_match_or_would_broadcast_are_refused(dim, angle, shift):
    with pytest.raises(ValueError, match="expected"):
        equivariance.undo_on_projection(torch.randn(8, dim), torch.zeros(angle), torch.zeros(shift))
