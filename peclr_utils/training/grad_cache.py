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
time. Where the memory holds the activations of all batches, `held_gradients` takes the same gradient without
it.

**Batch norm.** In training mode it normalises a picture by the batch that it is encoded with. Then the
gradient is exactly that of a network which encodes batch by batch, and not that of one which encodes all
pictures at once, for these are two networks. With frozen statistics they are one, and so are their
gradients. The projector's batch norm sees the whole batch in either case. Running statistics move in the
first pass only.
"""

import copy
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

import torch
from torch import Tensor, nn

from peclr_utils.training.distributed import averaging

Item = TypeVar("Item")
Measured = TypeVar("Measured")

RESERVE = 2 * 2**30
"""Bytes of a GPU that are left for crops, warping and the loss when `memory_holds` decides."""


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


def held_gradients(
    encode: Callable[[Item], Tensor],
    items: Iterable[Item],
    compare: Callable[[Tensor, Sequence[Item]], tuple[Tensor, Measured]],
) -> Measured:
    """Do as `cached_gradients` does, but encode each batch once and hold the activations of all.

    Args:
        encode: from a batch to its features (B, ...).
        items: the batches.
        compare: see `cached_gradients`.

    Returns:
        What `compare` gave besides the loss.
    """
    kept = list(items)
    loss, measured = compare(torch.cat([encode(item) for item in kept]), kept)
    loss.backward()
    return measured


def memory_holds(
    encoder: nn.Module, views: Tensor, batches: int, autocast: AbstractContextManager[None]
) -> bool:
    """Whether a GPU's free memory holds the activations of so many batches; False elsewhere.

    Args:
        encoder: on the GPU. It is left as it is.
        views: as many as a batch has, whatever they show.
        batches: how many.
        autocast: context in which the encoder runs.

    Returns:
        Whether four fifths of the memory are enough, with `RESERVE` for all else.
    """
    free = _free_memory(views.device)
    if not free:
        return False
    trial = copy.deepcopy(encoder)  # batch norm's statistics move
    with autocast:
        needed = batches * activation_bytes(trial, views)
    # The weights' gradients and Adam's two moments come with the first step.
    needed += RESERVE + 3 * sum(weight.nbytes for weight in encoder.parameters())
    return needed <= 0.8 * free


def activation_bytes(network: nn.Module, inputs: Tensor) -> int:
    """Count what a network's forward pass keeps for the way back, in bytes, its weights left out.

    Args:
        network: in the mode it will be trained in.
        inputs: a batch.

    Returns:
        Bytes of all storages that autograd saves.
    """
    weights = {weight.untyped_storage().data_ptr() for weight in network.parameters()}
    saved: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        outputs = network(inputs)  # has to live until all is counted: a freed address may be given out anew
    total = sum(size for address, size in saved.items() if address not in weights)
    del outputs
    return total


def _free_memory(device: torch.device) -> int:
    """Bytes that a GPU can still give; 0 for other devices, where nobody knows who else wants them."""
    if device.type != "cuda":
        return 0
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + unused


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
