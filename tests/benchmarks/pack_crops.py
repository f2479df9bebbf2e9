"""How long packing takes for each image, whatever their number, and what packed crops save a loader.

    python tests/benchmarks/pack_crops.py            # 5,000 to 20,000 images
    python tests/benchmarks/pack_crops.py --full     # 50,000 as well

The 64 photographs of `data/sample` are decoded and cropped again and again, as those of a folder with that
many would be; so all files lie in the page cache, before packing and after. One process packs, so that the
times do not depend on how many cores there are. Nothing about speed is asserted.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from peclr_utils.crops import CropSet, crop_box, crop_matrix, pack, warp
from peclr_utils.datasets import FreiHAND
from peclr_utils.datasets.sample import HandSample
from peclr_utils.training.config import PretrainConfig
from peclr_utils.training.pairs import PairDataset

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"
COUNTS, FULL = (5_000, 10_000, 20_000), 50_000
RECKONED = 2_000_000
SIZE, FACTOR = 136, 2.55  # what `training.pretrain` packs by default
BATCH, IMAGE_SIZE = 128, 64
REPEATS = 9


class Repeated:
    """A small data set as a large one: sample i is sample i modulo its length."""

    def __init__(self, dataset: FreiHAND, length: int):
        self.dataset, self.length, self.source = dataset, length, dataset.source

    def __len__(self) -> int:
        return self.length

    @property
    def identities(self) -> np.ndarray:
        return np.arange(self.length)

    def __getitem__(self, index: int) -> HandSample:
        return self.dataset[index % len(self.dataset)]


class Packing(NamedTuple):
    """What packing so many images took: milliseconds and bytes of each."""

    images: int
    milliseconds: float
    size: float


class Loading(NamedTuple):
    """Medians of repeated pairs, in milliseconds an image.

    Attributes:
        decoded: `cv2.imread` and one warp to the crop.
        stored: copying the crop out of the packed file.
        ratio: of the two, pair by pair.
        view: an augmented view, from the packed file, as `PairDataset` makes it.
    """

    decoded: float
    stored: float
    ratio: float
    view: float


def measure_packing(dataset: FreiHAND, count: int, folder: Path) -> Packing:
    """Pack so many images in one process, and throw the crops away."""
    seconds = _seconds(
        lambda: pack(Repeated(dataset, count), folder, SIZE, FACTOR, workers=0, progress=False)
    )
    size = sum(file.stat().st_size for file in folder.iterdir())
    shutil.rmtree(folder)
    return Packing(count, 1e3 * seconds / count, size / count)


def measure_loading(dataset: FreiHAND, crops: CropSet) -> Loading:
    """Load batches of crops from the images and from the packed file in turn."""
    rng = np.random.default_rng(0)
    matrices = [crop_matrix(*crop_box(sample, crops.factor), crops.size) for sample in dataset]
    config = PretrainConfig(batch_size=BATCH, image_size=IMAGE_SIZE, exchange_background=False)
    batches = PairDataset(crops, config)

    def decode(indices: np.ndarray) -> np.ndarray:
        return np.stack(
            [
                warp(cv2.imread(str(dataset.image_path(i)), cv2.IMREAD_COLOR_RGB), matrices[i], crops.size)
                for i in (indices % len(dataset)).tolist()
            ]
        )

    rounds = []
    for number in range(REPEATS):
        indices = rng.integers(len(crops), size=BATCH)
        assert np.array_equal(decode(indices), crops.images[indices])  # the same images; and they are warm
        decoded = _seconds(lambda chosen=indices: decode(chosen)) / BATCH
        stored = _seconds(lambda chosen=indices: crops.images[chosen]) / BATCH
        view = _seconds(lambda place=number: batches[place]) / (2 * BATCH)
        rounds.append((1e3 * decoded, 1e3 * stored, decoded / stored, 1e3 * view))
    return Loading(*map(statistics.median, zip(*rounds, strict=True)))


def _seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Measure packing and reading of crops.")
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS, help="how many images to pack")
    parser.add_argument("--full", action="store_true", help=f"pack {FULL:,} as well")
    options = parser.parse_args(argv)
    cv2.setNumThreads(0)  # as in a worker
    dataset = FreiHAND(SAMPLE, "training")
    with tempfile.TemporaryDirectory() as folder:
        small = pack(Repeated(dataset, 1000), Path(folder) / "small", SIZE, FACTOR, workers=0, progress=False)
        found = []
        for count in [*options.counts, *((FULL,) if options.full else ())]:
            found.append(measure_packing(dataset, count, Path(folder) / "crops"))
            milliseconds, size = found[-1][1:]
            print(f"packing {count:>6,} images: {milliseconds:.3f} ms and {size:,.0f} bytes each")
        loading = measure_loading(dataset, small)
    each = statistics.median(packing.milliseconds for packing in found)
    print(
        f"reckoned for {RECKONED:,}: {RECKONED * found[-1].size / 1e9:.0f} GB with masks, three quarters "
        f"of it without; {RECKONED * each / 60_000:.0f} minutes on one core, if the disk keeps up"
    )
    print(
        f"a crop of {small.size} px, one core: {loading.decoded:.3f} ms by cv2.imread and crop, "
        f"{loading.stored:.4f} ms out of the packed file: {loading.ratio:.0f} times as fast (aim: 5)\n"
        f"an augmented view of {IMAGE_SIZE} px out of the packed file: {loading.view:.3f} ms"
    )


if __name__ == "__main__":
    main()
