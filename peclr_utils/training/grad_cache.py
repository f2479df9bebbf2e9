"""A true large batch in little memory: the gradient cache of Gao et al. 2021 (arXiv 2101.06983).

Appendix A3 says what a true batch is; `PretrainConfig.grad_cache` switches this on.

A contrastive loss compares every pair of a batch with every other one: in a batch of N pairs a view has 2N -
2 negatives. Adding up the gradients of k batches does not change that; only one loss over all kN pairs gives
a view 2kN - 2 negatives. Memory is the obstacle, and the encoder's activations take most of it; its features
are small:

1. Encode the batches one after the other, and keep only the features.
2. Compute projector and loss over the features of all, and the loss's gradient with respect to each feature.
3. Encode each batch again, now with activations, and pass the gradients of its features on to the weights.

By the chain rule this is the whole batch's gradient. The second forward pass takes about a third more time.

**Several processes.** Each encodes its own batches. Features of all are gathered before step 2, which every
process computes in full; the encoder's gradients are added up after step 3 (`training.distributed`).

**Batch norm** in training mode normalises an image by the batch it is encoded with, so the gradient is
exactly that of a network which encodes batch by batch. The projector's batch norm sees all pairs. Running
statistics move in the first pass only.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from peclr_utils.training.distributed import all_gather, all_reduce_gradients, rank, world_size

Batch = TypeVar("Batch")


def cached_gradients(
    encode: Callable[[Batch], Tensor],
    batches: Sequence[Batch],
    compare: Callable[[Tensor, Sequence[Batch]], tuple[Tensor, Tensor]],
    encoder: nn.Module,
    scale: Callable[[Tensor], Tensor] = lambda loss: loss,
) -> tuple[Tensor, Tensor]:
    """Add to the weights' gradients those of one loss over several batches, encoding one at a time.

    Args:
        encode: from a batch of B pairs to its features (2, B, F). It is called twice for each batch and must
            give the same features both times; a ResNet does.
        batches: this process's batches.
        compare: from the features of all batches, joined along dim 1, and this process's batches to the loss
            and to something to log.
        encoder: the network that `encode` calls.
        scale: of the loss before its gradient is taken, for float16.

    Returns:
        The loss and what `compare` returned beside it, both detached.
    """
    with torch.no_grad():
        features = torch.cat([encode(batch) for batch in batches], dim=1)
    statistics = [buffer.clone() for buffer in encoder.buffers()]

    leaf = all_gather(features, dim=1).requires_grad_()
    loss, logged = compare(leaf, batches)
    scale(loss).backward()

    own = leaf.grad.chunk(world_size(), dim=1)[rank()]
    for batch, gradient in zip(batches, own.chunk(len(batches), dim=1), strict=True):
        encode(batch).backward(gradient)
    all_reduce_gradients(encoder)
    with torch.no_grad():
        for buffer, value in zip(encoder.buffers(), statistics, strict=True):
            buffer.copy_(value)
    return loss.detach(), logged.detach()
