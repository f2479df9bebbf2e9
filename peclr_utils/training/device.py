"""What a run computes with, and how fast: device, number format, what warps the views. Resolves "auto"."""

import contextlib
import os
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from peclr_utils.models import ContrastiveModel
from peclr_utils.training.config import RunSettings


def choose_device(name: str = "auto") -> torch.device:
    """Pick the device: as named in torch's terms, or for "auto" CUDA, else MPS, else the CPU.

    ValueError if the named device can't be used.
    """
    if name == "auto":
        mps = "mps" if torch.backends.mps.is_available() else "cpu"
        try:
            return choose_device("cuda" if torch.cuda.is_available() else mps)
        except ValueError as error:
            warnings.warn(f"{error}. Using the CPU instead", stacklevel=2)
            return torch.device("cpu")
    try:
        device = torch.device(name)
        # A GPU may be present and too old for this build of torch, which only a computation shows.
        torch.zeros(1, device=device).add_(1).item()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device: {name!r} can't be used ({reason}); choose 'auto' or 'cpu'") from None
    return device


def choose_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Turn `RunSettings.precision` into the dtype of the encoder; "fp16" on a CPU is float32."""
    if precision == "fp16" and device.type == "cpu":
        return torch.float32
    if precision != "auto":
        return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.float32)
    if _native_bf16(device):
        return torch.bfloat16
    return torch.float16 if device.type == "cuda" else torch.float32


class Compute(NamedTuple):
    """What a run computes with, every "auto" resolved."""

    device: torch.device  # where the network is
    dtype: torch.dtype  # what the encoder computes in
    backend: str  # what warps the views, "opencv" in the loader or "batch" on the device
    workers: int  # loader processes

    def __str__(self) -> str:
        cuda, device = self.device.type == "cuda", self.device
        name = torch.cuda.get_device_name(device) if cuda else f"{device}, {torch.get_num_threads()} threads"
        dtype = str(self.dtype).removeprefix("torch.")
        return f"{name}, {dtype}, views by {self.backend}, {self.workers} loader workers"


def choose_compute(config: RunSettings) -> Compute:
    """Resolve device, precision, backend and workers of a run; on CUDA, set up cuDNN."""
    device = choose_device(config.device)
    cuda, backend, workers = device.type == "cuda", config.backend, config.workers
    if backend == "auto":
        backend = "batch" if cuda else "opencv"
    if workers < 0:
        # On a CPU the network needs every core, and OpenCV two per cent of one.
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        workers = min(4, cores) if cuda else 0
    if cuda:
        torch.backends.cudnn.benchmark = True
        # Not for matrix products: a ResNet's time goes into convolutions, and the loss compares cosines.
        # By the older of torch's two names: where both are used, reading either one is an error.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # some versions recommend the newer name
            torch.backends.cudnn.allow_tf32 = config.precision == "tf32"
    return Compute(device, choose_dtype(config.precision, device), backend, workers)


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Context in which a network runs in `dtype`; losses and weights stay float32."""
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)


def place(model: nn.Module, device: torch.device) -> nn.Module:
    """Move a network to the device, pixels before channels in memory: that makes convolutions faster."""
    return model.to(device).to(memory_format=torch.channels_last)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw initial weights from a seed, and leave torch's global generator as it was."""
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices=gpus):
        torch.manual_seed(seed)
        yield


def images_per_second(seconds: float = 3.0) -> float:
    """Measure on how many images of 64 pixels the CPU trains a ResNet-18 in a second."""
    cpu, images = torch.device("cpu"), torch.randn(32, 3, 64, 64)
    model, dtype = place(ContrastiveModel("resnet18"), cpu).train(), choose_dtype("auto", cpu)
    optimiser, ends = torch.optim.AdamW(model.parameters()), []
    while len(ends) < 2 or ends[-1] - ends[0] < seconds:
        with autocast(cpu, dtype):
            features = model.encoder(images)
        model.projector(features.float()).square().mean().backward()
        optimiser.step()
        optimiser.zero_grad()
        ends.append(time.perf_counter())
    return len(images) * (len(ends) - 1) / (ends[-1] - ends[0])  # without the first step, which is slow


def _native_bf16(device: torch.device) -> bool:
    """Whether the hardware multiplies bfloat16; emulated, it is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    cpuinfo = Path("/proc/cpuinfo")
    flags = cpuinfo.read_text() if device.type == "cpu" and cpuinfo.is_file() else ""
    return "avx512_bf16" in flags or "amx_bf16" in flags
