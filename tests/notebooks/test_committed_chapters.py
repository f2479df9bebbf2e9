"""What every committed chapter and appendix must be, read without running it."""

import copy
import json
import re
import sys
from pathlib import Path

import nbformat
import numpy as np
import papermill
import pytest
import torch

from peclr_utils.course.execution import describe_images
from peclr_utils.course.exercises import chapter_exercises, check
from peclr_utils.course.runner import APPENDICES, CHAPTERS, PROFILES
from peclr_utils.datasets import open_source

LONGEST_CELL = 10
LONGEST_LINE = 110
LARGEST_NOTEBOOK = 1_500_000
ABSOLUTE_PATH = re.compile(r"(?:^|[\s'\"(=:])((?:/(?:home|root|tmp|Users|mnt|opt|var)/|[A-Z]:\\\\?)\S*)")


@pytest.fixture(params=CHAPTERS + APPENDICES)
def path(repository, request):
    return repository / "notebooks" / f"{request.param}.ipynb"


@pytest.fixture
def notebook(path):
    return nbformat.read(path, as_version=4)


@pytest.fixture
def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def test_every_notebook_is_a_chapter_or_an_appendix_that_the_profiles_have_numbers_for(repository):
    assert {path.stem for path in (repository / "notebooks").glob("*.ipynb")} == {*CHAPTERS, *APPENDICES}


def headings(notebook):
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return [line.lstrip("# ").strip() for line in text.splitlines() if line.startswith("#")]


def texts(notebook):
    """Everything a notebook holds but its images."""
    for cell in notebook.cells:
        yield cell.source
        for output in cell.get("outputs", []):
            yield output.get("text", "")
            yield from (str(v) for kind, v in output.get("data", {}).items() if not kind.startswith("image/"))
    yield json.dumps(notebook.metadata)


def test_it_is_a_small_valid_notebook_for_the_python3_kernel_without_widget_state(notebook, path):
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3" and "widgets" not in notebook.metadata
    assert path.stat().st_size < LARGEST_NOTEBOOK


def test_its_parameters_cell_has_all_that_the_profiles_set_and_a_run_folder_if_it_uses_one(path, code):
    names = set(papermill.inspect_notebook(path))
    cells = [cell.source for cell in code if "parameters" not in cell.metadata.get("tags", [])]
    assert "run_dir" in names or not any("run_dir" in source for source in cells)
    for profile in PROFILES:
        assert set(PROFILES[profile][path.stem]) <= names, profile


def test_it_was_run_from_top_to_bottom_in_a_fresh_kernel_without_error_or_warning(code):
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    for output in (output for cell in code for output in cell.outputs):
        assert output.output_type != "error" and "Warning:" not in output.get("text", ""), output


def test_it_was_run_with_what_the_chapters_before_it_left_and_not_with_stand_ins(code):
    said = [output.get("text", "") for cell in code for output in cell.outputs]
    assert [text for text in said if re.search(r"chapter 0\d left no", text)] == []


def test_it_shows_images_each_with_the_text_that_reads_it_below(notebook, path):
    fresh = copy.deepcopy(notebook)
    outputs = [output for cell in fresh.cells for output in cell.get("outputs", [])]
    images = [(o, kind) for o in outputs for kind in o.get("data", {}) if kind.startswith("image/")]
    texts = [output.metadata.pop(kind)["alt"] for output, kind in images]
    assert images or path.stem in APPENDICES
    assert min(map(len, texts), default=20) >= 20
    describe_images(fresh)
    assert fresh == notebook


def test_its_relative_paths_start_at_the_repository_also_in_jupyterlab(code, repository, monkeypatch):
    monkeypatch.chdir(repository / "notebooks")
    monkeypatch.setattr(sys, "path", list(sys.path))
    exec(next(cell.source for cell in code if cell.source.endswith("was started")), {})
    assert Path.cwd() == repository
    monkeypatch.setenv("HOME", str(repository / "data"))
    for sample in ("data/sample", "~/sample", repository / "data" / "sample"):
        assert len(open_source(f"freihand:{sample}"))


