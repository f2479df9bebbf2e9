"""Several processes that train as one: who encodes what, and how their results are joined.

    torchrun --nproc-per-node 4 -m peclr_utils.training.pretrain --preset paper_rn50 --data data/raw

Chapter 03 says what a true batch is; on several GPUs it is made the same way. Each process encodes its part
of a step. The features of all parts are gathered, and every process takes projector and loss over all of
them. So the loss of a step, its negatives and the projector's batch norm are those of one process with the
whole batch, and a run may be resumed with another number of processes.

The encoder's batch norm in training mode is the exception: it normalises by the pictures that one process
encodes at once. With `grad_cache`, where the processes can share out whole batches, these are `batch_size`
pairs as ever. Otherwise they are the process's rows of a batch, unless `sync_batch_norm` joins them. Its
running statistics are averaged over the processes after every step.

The first process alone crops, logs and saves.
"""

import contextlib
import inspect
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.parallel import DistributedDataParallel

from peclr_utils.training.config import PretrainConfig

PATIENCE = timedelta(hours=12)
"""How long processes wait for each other: the first may have to crop a large data set."""

Value = TypeVar("Value")


@dataclass(frozen=True)
class Group:
    """This process among those that train together.

    Every method but `part` is to be called by all of them, in one order. In a group of one they do nothing.

    Attributes:
        rank: of this process, counted from 0.
        size: number of processes.
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def part(self, count: int) -> slice:
        """This process's part of so many things, which the number of processes divides."""
        each = count // self.size
        return slice(self.rank * each, (self.rank + 1) * each)

    def gather(self, tensor: Tensor) -> Tensor:
        """Join the tensors of all processes along the first axis.

        Every process may compute with all of them: the gradients of all results flow back to where a tensor
        came from, and add up there.
        """
        return tensor if self.size == 1 else _Gather.apply(tensor, self)

    def everyone(self, value: Value) -> list[Value]:
        """All processes' values, in order."""
        values = [value] * self.size
        if self.size > 1:
            dist.all_gather_object(values, value)
        return values

    def same(self, value: Value, name: str) -> Value:
        """A value that must be the same everywhere.

        Raises:
            ValueError: if it is not, which means that the processes do not see the same files.
        """
        values = self.everyone(value)
        if len(set(values)) > 1:
            found = ", ".join(map(str, values))
            raise ValueError(
                f"{name}: expected the same in all processes, found {found}; they must see one folder"
            )
        return value

    def agree(self, reason: str) -> str:
        """A reason to stop if any process has one: so that all stop at the same step."""
        return next(filter(None, self.everyone(reason)), "")

    def wait(self) -> None:
        """Wait until all are here."""
        self.everyone(None)

    @contextlib.contextmanager
    def first_before_others(self) -> Iterator[None]:
        """Let the first process do something before the others do."""
        if not self.first:
            self.wait()
        yield
        if self.first:
            self.wait()

    @contextlib.contextmanager
    def shared_folder(self, folder: str) -> Iterator[str]:
        """A folder for all processes: the given one, or for several without one a temporary one."""
        if folder or self.size == 1:
            yield folder
            return
        made = tempfile.TemporaryDirectory(prefix="peclr_crops_") if self.first else contextlib.nullcontext()
        with made as temporary:
            yield self.everyone(temporary)[0]
            self.wait()

    def together(self, module: nn.Module) -> nn.Module:
        """Wrap a network: gradients become the mean over all processes, see `averaging`.

        Every process takes the whole loss, and `gather` adds up what flows back from all of them; the mean is
        then the gradient of one process with the whole batch.
        """
        if self.size == 1:
            return module
        # Batch norm's statistics are averaged by `average_buffers`, not overwritten by the first process's.
        # Newer versions of torch have another name for that and warn about the old one.
        known = inspect.signature(DistributedDataParallel).parameters
        name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
        return DistributedDataParallel(module, **{name: False})

    @torch.no_grad()
    def average_buffers(self, module: nn.Module) -> None:
        """Set a network's running statistics to their mean over all processes."""
        buffers = [buffer for buffer in module.buffers() if buffer.is_floating_point()]
        if self.size == 1 or not buffers:
            return
        joined = torch.cat([buffer.flatten() for buffer in buffers])
        dist.all_reduce(joined)
        means = (joined / self.size).split([buffer.numel() for buffer in buffers])
        for buffer, mean in zip(buffers, means, strict=True):
            buffer.copy_(mean.view_as(buffer))

    def own(self, config: PretrainConfig) -> PretrainConfig:
        """A configuration by which only the first process writes and shows anything."""
        return config if self.first else config.replace(output="", comet="", progress=False)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, group: Group) -> Tensor:
        ctx.group = group
        parts = [torch.empty_like(tensor, memory_format=torch.contiguous_format) for _ in range(group.size)]
        dist.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total[ctx.group.part(len(total))], None


