"""Several processes: the loss, gradients and weights of one, in processes that torchrun really starts.

Run as a script, this file is one of two processes; see `two_processes`.
"""

import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
import torch
import torch.distributed as dist

from peclr_utils.crops import CropSet
from peclr_utils.training import PretrainConfig, pretrain, read_log
from peclr_utils.training import distributed as ranks
from peclr_utils.training.finetune import main as finetune_main

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
SMALL = {"batch_size": 4, "image_size": 32, "device": "cpu", "precision": "fp32", "progress": False}
BASE = PretrainConfig(
    grad_cache=True, accumulate=2, epochs=1, warmup_epochs=0.5, exchange_background=False, **SMALL
)
CASES = {
    "peclr": BASE,
    "simclr, two batches each": BASE.replace(method="simclr", accumulate=4),
    "views by the batch backend": BASE.replace(backend="batch", exchange_background=True),
}


def _run(config: PretrainConfig, crops: CropSet) -> dict[str, torch.Tensor]:
    """Pre-train; also keep the gradients of the first step."""
    loop, gradients = sys.modules[pretrain.__module__], []
    take_step = loop.take_step

    def keep_gradients(optimiser, scaler):
        parameters = [p for group in optimiser.param_groups for p in group["params"]]
        gradients.append(torch.cat([p.grad.flatten() for p in parameters]))
        take_step(optimiser, scaler)

    with mock.patch.object(loop, "take_step", keep_gradients):
        result = pretrain(config, crops)
    weights = {name: tensor.flatten() for name, tensor in result.model.state_dict().items()}
    return {"losses": torch.tensor(result.losses), "gradients": gradients[0], **weights}


def _work(folder: Path) -> None:
    """What each of the two processes does."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank, crops = ranks.rank(), CropSet(folder / "crops")
    results = {name: _run(config, crops) for name, config in CASES.items()}
    stopping = BASE.replace(output=str(folder / "run"), max_steps=rank)  # only rank 1 has a limit
    results["finished"] = pretrain(stopping, crops).finished
    try:
        pretrain(BASE.replace(output=str(folder / ("run", "none")[rank])), crops)
    except ValueError as error:
        results["error"] = str(error)
    torch.save(results, folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def two_processes(pack_dots):
    """A crop set, and what two processes made of it."""
    crops = pack_dots(8, versions=3)
    folder = crops.path.parent
    done = subprocess.run([*TORCHRUN, __file__, str(folder)], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return crops, [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


@pytest.mark.parametrize("case", CASES)
def test_two_processes_take_the_losses_gradients_and_steps_of_one(two_processes, case):
    crops, results = two_processes
    expected, found = _run(CASES[case], crops), results[0][case]
    for name in ("losses", "gradients"):
        assert (found[name] - expected[name]).norm() < 1e-5 * expected[name].norm(), name
    assert len(found["losses"]) > 1 or CASES[case].accumulate == 4


@pytest.mark.parametrize("case", CASES)
def test_all_processes_have_the_same_weights_and_statistics(two_processes, case):
    first, second = (result[case] for result in two_processes[1])
    assert "projector.0.weight" in first and "encoder.bn1.running_mean" in first
    different = [name for name in first if not torch.equal(first[name], second[name])]
    assert different == []


def test_all_stop_when_one_has_a_reason_to_and_resume_only_from_one_checkpoint(two_processes):
    for result in two_processes[1]:
        assert not result["finished"]
        assert "all processes must see the same output folder" in result["error"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grad_cache": False}, "grad_cache: expected True with 2 processes"),
        ({"accumulate": 3}, "accumulate: expected a multiple of 2, .* found 3"),
        ({}, "cache: expected a folder, because 2 processes share the packed crops"),
    ],
)
def test_what_several_processes_cannot_do_is_refused(change, message, monkeypatch, capsys):
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "RANK": "1", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=message):
        pretrain(BASE.replace(sources=("synthetic:16",), **change))
    assert finetune_main([]) == 2
    assert "expected one process, found 2; only pre-training runs in several" in capsys.readouterr().err


def test_the_command_trains_in_two_processes_and_one_resumes_from_there(tmp_path):
    output = tmp_path / "run"
    places = ["--output", str(output), "--cache", str(tmp_path / "cache"), "--device", "cpu"]
    smoke = ["--preset", "smoke", "--sources", "synthetic:20?seed=1&size=96"]
    shape = ["--batch_size", "4", "--accumulate", "2", "--grad_cache", "--epochs", "2", "--max_steps", "3"]
    plain = ["--no-exchange_background", "--precision", "fp32"]
    done = subprocess.run(
        [*TORCHRUN, "-m", "peclr_utils.training.pretrain", *places, *smoke, *shape, *plain],
        capture_output=True, text=True, timeout=600, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0 and "FutureWarning" not in done.stderr, done.stderr
    for once in ("Pre-training resnet18", "2 process(es)", "step limit reached", "Stopped early"):
        assert done.stdout.count(once) == 1, done.stdout
    files = sorted(path.name for path in output.iterdir())
    assert files == [".lock", "checkpoint.pt", "config.json", "log.jsonl"]

    config = PretrainConfig.load(output / "config.json").replace(max_steps=0, progress=False)
    rest = pretrain(config)
    assert rest.finished and [row["step"] for row in read_log(output)] == [0, 1, 2, 3]
    alone = pretrain(config.replace(output=""))
    # Running statistics differ and steps of Adam enlarge rounding; the first loss knows neither.
    assert rest.losses == pytest.approx(alone.losses, rel=1e-3)
    assert rest.losses[0] == pytest.approx(alone.losses[0], rel=1e-5)


if __name__ == "__main__":
    _work(Path(sys.argv[1]))
