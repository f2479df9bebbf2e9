import errno
import subprocess
import sys
from types import SimpleNamespace

import pytest

from peclr_utils.crops import locking
from peclr_utils.crops.locking import only_one


def test_the_lock_file_is_gone_afterwards(tmp_path):
    path = tmp_path / "lock"
    for _ in range(2):
        with only_one(path, pytest.fail):
            assert path.exists()
        assert not path.exists()
    with pytest.raises(KeyError), only_one(path, pytest.fail):
        raise KeyError
    assert not path.exists()


def test_a_lock_file_that_was_left_behind_blocks_nobody(tmp_path):
    (tmp_path / "lock").write_text("of a process long dead")
    with only_one(tmp_path / "lock", pytest.fail):
        pass


def test_another_process_finds_it_locked(tmp_path):
    code = (
        "import sys; from pathlib import Path; from peclr_utils.crops.locking import only_one\n"
        "with only_one(Path(sys.argv[1]), lambda: sys.exit(7)): pass"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "lock")]
    with only_one(tmp_path / "lock", pytest.fail):
        assert subprocess.run(command).returncode == 7
    assert subprocess.run(command).returncode == 0


def test_a_lock_on_a_file_that_was_removed_meanwhile_does_not_count(tmp_path, monkeypatch):
    path, attempts = tmp_path / "lock", []

    def lock(file, _):
        attempts.append(file)
        if len(attempts) == 1:  # its last holder removes it just before it lets go
            path.unlink()

    monkeypatch.setattr(locking, "fcntl", SimpleNamespace(lockf=lock, LOCK_EX=0, LOCK_NB=0))
    with only_one(path, pytest.fail):
        assert len(attempts) == 2 and path.exists()


def test_without_fcntl_it_locks_as_windows_does(tmp_path, monkeypatch):
    answers, waited = [OSError(errno.EACCES, "held"), OSError(errno.EACCES, "held"), None], []

    def lock(descriptor, mode, length):
        assert length == 1
        if answer := answers.pop(0):
            raise answer

    monkeypatch.setattr(locking, "fcntl", None)
    monkeypatch.setattr(locking, "msvcrt", SimpleNamespace(locking=lock, LK_NBLCK=2), raising=False)
    monkeypatch.setattr(locking, "PAUSE", 0)
    with only_one(tmp_path / "lock", lambda: waited.append(1)):
        assert not answers and waited == [1]


def test_a_file_system_without_locks_is_reported(tmp_path, monkeypatch):
    def lock(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locking, "fcntl", SimpleNamespace(lockf=lock, LOCK_EX=0, LOCK_NB=0))
    with pytest.warns(UserWarning, match="keeps no locks"), only_one(tmp_path / "lock", pytest.fail):
        pass
