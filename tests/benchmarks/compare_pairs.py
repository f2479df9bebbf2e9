"""NT-Xent of 4,096 pairs of 128 numbers, there and back, on two cores or the GPU: time and memory.

python tests/benchmarks/compare_pairs.py
"""

import torch
from harness import (
    MEMORY,
    MEMORY_ON_GPU,
    Row,
    duration,
    installed,
    interleaved,
    main,
    mebibytes,
    not_installed,
    peak_bytes,
    use_threads,
)

from peclr_utils.losses import nt_xent
from peclr_utils.training.device import choose_device

PAIRS, WIDTH, TEMPERATURE = 4096, 128, 0.5
FEW = 640  # pairs to warm up with: the same path, almost no memory
REPEATS = 7


def measure() -> list[Row]:
    use_threads(2)
    device = choose_device()
    where = "2 cores" if device.type == "cpu" else "on the GPU"
    what = f"NT-Xent, {PAIRS} pairs × {WIDTH}, forward + backward, {where}"
    time, memory = Row(f"{what}: time", at_most=1 / 2), Row(f"{what}: memory", at_most=1 / 8)
    if not installed("lightly"):
        return [not_installed("lightly", row) for row in (time, memory)]
    from lightly.loss import NTXentLoss

    theirs = NTXentLoss(temperature=TEMPERATURE)
    losses = {"ours": lambda a, b: nt_xent(a, b, TEMPERATURE), "lightly": lambda a, b: theirs(a, b)}

    def run(name: str, pairs: int) -> torch.Tensor:
        z1, z2 = inputs[pairs]
        z1.grad = z2.grad = None
        loss = losses[name](z1, z2)
        loss.backward()
        return loss

    generator = torch.Generator().manual_seed(0)
    inputs = {
        pairs: [torch.randn(pairs, WIDTH, generator=generator).to(device).requires_grad_() for _ in range(2)]
        for pairs in (FEW, PAIRS)
    }
    for name in losses:
        run(name, FEW)  # exclude what torch sets up once
    # Ours first: see `peak_bytes`.
    ours, against = (peak_bytes(lambda which=name: run(which, PAIRS), device) for name in losses)
    assert torch.allclose(run("ours", PAIRS), run("lightly", PAIRS), rtol=1e-5)
    found = interleaved(lambda: run("ours", PAIRS), lambda: run("lightly", PAIRS), REPEATS, device)
    times = duration(found.ours), f"lightly's NTXentLoss: {duration(found.against)}"
    sizes = mebibytes(ours), f"lightly's NTXentLoss: {mebibytes(against)}"
    remark = f"{MEMORY if device.type == 'cpu' else MEMORY_ON_GPU}, after one with {FEW} pairs."
    return [
        Row(time.measure, *times, found.share, at_most=time.at_most),
        Row(memory.measure, *sizes, ours / against, at_most=memory.at_most, remark=remark),
    ]


if __name__ == "__main__":
    main(measure)
