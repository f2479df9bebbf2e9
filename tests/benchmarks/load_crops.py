"""Packed crops: what they save a loader, and whether an image's cost of packing grows with their number.

    python tests/benchmarks/load_crops.py

All files are in the page cache: `data/sample` again and again. One process packs.
"""

import statistics
import tempfile
from pathlib import Path

import cv2
import numpy as np
from harness import SAMPLE, Row, interleaved, main, seconds, use_threads
from steps import Repeated

from peclr_utils.crops import CropSet, crop_box, crop_matrix, pack, warp
from peclr_utils.datasets import FreiHAND

FEW, MANY, TO_LOAD = 5_000, 20_000, 1_000
SIZE, FACTOR = 136, 2.55  # what `training.pretrain` packs by default
BATCH, REPEATS = 128, 9


def measure() -> list[Row]:
    use_threads(1)
    dataset = FreiHAND(SAMPLE, "training")
    with tempfile.TemporaryDirectory() as folder:
        loading = _loading(dataset, _pack(dataset, TO_LOAD, Path(folder, "crops")))
        few, many = (
            1e3 * seconds(lambda count=count: _pack(dataset, count, Path(folder, str(count)))) / count
            for count in (FEW, MANY)
        )
    what = f"packing a crop of {SIZE}², {MANY:,} of them, one core"
    return [loading, Row(what, f"{many:.2f} ms", f"{FEW:,} of them: {few:.2f} ms", many / few)]


def _pack(dataset: FreiHAND, count: int, folder: Path) -> CropSet:
    return pack(Repeated(dataset, count), folder, SIZE, FACTOR, workers=0, progress=False)


def _loading(dataset: FreiHAND, crops: CropSet) -> Row:
    """Batches of crops out of the packed file and from the images in turn."""
    rng = np.random.default_rng(0)
    matrices = [crop_matrix(*crop_box(sample, crops.factor), crops.size) for sample in dataset]

    def decode(indices: np.ndarray) -> np.ndarray:
        rows = (indices % len(dataset)).tolist()
        images = ((i, cv2.imread(str(dataset.image_path(i)), cv2.IMREAD_COLOR_RGB)) for i in rows)
        return np.stack([warp(image, matrices[i], crops.size) for i, image in images])

    found = []
    for _ in range(REPEATS):
        chosen = rng.integers(len(crops), size=BATCH)
        assert np.array_equal(decode(chosen), crops.images[chosen])
        found.append(interleaved(lambda c=chosen: crops.images[c], lambda c=chosen: decode(c), 1))
    stored, decoded, _, times = map(statistics.median, zip(*found, strict=True))
    return Row(
        f"loading a crop of {crops.size}² out of the packed file, one core",
        f"{1e6 * stored / BATCH:.0f} µs",
        f"cv2.imread and crop: {1e6 * decoded / BATCH:.0f} µs",
        times,
        at_least=5,
    )


if __name__ == "__main__":
    main(measure)
