"""Batches of labelled views.

Chapter 04 shows one.

Every batch is a function of (seed, number of the batch) alone, as in `peclr_utils.training.batches`. The
same parameters move picture, keypoints and intrinsics; the 3D keypoints stay as they are.

**Convention.** Pixels of the view, centres at integers; depths in reference bones; 3D in metres, camera
frame.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from peclr_utils import camera
from peclr_utils.augmentation import AugmentationConfig, ViewParameters, affine, sample_parameters
from peclr_utils.crops import CropSet
from peclr_utils.training.engine import Machine
from peclr_utils.training.views import ORDER, VIEWS, finish_views, fit_margin, make_views

MEASURED_VIEWS = 1024
"""Views that the labels' mean and spread are taken from."""


class PoseBatch(NamedTuple):
    """Labelled views.

    Attributes:
        image: (B, 3, S, S) float32, normalised.
        keypoints_2d: (B, 21, 2) pixels of the view.
        relative_depth: (B, 21) bone lengths, relative to the wrist.
        root_depth: (B,) bone lengths.
        K: (B, 3, 3) intrinsics of the view.
        keypoints_3d: (B, 21, 3) metres, camera frame.
        bone_length: (B,) metres.
    """

    image: Tensor
    keypoints_2d: Tensor
    relative_depth: Tensor
    root_depth: Tensor
    K: Tensor
    keypoints_3d: Tensor
    bone_length: Tensor


