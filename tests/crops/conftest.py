"""Small data sets for the tests of packed crops."""

import numpy as np
import pytest

from peclr_utils.crops import CropSet, crop, pack
from peclr_utils.datasets.sample import HandSample


class DrawnHands:
    """A picklable data set of noise: every third sample has no labels and comes from another source.

    `asked` counts the samples that were read in this process; sample `fail_at` can't be read.
    """

    source = "drawn"

    def __init__(self, length: int = 9, seed: int = 0, masks_from: int = 0, fail_at: int = -1):
        self.length, self.seed, self.masks_from, self.fail_at, self.asked = (
            length,
            seed,
            masks_from,
            fail_at,
            0,
        )

    def __len__(self) -> int:
        return self.length

    @property
    def identities(self) -> np.ndarray:
        return np.arange(self.length) // 2

    def __getitem__(self, index: int) -> HandSample:
        self.asked += 1
        if index == self.fail_at:
            raise OSError(f"image {index} can't be read")
        rng = np.random.default_rng([self.seed, index])
        sample = HandSample(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8), index // 2, "bare")
        if index % 3 == 2:
            return sample
        return HandSample(
            image=sample.image,
            identity=sample.identity,
            source="drawn",
            handedness="left" if index % 2 else "right",
            keypoints_3d=rng.normal(size=(21, 3)).astype(np.float32),
            keypoints_2d=rng.uniform(0, 60, (21, 2)).astype(np.float32),
            K=np.diag([90, 90, 1]).astype(np.float32),
            bone_length=0.03,
            mask=rng.integers(0, 256, (60, 80), dtype=np.uint8) if index >= self.masks_from else None,
        )


@pytest.fixture(scope="session")
def drawn_hands() -> type[DrawnHands]:
    return DrawnHands


@pytest.fixture(scope="session")
def build():
    """`pack`, small and silent."""

    def build(dataset, path, size=24, **options) -> CropSet:
        return pack(dataset, path, size, **{"factor": 1.3, "progress": False, "workers": 0, **options})

    return build


@pytest.fixture(scope="session")
def assert_holds():
    """Compare crops with what cropping each sample gives."""

    def assert_holds(crops: CropSet, dataset) -> None:
        assert len(crops) == len(dataset)
        assert np.array_equal(crops.identities, dataset.identities)
        for index in range(len(dataset)):
            expected, found = crop(dataset[index], crops.size, crops.factor), crops[index]
            for field in ("image", "mask", "keypoints_3d", "keypoints_2d", "K", "bone_length"):
                wanted, value = getattr(expected, field), getattr(found, field)
                assert (wanted is None) == (value is None), (index, field)
                assert wanted is None or np.array_equal(np.float32(wanted), np.float32(value)), (index, field)
            for field in ("identity", "source", "handedness"):
                assert getattr(expected, field) == getattr(found, field)

    return assert_holds


@pytest.fixture(scope="session")
def contents():
    """All files of a folder, byte by byte."""
    return lambda folder: {file.name: file.read_bytes() for file in folder.iterdir()}
