"""Which ResNet a state dict belongs to, and filling a module with nothing left over on either side.

Chapter 03 loads encoders with it.
"""

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from peclr_utils.models import FEATURES, build_encoder

BLOCKS = {
    ("basic", (2, 2, 2, 2)): "resnet18",
    ("basic", (3, 4, 6, 3)): "resnet34",
    ("bottleneck", (3, 4, 6, 3)): "resnet50",
    ("bottleneck", (3, 4, 23, 3)): "resnet101",
    ("bottleneck", (3, 8, 36, 3)): "resnet152",
}
"""Kind of block and number of blocks in the four layers: what tells the architectures apart."""

MAY_BE_MISSING = "num_batches_tracked"
"""Older files lack it, and nothing here uses it."""

NAMED = 5
"""How many keys of one kind a message names."""


@functools.cache
def _expected(arch: str) -> dict[str, Tensor]:
    """An encoder's keys and shapes, without memory for its numbers."""
    with torch.device("meta"):
        return build_encoder(arch).state_dict()


def find_architecture(
    state: Mapping[str, Any], path: str = "state dict", name: Callable[[str], str] = str
) -> str:
    """Tell a torchvision ResNet's architecture from the keys of its state dict.

    Args:
        state: keys "conv1.weight", "layer1.0.conv1.weight", ...
        path: where it comes from, for the message.
        name: what the file calls a key, for the message.

    Returns:
        One of `FEATURES`.

    Raises:
        ValueError: if it is none of them, naming the keys by which it misses the nearest.
    """
    found = [re.match(r"layer([1-4])\.(\d+)\.", key) for key in state]
    seen = {match.groups() for match in found if match}
    blocks = tuple(sum(layer == number for layer, _ in seen) for number in "1234")
    kind = "bottleneck" if any(re.match(r"layer\d\.\d+\.conv3\.", key) for key in state) else "basic"
    if (kind, blocks) not in BLOCKS:
        first = ", ".join(map(name, list(state)[:3])) or "none"
        raise ValueError(
            f"{path}: expected the keys of a torchvision ResNet ({', '.join(FEATURES)}), "
            f"found {len(state)} keys ({first}, ...) with {blocks} {kind} blocks in layers 1 to 4. "
            f"{_nearest(state, name)}"
        )
    return BLOCKS[kind, blocks]


def _nearest(state: Mapping[str, Any], name: Callable[[str], str]) -> str:
    """What a state dict lacks of the architecture it resembles most, or has beyond it."""
    off = {
        arch: sum(not key.endswith(MAY_BE_MISSING) for key in _expected(arch).keys() ^ state.keys())
        for arch in FEATURES
    }
    arch = min(off, key=off.__getitem__)
    if off[arch] > len(_expected(arch)) // 2:
        return "Name another checkpoint, or convert this one to torchvision's names"
    return f"The nearest is {arch}: keys {_misfits(_expected(arch), state, name)}. Fetch the file again"


def difference(arch: str, state: Mapping[str, Tensor], name: Callable[[str], str] = str) -> str:
    """One key by which a state dict differs from an architecture, with both shapes.

    Args:
        arch: one of `FEATURES`.
        state: torchvision's name to tensor.
        name: what the file calls a key.

    Returns:
        "layer1.0.conv1.weight: expected (64, 64, 1, 1), found (64, 64, 3, 3)".
    """
    shapes = [{key: tuple(value.shape) for key, value in part.items()} for part in (_expected(arch), state)]
    wanted, seen = ({key: shape for key, shape in part.items() if shape} for part in shapes)
    key = next(key for key in {**wanted, **seen} if wanted.get(key) != seen.get(key))
    return f"{name(key)}: expected {wanted.get(key, 'no such key')}, found {seen.get(key, 'no such key')}"


def _misfit(expected: Tensor, found: Tensor) -> str:
    """Why one tensor cannot be copied into another; empty if it can."""
    if found.shape != expected.shape:
        return f"expected {tuple(expected.shape)}, found {tuple(found.shape)}"
    if found.is_floating_point() != expected.is_floating_point():
        return f"expected {expected.dtype}, found {found.dtype}"
    if found.layout != torch.strided or found.is_meta or found.is_quantized:
        return f"expected plain numbers, found a {found.layout} tensor of {found.dtype} on {found.device}"
    return ""


def _misfits(expected: Mapping[str, Tensor], state: Mapping[str, Tensor], name: Callable[[str], str]) -> str:
    """Everything that keeps a state dict from fitting; empty if it fits."""
    wrong = {key: _misfit(expected[key], state[key]) for key in expected if key in state}
    problems = {
        "missing": [name(key) for key in expected if key not in state and not key.endswith(MAY_BE_MISSING)],
        "unknown": [name(key) for key in state if key not in expected],
        "of another shape or type": [f"{name(key)} ({why})" for key, why in wrong.items() if why],
    }
    return "; keys ".join(
        f"{len(keys)} {what}: {', '.join(keys[:NAMED])}{', ...' if len(keys) > NAMED else ''}"
        for what, keys in problems.items()
        if keys
    )


def load_strictly(
    module: nn.Module, state: Mapping[str, Tensor], path: str, name: Callable[[str], str] = str
) -> None:
    """Fill a module from a state dict whose keys and shapes must fit.

    Everything is checked before anything is copied. Only `num_batches_tracked` may be missing: older files
    lack it, and nothing here uses it.

    Args:
        module: what to fill.
        state: name to tensor.
        path: where it comes from, for the message.
        name: what the file calls a key, for the message.

    Raises:
        ValueError: naming the keys that are missing, unknown, or of another shape or type.
    """
    found = _misfits(module.state_dict(), state, name)
    if found:
        raise ValueError(
            f"{path}: does not fit a {type(module).__name__}; keys {found}. Nothing was loaded. "
            "Fetch the file again, or name one made for this network"
        )
    module.load_state_dict(dict(state), strict=False)
