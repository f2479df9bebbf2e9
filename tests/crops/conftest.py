"""Small data sets for the tests of packed crops."""

import numpy as np
import pytest

from peclr_utils.crops import CropSet, crop, pack
from peclr_utils.datasets.sample import HandSample

FIELDS = ("image", "mask", "keypoints_3d", "keypoints_2d", "K", "bone_length")


class DrawnHands:
    """A picklable data set of noise: every third sample has no labels and comes from another source.

    `asked` counts the samples that were made in this process.
    """

    def __init__(self, length: int = 9, seed: int = 0, fail_at: int | None = None, masks_from: int = 0):
        self.length, self.seed, self.fail_at, self.masks_from = length, seed, fail_at, masks_from
        self.source = "drawn"
        self.asked = 0

    def __len__(self) -> int:
        return self.length

    @property
    def identities(self) -> np.ndarray:
        return np.arange(self.length) // 2

    def __getitem__(self, index: int) -> HandSample:
        if not 0 <= index < self.length:
            raise IndexError(index)
        self.asked += 1
        if index == self.fail_at:
            raise OSError(f"picture {index} cannot be read")
        rng = np.random.default_rng([self.seed, index])
        known = index % 3 != 2
        return HandSample(
            image=rng.integers(0, 256, (60, 80, 3), dtype=np.uint8),
            identity=index // 2,
            source="drawn" if known else "bare",
            handedness="left" if index % 2 else "right",
            keypoints_3d=rng.normal(size=(21, 3)).astype(np.float32) if known else None,
            keypoints_2d=rng.uniform(0, 60, (21, 2)).astype(np.float32) if known else None,
            K=np.diag([90, 90, 1]).astype(np.float32) if known else None,
            bone_length=0.03 if known else None,
            mask=rng.integers(0, 256, (60, 80), dtype=np.uint8)
            if known and index >= self.masks_from
            else None,
        )


@pytest.fixture(scope="session")
def drawn_hands() -> type[DrawnHands]:
    return DrawnHands


@pytest.fixture(scope="session")
def build():
    """`pack`, small and without a word."""

    def build(dataset, path, size=24, **options) -> CropSet:
        return pack(dataset, path, size, **{"factor": 1.3, "progress": False, "workers": 0, **options})

    return build


@pytest.fixture(scope="session")
def assert_holds():
    """Compare crops with what cropping each sample gives."""

    def assert_holds(crops: CropSet, dataset, size: int = 24, factor: float = 1.3) -> None:
        assert len(crops) == len(dataset)
        assert np.array_equal(crops.identities, dataset.identities)
        for index in range(len(dataset)):
            expected, found = crop(dataset[index], size, factor), crops[index]
            for field in FIELDS:
                wanted, value = getattr(expected, field), getattr(found, field)
                assert (wanted is None) == (value is None), (index, field)
                assert wanted is None or np.allclose(wanted, value, rtol=1e-6), (index, field)
            for field in ("identity", "source", "handedness"):
                assert getattr(expected, field) == getattr(found, field)

    return assert_holds


@pytest.fixture(scope="session")
def contents():
    """All files of a folder, byte by byte."""
    return lambda folder: {file.name: file.read_bytes() for file in folder.iterdir()}
