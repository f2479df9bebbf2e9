"""A true batch of 1,024 pairs by gradient cache, against the same batch encoded at once: memory and time.

    python tests/benchmarks/grad_cache.py

ResNet-18 at 64 x 64; whole steps as `training.pretrain` takes them, with all cores or on the GPU. The plain
batch takes some 6 GB.
"""

import torch
from harness import MEMORY, MEMORY_ON_GPU, Row, duration, interleaved, main, peak_bytes
from steps import Steps

from peclr_utils.training.config import PretrainConfig

PAIRS, PART = 1024, 64
REPEATS = 2


def measure() -> list[Row]:
    torch.manual_seed(0)
    config = PretrainConfig(batch_size=PART, hold_activations="never", progress=False, tensorboard=False)
    for_warmth, cached, plain = (
        Steps(config.replace(batch_size=pairs, accumulate=count, grad_cache=count > 1))
        for pairs, count in ((PART // 4, 2), (PART, PAIRS // PART), (PAIRS, 1))
    )
    device = cached.machine.device
    for_warmth.take()
    # The cached one first: see `peak_bytes`. The first steps also warm up what is timed.
    ours, against = (peak_bytes(steps.take, device) for steps in (cached, plain))
    found = interleaved(cached.take, plain.take, REPEATS, device, warm=False)
    what = f"ResNet-18 64², batch of {PAIRS} pairs, gradient cache over {PAIRS // PART} × {PART}"
    remark = f"{MEMORY if device.type == 'cpu' else MEMORY_ON_GPU}; it takes in the optimiser's."
    return [
        Row(
            f"{what}: memory",
            f"{ours / 2**20:,.0f} MiB",
            f"the plain batch: {against / 2**20:,.0f} MiB",
            ours / against,
            at_most=1 / 6,
            remark=remark,
        ),
        Row(
            f"{what}: time",
            duration(found.ours),
            f"the plain batch: {duration(found.against)}",
            found.share,
            at_most=1.5,
        ),
    ]


if __name__ == "__main__":
    main(measure)
