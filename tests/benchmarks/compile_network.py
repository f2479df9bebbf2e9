"""What `compile` gains a step of pre-training, and after how many steps the compiling is earned back.

    python tests/benchmarks/compile_network.py

Both are whole steps of `pretrain` from packed crops, on all cores or the GPU.
"""

import dataclasses

import torch
from harness import Row, duration, main, seconds
from steps import sample_crops, training_seconds

from peclr_utils.training import PretrainConfig, pretrain
from peclr_utils.training.device import choose_device

PAIRS, PAIRS_ON_GPU, STEPS = 128, 512, 11


def measure() -> list[Row]:
    pairs = PAIRS_ON_GPU if choose_device().type == "cuda" else PAIRS
    plain = PretrainConfig(batch_size=pairs, progress=False)
    compiled = plain.replace(compile=True)
    row = Row(f"training step with torch.compile, resnet18 64², {pairs} pairs")
    torch.manual_seed(0)
    crops = sample_crops(plain)
    against = training_seconds(plain, crops, STEPS)
    try:
        first = seconds(lambda: pretrain(compiled.replace(max_steps=1), crops)) - against
    except torch._inductor.exc.InductorError as error:
        return [dataclasses.replace(row, remark=f"Cannot compile here: {str(error).splitlines()[0]}")]
    ours = training_seconds(compiled, crops, STEPS)
    earned = (
        f"earned back after {first / (against - ours):,.0f} steps" if ours < against else "never earned back"
    )
    remark = f"Starting the compiled run takes {duration(first)}, {earned}."
    against_text = f"not compiled: {duration(against)}"
    return [Row(row.measure, duration(ours), against_text, ours / against, remark=remark)]


if __name__ == "__main__":
    main(measure)
