"""A small state dict whose every tensor is told by its number, and files of it as torch has written them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn

from peclr_utils import weights

FORMS = {"zip": True, "before PyTorch 1.6": False}


@pytest.fixture(params=FORMS)
def form(request) -> str:
    """How a file is laid out: the zip archive of today, and the row of pickles before it."""
    return request.param


@pytest.fixture(scope="session")
def state() -> dict[str, Tensor]:
    """A ResNet-18's state dict in which every tensor is full of a number of its own."""
    with torch.device("meta"):
        resnet = torchvision.models.resnet18()
        resnet.fc = nn.Identity()
    return {
        key: torch.tensor(float(number) if value.is_floating_point() else number).expand(value.shape)
        for number, (key, value) in enumerate(resnet.state_dict().items())
    }


@pytest.fixture(scope="session")
def write() -> Callable[..., Path]:
    """Write a file in one of the forms."""

    def write_file(path: Path, value: Any, form: str = "zip", protocol: int = 2) -> Path:
        torch.save(value, path, pickle_protocol=protocol, _use_new_zipfile_serialization=FORMS[form])
        return path

    return write_file


@pytest.fixture(scope="session")
def loads(state) -> Callable[[Path], bool]:
    """Say whether a file loads as an encoder with each tensor of `state` in its place."""

    def load(path: Path) -> bool:
        encoder = weights.load_encoder(path).state_dict()
        return encoder.keys() == state.keys() and all(torch.equal(encoder[key], state[key]) for key in state)

    return load
