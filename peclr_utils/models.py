"""Encoders, the projection head, and the 2.5D pose network.

Chapter 03 uses the encoder and projector, chapter 04 the pose network.
"""

import itertools
from typing import NamedTuple

import torch
import torchvision
from torch import Tensor, nn
from torch.nn.functional import linear

from peclr_utils import camera, skeleton

FEATURES = {"resnet18": 512, "resnet34": 512, "resnet50": 2048, "resnet101": 2048, "resnet152": 2048}
"""Width of each encoder's pooled features."""

REFERENCE_BONES = {"freihand": skeleton.REFERENCE_BONE, "ait_palm": (3, 8)}
"""Middle MCP to middle PIP in each order. In "ait_palm" the wrist's entry holds the palm's centre."""

DEFAULT_K = ((388.9018310596544, 0.0, 112.0), (0.0, 388.71231836584275, 112.0), (0.0, 0.0, 1.0))
"""The authors' intrinsics for a 224 x 224 image from an unknown camera."""

ROOT_DEPTH_RANGE = (4.0, 50.0)
"""Bone lengths, from Spurr et al. 2020 (arXiv 2003.09282)."""


def build_encoder(arch: str = "resnet50") -> nn.Module:
    """Build a torchvision ResNet up to its average pooling, with torchvision's random initialisation.

    Args:
        arch: one of `FEATURES`.

    Returns:
        Module from (B, 3, H, W) to (B, FEATURES[arch]); its `fc` is the identity.
    """
    if arch not in FEATURES:
        raise ValueError(f"unknown architecture {arch!r}; expected one of {', '.join(FEATURES)}")
    encoder = getattr(torchvision.models, arch)(weights=None)
    encoder.fc = nn.Identity()
    for module in encoder.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
            module.__class__ = SmallMapConv2d  # the same parameters, drawn as torchvision draws them
    return encoder


