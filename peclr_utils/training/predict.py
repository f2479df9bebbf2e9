"""Run trained networks over whole data sets: poses, their evaluation, and frozen features.

Chapter 03 probes features, chapters 04 and 05 evaluate poses.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from peclr_utils.crops import CropSet
from peclr_utils.evaluation import (
    Evaluation,
    ImageEvaluation,
    evaluate_in_image,
    evaluate_keypoints,
    mean_pose,
)
from peclr_utils.models import PoseNetwork25D
from peclr_utils.training.device import autocast, choose_dtype, place
from peclr_utils.training.poses import PoseDataset, plain_labels
from peclr_utils.training.views import plain_views


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predicted poses of a data set beside the true ones; pixels of the view, metres in the camera frame."""

    keypoints_3d: np.ndarray  # (N, 21, 3) metres, predicted
    keypoints_2d: np.ndarray  # (N, 21, 2) pixels, predicted
    true_3d: np.ndarray  # (N, 21, 3) metres
    true_2d: np.ndarray  # (N, 21, 2) pixels
    K: np.ndarray  # (N, 3, 3) intrinsics of the view

    def evaluate(self) -> Evaluation | ImageEvaluation:
        """Score them by `evaluate_keypoints`; by `evaluate_in_image` if some lack true 3D keypoints."""
        if np.isnan(self.true_3d).any():
            return evaluate_in_image(self.keypoints_2d, self.true_2d)
        pixels = {"pred_2d": self.keypoints_2d, "gt_2d": self.true_2d}
        return evaluate_keypoints(self.keypoints_3d, self.true_3d, **pixels)


@torch.no_grad()
def predict_dataset(
    network: PoseNetwork25D,
    crops: CropSet,
    *,
    image_size: int | None = None,
    view_factor: float | None = None,
    indices: np.ndarray | None = None,
    batch_size: int = 256,
    precision: str = "fp32",
) -> Predictions:
    """Predict the poses of labelled crops, each seen plain and centred.

    Args:
        network: on the device to compute on; left in evaluation mode.
        crops, indices: the images, and which of them; None for all.
        image_size, view_factor: of a view, see `FinetuneConfig`; None for what the network was trained on.
        batch_size: images at once.
        precision: see `RunSettings`.

    Returns:
        Predictions in the order of the images. Metres follow from the true reference bone's length, as in
        FreiHAND's protocol, and from the predicted root depth.

    Raises:
        ValueError: if an image has no labels, or the sizes are unknown.
    """
    image_size = network.image_size if image_size is None else image_size
    view_factor = network.view_factor if view_factor is None else view_factor
    if image_size is None or view_factor is None:
        missing = "image_size" if image_size is None else "view_factor"
        raise ValueError(f"{missing}: unknown to this network's file; pass {missing}=...")
    device = next(network.parameters()).device
    poses = PoseDataset(crops, indices, None, batch_size, image_size, view_factor)
    place(network, device).eval()
    rows: dict[str, list[Tensor]] = {}
    for number in range(len(poses)):
        batch = poses[number].to(device, image_size)
        with autocast(device, choose_dtype(precision, device)):
            output = network(batch.image, batch.K)
        values = {
            "keypoints_3d": output.keypoints_3d * batch.bone_length[:, None, None],
            "keypoints_2d": output.keypoints_2d,
            "true_3d": batch.keypoints_3d,
            "true_2d": batch.keypoints_2d,
            "K": batch.K,
        }
        for name, value in values.items():
            rows.setdefault(name, []).append(value.cpu())
    return Predictions(**{name: torch.cat(parts).numpy() for name, parts in rows.items()})


def predict_mean_pose(
    labelled: CropSet, indices: np.ndarray | None, test: CropSet, image_size: int, view_factor: float
) -> Predictions:
    """Predict for every test hand the mean pose of some labelled ones (None: all)."""
    known = plain_labels(labelled, indices, image_size, view_factor)
    truth = plain_labels(test, None, image_size, view_factor)
    points, pixels = (mean_pose(known[name], len(test)) for name in ("keypoints_3d", "keypoints_2d"))
    return Predictions(points, pixels, truth["keypoints_3d"], truth["keypoints_2d"], truth["K"])


@torch.no_grad()
def extract_features(
    encoder: nn.Module,
    crops: CropSet,
    image_size: int,
    view_factor: float,
    *,
    indices: np.ndarray | None = None,
    angle: float = 0.0,
    batch_size: int = 256,
    precision: str = "fp32",
) -> np.ndarray:
    """Run a frozen encoder over crops, each seen plain and centred; (N, F) float32 in their order.

    Args:
        encoder: from (B, 3, S, S) to (B, F), on the device to compute on; left in evaluation mode. With its
            projector (`ContrastiveModel`) the result is the projections.
        crops, indices: the images, and which of them; None for all.
        image_size, view_factor: side S of a view in pixels, and its width (`PretrainConfig`), as in training.
        angle: turns every view, degrees, counter-clockwise on screen.
        batch_size: images at once.
        precision: see `RunSettings`.
    """
    device = next(encoder.parameters()).device
    indices = np.arange(len(crops)) if indices is None else indices
    place(encoder, device).eval()
    rows = []
    for start in range(0, len(indices), batch_size):
        images = plain_views(
            crops, indices[start : start + batch_size], image_size, view_factor, device, angle
        )
        with autocast(device, choose_dtype(precision, device)):
            rows.append(encoder(images).float().cpu())
    return torch.cat(rows).numpy()
