import json
import os
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from peclr_utils.course import execution, runner
from peclr_utils.course.__main__ import main
from peclr_utils.course.execution import ChapterError, execute_chapter, export_html, parameter_names
from peclr_utils.course.profiles import CHAPTERS
from peclr_utils.course.refresh import refresh
from peclr_utils.course.runner import find_repository, report, run_course, select_chapters

TOY = {"smoke": {chapter: {"number": k} for k, chapter in enumerate(CHAPTERS)}}

PARAMETERS = 'number = 0\nrun_dir = "."\ndata = []'

DIARY = """\
from pathlib import Path
with (Path(run_dir) / "diary.txt").open("a") as diary:
    diary.write(f"{number} {data}\\n")"""

TABLE = 'Path(run_dir, "results.md").write_text("| method |\\n|---|\\n| toy |\\n")'


def write_notebook(path, *sources, tag="parameters"):
    """A notebook whose first code cell is tagged; no kernelspec, as after cleaning."""
    cells = [new_markdown_cell("# A toy chapter"), *map(new_code_cell, sources)]
    cells[1].metadata["tags"] = [tag]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=cells, metadata={"language_info": {"name": "python"}}), path)
    return path


@pytest.fixture
def toy_course(tmp_path, monkeypatch):
    """A repository of five chapters that each write a line into a diary; in a folder with an awkward name."""
    monkeypatch.setattr(runner, "PROFILES", TOY)
    monkeypatch.setattr("peclr_utils.course.profiles.PROFILES", TOY)
    root = tmp_path / "a {brace} and a space"
    for chapter in CHAPTERS:
        table = [TABLE] if chapter == CHAPTERS[-1] else []
        write_notebook(
            root / "notebooks" / f"{chapter}.ipynb",
            PARAMETERS,
            DIARY,
            *table,
        )
    monkeypatch.chdir(root)
    return root


def diary(root):
    return (root / "runs" / "smoke" / "diary.txt").read_text().splitlines()


def break_chapter(root, number, source):
    return write_notebook(root / "notebooks" / f"{CHAPTERS[number - 1]}.ipynb", PARAMETERS, source)


def test_the_chapters_run_in_order_and_leave_notebooks_pages_and_times(toy_course, capsys):
    assert main(["--profile", "smoke"]) == 0
    folder = toy_course / "runs" / "smoke"
    assert diary(toy_course) == [f"{k} []" for k in range(5)]
    for chapter in CHAPTERS:
        executed = nbformat.read(folder / f"{chapter}.ipynb", as_version=4)
        assert all(cell.execution_count for cell in executed.cells if cell.cell_type == "code")
        assert "A toy chapter" in (folder / f"{chapter}.html").read_text()
    out = capsys.readouterr().out
    assert "| toy |" in out
    assert str(folder) in out
    assert all(chapter in out for chapter in CHAPTERS)


def test_a_failing_chapter_stops_with_one_clear_message_and_resume_goes_on(toy_course, capsys):
    broken = break_chapter(toy_course, 2, "print(6 * 7)\nraise ValueError('first line\\nlast line')")
    assert main(["--profile", "smoke"]) == 1
    message = capsys.readouterr().err
    folder = toy_course / "runs" / "smoke"
    for part in (CHAPTERS[1], "cell [3]", "last line", str(folder / f"{CHAPTERS[1]}.ipynb"), "--resume"):
        assert part in message
    assert "Traceback" not in message
    assert "42" in (folder / f"{CHAPTERS[1]}.ipynb").read_text()
    assert diary(toy_course) == ["0 []"]

    write_notebook(broken, PARAMETERS, DIARY)
    assert main(["--profile", "smoke", "--resume"]) == 0
    assert diary(toy_course) == [f"{k} []" for k in range(5)]
    out = capsys.readouterr().out
    assert all(chapter in out for chapter in CHAPTERS)


