"""Print how many `SyntheticHands` pictures of 224 pixels one core makes a second.

Run it with `OMP_NUM_THREADS=1 python tests/benchmarks/render_hands.py`. Each picture is timed several times
and the best is taken, so that other work on the machine matters less.
"""

import time

import cv2
import numpy as np

from peclr_utils.datasets.synthetic import SyntheticHands

PICTURES, REPEATS = 60, 8


def seconds_per_picture() -> float:
    """Mean over pictures of each one's best processor time."""
    cv2.setNumThreads(0)
    hands = SyntheticHands(PICTURES)
    best = np.full(PICTURES, np.inf)
    for _ in range(REPEATS):
        for i in range(PICTURES):
            start = time.process_time()
            hands[i]
            best[i] = min(best[i], time.process_time() - start)
    return float(best.mean())


if __name__ == "__main__":
    seconds = seconds_per_picture()
    print(
        f"SyntheticHands, 224 x 224, one core: {1e3 * seconds:.1f} ms a picture, {1 / seconds:.0f} a second"
    )
