"""Hands for chapters 03 to 05: rendered ones, or FreiHAND if the reader has it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from peclr_utils.crops import CropSet, open_crops
from peclr_utils.datasets import TURNED, UPRIGHT, HandDataset, Source, Subset, open_source
from peclr_utils.datasets.freihand import label_path
from peclr_utils.training import FinetuneConfig, PretrainConfig
from peclr_utils.training.finetune import weak_augmentation
from peclr_utils.training.pairs import pair_augmentation
from peclr_utils.training.poses import choose_labels, plain_labels
from peclr_utils.training.views import crop_margin

POOL = 256  # rendered hands that the labelled ones are drawn from
_RENDERED = {  # what is not labelled is upright, as in most photographs; what is to be found is not
    "unlabelled": f"seed=1&{UPRIGHT}",
    "upright": f"seed=2&{UPRIGHT}",
    "training": f"seed=2&{TURNED}",
    "validation": f"seed=4&{TURNED}",
    "test": f"seed=3&{TURNED}",
}


def labelled_source(data: Sequence[str], part: str, count: int) -> str:
    """Name the hands of a part.

    Args:
        data: source names; the first FreiHAND is used. Without one, hands are rendered: "unlabelled" and
            "upright" ones as photographs mostly show them, the others at any angle.
        part: "unlabelled", "upright", "training", "validation" or "test". FreiHAND's test is its evaluation
            set if that has its labels, otherwise its "val"; its first three parts are all "train".
        count: how many hands to render; at least `POOL` for training.

    Returns:
        A name for `datasets.open_source`.
    """
    freihand = next((source for source in map(Source.parse, data) if source.kind == "freihand"), None)
    if freihand is None:
        count = max(count, POOL) if part == "training" else count
        return f"synthetic:{count}?{_RENDERED[part]}"
    root = Path(freihand.path).expanduser()
    if part == "test" and all(label_path(root, "evaluation", kind).is_file() for kind in ("xyz", "scale")):
        return str(freihand.replace(split="evaluation", versions=None))  # one version of each photograph
    return str(freihand.replace(split="val" if part in ("validation", "test") else "train"))


def unlabelled_crops(config: PretrainConfig, count: int) -> CropSet:
    """Crop `count` of the images of `config.sources`, drawn by the seed, or all if there are fewer."""
    hands = open_source(config.sources)
    chosen = np.random.default_rng(config.seed).permutation(len(hands))[:count]
    margin = crop_margin(pair_augmentation(config))
    return open_crops(
        Subset(hands, np.sort(chosen)), config.image_size, config.view_factor, margin, config.cache
    )


def distances(these: CropSet, those: CropSet, image_size: int, view_factor: float) -> dict[str, np.ndarray]:
    """Measure how far apart the hands of two sets are.

    Args:
        these, those: N and M labelled hands.
        image_size, view_factor: side S of a view in pixels, and its width; see `PretrainConfig`.

    Returns:
        "pose": (N, M) mean distance of the 2D keypoints, pixels of the view. "colour", where all masks are
        known: (N, M) distance of the mean colours of the hands' own pixels, grey levels.
    """
    pixels, others = (plain_labels(h, None, image_size, view_factor)["keypoints_2d"] for h in (these, those))
    apart = {"pose": np.linalg.norm(pixels[:, None] - others[None], axis=-1).mean(axis=2)}
    if these.has_mask.all() and those.has_mask.all():
        colours = [_mean_colour(hands) for hands in (these, those)]
        apart["colour"] = np.linalg.norm(colours[0][:, None] - colours[1][None], axis=-1)
    return apart


def _mean_colour(hands: CropSet) -> np.ndarray:
    """(N, 3) mean colour of each hand's own pixels."""
    inside = (hands.masks[:] > 128)[..., None]
    return (hands.images[:] * inside).sum(axis=(1, 2)) / inside.sum(axis=(1, 2))


def labelled_crops(config: FinetuneConfig) -> CropSet:
    """Crop all images of the hands that a fine-tuning learns from, and no others.

    The hands are the first `config.labels` of an order given by the seed, so fewer are a subset of more.
    """
    pool = open_source(config.sources[0] if len(config.sources) == 1 else config.sources)
    return _crops(Subset(pool, choose_labels(pool.identities, config.labels, config.seed)), config)


def held_out_hands(data: Sequence[str], part: str, count: int) -> HandDataset:
    """Open one image of each of at most `count` hands, always the same ones; see `labelled_source`."""
    hands = open_source(labelled_source(data, part, count))
    return Subset(hands, one_of_each(hands.identities, count))


def held_out_crops(config: FinetuneConfig, data: Sequence[str], part: str, count: int) -> CropSet:
    """Crop `held_out_hands`; `config` says how large a view is, and where crops are kept."""
    return _crops(held_out_hands(data, part, count), config)


def one_of_each(identities: np.ndarray, count: int) -> np.ndarray:
    """Draw at most `count` of the identities (N,), always the same ones; a position of each, ascending."""
    order = np.random.default_rng(0).permutation(len(identities))
    _, first = np.unique(identities[order], return_index=True)
    if len(first) > count:
        first = np.random.default_rng(1).permutation(first)[:count]
    return np.sort(order[first])


def _crops(hands: HandDataset, config: FinetuneConfig) -> CropSet:
    margin = crop_margin(weak_augmentation(config))
    return open_crops(hands, config.image_size, config.view_factor, margin, config.cache, config.progress)
