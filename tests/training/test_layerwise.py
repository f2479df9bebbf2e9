"""The layer-wise scaling of gradients, held to numbers worked out by hand and to Adam."""

import pytest
import torch

from peclr_utils.models import ContrastiveModel
from peclr_utils.training.layerwise import LayerwiseAdam, authors_parameter_groups, scaled_gradient
from peclr_utils.training.optimisation import make_optimiser, take_step

CPU = torch.device("cpu")


def test_a_large_gradient_is_scaled_to_the_layers_size():
    # |p| = 5, |g| = 10: 0.02 * 5 / (10 + 0.1 * 5) = 0.0095238; over the rate 0.1 it is 0.095238.
    p, g = torch.tensor([3.0, 4.0], dtype=torch.float64), torch.tensor([-6.0, 8.0], dtype=torch.float64)
    expected = [(-6 + 0.3) * 0.0952380951474, (8 + 0.4) * 0.0952380951474]
    assert scaled_gradient(p, g, 0.1, 0.1).tolist() == pytest.approx(expected, rel=1e-9)


def test_a_small_gradient_only_gets_the_weight_decay():
    # 0.02 * 5 / (0.005 + 1e-6 * 5) / 0.1 is far above 1.
    p, g = torch.tensor([3.0, 4.0]), torch.tensor([0.003, -0.004])
    expected = [0.003 + 3e-6, -0.004 + 4e-6]
    assert scaled_gradient(p, g, 0.1, 1e-6).tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("p", "g"), [([0.0, 0.0], [1.0, 2.0]), ([1.0, 2.0], [0.0, 0.0])])
def test_nothing_is_done_where_weights_or_gradients_are_zero(p, g):
    assert scaled_gradient(torch.tensor(p), torch.tensor(g), 0.1, 0.5).tolist() == g


def test_a_rate_of_zero_scales_nothing():
    p, g = torch.tensor([3.0, 4.0]), torch.tensor([6.0, 8.0])
    assert torch.allclose(scaled_gradient(p, g, 0.0, 0.0), g)


def test_the_step_is_adams_on_scaled_gradients_with_no_decay_of_its_own():
    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(4, 3, generator=generator), torch.randn(5, generator=generator)]
    ours, theirs = ([torch.nn.Parameter(p.clone()) for p in start] for _ in range(2))
    layerwise = LayerwiseAdam([{"params": ours[:1], "weight_decay": 0.3}, {"params": ours[1:]}], lr=0.05)
    adam = torch.optim.Adam(theirs, lr=0.05)
    for step in range(3):
        for p, q, decay in zip(ours, theirs, (0.3, 0.0), strict=True):
            p.grad = torch.randn(p.shape, generator=generator) * 10 ** (1 - step)
            g, wide, long = p.grad.clone(), q.detach().norm(), p.grad.norm()
            factor = min(float(0.02 * wide / (long + decay * wide + 1e-8) / 0.05), 1.0)
            q.grad = (g + decay * q.detach()) * factor
        layerwise.step()
        adam.step()
    for p, q in zip(ours, theirs, strict=True):
        assert torch.allclose(p, q, atol=1e-6)
    assert [group["weight_decay"] for group in layerwise.param_groups] == [0.3, 0]


def test_float16s_scaled_gradients_are_unscaled_before_they_are_scaled_by_layer():
    p, q = (torch.nn.Parameter(torch.tensor([3.0, 4.0])) for _ in range(2))
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    optimiser, plain = (
        LayerwiseAdam([p], lr=0.1, weight_decay=0.1),
        LayerwiseAdam([q], lr=0.1, weight_decay=0.1),
    )
    for _ in range(2):
        scaler.scale((p * torch.tensor([2.0, -9.0])).sum()).backward()
        (q * torch.tensor([2.0, -9.0])).sum().backward()
        take_step(optimiser, scaler)
        take_step(plain, torch.amp.GradScaler("cpu", enabled=False))
    assert torch.equal(p, q)


def test_norms_that_the_authors_miss_decay_and_nothing_else_does():
    model = ContrastiveModel("resnet18")
    decays, spared = authors_parameter_groups(model, 1e-3, 1e-6)
    assert (decays["weight_decay"], spared["weight_decay"], decays["peak"]) == (1e-6, 0.0, 1e-3)
    names = {id(p): name for name, p in model.named_parameters()}
    vectors = {names[id(p)] for p in decays["params"] if p.ndim == 1}
    shortcuts = {f"encoder.layer{k}.0.downsample.1.weight" for k in (2, 3, 4)}
    assert vectors == {"encoder.bn1.weight", "projector.1.weight", *shortcuts}
    assert all(p.ndim == 1 for p in spared["params"])
    assert len(decays["params"]) + len(spared["params"]) == len(names)


def test_it_is_made_by_its_name():
    groups = [{"params": [torch.nn.Parameter(torch.ones(2))], "lr": 0.1}]
    assert isinstance(make_optimiser("layerwise_adam", groups, CPU), LayerwiseAdam)
