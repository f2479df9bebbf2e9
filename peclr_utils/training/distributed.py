"""Several processes that pre-train as one.

    torchrun --nproc-per-node 4 -m peclr_utils.training.pretrain --preset paper_rn50 --data data/raw

The batches of a step are divided among the processes, so their number must divide `accumulate`, and
`grad_cache` must be on. On 4 GPUs, 128 pairs a step are `batch_size=32, accumulate=4`; the paper's 2,048 are
128 and 16. Loss, negatives and the projector's batch norm are those of one process with the whole step, and a
run may resume with another number of processes. Rank 0 alone crops, logs and saves.
"""

import contextlib
import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

TIMEOUT = timedelta(hours=12)
"""How long ranks wait for each other: rank 0 may have to crop a large data set."""

Value = TypeVar("Value")


def rank() -> int:
    """This process's number; 0 in a single process."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank()
    return int(os.environ["RANK"]) if _launched() else 0


def world_size() -> int:
    """Number of processes."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_world_size()
    return int(os.environ["WORLD_SIZE"]) if _launched() else 1


@contextlib.contextmanager
def process_group(device: str) -> Iterator[None]:
    """Join the other processes if torchrun started some; on CUDA, take the GPU of this process's local rank.

    Raises:
        ValueError: if the processes can't train together on the device, which is as in the configuration.
    """
    if world_size() == 1 or dist.is_initialized():
        yield
        return
    cuda = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    if cuda:
        local_rank, found = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if local_rank >= found:
            raise ValueError(f"--nproc-per-node: expected at most {found}, the number of GPUs here")
        torch.cuda.set_device(local_rank)
    elif device not in ("auto", "cpu") or (device == "auto" and torch.backends.mps.is_available()):
        raise ValueError(f"device: expected 'auto', 'cpu' or 'cuda' with several processes, found {device!r}")
    # Python objects travel by gloo on a GPU machine, too: they are on the CPU.
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=TIMEOUT)
    yield
    # Not after an error: NCCL would wait here for the other ranks, which wait for this one in mid-step.
    dist.destroy_process_group()


def single_process() -> None:
    """Raise a ValueError if torchrun started several processes."""
    if world_size() > 1:
        raise ValueError(f"expected one process, found {world_size()}; only pre-training runs in several")


@contextlib.contextmanager
def rank_zero_first() -> Iterator[None]:
    """Let rank 0 do something before the others do it."""
    if rank() > 0:
        barrier()
    yield
    if rank() == 0:
        barrier()


def barrier() -> None:
    """Wait until all ranks are here."""
    all_gather_object(None)


def all_gather_object(value: Value) -> list[Value]:
    """Return the values of all ranks, in order."""
    values: list[Any] = [value] * world_size()
    if world_size() > 1:
        dist.all_gather_object(values, value)
    return values


def all_gather(tensor: Tensor, dim: int = 0) -> Tensor:
    """Join the tensors of all ranks along an axis; no gradient flows back."""
    if world_size() == 1:
        return tensor.detach()
    parts = [torch.empty_like(tensor, memory_format=torch.contiguous_format) for _ in range(world_size())]
    dist.all_gather(parts, tensor.detach().contiguous())
    return torch.cat(parts, dim)


def all_reduce_gradients(module: nn.Module, mean: bool = False) -> None:
    """Replace a network's gradients by their sum over all ranks, or by their mean."""
    _all_reduce([p.grad for p in module.parameters() if p.grad is not None], mean)


@torch.no_grad()
def average_buffers(module: nn.Module) -> None:
    """Replace a network's running statistics by their mean over all ranks."""
    _all_reduce([buffer for buffer in module.buffers() if buffer.is_floating_point()], mean=True)


def _all_reduce(tensors: list[Tensor], mean: bool) -> None:
    if world_size() == 1:
        return
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    dist.all_reduce(flat)
    parts = (flat / world_size() if mean else flat).split([tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.copy_(part.view_as(tensor))


def _launched() -> bool:
    return dist.is_available() and dist.is_torchelastic_launched()
