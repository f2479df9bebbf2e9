"""A run's folder: when it is saved, who may resume from it, and that two runs do not share it."""

import json
import os
import signal
import time

import pytest
import torch
from torch import nn

from peclr_utils import weights
from peclr_utils.models import build_encoder
from peclr_utils.training import FinetuneConfig, PretrainConfig, finetune, pretrain, read_log
from peclr_utils.training.checkpoint import CHECKPOINT, CONFIG, RunFolder, locked_folder
from peclr_utils.training.stop import EarlyStop

NO_SCALER = torch.amp.GradScaler("cpu", enabled=False)
TINY = PretrainConfig(
    epochs=2, batch_size=8, image_size=32, progress=False, exchange_background=False, precision="fp32",
    device="cpu",
)  # fmt: skip


@pytest.fixture(scope="module")
def encoder() -> nn.Module:
    return build_encoder("resnet18")


@pytest.fixture
def sgd(encoder) -> torch.optim.Optimizer:
    return torch.optim.SGD(encoder.parameters(), lr=0.1)


def test_a_checkpoint_is_due_when_the_last_one_is_old(encoder, sgd, tmp_path, monkeypatch):
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    folder, never = (
        RunFolder(TINY.replace(output=str(tmp_path), save_every_minutes=minutes), 7) for minutes in (2.0, 0.0)
    )
    now += 119
    assert not folder.due()
    now += 1
    assert folder.due() and not never.due()
    folder.save(encoder, sgd, NO_SCALER, 3, finished=False)
    now += 119
    assert not folder.due()


def test_a_finished_run_keeps_no_optimiser_and_other_ranks_write_nothing(encoder, sgd, tmp_path):
    config = TINY.replace(output=str(tmp_path))
    other = RunFolder(config, 7, writes=False)
    other.start()
    other.save(encoder, sgd, NO_SCALER, 3, finished=False)
    assert not list(tmp_path.iterdir())
    for finished in (False, True):
        RunFolder(config, 7).save(encoder, sgd, NO_SCALER, 3, finished=finished)
        saved = weights.read_checkpoint(tmp_path / CHECKPOINT)
        assert saved["extra"] == {"steps_done": 3, "pictures": 7, "finished": finished}
        assert (saved["training"] is None) == finished
        assert RunFolder(config, 7).resume(encoder, sgd, NO_SCALER) == 3


def test_other_settings_or_data_are_refused_and_can_start_again(encoder, sgd, tmp_path):
    config = TINY.replace(output=str(tmp_path))
    RunFolder(config, 7).save(encoder, sgd, NO_SCALER, 3, finished=False)
    with pytest.raises(ValueError, match=r"temperature \(there 0.5, here 0.2\); number of images \(there 7"):
        RunFolder(config.replace(temperature=0.2), 8).resume(encoder, sgd, NO_SCALER)
    again = RunFolder(config.replace(temperature=0.2, resume=False), 8)
    assert again.resume(encoder, sgd, NO_SCALER) == 0


def test_a_run_without_float16_resumes_with_it(encoder, sgd, tmp_path):
    folder = RunFolder(TINY.replace(output=str(tmp_path)), 7)
    folder.save(encoder, sgd, NO_SCALER, 3, finished=False)
    scaler = torch.amp.GradScaler("cpu", enabled=True)
    before = scaler.state_dict()
    assert folder.resume(encoder, sgd, scaler) == 3
    assert scaler.state_dict() == before


def test_the_optimiser_is_fused_where_the_machine_that_resumes_can_do_it(encoder, tmp_path):
    weight = nn.Parameter(torch.ones(2))
    saving, resuming = (torch.optim.Adam([weight], fused=fused) for fused in (False, True))
    weight.sum().backward()
    saving.step()
    folder = RunFolder(TINY.replace(output=str(tmp_path)), 7)
    folder.save(encoder, saving, NO_SCALER, 3, finished=False)
    assert folder.resume(encoder, resuming, NO_SCALER) == 3
    assert [group["fused"] for group in resuming.param_groups] == [True]
    resuming.step()


