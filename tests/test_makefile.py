"""The Makefile: targets, arguments with spaces, and when it makes an environment."""

import os
import shutil
import subprocess

import pytest

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make on this machine")


@pytest.fixture
def clone(repository, tmp_path):
    """A folder with a space in its name, holding the Makefile and an environment that counts as made."""
    folder = tmp_path / "a clone"
    (folder / ".venv").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(repository / name, folder)
    (folder / ".venv" / ".installed").touch()
    return folder


def make(folder, *arguments):
    # The suite itself may run under `make test ARGS=...`, whose variables must not reach this one.
    clean = {"PATH": os.environ["PATH"]}
    return subprocess.run(["make", *arguments], cwd=folder, env=clean, capture_output=True, text=True)


def test_every_named_target_exists_and_make_alone_lists_them(clone):
    listing = make(clone).stdout
    for target in ("course", "test", "lab", "lint", "bench", "table", "notebooks", "clean"):
        assert f"make {target}" in listing
        assert make(clone, "-n", target).returncode == 0


def test_the_course_gets_profile_data_and_further_arguments_each_as_one_word(clone):
    command = make(clone, "-n", "course", "PROFILE=smoke", "DATA=/my data/hands", "ARGS=--resume").stdout
    assert '-m peclr_utils.course --profile "smoke" --data "/my data/hands"' in command
    assert "--resume" in command
    default = make(clone, "-n", "course").stdout
    assert '--profile "laptop"' in default and "--data" not in default


def test_the_environment_is_made_once_and_by_a_python_that_is_new_enough(clone):
    assert "pip install" not in make(clone, "-n", "test").stdout
    (clone / ".venv" / ".installed").unlink()
    assert "pip install" in make(clone, "-n", "test").stdout
    old = clone / "old python"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.1 && exit 0\nexit 1\n')
    old.chmod(0o755)
    for python, said in ((old, "is Python 3.9.1"), ("no-such-python", "Install Python 3.11 or newer")):
        refused = make(clone, "lint", f"PYTHON={python}")
        assert refused.returncode != 0 and said in refused.stdout and "PYTHON=python3.12" in refused.stdout
