"""A run's folder: when it is saved, who may resume from it, and that two runs do not share it."""

import functools
import json
import os
import signal
import sys

import pytest
import torch
from torch import nn

from peclr_utils import weights
from peclr_utils.models import build_encoder
from peclr_utils.settings import NonFiniteLossError, run_command_line
from peclr_utils.training import FinetuneConfig, PretrainConfig, finetune, log, pretrain, read_log
from peclr_utils.training.checkpoint import CHECKPOINT, CONFIG, EarlyStop, RunFolder

NO_SCALER = torch.amp.GradScaler("cpu", enabled=False)
SMALL = {"batch_size": 8, "image_size": 32, "device": "cpu", "precision": "fp32", "progress": False}
TINY = PretrainConfig(epochs=2, exchange_background=False, **SMALL)


@pytest.fixture(scope="module")
def encoder() -> nn.Module:
    return build_encoder("resnet18")


@pytest.fixture
def sgd(encoder) -> torch.optim.Optimizer:
    return torch.optim.SGD(encoder.parameters(), lr=0.1)


def test_other_ranks_write_nothing_and_a_finished_run_keeps_no_optimiser(encoder, sgd, tmp_path):
    config = TINY.replace(output=str(tmp_path))
    other = RunFolder(config, 7, writes=False)
    other.start(0)
    other.save(encoder, sgd, NO_SCALER, 3, finished=False)
    assert not list(tmp_path.iterdir())
    for finished in (False, True):
        RunFolder(config, 7).save(encoder, sgd, NO_SCALER, 3, finished=finished)
        saved = weights.read_checkpoint(tmp_path / CHECKPOINT)
        assert (saved["training"] is None) == finished == saved["extra"]["finished"]
        assert RunFolder(config, 7).resume(encoder, sgd, NO_SCALER) == 3
    changed = config.replace(temperature=0.2)
    with pytest.raises(ValueError, match=r"temperature \(there 0.5, here 0.2\); number of images \(there 7"):
        RunFolder(changed, 8).resume(encoder, sgd, NO_SCALER)
    assert RunFolder(changed.replace(resume=False), 8).resume(encoder, sgd, NO_SCALER) == 0


def test_a_run_that_starts_again_leaves_no_old_checkpoint_to_resume_from(encoder, sgd, tmp_path):
    folder = RunFolder(TINY.replace(output=str(tmp_path)), 7)
    folder.save(encoder, sgd, NO_SCALER, 3, finished=True)
    folder.start(2)
    assert folder.checkpoint.is_file()
    folder.start(0)
    assert not folder.checkpoint.exists() and (tmp_path / CONFIG).is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files as POSIX does")
def test_a_full_disk_is_one_line_and_keeps_the_last_checkpoint(encoder, sgd, tmp_path, capsys, dot_hands):
    import resource

    path = RunFolder(TINY.replace(output=str(tmp_path)), 7).checkpoint
    path.write_bytes(b"the last one")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    try:
        with pytest.raises(OSError, match=r"checkpoint.pt: could not be written, with .* MB free .* is kept"):
            weights.save_checkpoint(path, encoder)
        with pytest.raises(OSError, match=r"encoder.safetensors: could not be written"):
            weights.save_safetensors(tmp_path / "encoder.safetensors", encoder)
        train = functools.partial(pretrain, dataset=dot_hands(16))
        config = [f"--{name}={value}" for name, value in SMALL.items() if name != "progress"]
        options = [*config, "--no-progress", "--epochs=2", f"--output={tmp_path / 'run'}"]
        assert run_command_line(PretrainConfig, train, "pretrain", arguments=options) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    said = capsys.readouterr().err
    assert "checkpoint.pt: could not be written" in said and "Traceback" not in said
    assert path.read_bytes() == b"the last one" and not list(tmp_path.glob(".*-*"))


def test_weights_that_are_not_numbers_do_not_replace_a_good_checkpoint(sgd, tmp_path):
    network, folder = build_encoder("resnet18"), RunFolder(TINY.replace(output=str(tmp_path)), 7)
    folder.save(network, sgd, NO_SCALER, 3, finished=False)
    good = folder.checkpoint.read_bytes()
    with torch.no_grad():
        network.conv1.weight[0, 0, 0, 0] = float("nan")
    with pytest.raises(NonFiniteLossError, match="after step 4"):
        folder.save(network, sgd, NO_SCALER, 4, finished=True)
    assert folder.checkpoint.read_bytes() == good


