"""The schedule, parameter groups, and the authors' layer-wise scaling, held to closed forms and to Adam."""

import math

import pytest
import torch
from torch import nn

from peclr_utils.models import ContrastiveModel
from peclr_utils.training.optim import (
    LayerwiseAdam,
    authors_parameter_groups,
    learning_rate_at,
    parameter_groups,
    scaled_gradient,
    set_learning_rate,
    take_step,
)

NO_SCALER = torch.amp.GradScaler("cpu", enabled=False)


def test_the_rate_rises_linearly_and_falls_as_half_a_cosine():
    rates = [learning_rate_at(step, 100, 10, 2.0) for step in range(100)]
    assert rates[:10] == pytest.approx([0.2 * (step + 1) for step in range(10)])
    assert rates[10:] == pytest.approx([1 + math.cos(math.pi * step / 90) for step in range(90)])
    assert learning_rate_at(0, 100, 0, 1.0) == 1.0  # without warm-up
    groups = [{"params": [nn.Parameter(torch.ones(1))], "lr": peak, "peak": peak} for peak in (0.4, 0.1)]
    optimiser = torch.optim.SGD(groups)
    assert set_learning_rate(optimiser, 1, 10, 4) == pytest.approx(0.2)
    assert [group["lr"] for group in optimiser.param_groups] == pytest.approx([0.2, 0.05])


def test_weight_decay_spares_biases_and_norms_and_nothing_else():
    model = ContrastiveModel("resnet18")
    model.encoder.conv1.weight.requires_grad_(False)  # not optimised at all
    decays, spared = parameter_groups(model, 1e-3, 0.1)
    assert (decays["weight_decay"], spared["weight_decay"], spared["peak"]) == (0.1, 0.0, 1e-3)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    expected = {id(p) for module in norms for p in module.parameters()}
    expected |= {id(p) for name, p in model.named_parameters() if name.endswith("bias")}
    assert {id(p) for p in spared["params"]} == expected
    assert len(decays["params"]) + len(spared["params"]) == len(list(model.parameters())) - 1


def test_norms_that_the_authors_miss_decay_and_nothing_else_does():
    model = ContrastiveModel("resnet18")
    decays, spared = authors_parameter_groups(model, 1e-3, 1e-6)
    names = {id(p): name for name, p in model.named_parameters()}
    vectors = {names[id(p)] for p in decays["params"] if p.ndim == 1}
    shortcuts = {f"encoder.layer{k}.0.downsample.1.weight" for k in (2, 3, 4)}
    assert vectors == {"encoder.bn1.weight", "projector.1.weight", *shortcuts}
    assert all(p.ndim == 1 for p in spared["params"])
    assert len(decays["params"]) + len(spared["params"]) == len(names)


@pytest.mark.parametrize(
    ("p", "g", "decay", "expected"),
    [
        # |p| = 5, |g| = 10: 0.02 * 5 / (10 + 0.1 * 5) = 0.0095238; over the rate 0.1 it is 0.095238.
        ([3, 4], [-6, 8], 0.1, [(-6 + 0.3) * 0.0952380951474, (8 + 0.4) * 0.0952380951474]),
        # 0.02 * 5 / (0.005 + 1e-6 * 5) / 0.1 is far above 1: only the decay is added.
        ([3, 4], [0.003, -0.004], 1e-6, [0.003 + 3e-6, -0.004 + 4e-6]),
        ([0, 0], [1, 2], 0.5, [1, 2]),
        ([1, 2], [0, 0], 0.5, [0, 0]),
    ],
)
def test_scaled_gradients_have_their_closed_form(p, g, decay, expected):
    p, g = torch.tensor(p, dtype=torch.float64), torch.tensor(g, dtype=torch.float64)
    assert scaled_gradient(p, g, 0.0, 0.0).tolist() == g.tolist()  # a rate of zero scales nothing
    assert scaled_gradient(p, g, 0.1, decay).tolist() == pytest.approx(expected, rel=1e-9)


def test_layerwise_adam_is_adam_on_scaled_gradients_with_no_decay_of_its_own():
    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(4, 3, generator=generator), torch.randn(5, generator=generator)]
    ours, theirs = ([nn.Parameter(p.clone()) for p in start] for _ in range(2))
    layerwise = LayerwiseAdam([{"params": ours[:1], "weight_decay": 0.3}, {"params": ours[1:]}], lr=0.05)
    adam = torch.optim.Adam(theirs, lr=0.05)
    for step in range(3):
        for p, q, decay in zip(ours, theirs, (0.3, 0.0), strict=True):
            p.grad = torch.randn(p.shape, generator=generator) * 10 ** (1 - step)
            g, size, slope = p.grad.clone(), q.detach().norm(), p.grad.norm()
            factor = min(float(0.02 * size / (slope + decay * size + 1e-8) / 0.05), 1.0)
            q.grad = (g + decay * q.detach()) * factor
        layerwise.step()
        adam.step()
    for p, q in zip(ours, theirs, strict=True):
        assert torch.allclose(p, q, atol=1e-6)
    assert [group["weight_decay"] for group in layerwise.param_groups] == [0.3, 0]


def test_float16s_gradients_are_unscaled_before_they_are_scaled_by_layer():
    weights = [nn.Parameter(torch.tensor([3.0, 4.0])) for _ in range(2)]
    scalers = [torch.amp.GradScaler("cpu", init_scale=1024.0), NO_SCALER]
    for weight, scaler in zip(weights, scalers, strict=True):
        optimiser = LayerwiseAdam([weight], lr=0.1, weight_decay=0.1)
        for _ in range(2):
            scaler.scale((weight * torch.tensor([2.0, -9.0])).sum()).backward()
            take_step(optimiser, scaler)
            assert weight.grad is None
    assert torch.equal(*weights)
