"""From the settings of a pre-training to its pairs of views.

Chapter 03 shows a batch of them.
"""

from typing import NamedTuple

import numpy as np

from peclr_utils.augmentation import AugmentationConfig
from peclr_utils.augmentation.authors import AuthorsAugmentation
from peclr_utils.crops import CropSet
from peclr_utils.datasets.sample import HandDataset
from peclr_utils.training.authors import AuthorsPairBatches, WholePictures, open_pictures
from peclr_utils.training.batches import ALL_ROWS, PairBatches
from peclr_utils.training.config import PretrainConfig
from peclr_utils.training.curve import EquivarianceCurve, split_off
from peclr_utils.training.engine import Machine
from peclr_utils.training.sources import open_crops
from peclr_utils.training.views import background_pool


class PairData(NamedTuple):
    """What a pre-training learns from and is measured on.

    Attributes:
        batches: pairs of views, by number.
        source: name of the data.
        pictures: how many are trained on.
        steps_per_epoch: whole steps.
        backgrounds: to exchange the pictures' own with, or None.
        curve: measures the equivariance error on pictures that were held out, or None.
    """

    batches: PairBatches | AuthorsPairBatches
    source: str
    pictures: int
    steps_per_epoch: int
    backgrounds: np.ndarray | None = None
    curve: EquivarianceCurve | None = None


def open_pair_data(
    config: PretrainConfig,
    machine: Machine,
    dataset: HandDataset | None = None,
    rows: slice = ALL_ROWS,
) -> PairData:
    """Open the pictures of a pre-training: packed crops of them, or with `authors_exact` whole ones.

    Args:
        config: the settings.
        machine: what the run computes with.
        dataset: hands to train on, instead of `config.sources`.
        rows: which pairs of each batch this process makes.

    Returns:
        The data.

    Raises:
        ValueError: if there are no pictures, or too few.
    """
    if config.authors_exact:
        return _open_whole_pictures(config, dataset, rows)
    augmentation = pair_augmentation(config)
    crops = open_crops(config, augmentation, config.sources, dataset)
    training, held_out = split_off(crops.identities, config.equivariance_pictures, config.seed)
    backgrounds = background_pool(augmentation, crops, config.image_size, config.seed)
    batches = PairBatches(
        crops, training, augmentation, config.batch_size, config.image_size, config.view_factor, config.seed,
        machine.executor, config.pair_identities, backgrounds, config.accumulate, rows,
    )  # fmt: skip
    curve = _make_curve(config, augmentation, crops, held_out, machine)
    steps_per_epoch = batches.batches_per_epoch // config.accumulate
    return PairData(batches, crops.source, len(training), steps_per_epoch, backgrounds, curve)


def _open_whole_pictures(config: PretrainConfig, dataset: HandDataset | None, rows: slice) -> PairData:
    pictures = WholePictures(open_pictures(config.sources, dataset))
    batches = AuthorsPairBatches(
        pictures, np.arange(len(pictures)), AuthorsAugmentation(rotation=config.rotation_degrees),
        config.batch_size, config.image_size, config.seed, config.accumulate, rows,
    )  # fmt: skip
    steps_per_epoch = batches.batches_per_epoch // config.accumulate
    return PairData(batches, pictures.source, len(pictures), steps_per_epoch)


def pair_augmentation(config: PretrainConfig) -> AugmentationConfig:
    """Ranges of the views' parameters: the preset, the run's rotation, and the run's own changes.

    Both methods see the same views; what they undo tells them apart. Every view gets a new background where
    that is possible: the edge of a picture, where it shows, would tell a pair as well as the background does.
    """
    changes = {name: tuple(v) if isinstance(v, list) else v for name, v in config.augmentation.items()}
    background = 1.0 if config.exchange_background else 0.0
    return AugmentationConfig.peclr(
        **{"rotation": config.rotation_degrees, "background": background, **changes}
    )


def _make_curve(
    config: PretrainConfig,
    augmentation: AugmentationConfig,
    crops: CropSet,
    held_out: np.ndarray,
    machine: Machine,
) -> EquivarianceCurve | None:
    if not len(held_out):
        return None
    motion = AugmentationConfig.none(rotation=augmentation.rotation, shift=augmentation.shift)
    return EquivarianceCurve(
        crops, held_out, motion, config.image_size, config.view_factor, machine, config.seed
    )
