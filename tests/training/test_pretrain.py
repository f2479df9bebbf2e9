"""The pre-training loop: it learns, resumes bit by bit, and stops cleanly."""

import sys

import numpy as np
import pytest
import torch

from peclr_utils import weights
from peclr_utils.training import NonFiniteLossError, PretrainConfig, pretrain, read_log
from peclr_utils.training.pretrain import main

SMALL = {"batch_size": 8, "image_size": 32, "device": "cpu", "progress": False}
TINY = PretrainConfig(epochs=2, exchange_background=False, precision="fp32", **SMALL)
LOOP = sys.modules[pretrain.__module__]


@pytest.fixture(scope="module")
def crops24(pack_dots):
    return pack_dots(24)


@pytest.fixture(scope="module")
def straight(crops16):
    """Two epochs of two steps, never stopped."""
    return pretrain(TINY, crops16)


def test_the_loss_falls_on_a_batch_that_is_seen_again_and_again(crops16):
    config = TINY.replace(epochs=12, batch_size=16, learning_rate=5e-4, rotation_degrees=10.0)
    result = pretrain(config.replace(augmentation={"colour": 0.0, "grey": 0.0}), crops16)
    assert result.finished and len(result.losses) == 12
    assert result.losses[-1] < result.losses[0] - 0.25
    assert result.history[-1]["alignment"] > 0.8


def test_a_cached_run_stopped_within_an_epoch_ends_as_one_never_stopped(crops16, tmp_path, same_weights):
    config = TINY.replace(grad_cache=True, batch_size=4, accumulate=2)
    straight = pretrain(config, crops16)
    config = config.replace(output=str(tmp_path))
    half = pretrain(config.replace(max_steps=3), crops16)
    assert not half.finished and not same_weights(half.model, straight.model)
    rest = pretrain(config, crops16)
    assert rest.finished and same_weights(rest.model, straight.model)
    rows = read_log(tmp_path)
    assert [row["step"] for row in rows] == [0, 1, 2, 3]
    assert [row["loss"] for row in rows] == rest.losses == straight.losses
    assert rows[0].keys() == {"step", "epoch", "loss", "alignment", "learning_rate", "images_per_second"}


def test_seeds_and_methods_make_different_runs_and_equal_ones_equal_runs(straight, crops16, same_weights):
    assert same_weights(straight.model, pretrain(TINY, crops16).model)
    for change in ({"seed": 1}, {"method": "simclr"}):
        other = pretrain(TINY.replace(max_steps=1, **change), crops16)
        assert other.losses[0] != straight.losses[0]


@pytest.mark.parametrize("setting", [{"backend": "batch"}, {"precision": "bf16"}, {"workers": 1}])
def test_every_way_to_compute_works_here(setting, straight, crops16):
    other = pretrain(TINY.replace(max_steps=1, **setting), crops16)
    assert other.losses[0] == pytest.approx(straight.losses[0], abs=0.1)


def test_a_loss_that_is_not_a_number_in_any_batch_stops_and_leaves_the_last_checkpoint(
    crops16, tmp_path, monkeypatch
):
    config = TINY.replace(output=str(tmp_path), batch_size=4, accumulate=2, log_every=100)
    pretrain(config.replace(max_steps=1), crops16)
    before, calls = (tmp_path / "checkpoint.pt").read_bytes(), []

    def broken_at_first(z1, *_):
        calls.append(z1)
        return z1.mean() * (float("nan") if len(calls) == 1 else 1.0), torch.tensor(0.0)

    monkeypatch.setattr(LOOP, "contrastive_loss", broken_at_first)
    with pytest.raises(NonFiniteLossError, match=r"The loss is nan at step 1 .*checkpoint.*learning rate"):
        pretrain(config, crops16)
    assert len(calls) == 2 and (tmp_path / "checkpoint.pt").read_bytes() == before


def test_an_encoder_can_be_the_start(crops16, tmp_path):
    first = pretrain(TINY.replace(output=str(tmp_path / "first"), max_steps=1), crops16)
    again = TINY.replace(encoder=str(first.checkpoint), max_steps=1, learning_rate=1e-12)
    second = pretrain(again, crops16)
    assert torch.allclose(second.model.encoder.conv1.weight, first.model.encoder.conv1.weight, atol=1e-6)
    assert not np.allclose(second.model.encoder.bn1.running_mean, 0)


def test_the_command_runs_from_rendered_hands_to_a_checkpoint(tmp_path, capsys):
    arguments = ["--preset", "smoke", "--sources", "synthetic:16?seed=1&size=96", "--batch_size", "8"]
    assert main([*arguments, "--max_steps", "2", "--output", str(tmp_path)]) == 0
    output = capsys.readouterr().out
    assert "Pre-training resnet18 by peclr" in output and f"checkpoint {tmp_path}" in output
    assert weights.load_encoder(tmp_path / "checkpoint.pt", "resnet18") is not None
    assert PretrainConfig.load(tmp_path / "config.json").batch_size == 8
    assert main([*arguments, "--output", str(tmp_path), "--temperature", "0.3"]) == 2
    assert "temperature (there 0.5, here 0.3)" in capsys.readouterr().err
