"""Trainings in processes of their own that are killed or interrupted, and resume."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from peclr_utils.training import FinetuneConfig, PretrainConfig, finetune, pretrain, read_log
from peclr_utils.training.finetune import main as finetune_main
from peclr_utils.training.pretrain import main as pretrain_main
from peclr_utils.weights import read_checkpoint

pytestmark = pytest.mark.skipif(os.name == "nt", reason="kills and interrupts as Unix does")

COMMON = {
    "sources": ("synthetic:16?seed=1&size=96",), "batch_size": 8, "image_size": 32, "log_every": 1,
    "device": "cpu", "precision": "fp32", "progress": False,
}  # fmt: skip
RUNS = {
    "pretrain": (pretrain, PretrainConfig(**COMMON, epochs=4, exchange_background=False)),
    "finetune": (finetune, FinetuneConfig(**COMMON, steps=8, warmup_steps=1)),
}
EVERY_STEP = 1e-9
"""Minutes between checkpoints, so few that every step writes one."""

PATIENCE = 600
"""Seconds to wait for what takes about ten, on a busy machine."""

KILLED_AT = 5
"""In the third of four epochs: two steps each."""

# Kills itself while it writes a checkpoint, when half of it is on the disk.
CHILD = """\
import os, signal, sys
import torch
from peclr_utils import training

kind, config, killed_at = sys.argv[1:]
save = torch.save

def save_half(checkpoint, path):
    save(checkpoint, path)
    if checkpoint["extra"]["steps_done"] == int(killed_at):
        os.truncate(path, os.path.getsize(path) // 2)
        with open(os.path.join(os.path.dirname(path), "log.jsonl"), "a") as log:
            log.write('{"step": 5, "lo')
        os.kill(os.getpid(), signal.SIGKILL)

torch.set_num_threads(1)
torch.save = save_half
configs = {"pretrain": training.PretrainConfig, "finetune": training.FinetuneConfig}
getattr(training, kind)(configs[kind].load(config))
"""


@pytest.mark.parametrize("kind", RUNS)
def test_a_run_killed_in_the_middle_of_everything_ends_as_one_never_killed(kind, tmp_path):
    run, config = RUNS[kind]
    config = config.replace(cache=str(tmp_path / "cache"))
    straight = run(config)

    killed = config.replace(output=str(tmp_path / "run"), workers=2, save_every_minutes=EVERY_STEP)
    (tmp_path / "config.json").write_text(killed.to_json())
    command = [sys.executable, "-c", CHILD, kind, str(tmp_path / "config.json"), str(KILLED_AT)]
    # This waits until the loader's processes, too, have closed the pipe: orphans must end by themselves.
    child = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert child.returncode == -signal.SIGKILL, child.stderr
    assert read_checkpoint(tmp_path / "run" / "checkpoint.pt")["extra"]["steps_done"] == KILLED_AT - 1
    assert [row["step"] for row in read_log(tmp_path / "run")] == list(range(KILLED_AT))
    files = {path.name for path in (tmp_path / "run").iterdir()}
    assert len(files - {".lock", "checkpoint.pt", "config.json", "log.jsonl"}) == 1  # half a checkpoint

    rest = run(killed)
    assert rest.finished
    for name, value in straight.model.state_dict().items():
        assert torch.equal(value, rest.model.state_dict()[name]), name
    assert [row["step"] for row in read_log(tmp_path / "run")] == list(range(8))
    assert [row["loss"] for row in read_log(tmp_path / "run")] == straight.losses
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        ".lock", "checkpoint.pt", "config.json", "log.jsonl",
    ]  # fmt: skip


@contextlib.contextmanager
def _in_a_group_of_its_own(command: list[str]) -> Iterator[subprocess.Popen]:
    """Start a process as a terminal does; none of its group is left in the end."""
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.communicate()


def _wait_for_steps(folder: Path, child: subprocess.Popen, steps: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while len(read_log(folder)) < steps:
        assert child.poll() is None, child.communicate()[1]
        assert time.monotonic() < deadline, f"fewer than {steps} steps in {PATIENCE} s"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("main", "endless"),
    [(pretrain_main, ["--epochs", "100000"]), (finetune_main, ["--steps", "100000"])],
)
def test_ctrl_c_in_a_terminal_saves_and_says_how_to_resume(main, endless, tmp_path, capsys):
    small = ["--preset", "smoke", "--sources", *COMMON["sources"], "--batch_size", "8", "--log_every", "1"]
    places = ["--cache", str(tmp_path / "cache"), "--output", str(tmp_path / "run")]
    arguments = [*small, *places, *endless, "--workers", "2", "--device", "cpu"]
    with _in_a_group_of_its_own([sys.executable, "-m", main.__module__, *arguments]) as child:
        _wait_for_steps(tmp_path / "run", child, 2)
        os.killpg(child.pid, signal.SIGINT)  # as a terminal does: the loader's processes get it too
        error = child.communicate(timeout=PATIENCE)[1]
    assert child.returncode == 130, error
    assert "Traceback" not in error
    checkpoint = tmp_path / "run" / "checkpoint.pt"
    assert error.splitlines()[-1] == f"interrupted: saved {checkpoint}; the same call resumes there"

    done = read_checkpoint(checkpoint)["extra"]["steps_done"]
    assert main([*arguments, "--max_steps", str(done + 1)]) == 0
    assert f"Resuming at step {done} of" in capsys.readouterr().out
    assert [row["step"] for row in read_log(tmp_path / "run")] == list(range(done + 1))
