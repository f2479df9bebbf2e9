"""What tests share: threads, no window, reproducible hypothesis runs, the repository, the smoke course."""

import os

# Before anything imports matplotlib.
os.environ.setdefault("MPLBACKEND", "Agg")

from pathlib import Path

import hypothesis
import numpy as np
import pytest
import torch
from filelock import FileLock

# Test processes side by side get a core each, and so do the programs that they start: threads that share a
# core wait for each other.
THREADS = 1 if "PYTEST_XDIST_WORKER" in os.environ else 2
os.environ.setdefault("OMP_NUM_THREADS", str(THREADS))
torch.set_num_threads(THREADS)
hypothesis.settings.register_profile("repository", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("repository")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The repository's root folder."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def smoke_course(tmp_path_factory) -> Path:
    """The run folder of the whole course with the profile `smoke`; one test process runs it for all."""
    from peclr_utils.course.runner import run_course

    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent  # each process has a folder of its own in it
    with FileLock(shared / "smoke.lock"):
        return run_course("smoke", output=shared / "smoke", resume=True)


@pytest.fixture
def rng() -> np.random.Generator:
    """A fresh generator with a fixed seed."""
    return np.random.default_rng(20210817)
