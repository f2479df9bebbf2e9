"""Packing in real processes that are killed, or that pack the same path at once."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from peclr_utils.crops import CropSet

LENGTH, CHUNKS, PROBES = 640, 10, 8
PATIENCE = 120  # seconds until a test gives up on another process

PROGRAM = f'''
import os, signal, sys, time
import numpy as np
from peclr_utils.crops import pack
from peclr_utils.datasets.sample import HandSample


class Counted:
    """Writes down which sample was asked for by which process; waits where a file tells it to."""

    source = "counted"

    def __init__(self, folder):
        self.folder = folder

    def __len__(self):
        return {LENGTH}

    @property
    def identities(self):
        return np.arange({LENGTH})

    def __getitem__(self, index):
        with open(self.folder + "/asked.txt", "a") as file:
            file.write(f"{{index}} {{os.getpid()}}\\n")
        while os.path.exists(f"{{self.folder}}/wait{{os.getppid()}}"):
            time.sleep(0.01)
        while os.path.exists(f"{{self.folder}}/wait{{os.getpid()}}"):
            time.sleep(0.01)
        time.sleep(0.003)
        rng = np.random.default_rng(index)
        picture = rng.integers(0, 256, (24, 24, 4), dtype=np.uint8)
        mask = picture[..., 3] if index > 300 else None
        source = ("even", "odd")[index % 2]
        return HandSample(np.ascontiguousarray(picture[..., :3]), index, source, mask=mask)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background has it ignored
    folder, name, workers = sys.argv[1:]
    pack(Counted(folder), folder + "/" + name, 16, 1.2, workers=int(workers))
'''

AT_A_LOCK = """
def press_ctrl_c(frame, event, function):
    module = frame.f_globals.get("__name__", "")
    if event == "c_return" and function.__name__ == "acquire" and module.startswith("concurrent.futures"):
        sys.setprofile(None)
        signal.raise_signal(signal.SIGINT)


if __name__ == "__main__":
    sys.setprofile(press_ctrl_c)  # of this thread, which shares locks with those of the pool
"""

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kills processes by POSIX signals")


@pytest.fixture
def start(tmp_path):
    """Start packing in another process; it is killed at the end of the test if it still runs."""
    started = []

    def start(name="crops", workers=0, before="") -> subprocess.Popen:
        program = tmp_path / f"program{len(started)}.py"  # each its own: another may just be reading its
        program.write_text(PROGRAM.replace("if __name__", before + "if __name__", 1))
        said = (tmp_path / f"said{len(started)}.txt").open("w")
        command = [sys.executable, str(program), str(tmp_path), name, str(workers)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        started.append(subprocess.Popen(command, stderr=said, env=environment, start_new_session=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def until(condition) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.005)


def journal(folder: Path) -> list[str]:
    file = folder / "crops.unfinished" / "journal.txt"
    return file.read_text().split("\n")[:-1] if file.exists() else []


def asked(folder: Path) -> list[tuple[int, int]]:
    """Sample and process, of each time that a sample was asked for."""
    file = folder / "asked.txt"
    lines = file.read_text().split("\n")[:-1] if file.exists() else []
    return [tuple(map(int, line.split())) for line in lines]


def kill(process: subprocess.Popen) -> None:
    assert process.poll() is None, "it was to be killed while it packs"
    process.send_signal(signal.SIGKILL)
    process.wait()


def succeed(process: subprocess.Popen) -> None:
    assert process.wait(PATIENCE) == 0


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("workers", [0, 2])
def test_after_a_kill_it_goes_on_to_the_same_bytes(tmp_path, start, contents, workers):
    killed = start(workers=workers)
    until(lambda: len(journal(tmp_path)) >= 3)
    kill(killed)
    if sys.platform == "linux":  # its workers end with it, by themselves
        until(lambda: not any(runs(pid) for _, pid in asked(tmp_path)))
    done = {int(line.split("[")[1].split(",")[0]) for line in journal(tmp_path)}
    assert 3 <= len(done) < CHUNKS and not (tmp_path / "crops").exists()

    before = len(asked(tmp_path))
    succeed(start(workers=workers))
    again = [index for index, _ in asked(tmp_path)[before:]]
    missing = [index for index in range(LENGTH) if index // 64 not in done]
    assert len(again) == PROBES + len(missing)
    assert Counter(again) >= Counter(missing)

    succeed(start("one_go"))
    assert contents(tmp_path / "crops") == contents(tmp_path / "one_go")
    assert len(CropSet(tmp_path / "crops", verify=True)) == LENGTH


def hold(folder: Path, process: subprocess.Popen) -> Path:
    file = folder / f"wait{process.pid}"
    file.touch()
    return file


def test_of_two_processes_one_packs_and_the_other_waits_for_it(tmp_path, start):
    first = start()
    until(lambda: journal(tmp_path))
    held = hold(tmp_path, first)
    second = start()
    until(lambda: "another process is packing" in (tmp_path / "said1.txt").read_text())
    held.unlink()
    succeed(first)
    succeed(second)
    assert Counter(pid for _, pid in asked(tmp_path)) == {first.pid: PROBES + LENGTH, second.pid: PROBES}
    assert sorted(path.name for path in tmp_path.glob("*crops*")) == ["crops"]


def test_who_waits_takes_over_from_one_that_is_killed(tmp_path, start, contents):
    first = start()
    until(lambda: len(journal(tmp_path)) >= 2)
    hold(tmp_path, first)
    second = start()
    until(lambda: "another process is packing" in (tmp_path / "said1.txt").read_text())
    done = len(journal(tmp_path))
    kill(first)
    assert (tmp_path / ".crops.lock").exists()  # left behind, and in nobody's way
    succeed(second)
    assert Counter(pid for _, pid in asked(tmp_path))[second.pid] == PROBES + LENGTH - 64 * done
    succeed(start("one_go"))
    assert contents(tmp_path / "crops") == contents(tmp_path / "one_go")


def test_many_processes_that_start_at_once_make_a_set_once(tmp_path, start):
    processes = [start() for _ in range(3)]
    for process in processes:
        succeed(process)
    assert len(asked(tmp_path)) == LENGTH + 3 * PROBES
    assert len(CropSet(tmp_path / "crops", verify=True)) == LENGTH


def test_ctrl_c_ends_it_quietly_and_it_goes_on(tmp_path, start):
    stopped = start(workers=2)
    until(lambda: len(journal(tmp_path)) >= 2)
    os.killpg(stopped.pid, signal.SIGINT)  # as a terminal does: its workers get it, too
    assert stopped.wait(PATIENCE) != 0
    assert (tmp_path / "said0.txt").read_text().count("Traceback") == 1  # its own, none of the workers
    assert (len(asked(tmp_path)) - PROBES) % 64 == 0  # which were not torn out of a chunk
    done = len(journal(tmp_path))
    before = len(asked(tmp_path))
    succeed(start())
    assert len(asked(tmp_path)) - before == PROBES + LENGTH - 64 * done


def test_ctrl_c_while_a_lock_is_taken_ends_it_and_keeps_what_is_made(tmp_path, start):
    stopped = start(workers=2, before=AT_A_LOCK)
    assert stopped.wait(PATIENCE) != 0  # it waited for ever for the lock that was not given back
    said = (tmp_path / "said0.txt").read_text()
    assert "KeyboardInterrupt" in said and "crops are done and kept" in said
    assert len(asked(tmp_path)) - PROBES == 64 * len(journal(tmp_path)) > 0
