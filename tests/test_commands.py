"""What all commands share: each prints its report whatever the terminal's encoding."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

ENCODINGS = ("cp932", "cp1252", "ascii")


def run(encoding, *arguments):
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    return subprocess.run([sys.executable, *arguments], capture_output=True, env=environment)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_an_encoding_lacks_becomes_a_question_mark_and_the_exit_code_is_kept(encoding):
    code = "from peclr_utils.commands import run_and_exit\nrun_and_exit(lambda: print('5 mm · ± 手 é') or 3)"
    done = run(encoding, "-c", code)
    assert (done.returncode, done.stderr) == (3, b"")
    assert done.stdout.strip() == "5 mm · ± 手 é".encode(encoding, "replace")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_evaluation_is_reported_in_any_encoding(encoding, tmp_path):
    hands = np.random.default_rng(0).uniform(0, 0.12, (2, 21, 3)) + [0, 0, 0.7]
    (tmp_path / "evaluation_xyz.json").write_text(json.dumps(hands.tolist()))
    done = run(encoding, "-m", "peclr_utils.evaluation", "zeros", str(tmp_path))
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"published" in done.stdout


def test_every_command_of_the_package_starts_and_ends_that_way(repository):
    guard = re.compile(r'^if __name__ == "__main__":\n((?:    .*\n?)+)', re.MULTILINE)
    sources = {path: path.read_text(encoding="utf-8") for path in (repository / "peclr_utils").rglob("*.py")}
    bodies = {path: found[1] for path, text in sources.items() if (found := guard.search(text))}
    assert len(bodies) >= 10
    assert set(bodies.values()) == {"    run_and_exit(main)\n"}, bodies
