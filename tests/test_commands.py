"""What all commands share: each prints its report whatever the terminal's encoding."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest


@pytest.mark.parametrize("encoding", ["cp932", "ascii"])
def test_a_report_is_printed_in_an_encoding_that_lacks_its_characters(encoding, tmp_path):
    hands = np.random.default_rng(0).uniform(0, 0.12, (2, 21, 3)) + [0, 0, 0.7]
    (tmp_path / "evaluation_xyz.json").write_text(json.dumps(hands.tolist()))
    command = [sys.executable, "-m", "peclr_utils.evaluation", "zeros", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONIOENCODING": encoding})
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"published" in done.stdout and b"?" in done.stdout


def test_every_command_of_the_package_starts_and_ends_that_way(repository):
    guard = re.compile(r'^if __name__ == "__main__":\n((?:    .*\n?)+)', re.MULTILINE)
    files = (repository / "peclr_utils").rglob("*.py")
    bodies = [body for path in files for body in guard.findall(path.read_text(encoding="utf-8"))]
    assert len(bodies) >= 10
    assert set(bodies) == {"    run_and_exit(main)\n"}
