"""What the runner shows while a chapter runs: it ticks, shows the cell's own bar, and leaves no trace."""

import io
import os
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from peclr_utils import progress as module
from peclr_utils.course.execution import METADATA, execute_chapter
from peclr_utils.progress import progress_line


class Screen(io.StringIO):
    """A terminal that keeps what it is sent."""

    def isatty(self):
        return True


@pytest.fixture
def quick(monkeypatch):
    """A line every twentieth second, on a terminal of 120 columns."""
    monkeypatch.setitem(module.INTERVALS, True, 0.05)
    monkeypatch.setenv("COLUMNS", "120")


def show_a_cell(screen, tmp_path, seconds=0.3):
    """What is written while a cell with a progress bar runs."""
    with redirect_stderr(screen), progress_line("chapter 03", 62, tmp_path / "bar.txt") as start_cell:
        start_cell(None, 11)
        (tmp_path / "bar.txt").write_text("toy: step 3/8")
        time.sleep(seconds)
    return screen.getvalue()


def test_a_terminal_has_one_line_that_is_written_again_and_again_while_a_cell_runs(quick, tmp_path):
    *lines, end = show_a_cell(Screen(), tmp_path, seconds=1.2).split("\r")[1:]
    assert len(lines) >= 5 and "\n" not in "".join(lines) and end.endswith("\n")
    assert {len(line.rstrip("\n")) for line in (*lines, end)} == {119}
    assert lines[0].split(" | ")[1] == "cell 12 of 62, 00:00" and "00:01" in end
    assert "toy: step 3/8" in lines[-1]


def test_the_line_never_wraps(quick, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "54")
    line = show_a_cell(Screen(), tmp_path).split("\r")[-1]
    assert line == "chapter 03, 00:00 | cell 12 of 62, 00:00 | toy: step \n"


def test_a_log_file_has_whole_lines_thirty_seconds_apart(tmp_path):
    assert module.INTERVALS == {True: 1.0, False: 30.0}
    written = show_a_cell(io.StringIO(), tmp_path)
    assert written == "chapter 03, 00:00 | cell 12 of 62, 00:00 | toy: step 3/8\n"


def test_a_bar_that_an_earlier_cell_left_open_is_not_shown_with_the_next(tmp_path, capsys):
    with progress_line("chapter 03", 5, tmp_path / "bar.txt") as start_cell:
        (tmp_path / "bar.txt").write_text("old")
        start_cell(None, 1)
    assert capsys.readouterr().err == "chapter 03, 00:00 | cell 2 of 5, 00:00\n"
    assert list(tmp_path.iterdir()) == []


def write_notebook(path, *sources):
    cells = [new_markdown_cell("# Toy"), *map(new_code_cell, sources)]
    nbformat.write(new_notebook(cells=cells, metadata=METADATA), path)
    return path


LOOP = """\
import time
from peclr_utils.progress import progress_bar
for _ in progress_bar(range(4), show=True, desc="toy", unit="step"):
    time.sleep(0.4)"""


def test_the_bar_of_a_running_cell_reaches_the_line_and_not_the_notebook(quick, tmp_path):
    notebook, screen = write_notebook(tmp_path / "01_one.ipynb", LOOP), Screen()
    with redirect_stderr(screen):
        execute_chapter(notebook, tmp_path / "done.ipynb", {}, tmp_path)
    *lines, end = screen.getvalue().split("\r")
    for text in ("| toy: step 0/4, ? left", "| toy: step 3/4, 00:00 left"):
        assert any(line.startswith("chapter 01, 00:0") and text in line for line in lines)
    assert " | cell 2 of 2, 00:0" in end and "toy" not in end
    assert nbformat.read(tmp_path / "done.ipynb", as_version=4).cells[1].outputs == []


RUN = """\
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background has it ignored
from peclr_utils.course import __main__ as command, runner
name, = runner.CHAPTERS[:1]
runner.PROFILES["smoke"] = {name: {}}
sys.exit(command.main(["--profile", "smoke", "--chapters", "1"]))"""


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_ctrl_c_stops_the_running_cell_at_once(tmp_path):
    (tmp_path / "notebooks").mkdir()
    sleep = "import time\nopen('started', 'w')\ntime.sleep(60)"
    notebook = write_notebook(tmp_path / "notebooks" / "01_data_loading.ipynb", "n = 1", sleep)
    toy = nbformat.read(notebook, as_version=4)
    toy.cells[1].metadata["tags"] = ["parameters"]
    nbformat.write(toy, notebook)
    process = subprocess.Popen([sys.executable, "-c", RUN], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "started").exists() and process.poll() is None:
        time.sleep(0.1)
    time.sleep(1)  # the cell runs, and the runner has read that it started
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 130 and "Stopped; add --resume" in error and "Traceback" not in error
