"""The machine under both training loops: device, precision, memory order, who warps.

Chapter 03 uses it through `training.pretrain`, chapter 04 through `training.finetune`.
"""

import contextlib
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from peclr_utils.training.optimisation import has_fused
from peclr_utils.training.settings import RunSettings


@dataclass(frozen=True)
class Machine:
    """What a run computes with.

    Attributes:
        device: where the network lives.
        dtype: what the encoder computes in; losses and weights are float32 always.
        executor: who warps the views, "opencv" in the loader or "batch" on the device.
        workers: loader processes; 0 loads in the training process.
        channels_last: whether pixels come before channels in memory.
        tf32: whether convolutions in float32 round what they multiply to ten bits.
        fused: whether the optimiser updates all weights in one kernel.
        compile: whether `torch.compile` is used.
    """

    device: torch.device
    dtype: torch.dtype
    executor: str
    workers: int
    channels_last: bool
    tf32: bool = False
    fused: bool = False
    compile: bool = False

    def autocast(self) -> torch.autocast:
        """Context in which the encoder runs in `dtype`."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def scaler(self) -> torch.amp.GradScaler:
        """Loss scaler for float16; does nothing otherwise."""
        return torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)

    def place(self, model: nn.Module) -> nn.Module:
        """Move a network to the device, in the chosen memory order."""
        model = model.to(self.device)
        return model.to(memory_format=torch.channels_last) if self.channels_last else model

    def compiled(self, module: nn.Module) -> nn.Module:
        """Compile a network, or give it back as it is; the two share their weights, so save the original."""
        return torch.compile(module) if self.compile else module

    def __str__(self) -> str:
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else str(self.device)
        threads = f", {torch.get_num_threads()} threads" if self.device.type == "cpu" else ""
        precision = str(self.dtype).removeprefix("torch.") + (", convolutions in TF32" if self.tf32 else "")
        order = "channels last" if self.channels_last else "channels first"
        optimiser = "fused optimiser" if self.fused else "optimiser not fused"
        compiling = "compiled" if self.compile else "not compiled"
        return (
            f"{name}{threads}, {precision}, {order}, {optimiser}, {compiling}, views by {self.executor}, "
            f"{self.workers} loader workers"
        )


@dataclass(frozen=True, eq=False)
class Run:
    """What a training works with from its first step to its last.

    Attributes:
        config: the settings.
        machine: what it computes with.
        model: the network that learns.
        optimiser: over its parameters.
        scaler: of the loss, for float16.
    """

    config: RunSettings
    machine: Machine
    model: nn.Module
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler


def choose_device(name: str = "auto") -> torch.device:
    """Pick the device: CUDA, else MPS, else the CPU.

    Args:
        name: "auto", or a device's name in torch's terms.

    Raises:
        ValueError: if the named device is not there.
    """
    if name == "auto":
        there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
        kind = next(kind for kind, found in there.items() if found)
        try:
            return choose_device(kind)
        except ValueError as error:
            warnings.warn(f"{error}. Going on with the CPU", stacklevel=2)
            return torch.device("cpu")
    try:
        device = torch.device(name)
        # A GPU may be there and too old for this build of torch, which only a computation shows.
        torch.zeros(1, device=device).add_(1).item()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device: {name!r} cannot be used ({reason}); take 'auto' or 'cpu'") from None
    return device


def native_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware; where it is emulated it is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        cpuinfo = Path("/proc/cpuinfo")
        flags = cpuinfo.read_text() if cpuinfo.is_file() else ""
        return "avx512_bf16" in flags or "amx_bf16" in flags
    return False


def has_tf32(device: torch.device) -> bool:
    """Whether the device has TensorFloat-32: float32's range at ten bits of mantissa."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)


def choose_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Turn one of `settings.PRECISIONS` into the type that the encoder computes in.

    float16 is for GPUs: a CPU has no hardware for it, and takes float32 in its place.
    """
    if precision == "fp16" and device.type == "cpu":
        return torch.float32
    if precision != "auto":
        return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.float32)
    if native_bf16(device):
        return torch.bfloat16
    return torch.float16 if device.type == "cuda" else torch.float32


def choose_machine(config: RunSettings) -> Machine:
    """Settle everything that a configuration leaves open; on CUDA, set up cuDNN for it.

    Raises:
        ValueError: if the named device is not there.
    """
    device = choose_device(config.device)
    executor, workers = config.executor, config.workers
    if executor == "auto":
        executor = "batch" if device.type == "cuda" else "opencv"
    if workers < 0:
        # On a CPU the network uses every core, and OpenCV needs some two per cent of one.
        workers = min(4, _usable_cores()) if device.type == "cuda" else 0
    dtype, tf32 = choose_dtype(config.precision, device), config.precision == "tf32" and has_tf32(device)
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
        # Not for matrix products: a ResNet's time goes into its convolutions, and the loss compares cosines.
        # By the older of torch's two names for this: where both were used, reading either one is an error.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # in which some versions recommend the newer name
            torch.backends.cudnn.allow_tf32 = tf32
    fused = has_fused(config.optimiser, device)
    return Machine(device, dtype, executor, workers, config.channels_last, tf32, fused, config.compile)


def _usable_cores() -> int:
    """How many cores this process may use, which a container or a cluster may have made fewer."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw initial weights from a seed, and leave torch's global generator as it was."""
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices=gpus):
        torch.manual_seed(seed)
        yield
