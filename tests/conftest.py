"""What every test shares: the same number of threads everywhere, no window, reproducible hypothesis runs."""

import os

# Before anything imports matplotlib.
os.environ.setdefault("MPLBACKEND", "Agg")

from pathlib import Path

import hypothesis
import numpy as np
import pytest
import torch

torch.set_num_threads(2)
hypothesis.settings.register_profile("repository", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("repository")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The repository's root folder."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture
def rng() -> np.random.Generator:
    """A fresh generator with a fixed seed."""
    return np.random.default_rng(20210817)
