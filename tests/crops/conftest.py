"""Small data sets for the tests of packed crops."""

from dataclasses import fields
from functools import partial

import numpy as np
import pytest

from peclr_utils.crops import CropSet, crop, pack
from peclr_utils.datasets.sample import HandSample, mirror


class DrawnHands:
    """A picklable data set of noise: every third sample has no labels and comes from another source.

    `asked` counts the samples that were read in this process; sample `fail_at` can't be read.
    """

    source = "drawn"

    def __init__(self, length: int = 9, seed: int = 0, masks_from: int = 0, fail_at: int = -1):
        self.identities = np.arange(length) // 2
        self.seed, self.masks_from, self.fail_at, self.asked = seed, masks_from, fail_at, 0

    def __len__(self) -> int:
        return len(self.identities)

    def __getitem__(self, index: int) -> HandSample:
        self.asked += 1
        if index == self.fail_at:
            raise OSError(f"image {index} can't be read")
        rng = np.random.default_rng([self.seed, index])
        image = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
        if index % 3 == 2:
            return HandSample(image, index // 2, "bare")
        return HandSample(
            image,
            index // 2,
            "drawn",
            handedness="left" if index % 2 else "right",
            keypoints_3d=rng.normal(size=(21, 3)).astype(np.float32),
            keypoints_2d=rng.uniform(0, 60, (21, 2)).astype(np.float32),
            K=np.diag([90, 90, 1]).astype(np.float32),
            bone_length=0.03125,  # exact in float32
            mask=rng.integers(0, 256, (60, 80), dtype=np.uint8) if index >= self.masks_from else None,
        )


@pytest.fixture(scope="session")
def drawn_hands() -> type[DrawnHands]:
    return DrawnHands


@pytest.fixture(scope="session")
def build():
    """`pack`, small and silent."""
    return partial(pack, size=24, factor=1.3, workers=0, progress=False)


@pytest.fixture(scope="session")
def assert_holds():
    """Compare crops with what cropping each sample gives."""

    def assert_holds(crops: CropSet, dataset) -> None:
        assert len(crops) == len(dataset)
        assert np.array_equal(crops.identities, dataset.identities)
        for index in range(len(dataset)):
            sample = dataset[index]
            right = mirror(sample) if sample.handedness == "left" else sample
            expected, found = crop(right, crops.size, crops.factor), crops[index]
            assert found.handedness == "right"
            for field in {field.name for field in fields(HandSample)} - {"name", "outline"}:
                np.testing.assert_array_equal(getattr(found, field), getattr(expected, field), field)

    return assert_holds


@pytest.fixture(scope="session")
def contents():
    """All files of a folder, byte by byte."""
    return lambda folder: {file.name: file.read_bytes() for file in folder.iterdir()}
