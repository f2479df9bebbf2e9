"""Adam on gradients that are scaled layer by layer, as the authors' code does it.

Chapter 03 says why it changes little. The authors call it LARS (You et al. 2017, arXiv 1708.03888), which
scales each layer's *step*. Here it is each layer's *gradient* that is scaled, and then Adam divides by the
gradient's own size, which takes the scale out again where it changes slowly.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

TRUST = 0.02
"""Largest step of a layer, as a share of its weights' length."""

EPSILON = 1e-8


def scaled_gradient(parameter: Tensor, gradient: Tensor, learning_rate: float, weight_decay: float) -> Tensor:
    """Add the weight decay to a layer's gradient and scale it down to the layer's size.

    With the lengths |p| and |g|::

        (g + wd p) min(0.02 |p| / (|g| + wd |p| + 1e-8) / lr, 1)

    Where either length is 0 the gradient stays as it is, without the decay.

    Args:
        parameter: p.
        gradient: g, of p's shape.
        learning_rate: lr, this step's.
        weight_decay: wd.

    Returns:
        The new gradient; nothing is changed in place.
    """
    size, slope = torch.linalg.vector_norm(parameter), torch.linalg.vector_norm(gradient)
    rate = TRUST * size / (slope + weight_decay * size + EPSILON)
    scaled = (gradient + weight_decay * parameter) * (rate / learning_rate).clamp(max=1)
    return torch.where((size > 0) & (slope > 0), scaled, gradient)


class LayerwiseAdam(torch.optim.Adam):
    """Adam that sees `scaled_gradient` in place of each parameter's gradient and its own weight decay."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Take a step; the gradients are left scaled."""
        decays = [group["weight_decay"] for group in self.param_groups]
        for group, decay in zip(self.param_groups, decays, strict=True):
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.grad = scaled_gradient(parameter, parameter.grad, group["lr"], decay)
            group["weight_decay"] = 0.0
        try:
            return super().step(closure)
        finally:
            for group, decay in zip(self.param_groups, decays, strict=True):
                group["weight_decay"] = decay


def authors_parameter_groups(model: nn.Module, learning_rate: float, weight_decay: float) -> list[dict]:
    """Split a `ContrastiveModel`'s parameters by whether they decay in the authors' code.

    It spares what has "bias" or "bn" in its name, and so misses the norms that their names don't give away:
    the first layer's, those of the shortcuts and the projector's.

    Args:
        model: encoder and projector.
        learning_rate: the groups' peak rate.
        weight_decay: of the first group.

    Returns:
        Groups for an optimiser, with the peak rate kept under "peak".
    """
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    spared = {name for name, _ in named if "bias" in name or ("bn" in name and name != "encoder.bn1.weight")}
    common = {"lr": learning_rate, "peak": learning_rate}
    return [
        {"params": [p for name, p in named if name not in spared], "weight_decay": weight_decay, **common},
        {"params": [p for name, p in named if name in spared], "weight_decay": 0.0, **common},
    ]