@contextlib.contextmanager
def averaging(now: bool, *modules: nn.Module) -> Iterator[None]:
    """Pass forwards and backwards through networks made by `Group.together`.

    Args:
        now: whether gradients are averaged over the processes: once a step, in its last pass. In the others
            they add up where they are.
        modules: wrapped or not.
    """
    with contextlib.ExitStack() as stack:
        for module in modules:
            if not now and isinstance(module, DistributedDataParallel):
                stack.enter_context(module.no_sync())
        yield


class Division(NamedTuple):
    """What this process encodes of a step.

    Attributes:
        batches: which of the step's `accumulate` batches.
        rows: which pairs of each.
    """

    batches: range
    rows: slice

    def numbers(self, steps: range, accumulate: int) -> list[int]:
        """Numbers of the batches of some steps, in order."""
        return [step * accumulate + batch for step in steps for batch in self.batches]


def divide(config: PretrainConfig, group: Group, device: torch.device) -> Division:
    """Share out a step: whole batches where the loss is over all of them anyway, else the rows of each.

    Args:
        config: batch_size, accumulate, grad_cache and sync_batch_norm.
        group: the processes.
        device: this process's.

    Returns:
        This process's part.

    Raises:
        ValueError: if the step can't be shared out evenly, or batch norm not synchronised on this device.
    """
    if config.sync_batch_norm and device.type != "cuda":
        raise ValueError(f"sync_batch_norm: expected a CUDA device, found {device}; batch norm of several "
                         "processes can be joined there only")  # fmt: skip
    # With rows of each batch joined, batch norm sees batch_size pairs as in one process.
    if config.grad_cache and not config.sync_batch_norm and config.accumulate % group.size == 0:
        return Division(range(config.accumulate)[group.part(config.accumulate)], slice(0, config.batch_size))
    if config.batch_size % group.size:
        raise ValueError(
            f"batch_size: expected a multiple of {group.size}, the number of processes, found "
            f"{config.batch_size}"
        )
    return Division(range(config.accumulate), group.part(config.batch_size))


@contextlib.contextmanager
def joined(device: str) -> Iterator[Group]:
    """Join the other processes, if torchrun started some or the caller has joined them.

    Torchrun's own environment variables are the only ones that are read.

    Args:
        device: as in the configuration.

    Yields:
        The group.

    Raises:
        ValueError: if the processes cannot train on the device together.
    """
    if dist.is_available() and dist.is_initialized():
        yield Group(dist.get_rank(), dist.get_world_size())
        return
    if processes_started().size == 1:
        yield Group()
        return
    cuda = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    if cuda:
        _take_own_gpu(int(os.environ["LOCAL_RANK"]))
    elif device not in ("auto", "cpu") or (device == "auto" and torch.backends.mps.is_available()):
        raise ValueError(
            f"device: expected 'cpu', 'cuda' or 'auto' for CUDA with several processes, found {device!r}"
        )
    # Python objects travel by gloo on a GPU machine, too: they are on the CPU.
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=PATIENCE)
    yield Group(dist.get_rank(), dist.get_world_size())
    # Not after an error: NCCL would wait here for the others, who wait for this process in the middle of a
    # step, and nobody would ever be told.
    dist.destroy_process_group()


def processes_started() -> Group:
    """This process among those that torchrun started, whether they have joined or not; else alone."""
    if not (dist.is_available() and dist.is_torchelastic_launched()):
        return Group()
    return Group(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))


def in_one_process(run: Callable[[Value], Any]) -> Callable[[Value], Any]:
    """Make a run refuse to be started several times over by torchrun, all of them in one folder."""

    def checked(config: Value) -> Any:
        if (size := processes_started().size) > 1:
            raise ValueError(f"expected one process, found {size}; several can only pre-train")
        return run(config)

    return checked


def _take_own_gpu(local_rank: int) -> None:
    found = torch.cuda.device_count()
    if local_rank >= found:
        raise ValueError(f"--nproc-per-node: expected at most {found}, the number of GPUs here, found more")
    torch.cuda.set_device(local_rank)
