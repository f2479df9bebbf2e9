"""Atomic files and file locks, with processes that are really killed."""

import json
import os
import signal
import subprocess
import sys

import pytest

from peclr_utils.files import atomic, locked, write_json, write_text

HOLDER = """\
import sys, time
from pathlib import Path
from peclr_utils.files import locked
with locked(Path(sys.argv[1]), "busy"):
    print("held", flush=True)
    time.sleep(600)
"""

WRITER = """\
import os, signal, sys
from pathlib import Path
from peclr_utils.files import atomic
with atomic(Path(sys.argv[1])) as temporary:
    temporary.write_text("half of the ne")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_text_and_json_are_written_into_a_new_folder(tmp_path):
    path = tmp_path / "a" / "b" / "text"
    assert write_text(path, "später") == path
    assert path.read_bytes() == "später".encode()
    write_json(path, {"numbers": (1, 2.5)})
    assert json.loads(path.read_text()) == {"numbers": [1, 2.5]}
    assert list(path.parent.iterdir()) == [path]


def test_a_name_may_be_as_long_as_the_file_system_allows(tmp_path):
    path = tmp_path / ("手" * 83 + ".json")  # 254 of 255 bytes
    assert write_text(path, "x").read_text() == "x"


def test_an_error_leaves_the_old_file_and_no_temporary_one(tmp_path):
    path = write_text(tmp_path / "file", "old")
    with pytest.raises(RuntimeError), atomic(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="kills as Unix does")
def test_a_killed_writer_leaves_the_old_file(tmp_path):
    path = write_text(tmp_path / "file", "old")
    killed = subprocess.run([sys.executable, "-c", WRITER, str(path)])
    assert killed.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    write_text(path, "new")
    assert path.read_text() == "new"


def test_two_writers_of_one_file_do_not_share_a_temporary_one(tmp_path):
    path = tmp_path / "file"
    with atomic(path) as first, atomic(path) as second:
        first.write_text("first")
        second.write_text("second")
        assert first != second
    assert path.read_text() == "first" and list(tmp_path.iterdir()) == [path]


def test_a_lock_is_refused_while_another_process_holds_it_and_free_once_that_is_killed(tmp_path):
    path = tmp_path / "folder" / ".lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(BlockingIOError, match="wait for it"), locked(path, "wait for it"):
            pass
    finally:
        holder.kill()
        holder.communicate()
    for wait in (False, True):  # left in place, and free again after each use
        with locked(path, "busy", wait):
            assert path.exists()


def test_a_lock_is_released_after_an_error(tmp_path):
    with pytest.raises(RuntimeError), locked(tmp_path / ".lock", "busy"):
        raise RuntimeError
    with locked(tmp_path / ".lock", "busy"):
        pass
