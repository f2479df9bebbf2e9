"""Batches of labelled views: the data of fine-tuning and evaluation.

Chapter 04 shows one. Every batch is a function of (seed, number of the batch) alone, as in `training.pairs`.
The same parameters move image, keypoints and intrinsics; the 3D keypoints stay as they are.

**Convention.** Pixels of the view, centres at integers; depths in reference bones; 3D in metres, camera
frame.
"""

import warnings
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from peclr_utils import camera
from peclr_utils.augmentation import AugmentationConfig, ViewParameters, affine, sample_parameters
from peclr_utils.crops import CropSet
from peclr_utils.datasets import even_indices
from peclr_utils.models import DEFAULT_K
from peclr_utils.training.presence import Placed, misplace
from peclr_utils.training.views import ORDER, VIEWS, Views, finish_views, fit_margin, make_views


class PoseBatch(NamedTuple):
    """B labelled views, all float32; depths in reference bones. NaN where a label is not known, but for K."""

    image: Tensor | Views  # (B, 3, S, S), normalised; from the loader `Views`
    keypoints_2d: Tensor  # (B, 21, 2) pixels of the view
    relative_depth: Tensor  # (B, 21) bone lengths, relative to the wrist
    root_depth: Tensor  # (B,) bone lengths
    K: Tensor  # (B, 3, 3) intrinsics of the view
    keypoints_3d: Tensor  # (B, 21, 3) metres, camera frame
    bone_length: Tensor  # (B,) metres
    presence: Tensor  # (B,) 1 where the hand is in its place, 0 where it isn't, NaN to ignore

    def to(self, device: torch.device, image_size: int, backgrounds: Tensor | None = None) -> "PoseBatch":
        """Move the batch to the device and finish its views there; see `views.finish_views`."""
        image = finish_views(self.image, image_size, device, backgrounds)
        return PoseBatch(image, *(label.to(device, non_blocking=True) for label in self[1:]))


