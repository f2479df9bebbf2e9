"""What `compile` gains a step of pre-training, and after how many steps the compiling is earned back.

    python tests/benchmarks/compile_network.py

Both are whole steps from packed crops, on all cores or the GPU. Each has a network of its own, and they train
in turn.
"""

import dataclasses

import torch
from harness import Row, duration, interleaved, main, seconds
from steps import Steps

from peclr_utils.training.config import PretrainConfig
from peclr_utils.training.engine import choose_device

PAIRS, PAIRS_ON_GPU = 128, 512
REPEATS = 11


def measure() -> list[Row]:
    pairs = PAIRS_ON_GPU if choose_device().type == "cuda" else PAIRS
    config = PretrainConfig(batch_size=pairs, progress=False, tensorboard=False)
    row = Row(f"training step with torch.compile, resnet18 64², {pairs} pairs")
    torch.manual_seed(0)
    plain, compiled = Steps(config), Steps(config.replace(compile=True))
    device = plain.machine.device
    plain.take()
    try:
        first = seconds(compiled.take, device)
    except torch._inductor.exc.InductorError as error:
        return [dataclasses.replace(row, remark=f"Cannot compile here: {str(error).splitlines()[0]}")]
    found = interleaved(compiled.take, plain.take, REPEATS, device)
    saved = found.against - found.ours
    earned = f"earned back after {first / saved:,.0f} steps" if saved > 0 else "never earned back"
    return [
        dataclasses.replace(
            row,
            ours=duration(found.ours),
            against=f"not compiled: {duration(found.against)}",
            ratio=found.share,
            remark=f"The first compiled step takes {duration(first)}, {earned}.",
        )
    ]


if __name__ == "__main__":
    main(measure)