def test_resume_runs_nothing_again_unless_a_parameter_changed(toy_course, monkeypatch):
    started = []
    monkeypatch.setattr(runner, "execute_chapter", lambda notebook, executed, *rest: (
        started.append(notebook.stem), executed.write_text(notebook.read_text())))  # fmt: skip
    run_course("smoke")
    started.clear()
    run_course("smoke", resume=True)
    assert started == []
    monkeypatch.setitem(TOY["smoke"], CHAPTERS[2], {"number": 99})
    run_course("smoke", resume=True)
    assert started == list(CHAPTERS[2:])


def test_a_chapter_run_again_makes_what_followed_unfinished_and_its_table_unseen(toy_course, monkeypatch):
    monkeypatch.setattr(
        runner, "execute_chapter", lambda notebook, executed, *rest: executed.write_text(notebook.read_text())
    )
    course = run_course("smoke")
    (course.folder / "results.md").write_text("old")
    assert run_course("smoke", resume=True).results == "old"
    again = run_course("smoke", chapters=select_chapters("3"))
    assert [run.chapter for run in again.chapters] == list(CHAPTERS[:3])
    assert again.results is None
    assert "old" not in report(again)
    # A fresh chapter 05 that dies before its end must not leave the old table behind.
    assert run_course("smoke").results is None


def test_a_failing_chapter_05_does_not_show_an_older_table(toy_course):
    folder = toy_course / "runs" / "smoke"
    folder.mkdir(parents=True)
    (folder / "results.md").write_text("an older table")
    break_chapter(toy_course, 5, "1 / 0")
    with pytest.raises(ChapterError, match="ZeroDivisionError"):
        run_course("smoke", chapters=[CHAPTERS[4]])
    assert not (folder / "results.md").exists()


def test_a_kernel_that_dies_is_reported_as_such(toy_course):
    break_chapter(toy_course, 1, "import os\nos._exit(9)")
    with pytest.raises(ChapterError, match="process died.*memory"):
        run_course("smoke", chapters=[CHAPTERS[0]])


def test_a_chapter_runs_in_this_very_python_whatever_kernels_are_installed(tmp_path, monkeypatch):
    bogus = tmp_path / "kernels" / "python3"
    bogus.mkdir(parents=True)
    (bogus / "kernel.json").write_text(
        json.dumps(
            {"argv": ["/nowhere/python", "{connection_file}"], "display_name": "x", "language": "python"}
        )
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setenv("MPLBACKEND", "Agg")
    show = "import os, sys\nprint(sys.executable, os.getcwd(), n)\n"
    show += "import matplotlib.pyplot as plt\nplt.plot([0, n]);"
    notebook = write_notebook(tmp_path / "chapter.ipynb", "n = 1", show)
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    execute_chapter(notebook, tmp_path / "done.ipynb", {"n": 5}, folder)
    shown, picture = nbformat.read(tmp_path / "done.ipynb", as_version=4).cells[-1].outputs
    assert shown.text.split() == [sys.executable, os.path.realpath(folder), "5"]
    assert "image/png" in picture.data


def test_widgets_leave_no_state_and_the_page_says_what_is_missing(tmp_path):
    show = "import ipywidgets\nipywidgets.IntSlider()"
    notebook = write_notebook(tmp_path / "chapter.ipynb", "n = 1", show)
    execute_chapter(notebook, tmp_path / "done.ipynb", {}, tmp_path)
    done = nbformat.read(tmp_path / "done.ipynb", as_version=4)
    assert "widgets" not in done.metadata
    assert "JupyterLab shows sliders" in export_html(tmp_path / "done.ipynb").read_text()


def test_an_unknown_parameter_is_an_error_before_anything_runs(toy_course, monkeypatch, capsys):
    monkeypatch.setitem(TOY["smoke"], CHAPTERS[3], {"numbr": 3})
    assert main(["--profile", "smoke"]) == 1
    message = capsys.readouterr().err
    assert "numbr" in message
    assert CHAPTERS[3] in message
    assert not (toy_course / "runs").exists()


def test_parameter_names_reads_plain_and_annotated_assignments(tmp_path):
    notebook = write_notebook(tmp_path / "a.ipynb", 'a = 1  # why\nb: float = 2.0\nc = [\n    1,\n]\nd = "x"')
    assert parameter_names(notebook) == {"a", "b", "c", "d"}


def test_a_chapter_without_a_parameters_cell_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="one cell tagged 'parameters', found 0"):
        parameter_names(write_notebook(tmp_path / "a.ipynb", "a = 1", tag="other"))