class PoseDataset(Dataset):
    """Batches of labelled views, by number.

    The images come in shuffled rounds, one after the other, so that each is seen equally often whatever the
    batch size. With `augmentation` None the views are the plain, centred ones in the given order.

    Args:
        crops: the images.
        indices: which of them, for example the labelled ones; None for all.
        augmentation: ranges of the views' parameters, or None.
        batch_size: images in a batch.
        image_size: side of a view in pixels.
        view_factor: see `FinetuneConfig`.
        seed: of order and views.
        backend: "opencv" or "batch".
        backgrounds: (M, T, T, 3) uint8 to exchange backgrounds with, or None.
        absent: share of the views that are moved away from their hands (`presence.misplace`).

    Images may lack 3D keypoints or intrinsics if they have 2D keypoints; then their labels in 3D are NaN, and
    K is that of a usual camera. Of several sources each gives equally many images, however large it is.

    Raises:
        ValueError: if an image has neither 3D keypoints with intrinsics nor 2D keypoints.
    """

    def __init__(
        self,
        crops: CropSet,
        indices: np.ndarray | None,
        augmentation: AugmentationConfig | None,
        batch_size: int,
        image_size: int,
        view_factor: float,
        seed: int = 0,
        backend: str = "opencv",
        backgrounds: np.ndarray | None = None,
        absent: float = 0.0,
    ):
        self.absent = absent
        indices = np.arange(len(crops)) if indices is None else np.asarray(indices, dtype=np.int64)
        self.crops, self.indices, self.backgrounds = crops, indices, backgrounds
        self.shuffled = augmentation is not None
        self.augmentation = fit_margin(augmentation or AugmentationConfig.none(), crops, view_factor)
        self.batch_size, self.image_size, self.seed, self.backend = batch_size, image_size, seed, backend
        self.points = np.asarray(crops.keypoints_3d[indices], dtype=np.float64)
        self.pixels = np.asarray(crops.keypoints_2d[indices], dtype=np.float64)
        self.K = np.asarray(crops.K[indices], dtype=np.float64)
        self.in_3d = ~(np.isnan(self.points).any(axis=(1, 2)) | np.isnan(self.K).any(axis=(1, 2)))
        unknown = ~self.in_3d & np.isnan(self.pixels).all(axis=(1, 2))
        if unknown.any():
            raise ValueError(
                f"{crops.source}: {unknown.sum()} of {len(indices)} images lack 3D keypoints with camera "
                f"intrinsics and 2D keypoints, the first is number {indices[np.argmax(unknown)]}; labelled "
                "hands need one of the two"
            )
        self.points[~self.in_3d], self.K[~self.in_3d] = np.nan, usual_camera(crops.size)
        self._source = np.asarray(crops.source_index)[indices]
        length = np.asarray(crops.bone_length[indices], dtype=np.float64)
        self.bone_length = np.where(np.isnan(length), camera.bone_length(self.points), length)

    def __len__(self) -> int:
        """Batches that show every image once."""
        return -(-len(self.indices) // self.batch_size)

    def plan(self, number: int) -> tuple[np.ndarray, ViewParameters]:
        """Decide a batch without making it: (B,) positions in `indices`, and parameters of B views."""
        rows, placed = self.place(number)
        return rows, placed.parameters

    def place(self, number: int) -> tuple[np.ndarray, Placed]:
        """Decide a batch without making it: (B,) positions in `indices`, and what B views show of them."""
        places = np.arange(number * self.batch_size, (number + 1) * self.batch_size)
        rows = self._shuffle(places) if self.shuffled else places[places < len(self.indices)]
        rng = np.random.default_rng((self.seed, VIEWS, number))
        parameters = sample_parameters(self.augmentation, len(rows), rng)
        return rows, misplace(parameters, self.absent, self.augmentation.margin, rng)

    def _shuffle(self, places: np.ndarray) -> np.ndarray:
        """Map places in an endless sequence of images to positions, each round in an order of its own."""
        rounds, positions = np.divmod(places, len(self.indices))
        rows = np.empty_like(places)
        for turn in np.unique(rounds):
            rng = np.random.default_rng((self.seed, ORDER, turn))
            if len(np.unique(self._source)) > 1:
                order = even_indices(self._source, rng, len(self.indices))
            else:
                order = rng.permutation(len(self.indices))
            rows[rounds == turn] = order[positions[rounds == turn]]
        return rows

    def mean_and_spread(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation, (21, 3) pixels and bone lengths, of the 2.5D labels of 1,024 views.

        The spread is one number for u and v, and one for depth: the network learns how keypoints differ.
        """
        batches = range(-(-1024 // self.batch_size))
        plans = map(self.place, batches)
        labels = [self.labels(rows, placed.parameters, placed.posed) for rows, placed in plans]
        uv = np.concatenate([label["keypoints_2d"] for label in labels])
        depth = np.concatenate([label["relative_depth"] for label in labels])
        points = np.concatenate([uv, depth[..., None]], axis=2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # keypoints or depths that no hand knows
            mean, own = np.nanmean(points, axis=0), np.nanstd(points, axis=0)
            mean = np.nan_to_num(np.where(np.isnan(mean), np.nanmean(mean, axis=0), mean))
            spread = np.empty_like(mean)
            spread[:, :2], spread[:, 2] = (
                np.nanmean(own[:, :2]),
                np.nan_to_num(np.nanmean(own[1:, 2]), nan=1.0),
            )
        return mean, np.maximum(spread, 1e-3)

    def labels(
        self, rows: np.ndarray, parameters: ViewParameters, posed: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """Labels of the views of some rows of `indices`: float64 arrays by the names of `PoseBatch`.

        Where `posed` (B,) is False the pose is NaN. The presence is not among them.
        """
        moved = affine(parameters, self.crops.size, self.image_size)
        K = camera.transform_intrinsics(moved, self.K[rows])
        points, length = self.points[rows], self.bone_length[rows]
        pixels = camera.transform_points(moved, self.pixels[rows])
        labels = {
            "keypoints_2d": np.where(self.in_3d[rows, None, None], camera.project(points, K), pixels),
            "relative_depth": (points[..., 2] - points[:, :1, 2]) / length[:, None],
            "root_depth": points[:, 0, 2] / length,
            "K": K,
            "keypoints_3d": points,
            "bone_length": length,
        }
        for name in ("keypoints_2d", "relative_depth", "root_depth") if posed is not None else ():
            labels[name][~posed] = np.nan
        return labels

    def __getitem__(self, number: int) -> PoseBatch:
        rows, placed = self.place(number)
        views = make_views(
            self.crops, self.indices[rows], placed.parameters, self.image_size, self.backend, self.backgrounds
        )
        mirrored = torch.from_numpy(np.flatnonzero(placed.mirrored))
        for part in (views.images, views.masks):
            if part is not None and len(mirrored):
                part[mirrored] = part[mirrored].flip(2)
        labels = self.labels(rows, placed.parameters, placed.posed) | {"presence": placed.presence}
        return PoseBatch(views, **{k: torch.as_tensor(v, dtype=torch.float32) for k, v in labels.items()})


def usual_camera(size: int) -> np.ndarray:
    """(3, 3) intrinsics of a usual camera, FreiHAND's, for a crop whose own are not known."""
    return np.array(DEFAULT_K) * np.array([[size / 224.0], [size / 224.0], [1.0]])


def plain_labels(
    crops: CropSet, indices: np.ndarray | None, image_size: int, view_factor: float
) -> dict[str, np.ndarray]:
    """Labels of plain, centred views of some images (None: all): float64 arrays by the names of `PoseBatch`.

    Args:
        crops, indices: the images, and which of them, in the order of the result.
        image_size, view_factor: side of a view in pixels, and its width; see `FinetuneConfig`.

    Raises:
        ValueError: if an image has neither 3D keypoints with intrinsics nor 2D keypoints.
    """
    poses = PoseDataset(crops, indices, None, len(crops), image_size, view_factor)
    return poses.labels(*poses.plan(0))


def choose_labels(identities: np.ndarray, labels: int, seed: int) -> np.ndarray:
    """Pick the images of `labels` identities (0: all) by the seed; fewer are a subset of more.

    Returns:
        Positions of their images in `identities` (N,), ascending.

    Raises:
        ValueError: if there are fewer identities than labels.
    """
    order = np.random.default_rng((seed, 0x1ABE1)).permutation(np.unique(identities))
    if labels > len(order):
        raise ValueError(f"labels: expected at most {len(order)} labelled identities, found {labels}")
    return np.flatnonzero(np.isin(identities, order[: labels or None]))
