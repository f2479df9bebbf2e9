"""Packed crops: what they save a loader, and whether an image's cost of packing grows with their number.

    python tests/benchmarks/load_crops.py

`pack_crops.py` has the measurements, and makes larger ones.
"""

import tempfile
from pathlib import Path

from harness import SAMPLE, Row, main, use_threads
from pack_crops import FACTOR, SIZE, Repeated, measure_loading, measure_packing

from peclr_utils.crops import pack
from peclr_utils.datasets import FreiHAND

FEW, MANY, TO_LOAD = 5_000, 20_000, 1_000


def measure() -> list[Row]:
    use_threads(1)
    dataset = FreiHAND(SAMPLE, "training")
    with tempfile.TemporaryDirectory() as folder:
        crops = pack(
            Repeated(dataset, TO_LOAD), Path(folder) / "crops", SIZE, FACTOR, workers=0, progress=False
        )
        loading = measure_loading(dataset, crops)
        few, many = (measure_packing(dataset, count, Path(folder) / "packed") for count in (FEW, MANY))
    return [
        Row(
            f"loading a crop of {crops.size}² out of the packed file, one core",
            f"{1e3 * loading.stored:.0f} µs",
            f"cv2.imread and crop: {1e3 * loading.decoded:.0f} µs",
            loading.ratio,
            at_least=5,
        ),
        Row(
            f"packing a crop of {crops.size}², {MANY:,} of them, one core",
            f"{many.milliseconds:.2f} ms",
            f"{FEW:,} of them: {few.milliseconds:.2f} ms",
            many.milliseconds / few.milliseconds,
        ),
    ]


if __name__ == "__main__":
    main(measure)
