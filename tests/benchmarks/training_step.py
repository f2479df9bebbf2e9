"""What a step of pre-training from packed crops takes beyond the network itself.

    python tests/benchmarks/training_step.py

Ours is the whole step: crops out of the packed file, views, network, undoing, loss, optimiser. The bare
network is forward, backward and optimiser on one batch that lies ready. All cores or the GPU, settings as a
run chooses them. Both train one model in turn.
"""

import torch
from harness import Row, interleaved, main
from steps import Steps

from peclr_utils.training.config import PretrainConfig
from peclr_utils.training.engine import choose_device

# Architecture, side, pairs on a CPU and on a GPU, repeats, aim.
SIZES = (("resnet18", 64, 128, 512, 15, 1.10), ("resnet50", 128, 12, 128, 21, 1.03))


def measure() -> list[Row]:
    gpu = choose_device().type == "cuda"
    return [_row(arch, side, many if gpu else few, repeats, aim)
            for arch, side, few, many, repeats, aim in SIZES]  # fmt: skip


def _row(arch: str, side: int, pairs: int, repeats: int, aim: float) -> Row:
    torch.manual_seed(0)
    config = PretrainConfig(arch=arch, image_size=side, batch_size=pairs, progress=False, tensorboard=False)
    steps = Steps(config)
    bare = steps.bare()
    found = interleaved(steps.take, bare.take, repeats, steps.machine.device)
    return Row(
        f"training step from packed crops, {arch} {side}², {pairs} pairs",
        f"{1e3 * found.ours:,.0f} ms",
        f"the bare network: {1e3 * found.against:,.0f} ms",
        found.share,
        at_most=aim,
        remark=f"{steps.machine}.",
    )


if __name__ == "__main__":
    main(measure)
