"""Losses: NT-Xent for pre-training, 2.5D pose losses for fine-tuning.

Chapter 03 derives NT-Xent in small steps; chapter 04 uses the pose losses.
"""

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import normalize

LOWEST = -1e30
"""Stands for the logarithm of zero; finite, so that a row without negatives has finite gradients."""

BLOCK = {"cpu": 512, "cuda": 2048}
"""Rows and columns of the similarities that are held at once: 1 MB in float32, which a core's cache holds.

A GPU wants more to do at a time."""


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
            twice, and the gradient cannot be differentiated again. None takes `BLOCK` where 2N is more
            than twice that.

    Returns:
        Scalar, float32 or wider.

    Raises:
        ValueError: if the shapes do not fit, there are no pairs, the temperature is not positive or the block
            negative.
    """
    if z1.shape != z2.shape or z1.ndim != 2:
        raise ValueError(
            f"nt_xent: expected two (N, D) of one shape, found {tuple(z1.shape)} and {tuple(z2.shape)}"
        )
    if not temperature > 0:
        raise ValueError(f"nt_xent: temperature must be positive, found {temperature}")
    count = len(z1)
    if not count:
        raise ValueError("nt_xent: there are no pairs; the mean over none isn't defined")
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

    The similarities are symmetric, so only blocks on and above the diagonal are made. The rows are sorted by
    identity first: then only blocks near the diagonal hold positives, however many rows share an identity,
    and these blocks can be made a second time once n is known.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, identity: Tensor, temperature: float, block: int) -> Tensor:
        identity, order = identity.sort()
        z = z[order]
        negatives = z.new_full((len(z),), LOWEST)
        for rows, columns, similarity, same in _blocks(z, identity, temperature, block):
            if same is not None:
                similarity.masked_fill_(same, LOWEST)
            for of, s in _both_ways(rows, columns, similarity):
                negatives[of] = torch.logaddexp(negatives[of], s.logsumexp(dim=1))

        _, group, count = identity.unique_consecutive(return_inverse=True, return_counts=True)
        weight = 1.0 / (len(z) * (count[group] - 1).to(z.dtype))
        loss, push = z.new_zeros(()), torch.zeros_like(negatives)
        for rows, columns, similarity, same in _blocks(z, identity, temperature, block, with_positives=True):
            positive = same.fill_diagonal_(False) if rows == columns else same
            for of, s, on in _both_ways(rows, columns, similarity, positive):
                n = negatives[of, None]
                loss += (torch.logaddexp(s, n).sub_(s).mul_(on).sum(dim=1) * weight[of]).sum()
                push[of] += torch.sigmoid(n - s).mul_(on).sum(dim=1) * weight[of]
        ctx.save_for_backward(z, identity, order, negatives, weight, push)
        ctx.temperature, ctx.block = temperature, block
        return loss

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        # `once_differentiable` would let a second derivative of the loss itself pass, and get it wrong.
        if torch.is_grad_enabled():
            raise RuntimeError("nt_xent in blocks can't be differentiated twice; take block=0")
        z, identity, order, n, weight, push = ctx.saved_tensors
        result = torch.zeros_like(z)
        for rows, columns, similarity, same in _blocks(z, identity, ctx.temperature, ctx.block):
            share = (similarity - n[rows, None]).exp_().mul_(push[rows, None])
            share += (similarity - n[columns]).exp_().mul_(push[columns])
            if same is not None:
                pull = torch.sigmoid(n[rows, None] - similarity).mul_(weight[rows, None])
                pull += torch.sigmoid(n[columns] - similarity).mul_(weight[columns])
                share = torch.where(same, -pull, share)
            if rows == columns:
                share.fill_diagonal_(0.0)
            result[rows].addmm_(share, z[columns])
            if rows != columns:
                result[columns].addmm_(share.T, z[rows])
        result = torch.empty_like(z).index_copy_(0, order, result)
        return result * (gradient / ctx.temperature), None, None, None


def _blocks(
    z: Tensor, identity: Tensor, temperature: float, block: int, with_positives: bool = False
) -> Iterator[tuple[slice, slice, Tensor, Tensor | None]]:
    """Rows, columns and similarities of each block on and above the diagonal, and which are of one identity.

    The last is None where none is; `with_positives` leaves those blocks out. All blocks share one memory:
    freed blocks of new ones would leave holes, which had taken ten times as much.
    """
    parts = [slice(start, min(start + block, len(z))) for start in range(0, len(z), block)]
    first, last = identity[::block].tolist(), identity[[part.stop - 1 for part in parts]].tolist()
    memory = z.new_empty(block * block)
    for k, rows in enumerate(parts):
        scaled = z[rows] / temperature
        for m, columns in enumerate(parts[k:], start=k):
            shared = first[m] <= last[k]
            if with_positives and not shared:
                break
            shape = (rows.stop - rows.start, columns.stop - columns.start)
            similarity = torch.mm(scaled, z[columns].T, out=memory[: shape[0] * shape[1]].view(shape))
            same = identity[rows, None] == identity[columns] if shared else None
            yield rows, columns, similarity, same


def _both_ways(rows: slice, columns: slice, *blocks: Tensor) -> Iterator[tuple[Any, ...]]:
    """What blocks say about their rows, and about their columns where these are others."""
    yield rows, *blocks
    if rows != columns:
        yield columns, *(block.T for block in blocks)


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
