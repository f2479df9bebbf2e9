"""Several processes: the loss and the gradients of one, in processes that are really started.

Run as a script, this file is one of two processes; see `two_processes`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn

from peclr_utils.crops import CropSet, pack
from peclr_utils.models import ContrastiveModel
from peclr_utils.training import PretrainConfig, pretrain, read_log
from peclr_utils.training.contrastive import StepGradients
from peclr_utils.training.distributed import Group, divide, joined
from peclr_utils.training.engine import Run, choose_machine, seeded
from peclr_utils.training.finetune import main as finetune_main
from peclr_utils.training.label_fractions import main as table_main
from peclr_utils.training.pair_data import open_pair_data
from peclr_utils.training.pretrain import _make_model
from peclr_utils.training.views import backgrounds_on, load

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
BASE = PretrainConfig(
    batch_size=4, accumulate=2, image_size=32, exchange_background=False, device="cpu", precision="fp32",
    progress=False, tensorboard=False,
)  # fmt: skip
CASES = {  # settings, and whether batch norm is frozen
    "losses of batches": (BASE, True),
    "one loss, whole batches shared out": (BASE.replace(grad_cache=True), True),
    "one loss, rows shared out": (BASE.replace(grad_cache=True, accumulate=3), True),
    "views by the batch executor": (BASE.replace(executor="batch", exchange_background=True), True),
    "training mode, whole batches shared out": (BASE.replace(grad_cache=True), False),
    "training mode, activations held": (
        BASE.replace(grad_cache=True, accumulate=4, hold_activations="always"),
        False,
    ),
}


def _take_step(config: PretrainConfig, crops: CropSet, group: Group, frozen: bool) -> dict[str, torch.Tensor]:
    machine = choose_machine(config)
    division = divide(config, group, machine.device)
    data = open_pair_data(config, machine, crops, division.rows)
    with seeded(0):
        model = ContrastiveModel("resnet18", 64, 32)
        model(torch.randn(16, 3, 32, 32))
    model.train(not frozen)
    run = Run(config, machine, model, torch.optim.SGD(model.parameters()), machine.scaler())
    gradients = StepGradients(run, group, division, backgrounds_on(data.backgrounds, machine))
    measured = gradients(load(data.batches, division.numbers(range(1, 2), config.accumulate), machine))
    return {
        "loss and alignment": torch.stack(measured).mean(dim=0),
        "encoder": torch.cat([weight.grad.flatten() for weight in model.encoder.parameters()]),
        "projector": torch.cat([weight.grad.flatten() for weight in model.projector.parameters()]),
        "statistics": torch.cat([buffer.flatten() for buffer in model.encoder.buffers()]),
    }


def _work(folder: Path, rank: int) -> None:
    """What each of the two processes does."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    with joined("cpu") as group:
        crops = CropSet(folder / "crops")
        results = {name: _take_step(config, crops, group, frozen) for name, (config, frozen) in CASES.items()}
        results["stop"] = group.agree("interrupted" if rank == 1 else "")
        with group.first_before_others():
            results["order"] = (folder / "made").exists()
            (folder / "made").touch()
        with group.shared_folder("") as shared:
            results["shared"] = shared, Path(shared).is_dir()
        try:
            group.same(rank, "output: steps done")
        except ValueError as error:
            results["error"] = str(error)
    torch.save(results, folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def two_processes(dot_hands, tmp_path_factory):
    """A crop set, and what two processes made of it."""
    folder = tmp_path_factory.mktemp("two")
    crops = pack(dot_hands(8, versions=3), folder / "crops", 64, 2.4, progress=False)
    processes = [subprocess.Popen([sys.executable, __file__, str(folder), str(rank)]) for rank in (0, 1)]
    assert [process.wait(timeout=600) for process in processes] == [0, 0]
    return crops, [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


@pytest.mark.parametrize("case", CASES)
def test_two_processes_take_the_loss_and_gradients_of_one(two_processes, case):
    crops, results = two_processes
    expected = _take_step(CASES[case][0], crops, Group(), CASES[case][1])
    for name in ("loss and alignment", "encoder", "projector"):
        found = results[0][case][name]
        assert (found - expected[name]).norm() < 1e-5 * expected[name].norm(), name


@pytest.mark.parametrize("case", CASES)
def test_all_processes_have_the_same_gradients_and_statistics(two_processes, case):
    first, second = (result[case] for result in two_processes[1])
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_all_stop_when_one_has_a_reason_to(two_processes):
    assert [result["stop"] for result in two_processes[1]] == ["interrupted", "interrupted"]


def test_the_first_goes_before_the_others(two_processes):
    assert [result["order"] for result in two_processes[1]] == [False, True]


def test_processes_without_a_cache_share_a_temporary_folder(two_processes):
    first, second = (result["shared"] for result in two_processes[1])
    assert first == second and first[1] and not Path(first[0]).exists()


def test_processes_that_see_other_checkpoints_are_told(two_processes):
    for result in two_processes[1]:
        assert result["error"].startswith(
            "output: steps done: expected the same in all processes, found 0, 1"
        )


@pytest.mark.parametrize(
    ("cached", "accumulate", "size"), [(True, 6, 3), (True, 4, 3), (False, 6, 3), (False, 1, 1)]
)
def test_the_processes_parts_make_up_the_step_once(cached, accumulate, size):
    config = BASE.replace(batch_size=6, accumulate=accumulate, grad_cache=cached)
    parts = [divide(config, Group(rank, size), CPU) for rank in range(size)]
    pairs = [
        (number, row)
        for part in parts
        for number in part.numbers(range(2, 4), accumulate)
        for row in range(config.batch_size)[part.rows]
    ]
    assert sorted(pairs) == [(n, row) for n in range(2 * accumulate, 4 * accumulate) for row in range(6)]
    assert len({len(part.batches) * len(range(6)[part.rows]) for part in parts}) == 1


def test_batch_norm_over_all_processes_shares_out_rows_and_needs_cuda():
    config = BASE.replace(grad_cache=True, sync_batch_norm=True)
    assert divide(config, Group(1, 2), torch.device("cuda", 1)).rows == slice(2, 4)
    with pytest.raises(ValueError, match="sync_batch_norm: expected a CUDA device, found cpu"):
        pretrain(config.replace(sources=("synthetic:16",)))


def test_joined_batch_norm_leaves_weights_that_a_single_process_can_take():
    plain, synchronised = (
        _make_model(BASE.replace(sync_batch_norm=joins), Group(0, 2)) for joins in (False, True)
    )
    kinds = {type(module) for module in synchronised.encoder.modules()}
    assert nn.SyncBatchNorm in kinds and nn.BatchNorm2d not in kinds
    assert not any(isinstance(module, nn.SyncBatchNorm) for module in synchronised.projector.modules())
    plain.load_state_dict(synchronised.state_dict())


def test_a_batch_that_cannot_be_shared_out_is_an_error():
    with pytest.raises(ValueError, match="batch_size: expected a multiple of 3, .*processes, found 4"):
        divide(BASE, Group(0, 3), CPU)


def test_after_an_error_no_process_waits_for_the_others(monkeypatch):
    calls = []
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "RANK": "1", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(dist, "init_process_group", lambda *_, **__: calls.append("joined"))
    monkeypatch.setattr(dist, "destroy_process_group", lambda: calls.append("left"))
    monkeypatch.setattr(dist, "get_rank", lambda: 1)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    with joined("cpu") as group:
        assert group == Group(1, 2)
    with pytest.raises(RuntimeError, match="in the middle of a step"), joined("cpu"):
        raise RuntimeError("in the middle of a step")
    assert calls == ["joined", "left", "joined"]


def test_only_pre_training_takes_several_processes(monkeypatch, capsys):
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "RANK": "1", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    for main in (finetune_main, table_main):
        assert main([]) == 2
        assert "expected one process, found 2; several can only pre-train" in capsys.readouterr().err


def test_the_command_trains_in_two_processes_and_one_goes_on_from_there(tmp_path):
    output = tmp_path / "run"
    plain = ["--no-tensorboard", "--no-exchange_background", "--device", "cpu", "--precision", "fp32"]
    smoke = ["--preset", "smoke", "--sources", "synthetic:20?seed=1&size=96", "--equivariance_pictures", "4"]
    shape = ["--batch_size", "4", "--accumulate", "2", "--grad_cache", "--epochs", "2", "--max_steps", "3"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    train = [*torchrun, "-m", "peclr_utils.training.pretrain", "--output", str(output)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*train, *smoke, *shape, *plain], capture_output=True, text=True, timeout=600, env=environment
    )
    assert done.returncode == 0 and "FutureWarning" not in done.stderr, done.stderr
    for once in ("pre-training resnet18", "step limit reached", "stopped early"):
        assert done.stdout.count(once) == 1
    assert "on 2 processes, each with cpu" in done.stdout
    assert sorted(path.name for path in output.iterdir()) == ["checkpoint.pt", "config.json", "log.jsonl"]

    config = PretrainConfig.load(output / "config.json").replace(max_steps=0, progress=False)
    rest = pretrain(config)
    assert rest.finished and [row["step"] for row in read_log(output) if "loss" in row] == [0, 1, 2, 3]
    alone = pretrain(config.replace(output=""))
    assert rest.losses == pytest.approx(alone.losses, rel=1e-3)
    errors = [row["equivariance_error"] for row in rest.history if "equivariance_error" in row]
    assert len(errors) == 3 and json.loads((output / "config.json").read_text())["cache"] == ""


if __name__ == "__main__":
    _work(Path(sys.argv[1]), int(sys.argv[2]))
