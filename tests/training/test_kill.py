"""Trainings in processes of their own that are killed or interrupted, and resume."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest

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
    "pretrain": (pretrain, pretrain_main, PretrainConfig(**COMMON, epochs=4, exchange_background=False)),
    "finetune": (finetune, finetune_main, FinetuneConfig(**COMMON, steps=8, warmup_steps=1)),
}
FILES = {".lock", "checkpoint.pt", "config.json", "log.jsonl"}
EVERY_STEP = 1e-9  # minutes between checkpoints, so few that every step writes one
PATIENCE = 600  # seconds to wait for what takes about ten, on a busy machine
KILLED_AT = 5  # in the third of four epochs of two steps each

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
def test_a_run_killed_in_the_middle_of_everything_ends_as_one_never_killed(kind, tmp_path, same_weights):
    run, _, config = RUNS[kind]
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
    assert len(files - FILES) == 1  # half a checkpoint

    rest = run(killed)
    assert rest.finished and same_weights(rest.model, straight.model)
    rows = read_log(tmp_path / "run")
    assert [row["step"] for row in rows] == list(range(8))
    assert [row["loss"] for row in rows] == straight.losses == run(killed).losses  # read back
    assert {path.name for path in (tmp_path / "run").iterdir()} == FILES


@pytest.mark.parametrize("kind", RUNS)
def test_ctrl_c_in_a_terminal_saves_and_the_same_call_resumes_exactly(kind, tmp_path, capsys):
    run, main, config = RUNS[kind]
    config = config.replace(cache=str(tmp_path / "cache"), output=str(tmp_path / "run"), workers=2)
    (tmp_path / "config.json").write_text(config.to_json())
    endless = {"pretrain": "--epochs", "finetune": "--steps"}[kind]
    arguments = ["--config", str(tmp_path / "config.json"), endless, "100000"]
    child = subprocess.Popen(
        [sys.executable, "-m", main.__module__, *arguments],
        stderr=subprocess.PIPE, text=True, start_new_session=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        deadline = time.monotonic() + PATIENCE
        while len(read_log(tmp_path / "run")) < 2:
            assert child.poll() is None, child.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.killpg(child.pid, signal.SIGINT)  # as a terminal does: the loader's processes get it, too
        error = child.communicate(timeout=PATIENCE)[1]
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    assert child.returncode == 130 and "Traceback" not in error, error
    checkpoint = tmp_path / "run" / "checkpoint.pt"
    assert error.splitlines()[-1] == f"interrupted: saved {checkpoint}; the same call resumes there"

    done = read_checkpoint(checkpoint)["extra"]["steps_done"]
    assert main([*arguments, "--max_steps", str(done + 1), "--progress"]) == 0
    assert f"Resuming at step {done} of" in capsys.readouterr().out
    rows = read_log(tmp_path / "run")
    assert [row["step"] for row in rows] == list(range(done + 1))
    straight = type(config).load(tmp_path / "run" / "config.json").replace(output="", workers=0)
    assert run(straight).losses == [row["loss"] for row in rows]
