"""Packing in real processes that are killed, interrupted, or pack the same path at once."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

LENGTH, PROBES = 640, 8
PATIENCE = 120  # seconds until a test gives up on another process

PROGRAM = f'''
import os, signal, sys, time
import numpy as np
from peclr_utils.crops import pack
from peclr_utils.datasets.sample import HandSample

class Counted:
    """Writes down which process asked for which sample; waits where a file tells it to."""

    source, identities, folder = "counted", np.arange({LENGTH}), sys.argv[1]

    def __len__(self):
        return {LENGTH}

    def __getitem__(self, index):
        with open(self.folder + "/asked.txt", "a") as file:
            file.write(f"{{index}} {{os.getpid()}}\\n")
        while any(os.path.exists(f"{{self.folder}}/wait{{pid}}") for pid in (os.getpid(), os.getppid())):
            time.sleep(0.01)
        time.sleep(0.003)
        image = np.random.default_rng(index).integers(0, 256, (24, 24, 4), dtype=np.uint8)
        mask = image[..., 3] if index > 300 else None
        return HandSample(np.ascontiguousarray(image[..., :3]), index, ("even", "odd")[index % 2], mask=mask)

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background ignores it
    pack(Counted(), sys.argv[1] + "/" + sys.argv[2], 16, 1.2, int(sys.argv[3]), progress=False)
'''

AT_A_LOCK = """
def press_ctrl_c(frame, event, function):
    caller = frame.f_back.f_globals["__name__"] if frame.f_back else ""
    if event == "c_return" and function.__name__ == "__enter__" and caller == "concurrent.futures._base":
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
        program = tmp_path / f"program{len(started)}.py"  # each its own: another may be reading its program
        program.write_text(PROGRAM.replace("if __name__", before + "if __name__", 1))
        command = [sys.executable, str(program), str(tmp_path), name, str(workers)]
        with (tmp_path / f"said{len(started)}.txt").open("w") as said:
            started.append(subprocess.Popen(command, stderr=said, start_new_session=True))
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


def done(folder: Path) -> list[int]:
    """The finished chunks of what is being packed."""
    try:
        return np.flatnonzero(np.load(folder / "crops.unfinished" / "done.npy")).tolist()
    except (OSError, ValueError, EOFError):
        return []


def asked(folder: Path) -> list[tuple[int, int]]:
    """Sample and process, of each time that a sample was asked for."""
    file = folder / "asked.txt"
    lines = file.read_text().split("\n")[:-1] if file.exists() else []
    return [tuple(map(int, line.split())) for line in lines]


def start_another(folder: Path, start, first: subprocess.Popen, **options) -> subprocess.Popen:
    """Hold the first process, and start one that waits for it."""
    (folder / f"wait{first.pid}").touch()
    second = start(**options)
    until(lambda: sum(pid == second.pid for _, pid in asked(folder)) == PROBES)
    return second


def runs(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


@pytest.mark.parametrize("workers", [0, 2])
def test_after_a_kill_another_process_makes_the_missing_chunks(tmp_path, start, contents, workers):
    killed = start(workers=workers)
    until(lambda: len(done(tmp_path)) >= 3)
    heir = start_another(tmp_path, start, killed, workers=workers)
    before = {pid for _, pid in asked(tmp_path)} - {heir.pid}
    killed.kill()
    killed.wait()
    finished = done(tmp_path)
    assert finished and heir.wait(PATIENCE) == 0  # it gets the lock, although forked workers shared it
    again = [index for index, pid in asked(tmp_path) if pid not in before]
    missing = [index for index in range(LENGTH) if index // 64 not in finished]
    assert Counter(again[PROBES:]) == Counter(missing)
    assert start("one_go").wait(PATIENCE) == 0
    assert contents(tmp_path / "crops") == contents(tmp_path / "one_go")
    if sys.platform == "linux":  # the workers of the killed process exit by themselves
        until(lambda: not any(runs(pid) for pid in before))


def test_of_two_processes_one_packs_and_the_other_waits_for_it(tmp_path, start):
    first = start()
    until(lambda: done(tmp_path))
    second = start_another(tmp_path, start, first)
    time.sleep(0.5)
    (tmp_path / f"wait{first.pid}").unlink()
    assert first.wait(PATIENCE) == second.wait(PATIENCE) == 0
    assert Counter(pid for _, pid in asked(tmp_path)) == {first.pid: PROBES + LENGTH, second.pid: PROBES}


def test_ctrl_c_ends_it_quietly_and_it_resumes(tmp_path, start):
    stopped = start(workers=2)
    until(lambda: len(done(tmp_path)) >= 2)
    os.killpg(stopped.pid, signal.SIGINT)  # as a terminal does: its workers get it, too
    assert stopped.wait(PATIENCE) != 0
    said = (tmp_path / "said0.txt").read_text()
    assert said.count("Traceback") == 1  # its own, none of the workers
    assert f"{64 * len(done(tmp_path))} of 640 crops are done; the same call resumes there." in said
    assert len(asked(tmp_path)) - PROBES == 64 * len(done(tmp_path))  # no worker was torn out of a chunk
    assert start().wait(PATIENCE) == 0
    assert len(asked(tmp_path)) == 2 * PROBES + LENGTH


def test_ctrl_c_while_a_lock_is_taken_ends_it_and_keeps_what_is_made(tmp_path, start):
    stopped = start(workers=2, before=AT_A_LOCK)
    assert stopped.wait(PATIENCE) != 0  # it once waited forever for the lock that was not given back
    said = (tmp_path / "said0.txt").read_text()
    assert "KeyboardInterrupt" in said and "crops are done" in said
    assert len(asked(tmp_path)) - PROBES == 64 * len(done(tmp_path)) > 0
