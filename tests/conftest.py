"""What tests share: threads, no window, reproducible hypothesis runs, the repository, the smoke course."""

import os

# Before anything imports matplotlib.
os.environ.setdefault("MPLBACKEND", "Agg")

from collections.abc import Callable
from pathlib import Path

import cv2
import hypothesis
import numpy as np
import pytest
import torch
from filelock import FileLock

from peclr_utils.camera import bone_length, project
from peclr_utils.datasets import HandSample
from peclr_utils.models import PoseNetwork25D
from peclr_utils.skeleton import BONES, FINGERS

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
    """The run folder of the course and appendices with profile `smoke`; one test process runs it for all."""
    from peclr_utils.course.runner import run_course, select_chapters

    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent  # each process has a folder of its own in it
    with FileLock(shared / "smoke.lock"):
        everything = select_chapters(appendices=True)
        return run_course("smoke", output=shared / "smoke", chapters=everything, resume=True)


@pytest.fixture(scope="session")
def published_pose_file() -> Callable[..., Path]:
    """Write a pose network in the authors' layout, its weights random."""

    def write(path: Path, arch: str = "resnet50") -> Path:
        torch.manual_seed(0)
        names = {"backbone": "backend_model", "root_refinement": "zroot_ref.zroot_ref"}
        parts = ((name.partition("."), value) for name, value in PoseNetwork25D(arch).state_dict().items())
        state = {f"{names[part]}.{rest}": value for (part, _, rest), value in parts if part in names}
        torch.save({"state_dict": state}, path)
        return path

    return write


def bilinear(image: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """What lies under each output pixel's centre, in double precision and pixel by pixel, black outside."""
    padded = np.pad(image.astype(np.float64), ((1, 1), (1, 1), (0, 0)))
    result, back = np.zeros((size, size, image.shape[2])), np.linalg.inv(matrix)
    for row, column in np.ndindex(size, size):
        x, y, _ = back @ [column, row, 1] + [1, 1, 0]
        left, top = int(np.floor(x)), int(np.floor(y))
        if 0 <= left < padded.shape[1] - 1 and 0 <= top < padded.shape[0] - 1:
            across, down = np.array([left + 1 - x, x - left]), np.array([top + 1 - y, y - top])
            four = padded[top : top + 2, left : left + 2]
            result[row, column] = down @ np.tensordot(across, four, (0, 1))
    return result


@pytest.fixture(scope="session", name="bilinear")
def _bilinear() -> Callable[[np.ndarray, np.ndarray, int], np.ndarray]:
    return bilinear


@pytest.fixture
def rng() -> np.random.Generator:
    """A fresh generator with a fixed seed."""
    return np.random.default_rng(20210817)


@pytest.fixture(scope="module")
def one_thread():
    """Compute a module's tests in one thread: sums come in one order, and small networks are faster."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class DotHands:
    """A data set of right stick hands, 96 pixels wide: sample i is a function of i alone.

    Each of `length` hands appears in `versions` images, which differ in the background's grey.
    """

    source = "dots"

    def __init__(self, length: int, versions: int = 1, labelled: bool = True, masked: bool = True):
        self.length, self.versions, self.labelled, self.masked = length, versions, labelled, masked

    def __len__(self) -> int:
        return self.length * self.versions

    @property
    def identities(self) -> np.ndarray:
        return np.tile(np.arange(self.length), self.versions)

    def __getitem__(self, index: int) -> HandSample:
        if not 0 <= index < len(self):
            raise IndexError(index)
        identity = index % self.length
        points, K = _points(identity), np.array([[120, 0, 47.5], [0, 120, 47.5], [0, 0, 1]], np.float32)
        uv = project(points, K)
        grey = np.random.default_rng((7, index)).integers(40, 200, 3)
        image, mask = np.full((96, 96, 3), grey, np.uint8), np.zeros((96, 96), np.uint8)
        for number, (a, b) in enumerate(BONES):
            colour = (np.array([10, 120, 240]) * (1 + number // 4) % 256).tolist()
            ends = [tuple(int(round(c)) for c in uv[k]) for k in (a, b)]
            cv2.line(image, *ends, colour, 3)
            cv2.line(mask, *ends, 255, 3)
        labels = {"keypoints_3d": points, "bone_length": float(bone_length(points))} if self.labelled else {}
        return HandSample(
            image=image,
            identity=identity,
            source="dots",
            keypoints_2d=uv.astype(np.float32),
            K=K,
            mask=mask if self.masked else None,
            name=str(index),
            **labels,
        )


def _points(identity: int) -> np.ndarray:
    rng = np.random.default_rng((5, identity))
    points = np.zeros((21, 3))
    for number, finger in enumerate(FINGERS.values()):
        angle, bend = np.deg2rad(-60 + 30 * number + rng.normal(0, 8)), rng.uniform(0, 0.9)
        position = np.zeros(3)
        for joint, keypoint in enumerate(finger):
            length = (0.08, 0.035, 0.025, 0.02)[joint]
            tilt = bend * joint
            step = np.array([np.sin(angle) * np.cos(tilt), -np.cos(angle) * np.cos(tilt), np.sin(tilt)])
            position = position + length * step
            points[keypoint] = position
    return (points + [0, 0.05, 0.45]).astype(np.float32)


@pytest.fixture(scope="session")
def dot_hands() -> type[DotHands]:
    return DotHands
