"""NT-Xent one block of similarities at a time, for batches whose (2N, 2N) similarities don't fit in memory.

`losses.nt_xent` has the definition, and calls this for large batches. With R = 2N rows, P_i the number of
positives of row i, n_i the log of the sum of exp(s_ik) over its negatives and sigma the logistic function,

    dL/ds_ip = - sigma(n_i - s_ip) / (R P_i)                         for a positive p
    dL/ds_ik = exp(s_ik - n_i) sum_p sigma(n_i - s_ip) / (R P_i)     for a negative k

The forward pass keeps n and the backward pass makes each block again. The similarities are symmetric, so only
blocks on and above the diagonal are made. Rows are sorted by identity, so that only blocks near the diagonal
hold positives; these are made a second time once n is known.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

LOWEST = -1e30
"""Stands for the logarithm of zero; finite, so that a row without negatives has finite gradients."""

BLOCK = {"cpu": 512, "cuda": 2048}
"""Rows and columns held at once: on a CPU 1 MB in float32, which fits a core's cache."""


def nt_xent_in_blocks(z: Tensor, identity: Tensor, temperature: float, block: int) -> Tensor:
    """NT-Xent of (2N, D) normalised rows with (2N,) identities, `block` rows and columns at a time."""
    return _BlockwiseNTXent.apply(z, identity, temperature, block)


class _BlockwiseNTXent(torch.autograd.Function):
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
        # `once_differentiable` would accept a second derivative of the loss and get it wrong.
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
    """Rows, columns and similarities of each block; and which are of one identity, or None if none is."""
    parts = [slice(start, min(start + block, len(z))) for start in range(0, len(z), block)]
    first, last = identity[::block].tolist(), identity[[part.stop - 1 for part in parts]].tolist()
    memory = z.new_empty(block * block)  # shared by all blocks: freeing each would fragment the memory
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
    """What blocks say about their rows, and about their columns where these differ."""
    yield rows, *blocks
    if rows != columns:
        yield columns, *(block.T for block in blocks)
