"""From the names of data sets to crops that a run can read at random.

Chapters 03 and 04 reach it through `training.pretrain` and `training.finetune`.
"""

import hashlib
import re
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from peclr_utils.augmentation import AugmentationConfig
from peclr_utils.crops import CropSet, pack
from peclr_utils.crops.packing import describe_dataset
from peclr_utils.datasets import open_source
from peclr_utils.datasets.sample import HandDataset
from peclr_utils.training.settings import RunSettings


def open_crops(
    config: RunSettings,
    augmentation: AugmentationConfig,
    sources: Sequence[str],
    dataset: HandDataset | None = None,
) -> CropSet:
    """Crop data sets, or find their crops in the cache.

    The crops are so much wider than a view that no view looks beyond them, even if it were turned by more
    than the run's own views are: so runs with and without rotation share them.

    Args:
        config: `image_size`, `view_factor`, `cache` ("" makes a temporary folder that goes with the crops)
            and `progress`.
        augmentation: what the views will be drawn from.
        sources: names of data sets.
        dataset: one to take instead; a `CropSet` is returned as it is.

    Returns:
        Crops at the resolution of a view.

    Raises:
        ValueError: if there is neither a source nor a data set, or a name is not understood.
    """
    if isinstance(dataset, CropSet):
        return dataset
    if dataset is None and not sources:
        raise ValueError('sources: expected at least one, such as "synthetic:1024?seed=1", or a data set')
    if dataset is None:
        dataset, name = open_source(sources), "+".join(sources)
    else:
        name = f"{dataset.source}-{len(dataset)}-{describe_dataset(dataset)['content']}"
    size = int(np.ceil(config.image_size * replace(augmentation, rotation=45.0).full_margin))
    # The factor follows from the rounded size, so that a view's pixels are exactly the stored ones.
    factor = config.view_factor * size / config.image_size
    folder = Path(config.cache) if config.cache else Path(tempfile.mkdtemp(prefix="peclr_crops_"))
    path = folder / f"{_file_name(name)}_{size}px_{factor:.3f}"
    try:
        crops = pack(dataset, path, size, factor, progress=config.progress)
    except BaseException as error:
        if not config.cache:
            shutil.rmtree(folder, ignore_errors=True)
            error.add_note("That was a temporary folder, which is gone; with `cache` set a next run goes on.")
        raise
    if not config.cache:
        weakref.finalize(crops, shutil.rmtree, folder, ignore_errors=True)
    return crops


def _file_name(name: str) -> str:
    """A name that any file system takes, and that two long names do not share."""
    plain = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")
    return plain if len(plain) <= 80 else f"{plain[:71]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def label_order(identities: np.ndarray, seed: int) -> np.ndarray:
    """Order identities at random; the first n are the n labelled ones, so that fewer lie within more.

    Args:
        identities: (N,) integers.
        seed: of the order.

    Returns:
        The different identities, shuffled.
    """
    return np.random.default_rng((seed, 0x1ABE1)).permutation(np.unique(identities))


def choose_labels(identities: np.ndarray, labels: int, seed: int) -> np.ndarray:
    """Pick the pictures of so many labelled identities.

    Args:
        identities: (N,) integers.
        labels: number of identities; 0 takes all.
        seed: of the choice.

    Returns:
        Positions of their pictures, ascending.

    Raises:
        ValueError: if there are fewer identities than labels.
    """
    order = label_order(identities, seed)
    if labels > len(order):
        raise ValueError(
            f"labels: expected at most {len(order)}, the number of labelled identities, found {labels}"
        )
    return np.flatnonzero(np.isin(identities, order[: labels or None]))
