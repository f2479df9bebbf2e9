"""Small made-up data sets on disk and in memory."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from peclr_utils.camera import bone_length, project
from peclr_utils.datasets.sample import HandSample

SIZE = (24, 32)
"""Height and width of the images; different, so that a mix-up shows."""


def random_hand(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (21, 3) in front of a camera, and its K (3, 3), so that they project into the image."""
    rng = np.random.default_rng((7, seed))
    K = np.float32([[40, 0, 15.5], [0, 40, 11.5], [0, 0, 1]])
    xyz = np.tile(np.array([0, 0.05, rng.uniform(0.5, 0.8)]), (21, 1))
    for finger, angle in enumerate(np.deg2rad([-60, -30, -10, 10, 30]) + rng.normal(0, 0.1)):
        for joint, reach in enumerate((0.08, 0.115, 0.14, 0.16)):  # a right hand's back, its fingers bent
            bend = 0.03 * joint
            xyz[1 + 4 * finger + joint] += [reach * np.sin(angle), -reach * np.cos(angle), bend]
    xyz += rng.normal(0, 0.002, xyz.shape)
    return xyz.astype(np.float32), K


def smooth_image(seed: int) -> np.ndarray:
    """An image (24, 32, 3) with another ramp in each channel: JPEG changes it little, any mix-up shows."""
    rng = np.random.default_rng((8, seed))
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    ramps = [x * 5, y * 6, (x + y) * 2]
    return np.stack([np.clip(ramp + rng.integers(0, 60), 0, 255) for ramp in ramps], -1).astype(np.uint8)


class MemoryHands:
    """Labelled samples kept in memory, `versions` images of each of `count` identities."""

    source = "memory"

    def __init__(self, count: int, versions: int = 1, **changes: object):
        samples = [self._sample(file, file % count) for file in range(count * versions)]
        self.samples = [replace(sample, **changes) for sample in samples]

    def _sample(self, file: int, identity: int) -> HandSample:
        xyz, K = random_hand(identity)
        mask = np.zeros(SIZE, np.uint8)
        mask[:, :16] = 255
        return HandSample(
            image=smooth_image(file),
            identity=identity,
            source=self.source,
            keypoints_3d=xyz,
            keypoints_2d=project(xyz, K),
            K=K,
            bone_length=float(bone_length(xyz)),
            mask=mask,
        )

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> HandSample:
        return self.samples[index]

    @property
    def identities(self) -> np.ndarray:
        return np.array([sample.identity for sample in self.samples])


@pytest.fixture
def memory_hands() -> type[MemoryHands]:
    return MemoryHands


@pytest.fixture
def write_image() -> Callable[[Path, int], np.ndarray]:
    """Write the smooth image number `seed`; returns it."""

    def write(path: Path, seed: int = 0) -> np.ndarray:
        path.parent.mkdir(parents=True, exist_ok=True)
        image = smooth_image(seed)
        assert cv2.imwrite(str(path), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 98])
        return image

    return write


@pytest.fixture
def freihand_root(tmp_path: Path, write_image) -> Callable[..., Path]:
    """Write FreiHAND's layout by hand, without the package's exporter."""

    def write(count: int = 5, versions: int = 4, part: str = "training", name: str = "FreiHAND") -> Path:
        root = tmp_path / name
        root.mkdir(exist_ok=True)
        hands = [random_hand(identity) for identity in range(count)]
        labels = {
            "K": [K.tolist() for _, K in hands],
            "xyz": [xyz.tolist() for xyz, _ in hands],
            "scale": [float(bone_length(xyz)) for xyz, _ in hands],
        }
        for kind, values in labels.items():
            (root / f"{part}_{kind}.json").write_text(json.dumps(values))
        for file in range(count * versions):
            write_image(root / part / "rgb" / f"{file:08d}.jpg", file)
        if part == "training":
            (root / part / "mask").mkdir(parents=True, exist_ok=True)
            for k in range(count):
                cv2.imwrite(str(root / part / "mask" / f"{k:08d}.jpg"), np.full(SIZE, 10 * k, np.uint8))
        return root

    return write


@pytest.fixture(autouse=True)
def home_is_empty(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the user's own cache."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setattr(Path, "home", lambda: home)
    return home
