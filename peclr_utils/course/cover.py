"""The README's picture: rendered hands, and one of them moved together with its keypoints.

    python -m peclr_utils.course.cover notebooks/figures/cover.png

Chapters 01 and 02 take both rows apart.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from peclr_utils.augmentation import AugmentationConfig, augment_sample, sample_parameters
from peclr_utils.crops import crop
from peclr_utils.datasets import SyntheticHands
from peclr_utils.plotting import show_samples

COLUMNS = 8
SIZE = 160
SEED = 11
SHOWN = 3


def draw_cover() -> Figure:
    """Draw the first row, hands cropped, and the second of views of one of them.

    Returns:
        The figure.
    """
    config = AugmentationConfig.peclr(rotation=60.0, shift=0.12, background=0.0, grey=0.0)
    config = replace(config, margin=config.full_margin)
    data = SyntheticHands(COLUMNS, seed=SEED)
    hands = [crop(data[k], SIZE, 1.25) for k in range(COLUMNS)]
    views = sample_parameters(config, COLUMNS, np.random.default_rng(SEED))
    wide = crop(data[SHOWN], 2 * SIZE, 1.2 * config.full_margin)
    moved = [augment_sample(wide, views[k], SIZE) for k in range(COLUMNS)]
    captions = [""] * COLUMNS + [f"turned by {angle:+.0f}°" for angle in views.angle]
    return show_samples([*hands, *moved], COLUMNS, captions=captions)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the picture to the path given.

    Args:
        arguments: The path alone; None takes it from the command line.

    Returns:
        0, or 2 if there is not one path.
    """
    given = sys.argv[1:] if arguments is None else arguments
    if len(given) != 1:
        print("usage: python -m peclr_utils.course.cover PICTURE.png", file=sys.stderr)
        return 2
    path = Path(given[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_cover().savefig(path, dpi=110)
    return 0


if __name__ == "__main__":
    sys.exit(main())