@pytest.mark.parametrize("train", [pretrain, finetune])
def test_ctrl_c_in_the_last_step_is_passed_on_after_saving(train, dot_hands, monkeypatch, tmp_path):
    tuned = FinetuneConfig(steps=1, warmup_steps=0, **SMALL)
    config = TINY.replace(epochs=1, warmup_epochs=0.5) if train is pretrain else tuned
    monkeypatch.setattr(log.RunLog, "tick", lambda self: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt, match="saved"):
        train(config.replace(output=str(tmp_path)), dot_hands(8))
    assert weights.read_checkpoint(tmp_path / CHECKPOINT)["extra"]["finished"]


def test_a_run_resumes_on_a_machine_with_float16_and_fused_optimisers(encoder, tmp_path):
    weight = nn.Parameter(torch.ones(2))
    saving, resuming = (torch.optim.Adam([weight], fused=fused) for fused in (False, True))
    weight.sum().backward()
    saving.step()
    folder = RunFolder(TINY.replace(output=str(tmp_path)), 7)
    folder.save(encoder, saving, NO_SCALER, 3, finished=False)
    scaler = torch.amp.GradScaler("cpu", enabled=True)
    before = scaler.state_dict()
    assert folder.resume(encoder, resuming, scaler) == 3
    assert scaler.state_dict() == before
    assert [group["fused"] for group in resuming.param_groups] == [True]
    resuming.step()


def test_a_second_run_is_kept_out_while_the_first_is_running_and_does_not_harm_it(
    crops16, tmp_path, monkeypatch, same_weights
):
    straight = pretrain(TINY, crops16)
    config, refused = TINY.replace(output=str(tmp_path)), []
    reason = EarlyStop.reason

    def start_another(stop, steps_done):
        if steps_done == 2 and not refused:
            refused.append(True)
            with pytest.raises(BlockingIOError, match="another run is using this folder"):
                pretrain(config.replace(seed=1), crops16)
            with pytest.raises(BlockingIOError, match="another run is using this folder"):
                finetune(FinetuneConfig(output=str(tmp_path)), crops16)
        return reason(stop, steps_done)

    monkeypatch.setattr(EarlyStop, "reason", start_another)
    first = pretrain(config, crops16)
    assert refused and first.finished and first.losses == straight.losses
    assert same_weights(first.model, straight.model)
    assert [row["loss"] for row in read_log(tmp_path)] == straight.losses
    assert json.loads((tmp_path / CONFIG).read_text())["seed"] == 0
    assert pretrain(config.replace(seed=1, resume=False, max_steps=1), crops16).losses  # free again


def test_a_finished_run_is_read_back_from_a_folder_that_cannot_be_written_to(
    crops16, tmp_path, monkeypatch, same_weights
):
    """Root may write anywhere, so the question is answered here; and nothing tries to write."""
    config = TINY.replace(output=str(tmp_path), epochs=1, warmup_epochs=0.5)
    first = pretrain(config, crops16)
    (tmp_path / ".lock").unlink()
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setitem(log.OPEN, "comet", lambda *_: pytest.fail("opened a logger"))
    second = pretrain(config.replace(loggers=("comet",)), crops16)
    assert second.finished and second.history == first.history and same_weights(first.model, second.model)
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(("run", "kind"), [(pretrain, PretrainConfig), (finetune, FinetuneConfig)])
def test_a_compiled_run_learns_the_same_and_saves_under_plain_names(
    run, kind, crops16, tmp_path, monkeypatch
):
    """By a compiler that compiles nothing: real compiling takes half a minute."""
    length = {"epochs": 1, "warmup_epochs": 0.5} if run is pretrain else {"steps": 2, "warmup_steps": 1}
    config = kind(**SMALL, **length)
    plain = run(config, crops16)
    compile_, compiled = functools.partial(torch.compile, backend="eager"), []
    monkeypatch.setattr(torch, "compile", lambda module: compiled.append(module) or compile_(module))
    result = run(config.replace(compile=True, output=str(tmp_path)), crops16)
    assert len(compiled) == 1
    assert result.losses == pytest.approx(plain.losses, rel=1e-3)
    assert weights.read_checkpoint(tmp_path / CHECKPOINT)["model"].keys() == plain.model.state_dict().keys()


def test_a_time_limit_stops_a_run():
    assert EarlyStop(TINY).reason(1000) == ""
    assert EarlyStop(TINY.replace(time_limit_minutes=1e-9)).reason(0) == "time limit reached"
