"""The pre-training loop: it learns, resumes bit by bit, and stops cleanly."""

import json
import os
import signal

import pytest
import torch

from peclr_utils import weights
from peclr_utils.crops import pack
from peclr_utils.training import NonFiniteLossError, PretrainConfig, contrastive, pretrain, read_log
from peclr_utils.training.pretrain import main

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = PretrainConfig(
    epochs=4, batch_size=8, image_size=32, progress=False, tensorboard=False, precision="fp32", device="cpu"
)


@pytest.fixture
def crops(dot_hands, tmp_path):
    return pack(dot_hands(16), tmp_path / "crops", 64, 2.4, progress=False)


def _same_weights(one, other) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_the_loss_falls_on_a_batch_that_is_seen_again_and_again(crops):
    config = TINY.replace(epochs=12, batch_size=16, learning_rate=5e-4, rotation_degrees=10.0)
    config = config.replace(augmentation={"colour": 0.0, "grey": 0.0}, exchange_background=False)
    result = pretrain(config, crops)
    assert result.finished and len(result.losses) == 12
    assert result.losses[-1] < result.losses[0] - 0.25
    assert result.history[-1]["alignment"] > 0.8


def test_a_resumed_run_has_the_weights_of_one_that_was_never_stopped(crops, tmp_path):
    straight = pretrain(TINY.replace(output=str(tmp_path / "straight")), crops)
    config = TINY.replace(output=str(tmp_path / "stopped"))
    half = pretrain(config.replace(max_steps=4), crops)  # two of four epochs
    assert not half.finished and not _same_weights(half.model, straight.model)
    rest = pretrain(config, crops)
    assert rest.finished and _same_weights(rest.model, straight.model)
    assert [row["loss"] for row in rest.history] == straight.losses


def test_a_run_stopped_within_an_epoch_resumes_as_exactly(crops, tmp_path):
    straight = pretrain(TINY.replace(epochs=2), crops)
    config = TINY.replace(epochs=2, output=str(tmp_path / "stopped"))
    pretrain(config.replace(max_steps=3), crops)
    assert _same_weights(pretrain(config, crops).model, straight.model)


def test_a_finished_run_is_read_back(crops, tmp_path):
    config = TINY.replace(epochs=2, output=str(tmp_path))
    first, second = pretrain(config, crops), pretrain(config, crops)
    assert second.finished and _same_weights(first.model, second.model)
    assert second.history == first.history


def test_a_folder_with_another_run_is_not_overwritten(crops, tmp_path):
    config = TINY.replace(epochs=2, output=str(tmp_path))
    pretrain(config, crops)
    with pytest.raises(ValueError, match=r"other settings: temperature \(there 0.5, here 0.2\)"):
        pretrain(config.replace(temperature=0.2), crops)
    assert pretrain(config.replace(temperature=0.2, resume=False), crops).finished


def test_seeds_make_different_runs_and_equal_seeds_equal_ones(crops):
    short = TINY.replace(max_steps=1)
    one, same, other = (pretrain(short.replace(seed=seed), crops).model for seed in (1, 1, 2))
    assert _same_weights(one, same) and not _same_weights(one, other)


def test_peclr_and_simclr_see_the_same_views_and_learn_differently(crops):
    short = TINY.replace(max_steps=2)
    peclr, simclr = (pretrain(short.replace(method=method), crops) for method in ("peclr", "simclr"))
    assert peclr.losses[0] != simclr.losses[0]
    assert not _same_weights(peclr.model, simclr.model)


def test_a_loss_that_is_not_a_number_stops_and_leaves_the_last_checkpoint(crops, tmp_path, monkeypatch):
    config = TINY.replace(output=str(tmp_path))
    pretrain(config.replace(max_steps=2), crops)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    broken = torch.tensor(float("nan"), requires_grad=True)
    monkeypatch.setattr(contrastive, "contrastive_loss", lambda *_: (broken * 1, torch.tensor(0.0)))
    with pytest.raises(NonFiniteLossError, match=r"the loss is nan at step 2 .*checkpoint.*learning rate"):
        pretrain(config, crops)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


