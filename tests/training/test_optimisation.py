"""Schedule, parameter groups, fused optimisers, the check of the loss."""

import math

import pytest
import torch
from torch import nn

from peclr_utils.models import ContrastiveModel
from peclr_utils.training import engine
from peclr_utils.training.config import PretrainConfig
from peclr_utils.training.optimisation import (
    NonFiniteLossError,
    check_finite,
    learning_rate_at,
    make_optimiser,
    parameter_groups,
)
from peclr_utils.settings import OPTIMISERS


def test_warm_up_rises_linearly_to_the_peak():
    rates = [learning_rate_at(step, 100, 10, 2.0) for step in range(10)]
    assert rates == pytest.approx([0.2 * (step + 1) for step in range(10)])


def test_after_the_warm_up_the_rate_is_half_a_cosine():
    for step in range(10, 100):
        expected = 1 + math.cos(math.pi * (step - 10) / 90)
        assert learning_rate_at(step, 100, 10, 2.0) == pytest.approx(expected)
    assert learning_rate_at(55, 100, 10, 2.0) == pytest.approx(1.0)


def test_the_rate_never_jumps():
    rates = [learning_rate_at(step, 100, 10, 1.0) for step in range(100)]
    assert max(abs(a - b) for a, b in zip(rates, rates[1:], strict=False)) <= 0.1 + 1e-12
    assert rates[-1] < 1e-3


def test_without_warm_up_the_first_step_is_at_the_peak():
    assert learning_rate_at(0, 100, 0, 1.0) == 1.0


def test_weight_decay_spares_norms_and_biases():
    model = ContrastiveModel("resnet18")
    decays, spared = parameter_groups(model, 1e-3, 0.1)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    norms = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)
        for parameter in module.parameters()
    }
    assert decays["weight_decay"] == 0.1 and spared["weight_decay"] == 0
    assert not norms & {id(parameter) for parameter in decays["params"]}
    assert all(names[id(parameter)].endswith("weight") for parameter in decays["params"])
    biases = {id(p) for name, p in model.named_parameters() if name.endswith("bias")}
    assert biases <= {id(parameter) for parameter in spared["params"]}
    assert len(decays["params"]) + len(spared["params"]) == len(list(model.parameters()))


def test_frozen_parameters_are_not_optimised():
    linear = nn.Linear(3, 2)
    linear.weight.requires_grad_(False)
    (group,) = parameter_groups(linear, 1e-3, 0.1)
    assert group["weight_decay"] == 0 and len(group["params"]) == 1


def test_the_optimiser_is_fused_where_the_machine_says_so():
    for name in OPTIMISERS:
        weights = [nn.Parameter(torch.zeros(2))]
        optimiser = make_optimiser(name, [{"params": weights, "lr": 0.1}], torch.device("cpu"))
        machine = engine.choose_machine(PretrainConfig(device="cpu", optimiser=name))
        assert bool(optimiser.defaults.get("fused")) == machine.fused == (name != "layerwise_adam")


def test_a_finite_loss_passes_and_a_broken_one_stops():
    assert check_finite(torch.tensor(1.5), 3, 0.1, None) == 1.5
    for value in (math.nan, math.inf):
        with pytest.raises(NonFiniteLossError, match=r"at step 3 \(learning rate 0.1\)"):
            check_finite(torch.tensor(value), 3, 0.1, None)


def test_the_error_names_the_checkpoint_that_is_left(tmp_path):
    path = tmp_path / "checkpoint.pt"
    path.touch()
    with pytest.raises(NonFiniteLossError, match=f"last good checkpoint is {path}"):
        check_finite(math.nan, 3, 0.1, path)
