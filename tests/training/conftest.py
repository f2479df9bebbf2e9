"""Packed crops of stick hands, and comparisons of networks, for the training tests."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from peclr_utils.crops import CropSet, pack


@pytest.fixture(scope="module", autouse=True)
def _one_thread(one_thread):
    """Every training test computes in one thread."""


@pytest.fixture(scope="session")
def pack_dots(dot_hands, tmp_path_factory) -> Callable[..., CropSet]:
    """Pack stick hands into crops of 64 pixels; the arguments are those of `DotHands`."""

    def make(*arguments, **options) -> CropSet:
        folder: Path = tmp_path_factory.mktemp("dots")
        return pack(dot_hands(*arguments, **options), folder / "crops", 64, 2.4, progress=False)

    return make


@pytest.fixture(scope="session")
def crops16(pack_dots) -> CropSet:
    """One image of each of sixteen hands."""
    return pack_dots(16)


@pytest.fixture(scope="session")
def same_weights() -> Callable[[torch.nn.Module, torch.nn.Module], bool]:
    """Whether two networks have bit-equal tensors."""

    return lambda one, other: all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))
