"""When a checkpoint is written, and what a killed process's files do to the next one."""

import pytest
import torch
from torch import nn

from peclr_utils import weights
from peclr_utils.models import build_encoder
from peclr_utils.training import PretrainConfig
from peclr_utils.training.engine import Run, choose_machine
from peclr_utils.training.optimisation import NonFiniteLossError
from peclr_utils.training.resume import Saving, find_checkpoint, resume, start_folder
from peclr_utils.training.runlog import RunLog, read_log


class Clock:
    """A clock that is set by hand."""

    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture(scope="module")
def encoder() -> nn.Module:
    return build_encoder("resnet18")


@pytest.fixture
def saving(encoder, tmp_path):
    """Saving of a run of 20 steps on a clock set by hand, and a function that tells the steps saved."""

    def make(**settings):
        config = PretrainConfig(output=str(tmp_path), device="cpu", **settings)
        machine = choose_machine(config)
        optimiser = torch.optim.SGD(encoder.parameters(), lr=0.1)
        run = Run(config, machine, encoder, optimiser, machine.scaler())
        return Saving(run, pictures=7, steps=20, clock=clock)

    def saved() -> int:
        path = tmp_path / "checkpoint.pt"
        return weights.read_checkpoint(path)["extra"]["steps_done"] if path.is_file() else 0

    clock = Clock()
    return make, clock, saved


def test_a_checkpoint_is_written_when_the_last_one_is_old(saving):
    make, clock, saved = saving
    saves = make(save_every_minutes=2.0)
    clock.seconds += 119
    saves.after_log_line(3, due=False)
    assert saved() == 0
    clock.seconds += 1
    saves.after_log_line(4, due=False)
    assert saved() == 4
    clock.seconds += 119
    saves.after_log_line(5, due=False)
    assert saved() == 4


def test_a_checkpoint_that_was_due_anyway_starts_the_minutes_anew(saving):
    make, clock, saved = saving
    saves = make(save_every_minutes=2.0)
    for step, due in ((3, True), (4, False)):
        clock.seconds += 100
        saves.after_log_line(step, due)
    assert saved() == 3


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_of_a_loss_that_nobody_has_read_do_not_replace_good_ones(saving, bad):
    make, _, saved = saving
    saves = make()
    saves.save(3, unread=[torch.tensor(1.0)])
    with pytest.raises(NonFiniteLossError, match="at step 5"):
        saves.save(6, unread=[torch.tensor(bad), torch.tensor(1.0)])
    assert saved() == 3


def test_a_run_without_float16_goes_on_with_it(saving, encoder, tmp_path):
    saving[0]().save(3)
    config = PretrainConfig(output=str(tmp_path), device="cpu")
    optimiser = torch.optim.SGD(encoder.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", enabled=True)
    before = scaler.state_dict()
    assert resume(config, encoder, optimiser, scaler, pictures=7) == 3
    assert scaler.state_dict() == before


def test_the_optimiser_is_fused_where_the_machine_that_goes_on_can_do_it(encoder, tmp_path):
    config = PretrainConfig(output=str(tmp_path), device="cpu")
    machine, weight = choose_machine(config), nn.Parameter(torch.ones(2))
    first, second = (torch.optim.Adam([weight], fused=fused) for fused in (False, True))
    weight.sum().backward()
    first.step()
    run = Run(config, machine, encoder, first, machine.scaler())
    Saving(run, pictures=7, steps=20).save(3)
    assert resume(config, encoder, second, machine.scaler(), 7) == 3
    assert [group["fused"] for group in second.param_groups] == [True]
    second.step()


@pytest.mark.parametrize("change", [{"hold_activations": "always"}, {"workers": 2}, {"executor": "batch"}])
def test_another_machine_may_compute_the_rest_in_another_way(saving, tmp_path, change):
    saving[0]().save(3)
    config = PretrainConfig(output=str(tmp_path), device="cpu", **change)
    assert find_checkpoint(config, pictures=7)["extra"]["steps_done"] == 3
    with pytest.raises(ValueError, match="this run has other settings: temperature"):
        find_checkpoint(config.replace(temperature=0.3), pictures=7)


def test_no_minutes_mean_that_only_the_loop_decides(saving):
    make, clock, saved = saving
    saves = make(save_every_minutes=0.0)
    clock.seconds += 1e6
    saves.after_log_line(3, due=False)
    assert saved() == 0


def test_only_the_last_steps_checkpoint_is_finished(saving, tmp_path):
    make, _, saved = saving
    saves = make()
    saves.after_log_line(20, due=True)  # is left to `save`, or it would be written twice
    assert saved() == 0
    for steps_done in (19, 20):
        saves.save(steps_done)
        checkpoint = weights.read_checkpoint(tmp_path / "checkpoint.pt")
        assert checkpoint["extra"]["finished"] == (steps_done == 20) == (checkpoint["training"] is None)


def test_minutes_must_not_be_negative():
    with pytest.raises(ValueError, match="save_every_minutes: expected a number of at least 0, found -1"):
        PretrainConfig(sources=("synthetic:8",), save_every_minutes=-1).validate()


def test_a_starting_run_clears_away_what_a_kill_left(tmp_path):
    config = PretrainConfig(output=str(tmp_path))
    for name in ("checkpoint.pt", ".checkpoint.pt.123.tmp", ".other.pt.123.tmp"):
        (tmp_path / name).write_text("x")
    start_folder(config)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [".other.pt.123.tmp", "checkpoint.pt", "config.json"]
    assert PretrainConfig.load(tmp_path / "config.json") == config


def test_the_log_goes_on_at_the_checkpoint_whatever_a_kill_left(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"step": 0, "loss": 3}\n{"step": 1, "loss": 2}\n{"step": 2, "lo')
    (tmp_path / ".log.jsonl.tmp").write_text("half a lo")
    config = PretrainConfig(output=str(tmp_path), progress=False, tensorboard=False)
    assert [row["step"] for row in read_log(tmp_path)] == [0, 1]
    with RunLog(config, 1, 4, 8, "test") as log:
        log.write(1, {"loss": 2.5})
    assert read_log(tmp_path) == log.history == [{"step": 0, "loss": 3}, {"step": 1, "loss": 2.5}]
    assert [path.name for path in tmp_path.iterdir()] == ["log.jsonl"]
