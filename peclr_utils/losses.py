"""Losses: NT-Xent for pre-training, 2.5D pose losses for fine-tuning.

Chapter 03 derives NT-Xent in small steps; chapter 04 uses the pose losses.
"""

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import normalize

LOWEST = -1e30
"""Stands for the logarithm of zero; finite, so that a row without negatives has finite gradients."""

BLOCK = 1024
"""Rows and columns of the similarity matrix that are held at once: 4 MB in float32, some rest in a cache."""


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

    Without `identity`, P(i) is the other view of the same pair and N(i) are all other rows but i itself:
    SimCLR's loss. With it, P(i) are all other rows of i's identity, and rows of one identity are never each
    other's negatives. So two photographs of one pose in a batch attract each other; in SimCLR's loss they
    would repel. The supervised contrastive loss of Khosla et al. 2020 differs: its denominator also holds the
    row's other positives.

    Args:
        z1: (N, D) projections of the first views, normalised or not.
        z2: (N, D) projections of the second views.
        temperature: positive.
        identity: (N,) integers, or None when all pairs differ.
        block: how many rows and columns of the (2N, 2N) similarities to hold at once, 0 for all. The loss is
            the same. In blocks the memory grows with N and not with its square, each block is computed
            twice, and the gradient cannot be differentiated again. None takes `BLOCK` where 2N is at least
            twice that.

    Returns:
        Scalar, float32 or wider.

    Raises:
        ValueError: if the shapes do not fit, the temperature is not positive or the block negative.
    """
    if z1.shape != z2.shape or z1.ndim != 2:
        raise ValueError(
            f"nt_xent: expected two (N, D) of one shape, found {tuple(z1.shape)} and {tuple(z2.shape)}"
        )
    if not temperature > 0:
        raise ValueError(f"nt_xent: temperature must be positive, found {temperature}")
    count = len(z1)
    if identity is None:
        identity = torch.arange(count, device=z1.device)
    elif identity.shape != (count,):
        raise ValueError(f"nt_xent: expected identity ({count},), found {tuple(identity.shape)}")

    if block is None:
        block = BLOCK if 2 * count >= 2 * BLOCK else 0
    if block < 0:
        raise ValueError(f"nt_xent: block must be a number of rows, or 0 for all at once, found {block}")

    with torch.autocast(z1.device.type, enabled=False):
        z = torch.cat([z1, z2])
        z = normalize(z.float() if z.dtype in (torch.float16, torch.bfloat16) else z)
        identity = identity.repeat(2)
        if block:
            return _BlockwiseNTXent.apply(z, identity, temperature, block)
        similarity = z @ z.T / temperature
        same = identity[:, None] == identity[None, :]
        positive = same & ~torch.eye(2 * count, dtype=torch.bool, device=z.device)
        negatives = similarity.masked_fill(same, LOWEST).logsumexp(dim=1, keepdim=True)
        log_probability = similarity - torch.logaddexp(similarity, negatives)
        per_row = log_probability.masked_fill(~positive, 0.0).sum(dim=1) / positive.sum(dim=1)
        return -per_row.mean()


class _BlockwiseNTXent(torch.autograd.Function):
    """`nt_xent` of normalised rows, one block of the similarities at a time, there and back.

    Let n_i be the log of the sum of exp(s_ik) over the negatives of row i, and P_i its number of positives.
    Forward keeps n. Backward makes each block again; with R = 2N rows and the logistic function sigma,

        dL/ds_ip = - sigma(n_i - s_ip) / (R P_i)                         for a positive p
        dL/ds_ik = exp(s_ik - n_i) sum_p sigma(n_i - s_ip) / (R P_i)     for a negative k

    The similarities are symmetric, so only blocks on and above the diagonal are made.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, identity: Tensor, temperature: float, block: int) -> Tensor:
        negatives = z.new_full((len(z),), LOWEST)
        found = []
        for rows, columns, similarity in _blocks(z, temperature, block):
            i, j = (identity[rows][:, None] == identity[columns]).nonzero(as_tuple=True)
            found.append((i + rows.start, j + columns.start, similarity[i, j]))
            similarity[i, j] = LOWEST
            negatives[rows] = torch.logaddexp(negatives[rows], similarity.logsumexp(dim=1))
            if rows != columns:
                negatives[columns] = torch.logaddexp(negatives[columns], similarity.logsumexp(dim=0))
        i, j, s = (torch.cat(parts) for parts in zip(*found, strict=True))
        below = (i < j) & (i // block != j // block)  # the mirrored blocks were not made
        i, j, s = torch.cat([i, j[below]]), torch.cat([j, i[below]]), torch.cat([s, s[below]])
        other = i != j
        i, j, s = i[other], j[other], s[other]
        weight = 1.0 / (len(z) * torch.bincount(i, minlength=len(z)).to(z.dtype))
        ctx.save_for_backward(z, identity, negatives, i, j, s, weight)
        ctx.temperature, ctx.block = temperature, block
        return (weight[i] * (torch.logaddexp(s, negatives[i]) - s)).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        z, identity, negatives, i, j, s, weight = ctx.saved_tensors
        pull = weight[i] * torch.sigmoid(negatives[i] - s)
        push = torch.zeros_like(negatives).index_add_(0, i, pull)
        result = torch.zeros_like(z)
        result.index_add_(0, i, pull[:, None] * z[j], alpha=-1).index_add_(
            0, j, pull[:, None] * z[i], alpha=-1
        )
        for rows, columns, similarity in _blocks(z, ctx.temperature, ctx.block):
            same = (identity[rows][:, None] == identity[columns]).nonzero(as_tuple=True)
            similarity[same] = LOWEST
            share = (similarity - negatives[rows, None]).exp_().mul_(push[rows, None])
            share += similarity.sub_(negatives[columns]).exp_().mul_(push[columns])
            result[rows] += share @ z[columns]
            if rows != columns:
                result[columns] += share.T @ z[rows]
        return result * (gradient / ctx.temperature), None, None, None


def _blocks(z: Tensor, temperature: float, block: int) -> Iterator[tuple[slice, slice, Tensor]]:
    """Rows, columns and similarities of each block on and above the diagonal."""
    parts = [slice(start, min(start + block, len(z))) for start in range(0, len(z), block)]
    for k, rows in enumerate(parts):
        scaled = z[rows] / temperature
        for columns in parts[k:]:
            yield rows, columns, scaled @ z[columns].T


class Pose25D(Protocol):
    """What `pose_loss` needs of a prediction; `models.PoseOutput` has it."""

    keypoints_2d: Tensor
    relative_depth: Tensor
    root_depth: Tensor


def pose_loss(
    output: Pose25D,
    keypoints_2d: Tensor,
    relative_depth: Tensor,
    root_depth: Tensor,
    image_size: int,
    weight_2d: float = 5.0,
    weight_relative_depth: float = 1.0,
    weight_root_depth: float = 0.1,
) -> dict[str, Tensor]:
    """L1 losses on the 2D keypoints, their relative depths and the refined root depth.

    The authors do not publish their fine-tuning losses; these are ours. A crop of a rendered hand is about
    five reference bones wide, so the default weights count errors in the image and in depth alike, in bone
    lengths; the root's depth, which one picture tells poorly, counts a tenth.

    Args:
        output: the network's prediction, see `PoseNetwork25D`.
        keypoints_2d: (B, 21, 2) pixels of the crop.
        relative_depth: (B, 21) bone lengths, relative to the wrist.
        root_depth: (B,) bone lengths.
        image_size: side of the crop in pixels.
        weight_2d: weight of the 2D error, which is taken as a fraction of the crop's side.
        weight_relative_depth: weight of the relative depth's error.
        weight_root_depth: weight of the root depth's error.

    Returns:
        "total", and unweighted "keypoints_2d" (fraction of the side), "relative_depth", "root_depth" (bone
        lengths).
    """
    terms = {
        "keypoints_2d": (output.keypoints_2d - keypoints_2d).abs().mean() / image_size,
        "relative_depth": (output.relative_depth - relative_depth).abs().mean(),
        "root_depth": (output.root_depth - root_depth).abs().mean(),
    }
    total = (
        weight_2d * terms["keypoints_2d"]
        + weight_relative_depth * terms["relative_depth"]
        + weight_root_depth * terms["root_depth"]
    )
    return {"total": total, **terms}
