"""Run trained networks over whole data sets: poses, their evaluation, and frozen features.

Chapter 03 probes features, chapters 04 and 05 evaluate poses.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from peclr_utils.crops import CropSet
from peclr_utils.evaluation import Evaluation, evaluate_keypoints
from peclr_utils.models import PoseNetwork25D
from peclr_utils.training.engine import Machine
from peclr_utils.training.labelled import PoseBatches, labelled_on_device
from peclr_utils.training.views import load, plain_views


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predicted poses of a data set beside the true ones.

    Attributes:
        keypoints_3d: (N, 21, 3) metres, camera frame, predicted.
        keypoints_2d: (N, 21, 2) pixels of the view, predicted.
        true_3d: (N, 21, 3) metres.
        true_2d: (N, 21, 2) pixels of the view.
        K: (N, 3, 3) intrinsics of the view.
    """

    keypoints_3d: np.ndarray
    keypoints_2d: np.ndarray
    true_3d: np.ndarray
    true_2d: np.ndarray
    K: np.ndarray

    def evaluate(self) -> Evaluation:
        """Score them by `evaluation.evaluate_keypoints`."""
        return evaluate_keypoints(
            self.keypoints_3d, self.true_3d, pred_2d=self.keypoints_2d, gt_2d=self.true_2d
        )


@torch.no_grad()
def predict_dataset(
    network: PoseNetwork25D,
    crops: CropSet,
    image_size: int = 64,
    view_factor: float = 1.2,
    batch_size: int = 256,
    indices: np.ndarray | None = None,
    machine: Machine | None = None,
) -> Predictions:
    """Predict the poses of labelled crops, each seen plain and centred.

    Args:
        network: left in evaluation mode, on the machine's device.
        crops: the pictures.
        image_size: side of a view in pixels, as in training.
        view_factor: see `FinetuneConfig`, as in training.
        batch_size: pictures at once.
        indices: which pictures, None for all.
        machine: what to compute with; None takes the network's device, in float32.

    Returns:
        Predictions in the order of the pictures. Metres follow from the true reference bone's length, as in
        FreiHAND's protocol, and from the predicted root depth.

    Raises:
        ValueError: if a picture lacks its 3D keypoints or its intrinsics.
    """
    machine = machine or machine_of(network)
    indices = np.arange(len(crops)) if indices is None else indices
    batches = PoseBatches(crops, indices, None, batch_size, image_size, view_factor)
    machine.place(network).eval()
    rows: dict[str, list[Tensor]] = {}
    for item in load(batches, range(len(batches)), machine):
        batch = labelled_on_device(item, machine, image_size)
        with machine.autocast():
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


@torch.no_grad()
def extract_features(
    encoder: nn.Module,
    crops: CropSet,
    image_size: int = 64,
    view_factor: float = 1.2,
    batch_size: int = 256,
    indices: np.ndarray | None = None,
    machine: Machine | None = None,
) -> np.ndarray:
    """Run a frozen encoder over crops, each seen plain and centred.

    Args:
        encoder: from (B, 3, H, W) to (B, F); used in evaluation mode and left in it.
        crops: the pictures.
        image_size: side of a view in pixels.
        view_factor: see `PretrainConfig`.
        batch_size: pictures at once.
        indices: which pictures, None for all.
        machine: what to compute with; None takes the encoder's device, in float32.

    Returns:
        (N, F) float32, in the order of the pictures.
    """
    machine = machine or machine_of(encoder)
    indices = np.arange(len(crops)) if indices is None else indices
    machine.place(encoder).eval()
    rows = []
    for start in range(0, len(indices), batch_size):
        images = plain_views(crops, indices[start : start + batch_size], image_size, view_factor, machine)
        with machine.autocast():
            rows.append(encoder(images).float().cpu())
    return torch.cat(rows).numpy()


def machine_of(model: nn.Module) -> Machine:
    """The machine that a network already lives on: its device, float32, no loader workers.

    Whether a GPU's convolutions round to TF32 stays as `torch.backends.cudnn` has it.
    """
    device = next(model.parameters()).device
    return Machine(device, torch.float32, "opencv", workers=0, channels_last=True)