class SmallMapConv2d(nn.Conv2d):
    """A 3 x 3 convolution that is one matrix product where a CPU gets a map of 2 x 2 or fewer outputs.

    The last stage of a ResNet sees such maps in images of 64 x 64. More than half of what a convolution
    multiplies there is padding, and its gradient is slow: for 256 images a product is 2 to 12 times as fast.
    In evaluation mode it stays a convolution, because for one image the matrix takes longer than the network.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (B, C, H, W), as `nn.Conv2d` does."""
        height, width = ((size - 1) // self.stride[0] + 1 for size in x.shape[-2:])
        if x.device.type != "cpu" or height * width > 4 or not self.training:
            return super().forward(x)
        taps = self.weight.flatten(2).permute(2, 0, 1).unbind()
        zero = torch.zeros_like(taps[0])

        def tap(out: tuple[int, int], at: tuple[int, int]) -> Tensor:
            """The weights, (outputs, inputs), from one place of the input to one of the output."""
            dy, dx = (a - self.stride[0] * o + 1 for o, a in zip(out, at, strict=True))
            return taps[3 * dy + dx] if 0 <= dy < 3 and 0 <= dx < 3 else zero

        places = list(itertools.product(range(x.shape[-2]), range(x.shape[-1])))
        outputs = itertools.product(range(height), range(width))
        matrix = torch.cat([torch.cat([tap(out, at) for at in places], dim=1) for out in outputs])
        y = linear(x.permute(0, 2, 3, 1).flatten(1), matrix)
        return y.unflatten(1, (height, width, -1)).permute(0, 3, 1, 2)


class Projector(nn.Sequential):
    """Projection head g: Linear - BatchNorm - ReLU - Linear, the last without bias (Spurr et al. 2021).

    Args:
        features: width of the encoder's features.
        hidden: width of the hidden layer.
        out: width D of the projection, even; read as D/2 points in the plane.
    """

    def __init__(self, features: int, hidden: int = 512, out: int = 128):
        if out % 2:
            raise ValueError(f"projector: width must be even, to be read as points in the plane, found {out}")
        super().__init__(
            nn.Linear(features, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, out, bias=False),
        )


class ContrastiveModel(nn.Module):
    """Encoder and projector: z = g(f(x)).

    Args:
        arch: one of `FEATURES`.
        hidden: width of the projector's hidden layer.
        out: width of the projection.
    """

    def __init__(self, arch: str = "resnet50", hidden: int = 512, out: int = 128):
        super().__init__()
        self.encoder = build_encoder(arch)
        self.projector = Projector(FEATURES[arch], hidden, out)

    def forward(self, images: Tensor) -> Tensor:
        """Project images.

        Args:
            images: (B, 3, H, W) float, ImageNet-normalised RGB.

        Returns:
            (B, out), not normalised.
        """
        return self.projector(self.encoder(images))


class PoseOutput(NamedTuple):
    """What `PoseNetwork25D` predicts, in its keypoint order."""

    keypoints_2d: Tensor  # (B, 21, 2) pixels of the crop
    relative_depth: Tensor  # (B, 21) bone lengths, relative to the root; 0 for the root
    root_depth: Tensor  # (B,) bone lengths
    keypoints_3d: Tensor  # (B, 21, 3) bone lengths, camera frame
    presence: Tensor | None = None  # (B,) logit: a right hand is centred here, and as large as in training


class RootRefinement(nn.Sequential):
    """Corrects the root depth (Spurr et al. 2020, arXiv 2003.09282): 64 - 128 - 128 - 1."""

    def __init__(self) -> None:
        super().__init__(
            nn.Linear(64, 128),
            nn.BatchNorm1d(128),
            nn.LeakyReLU(),
            nn.Linear(128, 128),
            nn.BatchNorm1d(128),
            nn.LeakyReLU(),
            nn.Linear(128, 1),
        )


class PoseNetwork25D(nn.Module):
    """ResNet to 21 x (u, v, relative depth), lifted to 3D with a refined root depth (Spurr et al. 2021).

    The linear layer's 64 outputs are `scale * fc + offset`. The last is the logit of the hand's presence; the
    published weights leave it unused.
    Published weights have scale 1 and offset 0: they predict pixels. Training sets them to the spread and
    mean of the training labels (`start_at`), so that all outputs of the linear layer are of order one.

    Args:
        arch: one of `FEATURES`.
        keypoint_order: "freihand" (root: wrist) or "ait_palm", the published weights' order (root: palm).

    Attributes:
        image_size: side of the crops that it was trained on, or None if unknown.
        view_factor: half such a crop's side over the distance of the hand's farthest keypoint from the mean
            one (`FinetuneConfig`), or None. `peclr_utils.inference` crops images the same way, or as the
            authors do if it is None.
        knows_presence: whether the last output was trained, so that `peclr_utils.inference` can find hands.
        any_angle: whether it was trained on hands at any angle, so that `peclr_utils.inference` can take the
            median of what it sees in four turned copies of a crop.
    """

    def __init__(self, arch: str = "resnet50", keypoint_order: str = "freihand"):
        super().__init__()
        if keypoint_order not in REFERENCE_BONES:
            raise ValueError(
                f"keypoint order {keypoint_order!r}: expected one of {', '.join(REFERENCE_BONES)}"
            )
        outputs = 3 * skeleton.NUM_KEYPOINTS + 1
        self.arch = arch
        self.keypoint_order = keypoint_order
        self.image_size: int | None = None
        self.view_factor: float | None = None
        self.knows_presence = False
        self.any_angle = False
        self.backbone = build_encoder(arch)
        self.backbone.fc = nn.Linear(FEATURES[arch], outputs)
        self.root_refinement = RootRefinement()
        self.register_buffer("scale", torch.ones(outputs))
        self.register_buffer("offset", torch.zeros(outputs))

    def start_at(self, mean_25d: Tensor, spread_25d: Tensor) -> None:
        """Set offset and scale to the labels' mean and deviation, each (21, 3) pixels and bone lengths."""
        with torch.no_grad():
            self.offset[:-1] = mean_25d.flatten()
            self.scale[:-1] = spread_25d.flatten()

    def forward(self, image: Tensor, K: Tensor | None = None) -> PoseOutput:
        """Predict a batch of hands.

        Args:
            image: (B, 3, H, W) float, ImageNet-normalised RGB crops.
            K: (B, 3, 3) or (3, 3) intrinsics of the crops in pixels. None takes `DEFAULT_K` for crops of any
                size, as the authors' network does, although it holds for 224 x 224 only: for another size,
                or a crop of a larger image, pass K (`peclr_utils.inference` always does).

        Returns:
            `PoseOutput`, float32, also under autocast and from a network in half precision; float64 from a
            network in double precision.
        """
        count = image.shape[0]
        # A list in this order: the symbol for a free batch size has no hash, and may not be compared with 1.
        if K is not None and (K.shape[-2:] != (3, 3) or K.shape[:-2] not in [(), (count,), (1,)]):
            raise ValueError(
                f"K: expected shape (3, 3) or ({count}, 3, 3) for {count} images, found {tuple(K.shape)}"
            )
        out = self.backbone(image)
        with torch.autocast(image.device.type, enabled=False):
            # Half precision has three digits: too few for pixels and for the difference of two rays.
            out = out.to(torch.promote_types(out.dtype, torch.float32)) * self.scale + self.offset
            return self._lift(out, out.new_tensor(DEFAULT_K) if K is None else K.to(out))

    def _lift(self, out: Tensor, K: Tensor) -> PoseOutput:
        uvz = out[:, :-1].reshape(-1, skeleton.NUM_KEYPOINTS, 3)
        uv = uvz[..., :2]
        # The root's own relative depth is 0 by definition, whatever the layer predicts.
        z = torch.cat([torch.zeros_like(uvz[:, :1, 2]), uvz[:, 1:, 2]], dim=1)
        rays = camera.rays(uv, K)
        points_25d = torch.cat([uv, z[..., None]], dim=-1)
        rough = camera.root_depth(points_25d, K, REFERENCE_BONES[self.keypoint_order])
        # Detached, because the square root's gradient is unbounded for bones seen end-on.
        rough = rough.detach().clamp(*ROOT_DEPTH_RANGE)
        seen = torch.cat([z, rays[..., :2].flatten(1), rough[:, None]], dim=1)
        refinement = self.root_refinement(seen.to(self.root_refinement[0].weight.dtype))
        root = rough + refinement.squeeze(1).to(rough)
        return PoseOutput(uv, z, root, rays * (z + root[:, None])[..., None], out[:, -1])
