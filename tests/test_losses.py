import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from peclr_utils.losses import nt_xent, pose_loss
from peclr_utils.models import PoseOutput


def views(count: int, dim: int = 16, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(count, dim, generator=generator, dtype=torch.float64) for _ in range(2))


def slow_nt_xent(z1: np.ndarray, z2: np.ndarray, temperature: float, identity=None) -> float:
    """The definition, one pair at a time."""
    z = np.concatenate([z1, z2])
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    who = list(range(len(z1))) * 2 if identity is None else list(identity) * 2
    rows = []
    for i in range(len(z)):
        others = [k for k in range(len(z)) if k != i]
        negatives = sum(math.exp(z[i] @ z[k] / temperature) for k in others if who[k] != who[i])
        positives = [math.exp(z[i] @ z[k] / temperature) for k in others if who[k] == who[i]]
        rows.append(np.mean([math.log(p / (p + negatives)) for p in positives]))
    return -float(np.mean(rows))


@given(st.integers(1, 9), st.integers(2, 20), st.floats(0.05, 2.0), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_equals_the_definition(count, dim, temperature, seed):
    z1, z2 = views(count, dim, seed)
    assert nt_xent(z1, z2, temperature).item() == pytest.approx(
        slow_nt_xent(z1.numpy(), z2.numpy(), temperature), abs=1e-9
    )


@given(st.integers(2, 9), st.integers(1, 4), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_equals_the_definition_with_identities(count, people, seed):
    z1, z2 = views(count, seed=seed)
    identity = np.random.default_rng(seed).integers(0, people, count)
    expected = slow_nt_xent(z1.numpy(), z2.numpy(), 0.2, identity)
    assert nt_xent(z1, z2, 0.2, torch.from_numpy(identity)).item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("count", [2, 5, 64])
def test_closed_form_when_all_views_coincide(count):
    z = torch.ones(count, 8)
    assert nt_xent(z, z).item() == pytest.approx(-math.log(1 / (2 * count - 1)), abs=1e-5)


def test_rows_of_one_identity_do_not_repel_each_other():
    z1, z2 = views(3)
    z1.requires_grad_()
    nt_xent(z1, z2, identity=torch.tensor([4, 4, 4])).backward()
    assert torch.equal(z1.grad, torch.zeros_like(z1)), "no negatives, so nothing to learn and no NaN"


@pytest.mark.parametrize("block", [0, 3])
def test_gradient_equals_finite_differences(block):
    z1, z2 = views(4, 6)
    identity = torch.tensor([0, 0, 1, 2])
    z1.requires_grad_(), z2.requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: nt_xent(a, b, 0.3, identity, block=block), (z1, z2))


@given(st.integers(1, 12), st.integers(1, 30), st.sampled_from([0.02, 0.2, 1.0]), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_blocks_change_neither_value_nor_gradient(count, block, temperature, people):
    identity = torch.from_numpy(np.random.default_rng(count).integers(0, people, count))
    for who in (None, identity):
        found = []
        for size in (0, block):
            z1, z2 = (z.requires_grad_() for z in views(count, seed=block))
            loss = nt_xent(z1, z2, temperature, who, block=size)
            found.append((loss, *torch.autograd.grad(3 * loss, (z1, z2))))
        torch.testing.assert_close(found[1], found[0], rtol=1e-10, atol=1e-10)


def test_blocks_equal_the_whole_in_single_precision():
    z1, z2 = (z.float().requires_grad_() for z in views(300, 64))
    whole, blocks = (nt_xent(z1, z2, 0.2, block=size) for size in (0, 128))
    assert blocks.item() == pytest.approx(whole.item(), rel=1e-6)
    for one, other in zip(*(torch.autograd.grad(loss, (z1, z2)) for loss in (whole, blocks)), strict=True):
        assert (one - other).norm() < 1e-6 * one.norm()


def test_blocks_keep_a_few_numbers_per_row_however_many_positives_a_row_has():
    z1, z2 = (z.requires_grad_() for z in views(40))
    loss = nt_xent(z1, z2, identity=torch.arange(40) // 30, block=8)
    saved = [tensor for tensor in loss.grad_fn.saved_tensors if tensor.shape != (80, 16)]
    assert saved and all(tensor.numel() <= 80 for tensor in saved)


def test_small_temperatures_and_half_precision_stay_finite():
    z1, z2 = (z.to(torch.bfloat16).requires_grad_() for z in views(16))
    loss = nt_xent(z1, z2, 1e-3)
    loss.backward()
    assert loss.isfinite() and z1.grad.isfinite().all() and loss.dtype == torch.float32


@pytest.mark.parametrize(
    "arguments",
    [
        (torch.randn(3, 4), torch.randn(2, 4)),
        (torch.randn(3, 4), torch.randn(3, 4), 0.0),
        (torch.randn(3, 4), torch.randn(3, 4), 0.5, torch.zeros(6)),
        (torch.randn(0, 4), torch.randn(0, 4)),
    ],
)
def test_bad_arguments_are_refused(arguments):
    with pytest.raises(ValueError, match="nt_xent"):
        nt_xent(*arguments)


def test_pose_loss_of_the_truth_is_zero_and_of_a_known_offset_is_that_offset():
    generator = torch.Generator().manual_seed(0)
    uv, z, root = (torch.rand(shape, generator=generator) for shape in ((2, 21, 2), (2, 21), (2,)))
    exact = pose_loss(PoseOutput(uv, z, root, torch.empty(0)), uv, z, root, image_size=64)
    assert exact["total"] == 0
    off = pose_loss(PoseOutput(uv + 6.4, z - 0.5, root + 2, torch.empty(0)), uv, z, root, 64, 10.0, 1.0, 0.1)
    assert off["keypoints_2d"].item() == pytest.approx(0.1, abs=1e-5)
    assert off["total"].item() == pytest.approx(10 * 0.1 + 0.5 + 0.1 * 2, abs=1e-5)


def test_labels_that_are_not_known_get_no_gradient_and_do_not_change_the_others_loss():
    generator = torch.Generator().manual_seed(0)
    shapes = ((4, 21, 2), (4, 21), (4,))
    found, true = ([torch.rand(shape, generator=generator) for shape in shapes] for _ in range(2))
    hidden = [torch.rand(shape, generator=generator) < 0.3 for shape in shapes]
    hidden[0][:2], hidden[2][:2] = True, True
    labels = [label.masked_fill(gone, torch.nan) for label, gone in zip(true, hidden, strict=True)]
    found = [one.requires_grad_() for one in found]
    terms = pose_loss(PoseOutput(*found, torch.empty(0)), *labels, image_size=64)
    terms["total"].backward()
    for one, gone in zip(found, hidden, strict=True):
        assert (one.grad[gone] == 0).all() and (one.grad[~gone] != 0).all()
    expected = (found[1] - true[1]).abs()[~hidden[1]].mean()
    torch.testing.assert_close(terms["relative_depth"], expected)
    nothing = [torch.full(shape, torch.nan) for shape in shapes]
    assert pose_loss(PoseOutput(*found, torch.empty(0)), *nothing, image_size=64)["total"] == 0


def test_presence_counts_where_it_is_asked_alone_and_is_zero_where_it_is_not():
    shapes = ((4, 21, 2), (4, 21), (4,), (4, 21, 3))
    nothing = [torch.full(shape, torch.nan) for shape in shapes[:3]]
    logit = torch.tensor([0.3, -2.0, 1.0, 5.0], requires_grad=True)
    output = PoseOutput(*(torch.zeros(shape) for shape in shapes), logit)
    asked = torch.tensor([1.0, torch.nan, 0.0, torch.nan])
    terms = pose_loss(output, *nothing, image_size=64, presence=asked)
    terms["total"].backward()
    sigmoid = torch.sigmoid(logit.detach())
    expected = -(sigmoid[0].log() + (1 - sigmoid[2]).log()) / 2
    torch.testing.assert_close(terms["presence"], expected)
    assert (logit.grad[[1, 3]] == 0).all() and (logit.grad[[0, 2]] != 0).all()
    assert pose_loss(output, *nothing, image_size=64, presence=torch.full((4,), torch.nan))["total"] == 0


@pytest.mark.parametrize(("count", "block"), [(8, 4), (520, None)])
def test_blocks_which_large_batches_take_refuse_a_second_derivative(count, block):
    z1, z2 = (z.requires_grad_() for z in views(count))
    (gradient,) = torch.autograd.grad(nt_xent(z1, z2, block=0), z1, create_graph=True)
    assert gradient.requires_grad
    with pytest.raises(RuntimeError, match="block=0"):
        torch.autograd.grad(nt_xent(z1, z2, block=block), z1, create_graph=True)
