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
    """Writes down which process asked for which sample."""
    source, identities, log = "counted", np.arange({LENGTH}), sys.argv[1] + "/asked.txt"

    def __len__(self):
        return {LENGTH}

    def __getitem__(self, index):
        with open(self.log, "a") as file:
            file.write(f"{{index}} {{os.getpid()}}\\n")
        time.sleep(0.003)
        image = np.random.default_rng(index).integers(0, 256, (24, 24, 4), dtype=np.uint8)
        mask = image[..., 3] if index > 300 else None
        return HandSample(np.ascontiguousarray(image[..., :3]), index, ("even", "odd")[index % 2], mask=mask)

def press_ctrl_c_at_a_lock(frame, event, function):
    caller = frame.f_back.f_globals["__name__"] if frame.f_back else ""
    if event == "c_return" and function.__name__ == "__enter__" and caller == "concurrent.futures._base":
        sys.setprofile(None)
        signal.raise_signal(signal.SIGINT)

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background ignores it
    if sys.argv[4] == "at a lock":  # in this thread, which shares locks with those of the pool
        sys.setprofile(press_ctrl_c_at_a_lock)
    pack(Counted(), sys.argv[1] + "/" + sys.argv[2], 16, 1.2, int(sys.argv[3]), progress=False)
'''

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kills processes by POSIX signals")


@pytest.fixture
def start(tmp_path):
    """Start packing in another process; it is killed at the end of the test if it still runs."""
    started = []
    (tmp_path / "program.py").write_text(PROGRAM)

    def start(name="crops", workers=0, interrupt="never") -> subprocess.Popen:
        command = [sys.executable, tmp_path / "program.py", tmp_path, name, str(workers), interrupt]
        with (tmp_path / f"said{len(started)}.txt").open("w") as said:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, start_new_session=True)
        started.append(process)
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
    lines = (folder / "asked.txt").read_text().split("\n")[:-1]
    return [tuple(map(int, line.split())) for line in lines]


def test_after_a_kill_one_of_those_that_wait_makes_the_missing_chunks(tmp_path, start, contents):
    killed = start(workers=2)
    until(lambda: len(done(tmp_path)) >= 3)
    killed.send_signal(signal.SIGSTOP)
    heirs = [start(workers=2), start(workers=2)]
    of_heirs = {heir.pid for heir in heirs}
    until(lambda: sum(pid in of_heirs for _, pid in asked(tmp_path)) == 2 * PROBES)
    before = {pid for _, pid in asked(tmp_path)} - of_heirs
    killed.kill()
    killed.communicate(timeout=PATIENCE)  # ends when its workers, which hold its stdout, have exited, too
    finished = done(tmp_path)
    assert finished and [heir.wait(PATIENCE) for heir in heirs] == [0, 0]
    again = [index for index, pid in asked(tmp_path) if pid not in before]
    missing = [index for index in range(LENGTH) if index // 64 not in finished]
    assert Counter(again[2 * PROBES :]) == Counter(missing)
    assert start("one_go").wait(PATIENCE) == 0
    assert contents(tmp_path / "crops") == contents(tmp_path / "one_go")


@pytest.mark.parametrize("moment", ["any", "at a lock"])
def test_ctrl_c_ends_it_quietly_and_it_resumes(moment, tmp_path, start):
    stopped = start(workers=2, interrupt=moment)  # at a lock, it once waited forever for its release
    if moment == "any":
        until(lambda: len(done(tmp_path)) >= 2)
        os.killpg(stopped.pid, signal.SIGINT)  # as a terminal does: its workers get it, too
    assert stopped.wait(PATIENCE) != 0
    said, finished = (tmp_path / "said0.txt").read_text(), 64 * len(done(tmp_path))
    assert said.count("Traceback") == 1 and "KeyboardInterrupt" in said  # its own, none of the workers
    assert f"{finished} of 640 crops are done; the same call resumes there." in said
    assert len(asked(tmp_path)) == PROBES + finished > PROBES  # no worker was torn out of a chunk
    assert start().wait(PATIENCE) == 0
    assert len(asked(tmp_path)) == 2 * PROBES + LENGTH
