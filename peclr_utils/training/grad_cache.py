"""A true large batch on little memory: the gradient cache of Gao et al. 2021 (arXiv 2101.06983).

Chapter 03 says what a true batch is. `PretrainConfig.grad_cache` switches this on.

A contrastive loss compares every pair of a batch with every other one: in a batch of N pairs a view has 2N -
2 negatives. For a loss that is a mean over pictures, adding up the gradients of k batches gives the step of
one batch of kN. For this one it does not: a view still meets the 2N - 2 negatives of its own batch, and only
a loss over all kN pairs has 2kN - 2. What stands in its way is memory, and that goes into the encoder's
activations; the features it gives are small. So:

1. Encode the batches one after the other, and keep the features alone.
2. Take projector and loss over the features of all, and the loss's gradient with respect to each feature.
3. Encode each batch again, now with activations, and send the gradients of its features on to the weights.

By the chain rule this is the whole batch's gradient. It costs a second forward pass, about a third more
time.

**Batch norm.** In training mode it normalises a picture by the batch that it is encoded with. Then the
gradient is exactly that of a network which encodes batch by batch, and not that of one which encodes all
pictures at once, for these are two networks. With frozen statistics they are one, and so are their
gradients. The projector's batch norm sees the whole batch in either case. Running statistics move in the
first pass only.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from peclr_utils.training.distributed import averaging

Item = TypeVar("Item")
Measured = TypeVar("Measured")


def cached_gradients(
    encode: Callable[[Item], Tensor],
    items: Iterable[Item],
    compare: Callable[[Tensor, Sequence[Item]], tuple[Tensor, Measured]],
    encoder: nn.Module,
    device: torch.device,
) -> Measured:
    """Add to the weights' gradients those of one loss over several batches, encoding one at a time.

    Args:
        encode: from a batch to its features (B, ...). It is called twice for each, and must see the same
            views both times; random numbers that it draws are the same.
        items: the batches, as small as they come from the loader: they are all kept.
        compare: from all features, joined along the first axis, and all batches to the loss, scaled if need
            be, and what else is wanted.
        encoder: the network that `encode` calls.
        device: where it lives.

    Returns:
        What `compare` gave besides the loss.
    """
    kept, features, states = [], [], []
    with torch.no_grad():
        for item in items:
            kept.append(item)
            states.append(_random_state(device))
            features.append(encode(item))
    statistics = [buffer.clone() for buffer in encoder.buffers()]

    joined = torch.cat(features).requires_grad_()
    loss, measured = compare(joined, kept)
    loss.backward()

    state_after = _random_state(device)
    gradients = joined.grad.split([len(part) for part in features])
    for number, (item, state, gradient) in enumerate(zip(kept, states, gradients, strict=True), start=1):
        _set_random_state(device, state)
        with averaging(number == len(kept), encoder):
            encode(item).backward(gradient)
    _set_random_state(device, state_after)
    with torch.no_grad():
        for buffer, value in zip(encoder.buffers(), statistics, strict=True):
            buffer.copy_(value)
    return measured


def _random_state(device: torch.device) -> list[Tensor]:
    """States of the generators that a network on this device draws from; of several GPUs, of this one."""
    state = [torch.get_rng_state()]
    if device.type != "cpu":
        state.append(torch.get_device_module(device).get_rng_state(*_number(device)))
    return state


def _set_random_state(device: torch.device, state: list[Tensor]) -> None:
    torch.set_rng_state(state[0])
    if device.type != "cpu":
        torch.get_device_module(device).set_rng_state(state[1], *_number(device))


def _number(device: torch.device) -> tuple[torch.device, ...]:
    """What names one of several devices; there is one MPS, and its functions take no number."""
    return (device,) if device.type == "cuda" else ()