class PoseBatches(Dataset):
    """Batches of labelled views, by number.

    The pictures come in shuffled rounds, one after the other, so that each is seen equally often whatever the
    batch's size. With `augmentation` None the views are the plain, centred ones in the given order.

    Args:
        crops: the pictures.
        indices: which of them, for example the labelled ones.
        augmentation: ranges of the views' parameters, or None.
        batch_size: pictures in a batch.
        image_size: side of a view in pixels.
        view_factor: see `FinetuneConfig`.
        seed: of order and views.
        executor: "opencv" or "batch".
        backgrounds: (M, T, T, 3) uint8 to exchange backgrounds with, or None.

    Raises:
        ValueError: if a picture lacks its 3D keypoints or its intrinsics.
    """

    def __init__(
        self,
        crops: CropSet,
        indices: np.ndarray,
        augmentation: AugmentationConfig | None,
        batch_size: int,
        image_size: int,
        view_factor: float,
        seed: int = 0,
        executor: str = "opencv",
        backgrounds: np.ndarray | None = None,
    ):
        self.crops, self.indices, self.backgrounds = crops, np.asarray(indices, dtype=np.int64), backgrounds
        self.shuffled = augmentation is not None
        self.augmentation = fit_margin(augmentation or AugmentationConfig.none(), crops, view_factor)
        self.batch_size, self.image_size, self.seed, self.executor = batch_size, image_size, seed, executor
        self.points = np.asarray(crops.keypoints_3d[indices], dtype=np.float64)
        self.K = np.asarray(crops.K[indices], dtype=np.float64)
        unknown = np.isnan(self.points).any(axis=(1, 2)) | np.isnan(self.K).any(axis=(1, 2))
        if unknown.any():
            raise ValueError(
                f"{crops.source}: {unknown.sum()} of {len(indices)} pictures lack 3D keypoints or camera "
                f"intrinsics, the first is number {indices[np.argmax(unknown)]}; labelled hands need both"
            )
        length = np.asarray(crops.bone_length[indices], dtype=np.float64)
        self.bone_length = np.where(np.isnan(length), camera.bone_length(self.points), length)

    def __len__(self) -> int:
        """Batches that show every picture once."""
        return -(-len(self.indices) // self.batch_size)

    def plan(self, number: int) -> tuple[np.ndarray, ViewParameters]:
        """Decide a batch without making it.

        Args:
            number: of the batch, counted from the start of the run.

        Returns:
            rows: (B,) positions in `indices`.
            parameters: of B views.
        """
        places = np.arange(number * self.batch_size, (number + 1) * self.batch_size)
        rows = self._shuffle(places) if self.shuffled else places[places < len(self.indices)]
        rng = np.random.default_rng((self.seed, VIEWS, number))
        return rows, sample_parameters(self.augmentation, len(rows), rng)

    def _shuffle(self, places: np.ndarray) -> np.ndarray:
        rounds, positions = np.divmod(places, len(self.indices))
        rows = np.empty_like(places)
        for turn in np.unique(rounds):
            order = np.random.default_rng((self.seed, ORDER, turn)).permutation(len(self.indices))
            rows[rounds == turn] = order[positions[rounds == turn]]
        return rows

    def mean_and_spread(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the labels' 2.5D keypoints, over plain and turned views alike.

        Returns:
            mean, spread: (21, 3) pixels of the view and bone lengths. The spread is one number for u and v
                together, and one for the depth: what differs between keypoints is for the network to learn.
        """
        batches = range(-(-MEASURED_VIEWS // self.batch_size))
        labels = [self.labels(*self.plan(number)) for number in batches]
        uv = np.concatenate([label["keypoints_2d"] for label in labels])
        depth = np.concatenate([label["relative_depth"] for label in labels])
        mean = np.concatenate([uv.mean(axis=0), depth.mean(axis=0)[:, None]], axis=1)
        spread = np.empty_like(mean)
        spread[:, :2], spread[:, 2] = uv.std(axis=0).mean(), depth.std(axis=0)[1:].mean()
        return mean, np.maximum(spread, 1e-3)

    def labels(self, rows: np.ndarray, parameters: ViewParameters) -> dict[str, np.ndarray]:
        """Labels of views, by the names of `PoseBatch`.

        Args:
            rows: (B,) positions in `indices`.
            parameters: of B views.

        Returns:
            Name to float64 array.
        """
        K = camera.transform_intrinsics(affine(parameters, self.crops.size, self.image_size), self.K[rows])
        points, length = self.points[rows], self.bone_length[rows]
        return {
            "keypoints_2d": camera.project(points, K),
            "relative_depth": (points[..., 2] - points[:, :1, 2]) / length[:, None],
            "root_depth": points[:, 0, 2] / length,
            "K": K,
            "keypoints_3d": points,
            "bone_length": length,
        }

    def __getitem__(self, number: int) -> dict[str, Any]:
        rows, parameters = self.plan(number)
        labels = self.labels(rows, parameters)
        views = make_views(
            self.crops, self.indices[rows], parameters, self.image_size, self.executor, self.backgrounds
        )
        return {
            "views": views,
            **{name: torch.as_tensor(v, dtype=torch.float32) for name, v in labels.items()},
        }


def labelled_on_device(
    batch: dict[str, Any], machine: Machine, image_size: int, backgrounds: Tensor | None = None
) -> PoseBatch:
    """Finish a batch of `PoseBatches` on the device."""
    labels = {
        name: batch[name].to(machine.device, non_blocking=True)
        for name in PoseBatch._fields
        if name != "image"
    }
    return PoseBatch(finish_views(batch["views"], machine, image_size, backgrounds), **labels)


def plain_labels(
    crops: CropSet, indices: np.ndarray, image_size: int, view_factor: float
) -> dict[str, np.ndarray]:
    """Labels of plain, centred views, by the names of `PoseBatch`.

    Args:
        crops: the pictures.
        indices: which of them.
        image_size: side of a view in pixels.
        view_factor: see `FinetuneConfig`.

    Returns:
        Name to float64 array, in the order of the indices.

    Raises:
        ValueError: if a picture lacks its 3D keypoints or its intrinsics.
    """
    batches = PoseBatches(crops, indices, None, len(indices), image_size, view_factor)
    return batches.labels(*batches.plan(0))
