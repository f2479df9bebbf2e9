"""Pre-training batches as the authors' published code makes them: `PretrainConfig.as_authors()`.

With it:

- views are the authors' (`augmentation.authors_views`), cut from the whole image, not from a stored crop;
- the shift that is undone is measured in pixels of the image *before* resizing, and divided by the view's
  side, which counts pixels *after* it;
- FreiHAND's four versions of a photograph are four different hands, each other's negatives (`pair_identities`
  is off), and no background is exchanged;
- gradients are scaled layer by layer before Adam, and some norms decay (`training.optim`);
- on a GPU the encoder computes in float16 with a scaled loss; a CPU computes in float32. Projector and loss
  compute in float32 in either case; the authors' partly in float16;
- with the presets, the gradients of 16 losses over 128 pairs each are added up (`grad_cache` is off).

Not reproduced: the authors draw images with replacement; here, within a data set, an epoch's counts differ
by at most one. Their warm-up begins at a rate of 0, one step behind. They validate on one photograph
of FreiHAND, and train on an epoch's last batch even if it isn't full. They mirror left hands of
YouTube3DHands to x = W - x, one pixel further right. Without MANO's joint regressor
(`youtube:PATH?regressor=FILE`) the crop is taken about all vertices of the mesh instead of the 21 joints.
"""

import numpy as np
import torch

from peclr_utils.augmentation.authors_views import (
    AuthorsAugmentation,
    AuthorsParameters,
    apply_authors,
    sample_authors_parameters,
)
from peclr_utils.crops import CropSet
from peclr_utils.datasets import EvenMixture, HandDataset, HandSample
from peclr_utils.training.config import PretrainConfig
from peclr_utils.training.pairs import PairBatch, PairDataset, pair_batch
from peclr_utils.training.views import Views


class AuthorsPairDataset(PairDataset):
    """Batches of pairs of the authors' views, by number; otherwise a `PairDataset`.

    Args:
        hands: whole images with keypoints_2d or an outline.
        config: the run's settings.

    Raises:
        ValueError: if the hands are crops, or fewer than a step needs.
    """

    def __init__(self, hands: HandDataset, config: PretrainConfig):
        if isinstance(hands, CropSet):
            raise ValueError("authors_exact: expected whole images, found crops; pass the data set itself")
        self.hands = hands
        self.augmentation = AuthorsAugmentation(rotation=config.rotation_degrees)
        places = np.arange(len(hands))
        source_index = hands.source_of(places) if isinstance(hands, EvenMixture) else np.zeros_like(places)
        self._set_order(hands, source_index, config)

    def plan(self, number: int) -> tuple[np.ndarray, np.ndarray, AuthorsParameters]:
        """Decide a batch without making it; see `PairDataset.plan`."""
        first, second, rng = self.draw(number)
        return first, second, sample_authors_parameters(self.augmentation, 2 * len(first), rng)

    def __getitem__(self, number: int) -> PairBatch:
        chosen, _, parameters = self.plan(number)
        count, size = len(chosen), self.config.image_size
        views = np.empty((2 * count, size, size, 3), np.uint8)
        motion = np.empty((2 * count, 2))
        for place, index in enumerate(chosen):
            sample = self.hands[int(index)]
            points = _points(sample)
            for view in (place, count + place):
                views[view], motion[view] = apply_authors(sample.image, points, parameters, view, size)
        identity = torch.as_tensor(self.identities[chosen], dtype=torch.int64)
        return pair_batch(Views(torch.from_numpy(views)), parameters.angle, motion / size, identity)


def _points(sample: HandSample) -> np.ndarray:
    points = sample.keypoints_2d if sample.keypoints_2d is not None else sample.outline
    if points is None:
        raise ValueError(
            f"authors_exact: sample {sample.name!r} of {sample.source} has neither keypoints nor an outline "
            "to crop by"
        )
    return points
