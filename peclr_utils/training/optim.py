"""Optimisers, parameter groups, the learning rate, and the check of the loss.

The authors' "LARS around Adam" is `LayerwiseAdam`. LARS (You et al. 2017, arXiv 1708.03888) scales each
layer's *step*. Their code scales each layer's *gradient*, and Adam then divides by the gradient's own size,
which removes the scale again where it changes slowly.
"""

import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from peclr_utils.settings import NonFiniteLossError

TRUST = 0.02
"""Largest step of a layer as a share of its weights' length, in the authors' code."""


def learning_rate_at(step: int, steps: int, warmup: int, peak: float) -> float:
    """Linear warm-up over w steps, then half a cosine down to zero at step n.

    With s counted from 0: peak * (s + 1) / w for s < w, then peak * (1 + cos(pi * (s - w) / (n - w))) / 2.
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2


def set_learning_rate(optimiser: torch.optim.Optimizer, step: int, steps: int, warmup: int) -> float:
    """Set every group's rate for a step by `learning_rate_at`; return the first group's."""
    for group in optimiser.param_groups:
        group["lr"] = learning_rate_at(step, steps, warmup, group["peak"])
    return optimiser.param_groups[0]["lr"]


def parameter_groups(module: nn.Module, learning_rate: float, weight_decay: float) -> list[dict]:
    """Split parameters by whether they decay: matrices and kernels do; biases and norms (all vectors) do not.

    Parameters without gradient are skipped. Each group keeps its peak rate under "peak".
    """
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    vectors = [parameter for parameter in trained if parameter.ndim <= 1]
    return _groups([p for p in trained if p.ndim > 1], vectors, learning_rate, weight_decay)


def authors_parameter_groups(model: nn.Module, learning_rate: float, weight_decay: float) -> list[dict]:
    """Split a `ContrastiveModel`'s parameters by whether they decay in the authors' code.

    It exempts what has "bias" or "bn" in its name, and so still decays norms whose names lack both: the
    first layer's, those of the shortcuts and the projector's.
    """
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    spared = {name for name, _ in named if "bias" in name or ("bn" in name and name != "encoder.bn1.weight")}
    decaying = [p for name, p in named if name not in spared]
    return _groups(decaying, [p for name, p in named if name in spared], learning_rate, weight_decay)


def _groups(decaying: list, spared: list, learning_rate: float, weight_decay: float) -> list[dict]:
    groups = [{"params": decaying, "weight_decay": weight_decay}, {"params": spared, "weight_decay": 0.0}]
    return [{**group, "lr": learning_rate, "peak": learning_rate} for group in groups if group["params"]]


def make_optimiser(name: str, groups: list[dict], device: torch.device) -> torch.optim.Optimizer:
    """Make "adam", "adamw" or "layerwise_adam" over parameter groups, fused where the device has it."""
    if name == "layerwise_adam":
        # Not fused: that would unscale float16's gradients after they have been scaled by layer.
        return LayerwiseAdam(groups)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    return kind(groups, fused=device.type in ("cpu", "cuda"))


def take_step(optimiser: torch.optim.Optimizer, scaler: torch.amp.GradScaler) -> None:
    """Update the weights from the accumulated gradients, and clear these."""
    scaler.step(optimiser)
    scaler.update()
    optimiser.zero_grad(set_to_none=True)


def check_finite(loss: float, step: int, learning_rate: float, checkpoint: Path | None) -> None:
    """Raise NonFiniteLossError if the loss is NaN or infinite, naming the last good checkpoint."""
    if math.isfinite(loss):
        return
    kept = f"The last good checkpoint is {checkpoint}. " if checkpoint and checkpoint.is_file() else ""
    raise NonFiniteLossError(
        f"The loss is {loss} at step {step} (learning rate {learning_rate:.3g}). {kept}Try a learning rate "
        "three times lower, a longer warm-up, or precision='fp32'; and check the images and labels"
    )


def scaled_gradient(parameter: Tensor, gradient: Tensor, learning_rate: float, weight_decay: float) -> Tensor:
    """Add the weight decay to a layer's gradient and scale it down to the layer's size.

    With p and g of one shape, their lengths |p| and |g|, this step's rate lr and the weight decay wd::

        (g + wd p) min(0.02 |p| / (|g| + wd |p| + 1e-8) / lr, 1)

    Where either length is 0 the gradient stays as it is, without the decay. Nothing is changed in place.
    """
    size, slope = torch.linalg.vector_norm(parameter), torch.linalg.vector_norm(gradient)
    rate = TRUST * size / (slope + weight_decay * size + 1e-8)
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
