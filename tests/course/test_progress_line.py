"""What the runner shows while a chapter runs: it ticks, shows the cell's own bar, and leaves no trace."""

import io
import os
import signal
import subprocess
import sys
import time

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from peclr_utils.course import progress_line as module
from peclr_utils.course.execution import METADATA, execute_chapter
from peclr_utils.course.progress_line import progress_line


class Screen(io.StringIO):
    """A terminal that keeps what it is sent."""

    def isatty(self):
        return True


@pytest.fixture
def screen(monkeypatch):
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(module, "INTERVALS", {True: 0.05, False: 0.05})
    monkeypatch.setenv("COLUMNS", "120")
    return screen


def show_a_cell(tmp_path, bar="toy: step 3/8", seconds=0.3):
    with progress_line("03 contrastive pretraining", 62, tmp_path / "bar.txt") as start_cell:
        start_cell(None, 11)
        (tmp_path / "bar.txt").write_text(bar)
        time.sleep(seconds)


def test_a_terminal_has_one_line_that_is_written_again_and_again_while_a_cell_runs(screen, tmp_path):
    show_a_cell(tmp_path, seconds=1.2)
    *lines, end = screen.getvalue().split("\r")[1:]
    assert len(lines) >= 5 and "\n" not in "".join(lines) and end.endswith("\n")
    assert {len(line.rstrip("\n")) for line in (*lines, end)} == {119}
    assert lines[0].split(" | ")[1] == "cell 12 of 62, 00:00" and "00:01" in end
    assert "toy: step 3/8" in lines[-1]


def test_a_narrow_terminal_keeps_the_numbers_and_never_wraps(screen, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    show_a_cell(tmp_path)
    line = screen.getvalue().split("\r")[-1]
    assert line.startswith("03 00:00 | cell 12 of 62") and len(line) == 60


def test_a_log_file_has_whole_lines_thirty_seconds_apart(tmp_path, capsys):
    assert module.INTERVALS == {True: 1.0, False: 30.0}
    show_a_cell(tmp_path)
    assert (
        capsys.readouterr().err == "03 contrastive pretraining 00:00 | cell 12 of 62, 00:00 | toy: step 3/8\n"
    )


def test_a_bar_that_an_earlier_cell_left_open_is_not_shown_with_the_next(screen, tmp_path):
    with progress_line("03 x", 5, tmp_path / "bar.txt") as start_cell:
        (tmp_path / "bar.txt").write_text("old")
        start_cell(None, 1)
    assert "old" not in screen.getvalue().split("\r")[-1]


def write_notebook(path, *sources):
    cells = [new_markdown_cell("# Toy"), *map(new_code_cell, sources)]
    nbformat.write(new_notebook(cells=cells, metadata=METADATA), path)
    return path


LOOP = """\
import time
from peclr_utils.progress import progress_bar
for _ in progress_bar(range(4), show=True, desc="toy", unit="step"):
    time.sleep(0.4)"""


def test_the_bar_of_a_running_cell_reaches_the_line_and_not_the_notebook(screen, tmp_path):
    notebook = write_notebook(tmp_path / "01_toy.ipynb", LOOP)
    execute_chapter(notebook, tmp_path / "done.ipynb", {}, tmp_path)
    assert "01 toy 00:0" in screen.getvalue() and "| cell 2 of 2, 00:0" in screen.getvalue()
    assert (
        "| toy: step 0/4, ? left" in screen.getvalue() and "| toy: step 3/4, 00:00 left" in screen.getvalue()
    )
    assert "toy" not in screen.getvalue().split("\r")[-1].replace("01 toy", "")
    assert nbformat.read(tmp_path / "done.ipynb", as_version=4).cells[1].outputs == []


RUN = """\
import sys
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
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 130 and "Stopped; add --resume" in error and "Traceback" not in error
