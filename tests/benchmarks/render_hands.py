"""How many `SyntheticHands` images of 224 x 224 one core renders per second.

    OMP_NUM_THREADS=1 python tests/benchmarks/render_hands.py

Processor time; the median of several for each image.
"""

import time
from collections.abc import Callable

import numpy as np
from harness import Row, main, seconds, use_threads

from peclr_utils.datasets.synthetic import SyntheticHands
from peclr_utils.hands.backgrounds import sample_background
from peclr_utils.hands.scene import scene_surface

IMAGES, REPEATS, SIZE = 60, 9, 224


def measure() -> list[Row]:
    use_threads(1)
    hands = SyntheticHands(IMAGES, size=SIZE)
    scenes = [hands.scene(k) for k in range(IMAGES)]
    each = seconds_each(lambda k: hands[k])
    parts = {
        "sampling the scene's values": seconds_each(hands.scene),
        "posing hand and arm": seconds_each(lambda k: scene_surface(scenes[k])),
        "the background": seconds_each(
            lambda k: sample_background(np.random.default_rng(scenes[k].background), (SIZE, SIZE))
        ),
    }
    parts["rasteriser, light and sensor"] = each - sum(parts.values())
    shares = ", ".join(f"{name} {seconds / each:.0%}" for name, seconds in parts.items())
    return [
        Row(
            f"rendered hands at {SIZE}², one core",
            f"{1e3 * each:.1f} ms",
            ratio=1 / each,
            at_least=100,
            unit="/s",
            remark=f"NumPy and OpenCV alone: {shares}.",
        )
    ]


def seconds_each(draw: Callable[[int], object]) -> float:
    """Mean over the images of each one's median."""
    times = [
        [seconds(lambda k=k: draw(k), clock=time.process_time) for k in range(IMAGES)] for _ in range(REPEATS)
    ]
    return float(np.median(times, axis=0).mean())


if __name__ == "__main__":
    main(measure)
