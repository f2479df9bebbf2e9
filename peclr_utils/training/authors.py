"""Pre-training batches as the authors' published code makes them: `PretrainConfig.authors_exact`.

Chapter 03 trains without it. With it:

- views are the authors' (`augmentation.authors`), cut from the whole picture, not from a stored crop of it;
- the shift that is undone is measured in pixels of the picture *before* it is resized, and divided by the
  view's side, which counts pixels *after* it;
- FreiHAND's four versions of a photograph are four different hands, each other's negatives (`pair_identities`
  is off), and no background is exchanged;
- gradients are scaled layer by layer before Adam, and some norms decay (`training.layerwise`);
- on a GPU the encoder computes in float16 with a scaled loss. A CPU has no hardware for that and computes in
  float32. Projector and loss compute in float32 in either case; the authors' partly do in float16;
- `PretrainConfig.paper_rn50` and `paper_rn152` add up the gradients of 16 batches of 128 pairs, each with a
  loss of its own, in place of one loss over 2,048 (`grad_cache` is off).

What is not reproduced: the authors draw pictures with replacement, here an epoch shows each at most once more
than another of its data set; their learning rate is one step behind in the warm-up (it begins at 0); they
keep one of FreiHAND's photographs for validation, and train on the last batch of an epoch even if it isn't
full. Left hands of YouTube3DHands are mirrored to x = W - 1 - x here, and to W - x there: their points lie
one pixel further to the right. Without MANO's joint regressor (`youtube:PATH?regressor=FILE`) the crop is
taken about all vertices of the mesh instead of the 21 joints.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from peclr_utils.augmentation.authors import (
    AuthorsAugmentation,
    AuthorsParameters,
    apply_authors,
    sample_authors_parameters,
)
from peclr_utils.crops import CropSet
from peclr_utils.datasets import EvenMixture, open_source
from peclr_utils.datasets.sample import HandDataset, HandSample
from peclr_utils.training.batches import ALL_ROWS, PairOrder, views_of
from peclr_utils.training.views import Views


def open_pictures(sources: Sequence[str], dataset: HandDataset | None = None) -> HandDataset:
    """Open data sets whose whole pictures are read, not crops of them.

    Args:
        sources: names of data sets.
        dataset: one to take instead.

    Returns:
        The data set.

    Raises:
        ValueError: if there is neither, or a name is not understood.
    """
    if dataset is None and not sources:
        raise ValueError('sources: expected at least one, such as "freihand:PATH", or a data set')
    return open_source(sources) if dataset is None else dataset


class WholePictures:
    """A data set with what `PairOrder` needs to know about it; pictures are decoded when they are asked for.

    Args:
        dataset: whole pictures with keypoints_2d or an outline.

    Attributes:
        identities: (N,) int64.
        source_index: (N,) which of a mixture's sources each picture is of.
        source: the data set's name.

    Raises:
        ValueError: if the data set holds crops.
    """

    def __init__(self, dataset: HandDataset):
        if isinstance(dataset, CropSet):
            raise ValueError("authors_exact: expected whole pictures, found crops; give the data set itself")
        self.dataset, self.source = dataset, dataset.source
        self.identities = np.asarray(dataset.identities)
        mixed = isinstance(dataset, EvenMixture)
        places = np.arange(len(dataset))
        self.source_index = dataset.source_of(places) if mixed else np.zeros_like(places)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> HandSample:
        return self.dataset[int(index)]


class AuthorsPairBatches(Dataset):
    """Batches of pairs of the authors' views, by number; otherwise as `PairBatches`.

    Args:
        pictures: whole pictures.
        indices: which of them to train on.
        augmentation: ranges of the views' parameters.
        batch_size: pairs in a batch.
        image_size: side of a view in pixels.
        seed: of order and views.
        accumulate: batches in one step.
        rows: which pairs of each batch to make.

    Raises:
        ValueError: if there are fewer pictures than a step needs.
    """

    def __init__(
        self,
        pictures: WholePictures,
        indices: np.ndarray,
        augmentation: AuthorsAugmentation,
        batch_size: int,
        image_size: int,
        seed: int,
        accumulate: int = 1,
        rows: slice = ALL_ROWS,
    ):
        self.pictures, self.augmentation, self.rows = pictures, augmentation, rows
        self.batch_size, self.image_size = batch_size, image_size
        self.order = PairOrder(pictures, indices, batch_size, seed, False, accumulate)
        self.batches_per_epoch = self.order.batches_per_epoch

    def plan(self, number: int) -> tuple[np.ndarray, AuthorsParameters]:
        """Decide a batch without making it.

        Args:
            number: of the batch, counted from the start of the run.

        Returns:
            chosen: (B,) pictures, each of which both views of a pair show.
            parameters: of 2B views, all first ones before all second ones.
        """
        chosen, _, rng = self.order.draw(number)
        return chosen, sample_authors_parameters(self.augmentation, 2 * self.batch_size, rng)

    def __getitem__(self, number: int) -> dict[str, Any]:
        chosen, parameters = self.plan(number)
        parameters, chosen = parameters[views_of(self.rows, len(chosen))], chosen[self.rows]
        count = len(chosen)
        views = np.empty((2 * count, self.image_size, self.image_size, 3), np.uint8)
        motion = np.empty((2 * count, 2))
        for place, index in enumerate(chosen):
            sample = self.pictures[index]
            points = _points(sample)
            for view in (place, count + place):
                views[view], motion[view] = apply_authors(
                    sample.image, points, parameters, view, self.image_size
                )
        return {
            "views": Views(torch.from_numpy(views)),
            "angle": torch.as_tensor(parameters.angle, dtype=torch.float32),
            "shift": torch.as_tensor(motion / self.image_size, dtype=torch.float32),
            "identity": torch.as_tensor(self.pictures.identities[chosen], dtype=torch.int64),
        }


def _points(sample: HandSample) -> np.ndarray:
    points = sample.keypoints_2d if sample.keypoints_2d is not None else sample.outline
    if points is None:
        raise ValueError(
            f"authors_exact: sample {sample.name!r} of {sample.source} has neither keypoints nor an outline "
            "to crop by"
        )
    return points
