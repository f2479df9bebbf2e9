"""Peak memory of opening a tenth of YouTube3DHands' labels, against `json.load`.

    python tests/benchmarks/label_memory.py

`open_youtube.py` has the measurement, and makes that of the full size.
"""

from harness import Row, main
from open_youtube import AIM, HANDS
from open_youtube import measure as peaks_of

PART = 0.1


def measure() -> list[Row]:
    peaks = peaks_of(PART)
    plain = peaks["json.load"]
    return [
        Row(
            f"opening {PART * HANDS:,.0f} labels of YouTube3DHands, {when} time: peak memory",
            f"{peaks[f'YouTube3DHands, {way}'] / 2**20:,.0f} MiB",
            f"json.load: {plain / 2**20:,.0f} MiB",
            peaks[f"YouTube3DHands, {way}"] / plain,
            at_most=AIM,
        )
        for when, way in (("first", "first time"), ("second", "afterwards"))
    ]


if __name__ == "__main__":
    main(measure)
