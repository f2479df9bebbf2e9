"""How many `SyntheticHands` pictures of 224 x 224 one core makes a second.

    OMP_NUM_THREADS=1 python tests/benchmarks/render_hands.py

Each picture is timed several times in processor time and the median is taken, so that other work on the
machine matters less.
"""

import time

import numpy as np
from harness import Row, main, seconds, use_threads

from peclr_utils.datasets.synthetic import SyntheticHands

PICTURES, REPEATS, SIZE = 60, 9, 224
AIM = 100


def seconds_per_picture() -> float:
    """Mean over pictures of each one's median."""
    hands = SyntheticHands(PICTURES, size=SIZE)
    times = [
        [seconds(lambda k=k: hands[k], clock=time.process_time) for k in range(PICTURES)]
        for _ in range(REPEATS)
    ]
    return float(np.median(times, axis=0).mean())


def measure() -> list[Row]:
    use_threads(1)
    each = seconds_per_picture()
    return [
        Row(
            f"rendered hands at {SIZE}², one core",
            f"{1e3 * each:.1f} ms",
            ratio=1 / each,
            at_least=AIM,
            unit="/s",
        )
    ]


if __name__ == "__main__":
    main(measure)