def test_its_cells_and_the_lines_of_its_text_are_short(code, notebook):
    others = [cell.source.strip() for cell in code if "parameters" not in cell.metadata.get("tags", [])]
    lengths = {source.splitlines()[0]: len(source.splitlines()) for source in others}
    assert {first: length for first, length in lengths.items() if length > LONGEST_CELL} == {}
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    # A row of a table can't be broken.
    lines = [line for line in text.splitlines() if not line.startswith("|")]
    assert [line for line in lines if len(line) > LONGEST_LINE] == []


def test_it_names_no_absolute_path(notebook, repository):
    assert [text for text in texts(notebook) if f"{repository}/" in text] == []
    assert [found for text in texts(notebook) for found in ABSOLUTE_PATH.findall(text)] == []


def test_it_begins_with_goals_and_ends_with_summary_exercises_and_references(notebook, path):
    found = headings(notebook)
    exercises = ("exercises",) if path.stem in CHAPTERS else ()
    order = [next(i for i, h in enumerate(found) if h.lower().endswith(part)) for part in
             ("goals", "summary", *exercises, "references")]  # fmt: skip
    assert order == sorted(order)


@pytest.mark.parametrize("path", CHAPTERS, indirect=True)
def test_it_asks_each_of_its_exercises_below_its_heading_and_leaves_the_answer_to_the_reader(notebook, path):
    number, cells = int(path.stem[:2]), notebook.cells
    answers = [k for k, cell in enumerate(cells) if cell.cell_type == "code" and "\ncheck(" in cell.source]
    assert len(answers) >= 3
    exercises = zip(answers, chapter_exercises(number), strict=True)
    for count, (k, exercise) in enumerate(exercises, start=1):
        assert exercise.name == f"{number}.{count}"
        text = next(cell.source for cell in reversed(cells[:k]) if cell.cell_type == "markdown")
        assert f"### Exercise {exercise.name}: {exercise.title}\n" in text
        assert re.search(rf"^check\(\s*[\"']{exercise.name}[\"']", cells[k].source, re.MULTILINE)
        assert re.search(r"^(    |answer = )\.\.\.$", cells[k].source, re.MULTILINE), cells[k].source
        assert "not answered yet" in "".join(output.get("text", "") for output in cells[k].outputs)


def test_its_folded_solutions_are_right_one_for_each_exercise(notebook, path, capsys):
    folded = [cell.source for cell in notebook.cells if "<summary>Solutions</summary>" in cell.source]
    if not folded:
        pytest.skip("it has no solutions")
    namespace = {"np": np, "torch": torch}
    exercises = chapter_exercises(int(path.stem[:2]))
    solutions = re.findall(r"^```python\n(.*?)^```$", folded[0], re.MULTILINE | re.DOTALL)
    calls = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    for exercise, solution in zip(exercises, solutions, strict=True):
        exec(solution, namespace)
        name = re.search(rf"^check\(\s*[\"']{exercise.name}[\"'],\s*(\w+)", calls, re.MULTILINE)[1]
        check(exercise.name, namespace[name])
    assert capsys.readouterr().out.count("right. Well done.") == len(exercises)


WIDGET = re.compile(r"^(?:\w+_explorer|rotating_hand)\(", flags=re.MULTILINE)


def test_an_image_stands_beside_every_widget(code):
    """A page on the web and a run without a window show no widget."""
    for before, cell in zip(code, code[1:], strict=False):
        if WIDGET.search(cell.source):
            kinds = [kind for output in before.outputs for kind in output.get("data", {})]
            assert any(kind.startswith("image/") for kind in kinds), cell.source


def test_there_are_widgets(repository):
    chapters = (nbformat.read(repository / "notebooks" / f"{name}.ipynb", as_version=4) for name in CHAPTERS)
    assert sum(bool(WIDGET.search(cell.source)) for chapter in chapters for cell in chapter.cells) >= 3
