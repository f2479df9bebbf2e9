"""Losses: NT-Xent for pre-training, 2.5D pose losses for fine-tuning.

Chapter 03 derives NT-Xent in small steps; chapter 04 uses the pose losses.
"""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, normalize

from peclr_utils.losses_blockwise import BLOCK, LOWEST, nt_xent_in_blocks
from peclr_utils.models import PoseOutput


def nt_xent(
    z1: Tensor,
    z2: Tensor,
    temperature: float = 0.5,
    identity: Tensor | None = None,
    block: int | None = None,
) -> Tensor:
    """Normalised temperature-scaled cross entropy (Chen et al. 2020, eq. 1; Spurr et al. 2021).

    With the 2N normalised rows z of both views, s_ij = z_i . z_j / temperature, P(i) the positives of row i
    and N(i) its negatives::

        loss = - mean_i mean_{p in P(i)} log( exp(s_ip) / (exp(s_ip) + sum_{k in N(i)} exp(s_ik)) )

    Without `identity`, P(i) is the other view of the same pair and N(i) are all other rows except i: SimCLR's
    loss. With it, P(i) are all other rows of i's identity, and rows of one identity are never each other's
    negatives: two photographs of one pose in a batch attract each other, where SimCLR's loss would push them
    apart. The supervised contrastive loss of Khosla et al. 2020 differs: its denominator also holds the row's
    other positives.

    Args:
        z1: (N, D) projections of the first views, normalised or not.
        z2: (N, D) projections of the second views.
        temperature: positive.
        identity: (N,) integers, or None when all pairs differ.
        block: rows and columns of the (2N, 2N) similarities to hold at once, 0 for all; the loss is the same.
            In blocks the memory grows with N instead of N², each block is computed twice, and the gradient
            can't be differentiated again. None takes `BLOCK` where 2N is more than twice that.

    Returns:
        Scalar, float32 or wider.

    Raises:
        ValueError: if the shapes don't fit, there are no pairs, or temperature or block is out of range.
    """
    if z1.shape != z2.shape or z1.ndim != 2:
        raise ValueError(f"nt_xent: expected two (N, D), found {tuple(z1.shape)} and {tuple(z2.shape)}")
    count = len(z1)
    if not count:
        raise ValueError("nt_xent: expected at least one pair, found none")
    if not temperature > 0:
        raise ValueError(f"nt_xent: temperature must be positive, found {temperature}")
    if identity is None:
        identity = torch.arange(count, device=z1.device)
    elif identity.shape != (count,):
        raise ValueError(f"nt_xent: expected identity ({count},), found {tuple(identity.shape)}")
    if block is None:
        usual = BLOCK.get(z1.device.type, BLOCK["cpu"])
        block = usual if count > usual else 0
    if block < 0:
        raise ValueError(f"nt_xent: block must be a number of rows, or 0 for all at once, found {block}")

    with torch.autocast(z1.device.type, enabled=False):
        z = torch.cat([z1, z2])
        z = normalize(z.float() if z.dtype in (torch.float16, torch.bfloat16) else z)
        identity = identity.repeat(2)
        if block:
            return nt_xent_in_blocks(z, identity, temperature, block)
        similarity = z @ z.T / temperature
        same = identity[:, None] == identity[None, :]
        positive = same & ~torch.eye(2 * count, dtype=torch.bool, device=z.device)
        negatives = similarity.masked_fill(same, LOWEST).logsumexp(dim=1, keepdim=True)
        log_probability = similarity - torch.logaddexp(similarity, negatives)
        per_row = log_probability.masked_fill(~positive, 0.0).sum(dim=1) / positive.sum(dim=1)
        return -per_row.mean()


def pose_loss(
    output: PoseOutput,
    keypoints_2d: Tensor,
    relative_depth: Tensor,
    root_depth: Tensor,
    image_size: int,
    weight_2d: float = 5.0,
    weight_relative_depth: float = 1.0,
    weight_root_depth: float = 0.1,
    presence: Tensor | None = None,
    weight_presence: float = 0.5,
) -> dict[str, Tensor]:
    """L1 losses on the 2D keypoints, their relative depths and the refined root depth; and on the presence.

    The authors did not publish their fine-tuning losses; these are ours. A crop of a rendered hand is about
    five reference bones wide, so the default weights count errors in the image and in depth equally, in bone
    lengths. The root's depth, which one image says little about, counts a tenth. Labels may be NaN where they
    are not known; each term is the mean over those that are, and 0 without any.

    Args:
        output: the network's prediction; its 3D keypoints are not used.
        keypoints_2d: (B, 21, 2) pixels of the crop.
        relative_depth: (B, 21) bone lengths, relative to the wrist.
        root_depth: (B,) bone lengths.
        image_size: side of the crop in pixels.
        weight_2d: weight of the 2D error, taken as a fraction of the crop's side.
        weight_relative_depth: weight of the relative depth's error.
        weight_root_depth: weight of the root depth's error.
        presence: (B,) 1 where the hand is in its place, 0 where it is not; None leaves it out.
        weight_presence: weight of its cross entropy.

    Returns:
        "total", and unweighted "keypoints_2d" (fraction of the side), "relative_depth", "root_depth" (bone
        lengths), and with labels for it "presence" (nats).
    """
    terms = {
        "keypoints_2d": _mean_known(output.keypoints_2d, keypoints_2d) / image_size,
        "relative_depth": _mean_known(output.relative_depth, relative_depth),
        "root_depth": _mean_known(output.root_depth, root_depth),
    }
    total = (
        weight_2d * terms["keypoints_2d"]
        + weight_relative_depth * terms["relative_depth"]
        + weight_root_depth * terms["root_depth"]
    )
    if presence is not None:
        asked = ~presence.isnan()
        known = presence.where(asked, 0.0)
        errors = binary_cross_entropy_with_logits(output.presence, known, reduction="none")
        terms["presence"] = (errors * asked).sum() / asked.sum().clamp_min(1)
        total = total + weight_presence * terms["presence"]
    return {"total": total, **terms}


def _mean_known(predicted: Tensor, true: Tensor) -> Tensor:
    """Mean absolute error over the labels that are not NaN; no gradient reaches the other predictions."""
    known = ~true.isnan()
    errors = (predicted - true.where(known, predicted.detach())).abs()
    return errors.sum() / known.sum().clamp_min(1)
