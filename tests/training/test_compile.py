"""`compile` in both loops, by a backend that compiles nothing: real compiling takes half a minute."""

import functools

import pytest
import torch

from peclr_utils.training import FinetuneConfig, PretrainConfig, finetune, pretrain
from peclr_utils.weights import read_checkpoint

COMMON = {
    "batch_size": 8, "image_size": 32, "log_every": 1, "device": "cpu", "precision": "fp32", "progress": False,
}  # fmt: skip


@pytest.mark.parametrize(
    ("run", "config"),
    [
        (pretrain, PretrainConfig(**COMMON, epochs=1, warmup_epochs=0.5, exchange_background=False)),
        (finetune, FinetuneConfig(**COMMON, steps=2, warmup_steps=1)),
    ],
    ids=["pretrain", "finetune"],
)
def test_a_compiled_run_learns_the_same_and_saves_under_plain_names(
    run, config, crops16, tmp_path, monkeypatch
):
    plain = run(config, crops16)
    compile_, compiled = functools.partial(torch.compile, backend="eager"), []
    monkeypatch.setattr(torch, "compile", lambda module: compiled.append(module) or compile_(module))
    result = run(config.replace(compile=True, output=str(tmp_path)), crops16)
    assert len(compiled) == 1
    assert result.losses == pytest.approx(plain.losses, rel=1e-3)
    assert read_checkpoint(tmp_path / "checkpoint.pt")["model"].keys() == plain.model.state_dict().keys()
