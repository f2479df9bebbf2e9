"""Labelled hands for fine-tuning and evaluation: rendered ones, or FreiHAND where the reader has it.

Chapters 04 and 05 open their hands with it.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from peclr_utils.crops import CropSet
from peclr_utils.datasets import Subset, open_source
from peclr_utils.training.config import FinetuneConfig
from peclr_utils.training.finetune import weak_augmentation
from peclr_utils.training.sources import choose_labels, open_crops

PARTS = ("training", "validation", "test")

POOL = 256
"""Rendered hands that the labelled ones are drawn from, as in the label-fraction table."""

_SEEDS = {"training": 2, "validation": 4, "test": 3}
_SPLITS = {"training": "train", "validation": "val", "test": "evaluation"}


def labelled_source(data: Sequence[str], part: str, count: int) -> str:
    """Name the labelled hands of a part.

    Args:
        data: source names; the first FreiHAND among them is taken. Without one, hands are rendered.
        part: "training", "validation" or "test". FreiHAND's test is its evaluation set where that has its
            labels, otherwise its "val".
        count: how many hands are wanted; so many are rendered, at least `POOL` for training.

    Returns:
        A name that `peclr_utils.datasets.open_source` takes.

    Raises:
        ValueError: There is no such part.
    """
    if part not in PARTS:
        raise ValueError(f"part: expected one of {', '.join(PARTS)}, found {part!r}")
    freihand = next((name for name in data if name.startswith("freihand:")), None)
    if freihand is None:
        return f"synthetic:{max(count, POOL) if part == 'training' else count}?seed={_SEEDS[part]}"
    root, _, options = freihand.partition("?")
    split = _SPLITS[part]
    if split == "evaluation" and not Path(root.partition(":")[2], "evaluation_xyz.json").is_file():
        split = "val"
    kept = [option for option in options.split("&") if option and not option.startswith("split=")]
    # The evaluation set has one version of each photograph, whatever is asked of the training set.
    kept = [option for option in kept if not (split == "evaluation" and option.startswith("versions="))]
    return f"{root}?{'&'.join([f'split={split}', *kept])}"


def labelled_crops(config: FinetuneConfig) -> CropSet:
    """Crop the hands that a fine-tuning learns from, and no others.

    Fewer labels lie within more: the hands are the first `config.labels` of an order that the seed gives.

    Args:
        config: its `sources`, `labels` and `seed` say which hands, its `cache` where crops are kept.

    Returns:
        Crops of all pictures of these hands.
    """
    pool = open_source(config.sources[0] if len(config.sources) == 1 else config.sources)
    hands = Subset(pool, choose_labels(pool.identities, config.labels, config.seed))
    return open_crops(config, weak_augmentation(config), (), hands)


def held_out_crops(config: FinetuneConfig, data: Sequence[str], part: str, count: int) -> CropSet:
    """Crop hands that no fine-tuning learns from, one picture of each.

    Args:
        config: says how large a view is, and where crops are kept.
        data: source names, see `labelled_source`.
        part: "validation" or "test".
        count: how many hands; all there are, if there are fewer.

    Returns:
        Crops in the data set's order.
    """
    hands = open_source(labelled_source(data, part, count))
    return open_crops(
        config, weak_augmentation(config), (), Subset(hands, one_of_each(hands.identities, count))
    )


def one_of_each(identities: np.ndarray, count: int) -> np.ndarray:
    """Draw so many identities, and one picture of each; the same ones every time.

    Args:
        identities: (N,) integers.
        count: how many identities; all, if there are fewer.

    Returns:
        Positions, ascending.
    """
    order = np.random.default_rng(0).permutation(len(identities))
    _, first = np.unique(identities[order], return_index=True)
    if len(first) > count:
        first = np.random.default_rng(1).permutation(first)[:count]
    return np.sort(order[first])
