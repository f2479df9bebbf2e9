"""What a step of pre-training from packed crops takes beyond the network itself.

    python tests/benchmarks/training_step.py

Whole steps of `pretrain` alternate with forward, backward and optimiser of the bare network on one batch in
memory, on all cores or the GPU.
"""

import statistics

import torch
from harness import Row, main
from steps import bare_seconds, sample_crops, training_seconds

from peclr_utils.training import PretrainConfig
from peclr_utils.training.device import choose_compute, choose_device

# Architecture, side, pairs on a CPU and on a GPU, steps in a round, aim.
SIZES = (("resnet18", 64, 128, 512, 5, 1.10), ("resnet50", 128, 12, 128, 7, 1.03))
ROUNDS = 3


def measure() -> list[Row]:
    gpu = choose_device().type == "cuda"
    return [_row(arch, side, many if gpu else few, steps, aim) for arch, side, few, many, steps, aim in SIZES]


def _row(arch: str, side: int, pairs: int, steps: int, aim: float) -> Row:
    torch.manual_seed(0)
    config = PretrainConfig(arch=arch, image_size=side, batch_size=pairs, progress=False)
    crops = sample_crops(config)
    times = [(training_seconds(config, crops, steps), bare_seconds(config, steps)) for _ in range(ROUNDS)]
    ours, bare = (statistics.median(column) for column in zip(*times, strict=True))
    return Row(
        f"training step from packed crops, {arch} {side}², {pairs} pairs",
        f"{1e3 * ours:,.0f} ms",
        f"the bare network: {1e3 * bare:,.0f} ms",
        statistics.median(a / b for a, b in times),
        at_most=aim,
        remark=f"{choose_compute(config)}.",
    )


if __name__ == "__main__":
    main(measure)
