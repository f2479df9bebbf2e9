"""A true batch of 1,024 pairs by gradient cache, against the same batch encoded at once: memory and time.

    python tests/benchmarks/grad_cache.py

Whole steps of `pretrain`, on all cores or the GPU. The plain batch takes about 6 GB.
"""

import torch
from harness import MEMORY, MEMORY_ON_GPU, Row, duration, main, mebibytes, peak_bytes
from steps import sample_crops, training_seconds

from peclr_utils.training import PretrainConfig, pretrain
from peclr_utils.training.device import choose_device

PAIRS, PART, STEPS = 1024, 64, 2


def measure() -> list[Row]:
    torch.manual_seed(0)
    device = choose_device()
    cached = PretrainConfig(batch_size=PART, accumulate=PAIRS // PART, grad_cache=True, progress=False)
    plain = cached.replace(batch_size=PAIRS, accumulate=1, grad_cache=False)
    crops = sample_crops(cached)
    pretrain(cached.replace(batch_size=PART // 4, accumulate=2, max_steps=1), crops)  # loads libraries
    # The cached one first: see `peak_bytes`.
    ours, against = (
        peak_bytes(lambda config=config: pretrain(config.replace(max_steps=1), crops), device)
        for config in (cached, plain)
    )
    seconds = training_seconds(cached, crops, STEPS)
    plain_seconds = training_seconds(plain, crops, STEPS)
    what = f"ResNet-18 64², batch of {PAIRS} pairs, gradient cache over {PAIRS // PART} × {PART}"
    remark = f"{MEMORY if device.type == 'cpu' else MEMORY_ON_GPU}; it includes model and optimiser."
    sizes = mebibytes(ours), f"the plain batch: {mebibytes(against)}"
    times = duration(seconds), f"the plain batch: {duration(plain_seconds)}"
    return [
        Row(f"{what}: memory", *sizes, ours / against, at_most=1 / 4, remark=remark),
        Row(f"{what}: time", *times, seconds / plain_seconds, at_most=1.5),
    ]


if __name__ == "__main__":
    main(measure)
