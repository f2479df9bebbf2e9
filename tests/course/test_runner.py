"""The five chapters as one course, and one chapter: order, parameters, failures, kernel, page, refresh."""

import json
import os
import sys

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from peclr_utils.course import runner
from peclr_utils.course.__main__ import main
from peclr_utils.course.execution import METADATA, ChapterError, execute_chapter, export_html
from peclr_utils.course.runner import CHAPTERS, report, run_course, select_chapters

NUMBERS = {chapter: {"number": k} for k, chapter in enumerate(CHAPTERS)}

PARAMETERS = 'number = 0\nrun_dir = "."\ndata = []'

DIARY = """\
from pathlib import Path
with (Path(run_dir) / "diary.txt").open("a") as diary:
    diary.write(f"{number} {data}\\n")"""

TABLE = 'Path(run_dir, "results.md").write_text("| method |\\n|---|\\n| toy |\\n")'


def write_notebook(path, *sources):
    """A notebook whose first code cell is tagged `parameters`."""
    cells = [new_markdown_cell("# A toy chapter"), *map(new_code_cell, sources)]
    cells[1].metadata["tags"] = ["parameters"]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=cells, metadata=METADATA), path)
    return path


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A repository, with a space in its name, of five chapters that each write a line into a diary."""
    monkeypatch.setitem(runner.PROFILES, "smoke", dict(NUMBERS))
    root = tmp_path / "a clone"
    for chapter in CHAPTERS:
        table = [TABLE] if chapter == CHAPTERS[-1] else []
        write_notebook(root / "notebooks" / f"{chapter}.ipynb", PARAMETERS, DIARY, *table)
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def appendices(clone, monkeypatch):
    """Two appendices in that repository."""
    names = ("A1_first", "A2_second")
    for number, name in enumerate(names, start=5):
        monkeypatch.setitem(runner.PROFILES["smoke"], name, {"number": number})
        write_notebook(clone / "notebooks" / f"{name}.ipynb", PARAMETERS, DIARY)
    monkeypatch.setattr(runner, "APPENDICES", names)
    return names


@pytest.fixture
def started(monkeypatch):
    """Chapters in the order in which they are started; nothing is executed."""
    chapters = []

    def copy(notebook, executed, parameters, folder):
        chapters.append(notebook.stem)
        executed.write_text(notebook.read_text())
        (executed.parent / "results.md").write_text("the table")

    monkeypatch.setattr(runner, "execute_chapter", copy)
    return chapters


def diary(root):
    return (root / "runs" / "smoke" / "diary.txt").read_text().splitlines()


def change_chapter(root, number, source):
    return write_notebook(root / "notebooks" / f"{CHAPTERS[number - 1]}.ipynb", PARAMETERS, source)


def test_the_chapters_run_in_order_and_leave_notebooks_pages_and_times(clone, capsys):
    assert main(["--profile", "smoke"]) == 0
    folder = clone / "runs" / "smoke"
    assert diary(clone) == [f"{k} []" for k in range(5)]
    for chapter in CHAPTERS:
        executed = nbformat.read(folder / f"{chapter}.ipynb", as_version=4)
        assert all(cell.execution_count for cell in executed.cells if cell.cell_type == "code")
        assert "A toy chapter" in (folder / f"{chapter}.html").read_text()
    out = capsys.readouterr().out
    assert "| toy |" in out and str(folder) in out
    assert all(chapter in out for chapter in CHAPTERS)


def test_a_failing_chapter_stops_with_one_clear_message_and_resume_continues(clone, capsys):
    change_chapter(clone, 2, "print(6 * 7)\nraise ValueError('first line\\nlast line')")
    assert main(["--profile", "smoke"]) == 1
    message = capsys.readouterr().err
    folder = clone / "runs" / "smoke"
    for part in (CHAPTERS[1], "cell [3]", "last line", str(folder / f"{CHAPTERS[1]}.ipynb"), "--resume"):
        assert part in message
    assert "Traceback" not in message
    assert "42" in (folder / f"{CHAPTERS[1]}.ipynb").read_text()
    assert diary(clone) == ["0 []"]

    change_chapter(clone, 2, DIARY)
    assert main(["--profile", "smoke", "--resume"]) == 0
    assert diary(clone) == [f"{k} []" for k in range(5)]


def test_resume_runs_nothing_again_unless_a_parameter_changed(clone, started, monkeypatch):
    run_course("smoke")
    started.clear()
    run_course("smoke", resume=True)
    assert started == []
    monkeypatch.setitem(runner.PROFILES["smoke"], CHAPTERS[2], {"number": 99})
    run_course("smoke", resume=True)
    assert started == list(CHAPTERS[2:])


def test_a_chapter_run_again_makes_the_later_ones_unfinished_and_hides_their_table(clone, started):
    folder = run_course("smoke")
    assert "the table" in report(folder)
    run_course("smoke", chapters=select_chapters("3"))
    assert "the table" not in report(folder)
    finished = [run["chapter"] for run in json.loads((folder / "course.json").read_text())]
    assert finished == list(CHAPTERS[:3])


def test_a_kernel_that_dies_is_reported_as_such(clone):
    change_chapter(clone, 1, "import os\nos._exit(9)")
    with pytest.raises(ChapterError, match="process died.*memory"):
        run_course("smoke", chapters=[CHAPTERS[0]])


def test_a_chapter_runs_in_this_very_python_whatever_kernels_are_installed(tmp_path, monkeypatch):
    bogus = tmp_path / "kernels" / "python3" / "kernel.json"
    bogus.parent.mkdir(parents=True)
    argv = ["/nowhere/python", "{connection_file}"]
    bogus.write_text(json.dumps({"argv": argv, "display_name": "x", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "0")
    monkeypatch.setenv("MPLBACKEND", "Agg")
    show = "import os, sys\nprint(sys.executable)\nprint(os.getcwd())\nprint(n)\n"
    show += "import matplotlib.pyplot as plt\nplt.plot([0, n]);"
    notebook = write_notebook(tmp_path / "chapter.ipynb", "n = 1", show)
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    execute_chapter(notebook, tmp_path / "done.ipynb", {"n": 5}, folder)
    shown, image = nbformat.read(tmp_path / "done.ipynb", as_version=4).cells[-1].outputs
    assert shown.text.splitlines() == [sys.executable, os.path.realpath(folder), "5"]
    assert "image/png" in image.data
    assert os.environ["MPLBACKEND"] == "Agg"


def test_widgets_leave_no_state_and_the_page_says_what_is_missing(tmp_path):
    show = "import ipywidgets\nipywidgets.IntSlider()"
    notebook = write_notebook(tmp_path / "chapter.ipynb", "n = 1", show)
    execute_chapter(notebook, tmp_path / "done.ipynb", {}, tmp_path)
    assert "widgets" not in nbformat.read(tmp_path / "done.ipynb", as_version=4).metadata
    export_html(tmp_path / "done.ipynb")
    assert "JupyterLab shows sliders" in (tmp_path / "done.html").read_text()


def export(tmp_path, *cells):
    nbformat.write(new_notebook(cells=cells, metadata=METADATA), tmp_path / "page.ipynb")
    export_html(tmp_path / "page.ipynb")
    return (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_page_shows_its_formulas_without_the_web_and_leaves_dollars_in_code_alone(tmp_path):
    text = "With $a_1 < b$\n\n$$\\frac{a}{b}\\begin{pmatrix} 1 & 2 \\end{pmatrix}$$\n\nin `$HOME and $PATH`."
    page = export(tmp_path, new_markdown_cell(text), new_code_cell('price = "$5 or $6"'))
    assert page.count("<math") == 2
    assert "<msub><mi>a</mi><mn>1</mn></msub><mo>&lt;</mo>" in page and "<mfrac>" in page
    assert "<code>$HOME and $PATH</code>" in page and "$5 or $6" in page
    assert page.count("$") == 4
    assert "<script" not in page and " src=" not in page and "@import" not in page


LINKS = """\
[two](02_b.ipynb) [part](02_b.ipynb#Some-part) [done](01_a.ipynb) [none](05_e.ipynb)
[data](../data/README.md) [web](https://a.b/c.ipynb) [here](#top)"""


def targets(page):
    """The links of a page by their text."""
    links = BeautifulSoup(page, "html.parser").select("main a, body a")
    return {link.text: link["href"] for link in links}


def export_links(tmp_path, monkeypatch, project):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "01_data_loading.ipynb").touch()
    (tmp_path / "pyproject.toml").write_text(project)
    (tmp_path / "01_a.html").touch()
    monkeypatch.chdir(tmp_path)
    nbformat.write(new_notebook(cells=[new_markdown_cell(LINKS)], metadata=METADATA), tmp_path / "page.ipynb")
    export_html(tmp_path / "page.ipynb", ["02_b"])
    return (tmp_path / "page.html").read_text(encoding="utf-8")


def test_links_of_a_page_lead_to_pages_and_none_is_dead(tmp_path, monkeypatch):
    page = export_links(tmp_path, monkeypatch, "[project]\nname = 'toy'")
    assert targets(page) == {
        "two": "02_b.html", "part": "02_b.html#Some-part", "done": "01_a.html",
        "web": "https://a.b/c.ipynb", "here": "#top",
    }  # fmt: skip
    assert "none" in page and "data" in page


def test_links_to_other_files_lead_to_the_repository_if_the_project_names_it(tmp_path, monkeypatch):
    page = export_links(tmp_path, monkeypatch, "[project.urls]\nRepository = 'https://host/us/it'")
    assert targets(page)["data"] == "https://host/us/it/blob/HEAD/data/README.md"
    assert targets(page)["none"] == "https://host/us/it/blob/HEAD/notebooks/05_e.ipynb"


def test_pages_made_before_the_appendices_link_to_them_once_these_are_there(clone, appendices, started):
    text = new_markdown_cell(f"[more]({appendices[0]}.ipynb)")
    chapter = clone / "notebooks" / f"{CHAPTERS[0]}.ipynb"
    notebook = nbformat.read(chapter, as_version=4)
    notebook.cells.append(text)
    nbformat.write(notebook, chapter)
    (clone / "pyproject.toml").write_text("[project]\nname = 'toy'")
    page = run_course("smoke") / f"{CHAPTERS[0]}.html"
    assert "more" not in targets(page.read_text())
    run_course("smoke", chapters=CHAPTERS + appendices, resume=True)
    assert targets(page.read_text())["more"] == f"{appendices[0]}.html"


@pytest.mark.parametrize("kind", ["image/png", "image/jpeg"])
def test_an_image_is_described_by_the_paragraph_that_reads_it(tmp_path, kind):
    image = new_output("display_data", {kind: "iVBORw0KGgo="}, metadata={kind: {"width": 9}})
    cells = [new_markdown_cell("Before."), new_code_cell("draw()", outputs=[image, image]), new_code_cell("")]
    text = 'The *"left"* curve `f` <\nthe [right](https://a.b) & $x$.\n\nMore.'
    images = BeautifulSoup(export(tmp_path, *cells, new_markdown_cell(text)), "html.parser").select("img")
    expected = {"alt": 'The "left" curve f < the right & x.', "width": "9"}
    assert [{key: one[key] for key in expected} for one in images] == [expected, expected]
    page = export(tmp_path, *cells, new_markdown_cell("## Next\n\nAnother matter."))
    assert page.count("Another matter") == 1


def test_an_unknown_parameter_is_an_error_before_anything_runs(clone, monkeypatch, capsys):
    monkeypatch.setitem(runner.PROFILES["smoke"], CHAPTERS[3], {"numbr": 3})
    assert main(["--profile", "smoke"]) == 1
    message = capsys.readouterr().err
    assert "numbr" in message and CHAPTERS[3] in message
    assert not (clone / "runs").exists()


def test_the_paper_needs_data_which_reach_the_chapters_as_absolute_source_names(clone, started, tmp_path):
    with pytest.raises(ValueError, match="--data"):
        run_course("paper")
    (tmp_path / "FreiHAND" / "training" / "rgb").mkdir(parents=True)
    (tmp_path / "FreiHAND" / "training_K.json").write_text("[]")
    folder = run_course("smoke", data="../FreiHAND")
    (first, *_) = json.loads((folder / "course.json").read_text())
    assert first["parameters"] == {
        "number": 0, "run_dir": str(folder), "data": [f"freihand:{tmp_path / 'FreiHAND'}"],
    }  # fmt: skip


def test_chapters_are_selected_by_number_and_kept_in_order():
    for text, numbers in {"": "12345", "1,3": "13", "3-5": "345", "05, 1": "15"}.items():
        assert select_chapters(text) == tuple(CHAPTERS[int(number) - 1] for number in numbers)


def test_appendices_are_selected_like_chapters_and_come_last(appendices):
    first, second = appendices
    assert select_chapters("A1,4-5") == (*CHAPTERS[3:], first)
    assert select_chapters("a1-A2") == select_chapters("5-A2")[1:] == appendices
    assert select_chapters("2", appendices=True) == (CHAPTERS[1], *appendices)
    assert select_chapters(appendices=True) == CHAPTERS + appendices


@pytest.mark.parametrize("text", ["6", "0", "5-3", "1,,2", "A3", "A1-2", "one"])
def test_what_is_no_chapter_is_an_error_that_names_them(appendices, text):
    with pytest.raises(ValueError, match="expected some of 1, 2, 3, 4, 5, A1, A2,"):
        select_chapters(text)


def test_appendices_run_after_the_chapters_and_only_when_asked_for(clone, appendices, started, capsys):
    assert main(["--profile", "smoke"]) == 0
    assert started == list(CHAPTERS)
    assert main(["--profile", "smoke", "--appendices", "--resume"]) == 0
    assert started == [*CHAPTERS, *appendices]
    assert f"{appendices[1]}.html" in capsys.readouterr().out


def test_all_committed_notebooks_are_refreshed_appendices_too(clone, appendices, monkeypatch):
    refreshed = []
    monkeypatch.setattr("peclr_utils.course.__main__.refresh", refreshed.append)
    main(["--refresh"])
    main(["--refresh", "--chapters", "2"])
    assert [notebook.stem for notebook in refreshed] == [*CHAPTERS, *appendices, CHAPTERS[1]]


def test_a_refreshed_chapter_keeps_only_its_outputs_and_one_that_fails_is_left_as_it_was(clone, capsys):
    chapter = change_chapter(clone, 1, "print(number)")
    assert main(["--refresh", "--chapters", "1"]) == 0
    notebook = nbformat.read(chapter, as_version=4)
    nbformat.validate(notebook)
    assert [cell.execution_count for cell in notebook.cells[1:]] == [1, 2]
    assert notebook.cells[1].metadata == {"tags": ["parameters"]}
    assert notebook.cells[2].outputs[0].text == "0\n"
    assert notebook.metadata == METADATA
    assert str(clone) not in chapter.read_text()
    change_chapter(clone, 1, "1 / 0")
    before = chapter.read_text()
    assert main(["--refresh", "--chapters", "1"]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert chapter.read_text() == before