def test_a_loss_that_is_not_a_number_is_seen_in_every_batch_of_a_step(crops, monkeypatch):
    calls = []

    def broken_at_first(z1, *_):
        calls.append(z1)
        return z1.mean() * (float("nan") if len(calls) == 1 else 1.0), torch.tensor(0.0)

    monkeypatch.setattr(contrastive, "contrastive_loss", broken_at_first)
    with pytest.raises(NonFiniteLossError, match="at step 0"):
        pretrain(TINY.replace(batch_size=TINY.batch_size // 2, accumulate=2, log_every=100), crops)
    assert len(calls) == 2


def test_ctrl_c_saves_and_says_how_to_go_on(crops, tmp_path, monkeypatch):
    original, calls = contrastive.contrastive_loss, []

    def interrupting(*arguments):
        calls.append(1)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return original(*arguments)

    config = TINY.replace(epochs=2, output=str(tmp_path))
    monkeypatch.setattr(contrastive, "contrastive_loss", interrupting)
    with pytest.raises(KeyboardInterrupt, match="saved .*checkpoint.pt; the same call goes on from there"):
        pretrain(config, crops)
    monkeypatch.undo()
    assert weights.read_checkpoint(tmp_path / "checkpoint.pt")["extra"]["steps_done"] == 3
    assert _same_weights(pretrain(config, crops).model, pretrain(TINY.replace(epochs=2), crops).model)


def test_the_log_has_a_line_a_step_and_survives_a_kill(crops, tmp_path):
    config = TINY.replace(output=str(tmp_path))
    pretrain(config.replace(max_steps=4), crops)
    # What a killed run leaves: steps beyond its checkpoint, and half a line.
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write(json.dumps({"step": 4, "loss": 99.0}) + '\n{"step": 5, "lo')
    pretrain(config, crops)
    rows = read_log(tmp_path)
    assert [row["step"] for row in rows] == list(range(8))
    expected = {"step", "epoch", "loss", "alignment", "learning_rate", "images_per_second"}
    assert all(row.keys() == expected and row["loss"] < 99 for row in rows)


def test_the_equivariance_error_is_measured_before_training_and_after_every_epoch(dot_hands, tmp_path):
    crops = pack(dot_hands(24), tmp_path / "crops", 64, 2.4, progress=False)
    result = pretrain(TINY.replace(epochs=2, equivariance_pictures=8), crops)
    errors = [row["equivariance_error"] for row in result.history if "equivariance_error" in row]
    assert len(errors) == 3 and all(0 < error < 2 for error in errors)
    assert not result.model.training


def test_measuring_does_not_change_what_is_learnt(dot_hands, tmp_path, monkeypatch):
    from peclr_utils.training.curve import EquivarianceCurve

    crops = pack(dot_hands(24), tmp_path / "crops", 64, 2.4, progress=False)
    config = TINY.replace(epochs=2, equivariance_pictures=8)
    measured = pretrain(config, crops)
    monkeypatch.setattr(EquivarianceCurve, "measure", lambda *_: 0.0)
    assert _same_weights(pretrain(config, crops).model, measured.model)


def test_pictures_held_out_are_not_trained_on():
    import numpy as np

    from peclr_utils.training.curve import split_off

    identities = np.tile(np.arange(10), 3)
    training, held_out = split_off(identities, 4, seed=0)
    assert len(held_out) == 4 and len(training) == 18
    assert not set(identities[training]) & set(identities[held_out])


def test_accumulating_makes_fewer_steps_with_more_pictures(crops):
    result = pretrain(TINY.replace(epochs=2, batch_size=4, accumulate=2), crops)
    assert len(result.losses) == 4


def test_an_encoder_can_be_the_start(crops, tmp_path):
    first = pretrain(TINY.replace(epochs=2, output=str(tmp_path / "first")), crops)
    again = TINY.replace(encoder=str(first.checkpoint), max_steps=1, learning_rate=1e-12)
    second = pretrain(again, crops)
    assert torch.allclose(second.model.encoder.conv1.weight, first.model.encoder.conv1.weight, atol=1e-6)


def test_masks_bring_new_backgrounds_and_bare_pictures_do_without(dot_hands, tmp_path):
    bare = pack(dot_hands(8, masked=False), tmp_path / "bare", 64, 2.4, progress=False)
    assert len(pretrain(TINY.replace(max_steps=1), bare).losses) == 1


@pytest.mark.parametrize("setting", [{"executor": "batch"}, {"precision": "bf16"}, {"channels_last": False}])
def test_every_way_to_compute_works_here(crops, setting):
    base, other = (
        pretrain(TINY.replace(max_steps=1), crops),
        pretrain(TINY.replace(max_steps=1, **setting), crops),
    )
    assert other.losses[0] == pytest.approx(base.losses[0], abs=0.1)


def test_the_command_runs_from_rendered_hands_to_a_checkpoint(tmp_path, capsys):
    arguments = ["--preset", "smoke", "--sources", "synthetic:16?seed=1&size=96", "--batch_size", "8"]
    assert main([*arguments, "--max_steps", "2", "--output", str(tmp_path), "--no-tensorboard"]) == 0
    output = capsys.readouterr().out
    assert "pre-training resnet18 by peclr" in output and "checkpoint" in output
    assert weights.load_encoder(tmp_path / "checkpoint.pt", "resnet18") is not None
    assert PretrainConfig.load(tmp_path / "config.json").batch_size == 8


def test_tensorboard_gets_the_losses_where_it_is_installed(crops, tmp_path):
    pytest.importorskip("tensorboard")
    pretrain(TINY.replace(max_steps=1, output=str(tmp_path), tensorboard=True), crops)
    assert list(tmp_path.glob("events.out.tfevents.*"))
