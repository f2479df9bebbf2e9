"""One optimiser step and what surrounds it: parameter groups, learning rate, the check of the loss.

Chapter 03 uses it through `training.pretrain`, chapter 04 through `training.finetune`.
"""

import math
from pathlib import Path

import torch
from torch import Tensor, nn

from peclr_utils.training.layerwise import LayerwiseAdam


class NonFiniteLossError(RuntimeError):
    """The loss became NaN or infinite; the last checkpoint on disk is still good."""


def has_fused(optimiser: str, device: torch.device) -> bool:
    """Whether one of `settings.OPTIMISERS` can update all weights at once on a device."""
    # A fused one would unscale float16's gradients itself, after the layerwise one has scaled them by layer.
    return optimiser != "layerwise_adam" and device.type in ("cpu", "cuda")


def learning_rate_at(step: int, steps: int, warmup: int, peak: float) -> float:
    """Linear warm-up, then half a cosine down to zero.

    For s < w: peak * (s + 1) / w. After it: peak * (1 + cos(pi * (s - w) / (n - w))) / 2.

    Args:
        step: s, counted from 0.
        steps: n, all of them.
        warmup: w, fewer than n.
        peak: the highest rate.

    Returns:
        The learning rate.
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2


def parameter_groups(module: nn.Module, learning_rate: float, weight_decay: float) -> list[dict]:
    """Split parameters by whether they decay: matrices and kernels do, biases and norms (all vectors) do not.

    Args:
        module: any network; parameters without gradient are left out.
        learning_rate: the groups' peak rate.
        weight_decay: of the first group.

    Returns:
        Groups for an optimiser, with the peak rate kept under "peak".
    """
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    decays = [parameter for parameter in trained if parameter.ndim > 1]
    rest = [parameter for parameter in trained if parameter.ndim <= 1]
    groups = [
        {"params": decays, "weight_decay": weight_decay, "lr": learning_rate, "peak": learning_rate},
        {"params": rest, "weight_decay": 0.0, "lr": learning_rate, "peak": learning_rate},
    ]
    return [group for group in groups if group["params"]]


def make_optimiser(name: str, groups: list[dict], device: torch.device) -> torch.optim.Optimizer:
    """Make one of `settings.OPTIMISERS` over parameter groups, fused where the device has it."""
    if name == "layerwise_adam":
        return LayerwiseAdam(groups)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    return kind(groups, fused=has_fused(name, device))


def set_learning_rate(optimiser: torch.optim.Optimizer, step: int, steps: int, warmup: int) -> float:
    """Set every group's rate for a step; returns the first group's."""
    for group in optimiser.param_groups:
        group["lr"] = learning_rate_at(step, steps, warmup, group["peak"])
    return optimiser.param_groups[0]["lr"]


def take_step(optimiser: torch.optim.Optimizer, scaler: torch.amp.GradScaler) -> None:
    """Update the weights from the gathered gradients and clear these."""
    scaler.step(optimiser)
    scaler.update()
    optimiser.zero_grad(set_to_none=True)


def check_finite(loss: Tensor | float, step: int, learning_rate: float, saved: Path | None) -> float:
    """Read a loss, and stop the run if it is not a number.

    Args:
        loss: scalar.
        step: counted from 0.
        learning_rate: at this step.
        saved: path of the checkpoint, or None.

    Returns:
        The loss.

    Raises:
        NonFiniteLossError: if it is NaN or infinite.
    """
    value = float(loss)
    if math.isfinite(value):
        return value
    kept = f"The last good checkpoint is {saved}. " if saved and saved.is_file() else ""
    raise NonFiniteLossError(
        f"the loss is {value} at step {step} (learning rate {learning_rate:.3g}). {kept}Try a learning rate "
        "three times lower, a longer warm-up, or precision='fp32'; and look for broken pictures or labels"
    )
