"""The chapters run: all five in order as one course, and single ones by themselves and on FreiHAND."""

import json
import math
import shutil
import subprocess
import sys

import nbformat
import pytest

from peclr_utils.course.execution import execute_chapter
from peclr_utils.course.runner import APPENDICES, CHAPTERS, PROFILES
from peclr_utils.datasets import SyntheticHands, export_freihand
from peclr_utils.evaluation import PUBLISHED
from peclr_utils.evaluation.report import NAMES

METHODS = {"mean_pose", *PROFILES["smoke"]["04_finetuning"]["methods"]}


def outputs(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def printed(notebook):
    return "".join(output.get("text", "") for output in outputs(notebook))


def assert_ran_to_its_end(notebook):
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert all(output.output_type != "error" for output in outputs(notebook))


@pytest.mark.parametrize("chapter", CHAPTERS + APPENDICES)
def test_a_chapter_runs_to_its_end_without_warnings_and_becomes_a_page_with_its_images(smoke_course, chapter):
    executed = nbformat.read(smoke_course / f"{chapter}.ipynb", as_version=4)
    assert_ran_to_its_end(executed)
    assert [o.text for o in outputs(executed) if "Warning:" in o.get("text", "")] == []
    assert "widgets" not in executed.metadata
    page = (smoke_course / f"{chapter}.html").read_text(encoding="utf-8")
    assert "data:image/" in page and page.rstrip().endswith("</html>")


def test_the_result_table_has_finite_errors_of_every_method_at_every_number_of_labels(smoke_course):
    cells = json.loads((smoke_course / "results.json").read_text())["cells"]
    labels = {cell["labels"] for cell in cells}
    assert labels == set(PROFILES["smoke"]["04_finetuning"]["label_counts"])
    for count in labels:
        assert {cell["method"] for cell in cells if cell["labels"] == count} >= METHODS
    for cell in cells:
        assert 0 < cell["pa_epe_mm"] < math.inf and 0 < cell["epe_2d"] < math.inf, cell
        assert NAMES[cell["method"]] in (smoke_course / "results.md").read_text(encoding="utf-8")


def published_rows(notebook):
    """Rows of chapter 05's table of published numbers, cell by cell, by where their numbers come from."""
    tables = [output.get("data", {}).get("text/markdown", "") for output in outputs(notebook)]
    lines = next(table for table in tables if "aligned AUC" in table and "published" in table).splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    return {origin: [row for row in rows if row[1] == origin] for origin in ("published", "measured here")}


def test_without_a_checkpoint_chapter_05_shows_the_published_numbers_and_how_to_measure_one(smoke_course):
    notebook = nbformat.read(smoke_course / "05_evaluation.ipynb", as_version=4)
    rows = published_rows(notebook)
    assert [row[0] for row in rows["published"]] == [network.name for network in PUBLISHED.values()]
    assert not rows["measured here"]
    assert "-p published_checkpoint FILE" in printed(notebook)


@pytest.fixture(scope="module")
def freihand(tmp_path_factory):
    """Rendered hands in FreiHAND's layout: 48 photographs in two versions, and 8 to evaluate on."""
    root = tmp_path_factory.mktemp("data") / "FreiHAND_pub_v2"
    export_freihand(SyntheticHands(96, seed=1, size=96, versions=2), root)
    export_freihand(SyntheticHands(8, seed=2, size=96), root, part="evaluation")
    return f"freihand:{root}"


def test_chapters_03_and_04_run_on_freihands_layout(freihand, repository, tmp_path):
    small = {"run_dir": str(tmp_path / "run"), "data": [freihand], "batch_size": 8}
    pretraining = {"unlabelled_images": 64, "methods": ["peclr"], "epochs": 1, "probe_images": 16, **small}
    finetuning = {"label_counts": [16], "steps": 4, "validation_images": 8, **small}
    for chapter, given in zip(CHAPTERS[2:4], (pretraining, finetuning), strict=True):
        executed = tmp_path / f"{chapter}.ipynb"
        execute_chapter(repository / "notebooks" / executed.name, executed, given, tmp_path)
        notebook = nbformat.read(executed, as_version=4)
        assert_ran_to_its_end(notebook)
        assert "freihand" in printed(notebook)


def test_chapter_05_puts_networks_on_freihand_below_the_published_rows(
    smoke_course, freihand, repository, published_pose_file, tmp_path
):
    shutil.copytree(smoke_course / "finetune", tmp_path / "run" / "finetune")
    file, executed = published_pose_file(tmp_path / "rn50.pth"), tmp_path / "out.ipynb"
    given = {"test_images": 8, "run_dir": str(tmp_path / "run"), "published_checkpoint": str(file)}
    chapter = repository / "notebooks" / "05_evaluation.ipynb"
    execute_chapter(chapter, executed, {**given, "data": [freihand]}, tmp_path)
    notebook = nbformat.read(executed, as_version=4)
    assert_ran_to_its_end(notebook)
    row, *own = published_rows(notebook)["measured here"]
    assert row[0] == PUBLISHED["rn50"].name
    assert {row[0] for row in own} == {f"{NAMES[m]}, 64 labels" for m in METHODS - {"mean_pose"}}
    assert all(math.isfinite(float(number)) for number in row[2:])
    assert float(row[4]) > 1  # aligned EPE in cm: the weights are random
    assert "Measured on 8 hands of FreiHAND's evaluation set" in printed(notebook)


def test_a_chapter_runs_by_itself_from_any_folder_under_plain_papermill(repository, tmp_path):
    """Chapter 05 needs what all others make, so it shows that the stand-ins work."""
    elsewhere = tmp_path / "somewhere else"
    elsewhere.mkdir()
    parameters = tmp_path / "parameters.yaml"
    # JSON is YAML.
    given = {**PROFILES["smoke"]["05_evaluation"], "run_dir": str(tmp_path / "an empty run")}
    parameters.write_text(json.dumps(given))
    command = [sys.executable, "-m", "papermill", str(repository / "notebooks" / "05_evaluation.ipynb")]
    command += [str(tmp_path / "out.ipynb"), "-f", str(parameters), "--no-progress-bar"]
    done = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Passed unknown parameter" not in done.stderr
    assert_ran_to_its_end(nbformat.read(tmp_path / "out.ipynb", as_version=4))
    assert list(elsewhere.iterdir()) == []
    assert {path.name for path in (tmp_path / "an empty run").iterdir()} >= {"small", "results.md"}
    assert not (tmp_path / "an empty run" / "finetune").exists()