def test_a_missing_chapter_is_named(toy_course, capsys):
    (toy_course / "notebooks" / f"{CHAPTERS[3]}.ipynb").unlink()
    assert main(["--profile", "smoke"]) == 1
    assert CHAPTERS[3] in capsys.readouterr().err


def test_a_missing_papermill_is_an_error_that_says_how_to_install_it(monkeypatch, capsys):
    real = execution.importlib.util.find_spec
    monkeypatch.setattr(
        execution.importlib.util, "find_spec", lambda name: None if name == "papermill" else real(name)
    )
    assert main(["--profile", "smoke"]) == 1
    message = capsys.readouterr().err
    assert "papermill" in message
    assert "pip install '.[course]'" in message


def test_the_paper_profile_asks_for_data(capsys):
    assert main(["--profile", "paper"]) == 1
    assert "--data" in capsys.readouterr().err


def test_the_repository_is_found_from_inside_it_and_from_anywhere_else(toy_course, tmp_path, monkeypatch):
    inside = toy_course / "notebooks" / "deeper"
    inside.mkdir()
    assert find_repository(inside) == toy_course
    monkeypatch.setattr(runner, "__file__", str(toy_course / "peclr_utils" / "course" / "runner.py"))
    assert find_repository(tmp_path) == toy_course


def test_no_repository_anywhere_is_a_clear_error(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "__file__", str(tmp_path / "site-packages" / "runner.py"))
    with pytest.raises(FileNotFoundError, match="inside a clone"):
        find_repository(tmp_path)


@pytest.mark.parametrize(
    ("text", "numbers"), [(None, "12345"), ("", "12345"), ("1,3", "13"), ("3-5", "345"), ("05, 1", "15")]
)
def test_chapters_are_selected_by_number_and_kept_in_order(text, numbers):
    assert select_chapters(text) == tuple(CHAPTERS[int(number) - 1] for number in numbers)


@pytest.mark.parametrize("text", ["0", "6", "1-9", "two", "3-1", ","])
def test_chapters_that_do_not_exist_are_an_error(text):
    with pytest.raises(ValueError, match="--chapters"):
        select_chapters(text)


def test_a_damaged_record_of_the_run_is_named(toy_course):
    folder = toy_course / "runs" / "smoke"
    folder.mkdir(parents=True)
    (folder / "course.json").write_text("{")
    with pytest.raises(ValueError, match="course.json"):
        run_course("smoke", resume=True)


def test_times_are_shown_as_minutes_and_hours():
    assert runner.format_seconds(7.4) == "0:07"
    assert runner.format_seconds(725) == "12:05"
    assert runner.format_seconds(3725) == "1:02:05"


def test_refreshing_a_chapter_keeps_its_outputs_and_drops_what_papermill_wrote(toy_course):
    chapter = break_chapter(toy_course, 1, "print(number)")
    refresh([CHAPTERS[0]])
    text = chapter.read_text()
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    assert [cell.execution_count for cell in notebook.cells[1:]] == [1, 2]
    assert notebook.cells[1].metadata == {"tags": ["parameters"]}
    assert notebook.cells[2].outputs[0].text == "0\n"
    assert notebook.metadata.kernelspec.name == "python3"
    assert "papermill" not in text
    assert str(toy_course) not in text


def test_a_chapter_that_fails_to_refresh_is_left_as_it_was(toy_course):
    chapter = break_chapter(toy_course, 1, "1 / 0")
    before = chapter.read_text()
    with pytest.raises(ChapterError):
        refresh([CHAPTERS[0]])
    assert chapter.read_text() == before
