"""The chapters run: all five in order as one course, and each by itself."""

import json
import math
import subprocess
import sys

import nbformat
import pytest

from peclr_utils.course.profiles import CHAPTERS, PROFILES
from peclr_utils.course.runner import run_course
from peclr_utils.training.label_fractions import NAMES

METHODS = {"mean_pose", "scratch", "simclr", "peclr"}


@pytest.fixture(scope="module")
def course(repository, tmp_path_factory):
    """The whole course with the profile `smoke`, run once."""
    return run_course("smoke", output=tmp_path_factory.mktemp("course") / "run", repository=repository)


@pytest.fixture(params=CHAPTERS)
def executed(request, course):
    return nbformat.read(course.folder / f"{request.param}.ipynb", as_version=4)


def outputs(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def assert_ran_to_its_end(notebook):
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert all(output.output_type != "error" for output in outputs(notebook))


def test_all_chapters_ran_in_order(course):
    assert tuple(run.chapter for run in course.chapters) == CHAPTERS
    ends = [(course.folder / f"{chapter}.ipynb").stat().st_mtime for chapter in CHAPTERS]
    assert ends == sorted(ends)


def test_a_chapter_ran_to_its_end(executed):
    assert_ran_to_its_end(executed)


def test_a_chapter_leaves_a_picture(executed):
    assert any(kind.startswith("image/") for o in outputs(executed) for kind in o.get("data", {}))


def test_a_chapter_warns_of_nothing(executed):
    assert [o.text for o in outputs(executed) if "Warning:" in o.get("text", "")] == []


def test_a_chapter_keeps_no_widget_state(executed):
    assert "widgets" not in executed.metadata


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_becomes_a_page_with_its_pictures(course, chapter):
    page = (course.folder / f"{chapter}.html").read_text(encoding="utf-8")
    assert "data:image/" in page
    assert page.rstrip().endswith("</html>")


@pytest.fixture(scope="module")
def cells(course):
    """The cells of the result table that chapter 05 leaves, in `label_fractions`' format."""
    return json.loads((course.folder / "results.json").read_text())["cells"]


def test_the_result_table_has_every_method_at_every_number_of_labels(cells):
    labels = {cell["labels"] for cell in cells}
    assert labels == set(PROFILES["smoke"]["04_finetuning"]["label_counts"])
    for count in labels:
        assert {cell["method"] for cell in cells if cell["labels"] == count} >= METHODS


def test_the_result_table_holds_finite_positive_errors(cells):
    for cell in cells:
        for measure in ("pa_epe_mm", "epe_2d"):
            assert math.isfinite(cell[measure]), cell
            assert cell[measure] > 0, cell


def test_the_printed_table_names_the_same_methods(course, cells):
    assert [c["method"] for c in cells if NAMES[c["method"]] not in course.results] == []


@pytest.mark.parametrize("chapter", CHAPTERS[1:])
def test_a_chapter_runs_by_itself_from_any_folder_under_plain_papermill(chapter, repository, tmp_path):
    elsewhere = tmp_path / "somewhere else"
    elsewhere.mkdir()
    parameters = tmp_path / "parameters.yaml"
    # JSON is YAML.
    given = {**PROFILES["smoke"][chapter], "run_dir": str(tmp_path / "an empty run")}
    parameters.write_text(json.dumps(given))
    command = [sys.executable, "-m", "papermill", str(repository / "notebooks" / f"{chapter}.ipynb")]
    command += [str(tmp_path / "out.ipynb"), "-f", str(parameters), "--no-progress-bar"]
    done = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Passed unknown parameter" not in done.stderr
    assert_ran_to_its_end(nbformat.read(tmp_path / "out.ipynb", as_version=4))
    assert list(elsewhere.iterdir()) == []