@pytest.mark.parametrize(("run", "kind"), [(pretrain, PretrainConfig), (finetune, FinetuneConfig)])
def test_a_run_with_nested_tuples_resumes_from_its_own_checkpoint_and_its_own_json(
    run, kind, crops16, tmp_path, same_weights
):
    config = kind(
        augmentation={"scale": (0.8, 1.25)}, output=str(tmp_path), batch_size=8, image_size=32,
        device="cpu", progress=False,
    )  # fmt: skip
    length = {"epochs": 2} if run is pretrain else {"steps": 4, "warmup_steps": 1, "log_every": 1}
    config = config.replace(**length)
    assert not run(config.replace(max_steps=2), crops16).finished
    read = kind.load(tmp_path / CONFIG).replace(max_steps=0)
    assert read.augmentation == {"scale": [0.8, 1.25]}
    rest = run(read, crops16)
    assert rest.finished and len(rest.losses) == 4
    assert same_weights(run(config, crops16).model, rest.model)
    with pytest.raises(ValueError, match="augmentation"):
        run(config.replace(augmentation={"scale": (0.8, 1.3)}), crops16)


def test_a_second_run_is_kept_out_while_the_first_is_running_and_does_not_harm_it(
    crops16, tmp_path, monkeypatch, same_weights
):
    straight = pretrain(TINY, crops16)
    config, refused = TINY.replace(output=str(tmp_path)), []
    reason = EarlyStop.reason

    def start_another(stop, steps_done):
        if steps_done == 2 and not refused:
            refused.append("")
            with pytest.raises(BlockingIOError, match="another run is using this folder") as error:
                pretrain(config.replace(seed=1), crops16)
            with pytest.raises(BlockingIOError):
                finetune(FinetuneConfig(output=str(tmp_path), progress=False), crops16)
            refused[0] = str(error.value)
        return reason(stop, steps_done)

    monkeypatch.setattr(EarlyStop, "reason", start_another)
    first = pretrain(config, crops16)
    assert str(tmp_path) in refused[0]
    assert first.finished and first.losses == straight.losses and same_weights(first.model, straight.model)
    assert [row["loss"] for row in read_log(tmp_path)] == straight.losses
    assert json.loads((tmp_path / CONFIG).read_text())["seed"] == 0
    assert pretrain(config.replace(seed=1, resume=False, max_steps=1), crops16).losses  # free again


def test_a_folder_that_cannot_be_written_to_needs_no_lock(tmp_path, monkeypatch):
    """A finished run on a read-only disk; root may write anywhere, so the question is answered here."""
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with locked_folder(str(tmp_path)):
        pass
    assert not list(tmp_path.iterdir())
    monkeypatch.undo()
    with locked_folder(""), locked_folder(str(tmp_path / "new")):
        assert (tmp_path / "new" / ".lock").exists()


def test_a_finished_run_is_read_back_without_writing(crops16, tmp_path, monkeypatch, same_weights):
    config = TINY.replace(output=str(tmp_path))
    first = pretrain(config, crops16)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    second = pretrain(config, crops16)
    assert second.finished and second.history == first.history and same_weights(first.model, second.model)
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_ctrl_c_waits_for_the_step_and_a_second_one_does_not():
    before = signal.getsignal(signal.SIGINT)  # a suite in the background has it ignored
    with EarlyStop(TINY) as stop:
        assert stop.reason(0) == ""
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.reason(0) == "interrupted"
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_limits_stop_a_run():
    assert EarlyStop(TINY.replace(max_steps=5)).reason(4) == ""
    assert EarlyStop(TINY.replace(max_steps=5)).reason(5) == "step limit reached"
    assert EarlyStop(TINY.replace(time_limit_minutes=1e-9)).reason(0) == "time limit reached"
