"""Batches on their way to a GPU while it is still busy with the one before.

Chapters 03 and 04 reach it through `training.views.load`.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor

Batch = TypeVar("Batch")
Sent = TypeVar("Sent")


def prefetch(batches: Iterable[Batch], device: torch.device) -> Iterator[Batch]:
    """Copy batches to a GPU, each while the network works on the one before; elsewhere leave them be.

    Args:
        batches: in pinned memory, or the copies are not made on the side.
        device: where they go.

    Returns:
        The batches in order.
    """
    if device.type != "cuda":
        return iter(batches)
    side = _SideStream(device)
    return one_ahead(batches, side.send, side.receive)


def one_ahead(
    batches: Iterable[Batch], send: Callable[[Batch], Sent], receive: Callable[[Sent], Batch]
) -> Iterator[Batch]:
    """Send every batch before the one in front of it is given out.

    Args:
        batches: to be sent.
        send: starts sending one, without waiting for it.
        receive: makes a sent one ready for use.

    Yields:
        The batches in order, received.
    """
    waiting: list[Sent] = []
    for batch in batches:
        waiting.append(send(batch))
        if len(waiting) > 1:
            yield receive(waiting.pop(0))
    yield from map(receive, waiting)


def on_device(value: Any, device: torch.device) -> Any:
    """Move the tensors of a batch, and leave everything else as it is.

    Args:
        value: a tensor, a dict, a named tuple, or anything in one.
        device: where the tensors go.

    Returns:
        The same with its tensors on the device.
    """
    if isinstance(value, Tensor):
        return value.to(device, non_blocking=True)
    if isinstance(value, dict):
        return {key: on_device(part, device) for key, part in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(on_device(part, device) for part in value))
    return value


def tensors_of(value: Any) -> Iterator[Tensor]:
    """The tensors that `on_device` moves."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from tensors_of(part)


class _SideStream:
    """Copies on a CUDA stream of their own, so that they need not queue behind the network's work."""

    def __init__(self, device: torch.device):
        self._device, self._stream = device, torch.cuda.Stream(device)

    def send(self, batch: Any) -> tuple[Any, torch.cuda.Event]:
        with torch.cuda.stream(self._stream):
            return on_device(batch, self._device), self._stream.record_event()

    def receive(self, sent: tuple[Any, torch.cuda.Event]) -> Any:
        batch, copied = sent
        network = torch.cuda.current_stream(self._device)
        network.wait_event(copied)
        for tensor in tensors_of(batch):
            # Else the memory could be given to a later batch while the network still reads it.
            tensor.record_stream(network)
        return batch
