"""What a network says about crops of images, and the prediction in the image's pixels and camera.

Chapter 05 shows some.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from peclr_utils.augmentation import to_batch
from peclr_utils.camera import project, transform_intrinsics, transform_points
from peclr_utils.crops.cropping import warp
from peclr_utils.datasets.sample import mirror_box
from peclr_utils.inference.cutting import Cut
from peclr_utils.inference.inputs import HandImage
from peclr_utils.models import PoseOutput
from peclr_utils.skeleton import freihand_from_ait_palm, reorder

Model = nn.Module | Callable[[Tensor, Tensor], PoseOutput]


@dataclass(frozen=True, eq=False)
class HandPrediction:
    """The pose of one hand.

    **Convention.** FreiHAND's keypoint order, pixels of the given image (centres at integers), 3D in the
    frame of its camera: x right, y down, z forward. `K` projects `keypoints_3d` onto `keypoints_2d`.

    Attributes:
        keypoints_2d: (21, 2) float64 pixels. A network that predicts the palm instead of the wrist has no
            wrist in 2D: it is the projection of the 3D one (NaN if that is behind the camera).
        keypoints_3d: (21, 3) float64, in metres if `bone_length` is known, otherwise in bone lengths.
        palm_2d: (2,) float64 pixels of the palm's centre, from a network that predicts it; otherwise None.
        bone_length: length of the middle proximal phalanx in metres that scales the 3D, or None.
        K: (3, 3) float64 intrinsics of the image.
        K_is_default: whether no K was given, so that this is the authors' default.
        K_is_doubtful: whether the given K seems to belong to an image of another size.
        bone_is_average: whether the bone's length is the average adult's.
        is_left: whether the hand was treated as a left one, and the image mirrored.
        box: (4,) float64, x1, y1, x2, y2 in pixels that the second crop was made around: the keypoints of the
            first crop, or the first crop's own box if it fell back.
        crop: (3, 3) float64 affine from the image's to the second crop's pixels; it mirrors a left hand.
        fell_back: whether the first prediction had no size, so that the second crop is the first again.
        name: file or sample, for messages.
        index: position in the folder, list or data set, or in the boxes of one image.
        presence: how likely a hand of this side is where it was predicted, 0 to 1; None if it wasn't asked.
    """

    keypoints_2d: np.ndarray = field(repr=False)
    keypoints_3d: np.ndarray = field(repr=False)
    palm_2d: np.ndarray | None = field(repr=False)
    bone_length: float | None
    K: np.ndarray = field(repr=False)
    K_is_default: bool
    K_is_doubtful: bool
    bone_is_average: bool
    is_left: bool
    box: np.ndarray
    crop: np.ndarray = field(repr=False)
    fell_back: bool = False
    name: str = ""
    index: int = 0
    presence: float | None = None

    @property
    def unit(self) -> str:
        """Unit of `keypoints_3d`: "metres" or "bone lengths"."""
        return "bone lengths" if self.bone_length is None else "metres"

    @property
    def metric_depth_is_a_guess(self) -> bool:
        """Whether the distance, proportional to bone and focal length, rests on a guess of one of them."""
        return self.K_is_default or self.K_is_doubtful or self.bone_is_average


def run(model: Model, batch: Sequence[HandImage], cuts: Sequence[Cut], size: int) -> PoseOutput:
    """Crop the images, each with K' = T K, and predict; returns float64 arrays."""
    example = next(model.parameters(), None) if isinstance(model, nn.Module) else None
    like = torch.empty(0) if example is None else example
    crops = [warp(given.image, cut.affine, size) for given, cut in zip(batch, cuts, strict=True)]
    K = np.stack([transform_intrinsics(cut.affine, given.K) for given, cut in zip(batch, cuts, strict=True)])
    images = to_batch(np.stack(crops), like.device).to(like.dtype)
    # In half precision a focal length would be off by a pixel.
    dtype = torch.promote_types(like.dtype, torch.float32)
    output = model(images, torch.as_tensor(K).to(like.device, dtype))
    return PoseOutput(*(None if field is None else field.cpu().double().numpy() for field in output))


def make_prediction(
    given: HandImage, points_2d: np.ndarray, points_3d: np.ndarray, order: str, cut: Cut, fell_back: bool
) -> HandPrediction:
    """Bring a network's keypoints, in pixels of its crop and bone lengths, back to the given image."""
    (box, affine), width, K, palm = cut, given.image.shape[1], given.K, None
    uv = transform_points(np.linalg.inv(affine), points_2d.astype(np.float64))
    xyz = points_3d.astype(np.float64) * (given.bone_length or 1.0)
    if order == "ait_palm":
        palm, xyz = uv[0], freihand_from_ait_palm(xyz)
        wrist = project(xyz[:1], K) if xyz[0, 2] > 0 else np.full((1, 2), np.nan)
        uv = np.concatenate([wrist, reorder(uv, "ait", "freihand")[1:]])
    if given.is_left:
        reversal = np.array([[-1.0, 0, width - 1], [0, 1, 0], [0, 0, 1]])
        uv, palm = (None if points is None else points * [-1, 1] + [width - 1, 0] for points in (uv, palm))
        xyz, box = xyz * [-1, 1, 1], mirror_box(box, width)
        K, affine = reversal @ K @ np.diag([-1.0, 1, 1]), affine @ reversal
    as_given = "bone_length K_is_default K_is_doubtful bone_is_average is_left name index".split()
    return HandPrediction(
        keypoints_2d=uv, keypoints_3d=xyz, palm_2d=palm, K=K, box=box, crop=affine, fell_back=fell_back,
        **{name: getattr(given, name) for name in as_given},
    )  # fmt: skip


@contextmanager
def evaluating(model: Model) -> Iterator[None]:
    """Put a model into evaluation mode, and each of its parts back into its own mode afterwards."""
    modes = {part: part.training for part in model.modules()} if isinstance(model, nn.Module) else {}
    try:
        for part in modes:
            part.training = False
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode
