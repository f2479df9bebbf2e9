"""What a network says about crops of images, and the prediction in the image's pixels and camera.

Chapter 05 shows some.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from peclr_utils.augmentation import to_batch
from peclr_utils.camera import project, rays, transform_intrinsics, transform_points
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
        box: (4,) float64, x1, y1, x2, y2 in pixels. Of a hand that was searched: the square that was cropped.
            Otherwise what the second crop was made around: the keypoints of the first crop, or the first
            crop's own box if it fell back.
        crop: (3, 3) float64 affine from the image's to the last crop's pixels; it mirrors a left hand.
        fell_back: whether the first prediction had no size, so that the second crop is the first again.
        name: file or sample, for messages.
        index: position in the folder, list or data set, or in the boxes of one image; in a film, the number
            that the hand keeps from frame to frame.
        presence: how likely a hand of this side is where it was predicted, 0 to 1; 0 if the prediction is not
            finite; None from a network that doesn't know.
        spread: how far the predictions for four turned copies of the crop lie from their median on average,
            in sides of the hand's box; the larger, the less sure. None from a network that sees one copy.
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
    spread: float | None = None

    @property
    def unit(self) -> str:
        """Unit of `keypoints_3d`: "metres" or "bone lengths"."""
        return "bone lengths" if self.bone_length is None else "metres"

    @property
    def metric_depth_is_a_guess(self) -> bool:
        """Whether the distance, proportional to bone and focal length, rests on a guess of one of them."""
        return self.K_is_default or self.K_is_doubtful or self.bone_is_average


class Seen(NamedTuple):
    """What a network sees in one crop."""

    keypoints_2d: np.ndarray  # (21, 2) float64 pixels of the crop
    keypoints_3d: np.ndarray  # (21, 3) float64 bone lengths
    presence: float | None  # 0 to 1
    spread: float | None  # pixels of the crop


def run(
    model: Model, batch: Sequence[HandImage], cuts: Sequence[Cut], size: int, once: bool = False
) -> list[Seen]:
    """Crop the images, each with K' = T K, and predict.

    A network that was trained on hands at any angle sees each crop four times, turned by 90 degrees each,
    unless `once` is set. Its predictions are turned back, and their median is the result.

    Returns:
        What it sees in each crop; `presence` and `spread` as in `HandPrediction`, but the spread in pixels.
    """
    example = next(model.parameters(), None) if isinstance(model, nn.Module) else None
    like = torch.empty(0) if example is None else example
    crops = [warp(given.image, cut.affine, size) for given, cut in zip(batch, cuts, strict=True)]
    K = np.stack([transform_intrinsics(cut.affine, given.K) for given, cut in zip(batch, cuts, strict=True)])
    images = to_batch(np.stack(crops), like.device).to(like.dtype)
    # In half precision a focal length would be off by a pixel.
    dtype = torch.promote_types(like.dtype, torch.float32)

    # In quarter turns, counter-clockwise. For few crops, one batch of all copies takes half the time.
    copies = 4 if getattr(model, "any_angle", False) and not once else 1
    quarter = np.array([[0.0, 1, 0], [-1, 0, size - 1], [0, 0, 1]])
    turns = np.stack([np.linalg.matrix_power(quarter, turned) for turned in range(copies)])[:, None]
    turned_images = torch.cat([torch.rot90(images, turned, (2, 3)) for turned in range(copies)])
    turned_K = torch.as_tensor((turns @ K).reshape(-1, 3, 3)).to(like.device, dtype)
    output = model(turned_images.contiguous(memory_format=torch.channels_last), turned_K)

    def by_copy(values: Tensor) -> np.ndarray:
        return values.cpu().double().numpy().reshape(copies, len(batch), *values.shape[1:])

    each = transform_points(np.linalg.inv(turns), by_copy(output.keypoints_2d))
    uv, xyz = np.median(each, axis=0), by_copy(output.keypoints_3d)[0]
    presence = spread = [None] * len(batch)
    if copies > 1:
        z, root = (np.median(by_copy(depth), axis=0) for depth in (output.relative_depth, output.root_depth))
        xyz = rays(uv, K) * (z + root[:, None])[..., None]
        spread = np.linalg.norm(each - uv, axis=3).mean(axis=(0, 2)).tolist()
    if getattr(model, "knows_presence", False):
        logit = np.median(by_copy(output.presence), axis=0)
        lost = np.isnan(logit) | ~np.isfinite(uv).all(axis=(1, 2))
        presence = np.where(lost, 0.0, 1 / (1 + np.exp(-np.clip(logit, -50, 50)))).tolist()
    return [Seen(*one) for one in zip(uv, xyz, presence, spread, strict=True)]


def make_prediction(
    given: HandImage, seen: Seen, order: str, cut: Cut, fell_back: bool = False
) -> HandPrediction:
    """Bring what a network sees in its crop back to the given image."""
    (box, affine), width, K, palm = cut, given.image.shape[1], given.K, None
    uv = transform_points(np.linalg.inv(affine), seen.keypoints_2d)
    xyz = seen.keypoints_3d * (given.bone_length or 1.0)
    side = np.ptp(seen.keypoints_2d, axis=0).max()
    spread = None if seen.spread is None else seen.spread / side if side > 0 else np.inf
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
        presence=seen.presence, spread=spread,
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
