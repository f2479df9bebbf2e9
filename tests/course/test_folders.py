import pytest

import peclr_utils.course as course
from peclr_utils.course import enter_repository, find_repository, run_folder, short_path


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A repository, with the current folder in its notebooks, as in JupyterLab."""
    (tmp_path / "clone" / "notebooks" / "deeper").mkdir(parents=True)
    (tmp_path / "clone" / "notebooks" / "01_data_loading.ipynb").touch()
    monkeypatch.chdir(tmp_path / "clone" / "notebooks")
    return tmp_path / "clone"


def test_the_repository_is_found_from_inside_it_and_from_its_package(clone, tmp_path, monkeypatch):
    monkeypatch.chdir(clone / "notebooks" / "deeper")
    assert find_repository() == clone
    monkeypatch.setattr(course, "__file__", str(clone / "peclr_utils" / "course" / "__init__.py"))
    monkeypatch.chdir(tmp_path)
    assert find_repository() == clone


def test_a_relative_run_folder_starts_at_the_repository_and_is_made(clone, tmp_path):
    assert run_folder("runs/chapters") == clone / "runs" / "chapters"
    assert (clone / "runs" / "chapters").is_dir()
    assert run_folder(tmp_path / "there") == tmp_path / "there"


def test_outside_a_repository_a_relative_run_folder_starts_at_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(course, "__file__", str(tmp_path / "site-packages" / "peclr_utils" / "__init__.py"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="inside a clone"):
        find_repository()
    enter_repository()
    assert run_folder("mine") == tmp_path / "mine"
    assert short_path(tmp_path / "mine" / "a.pt") == "mine/a.pt"


def test_a_printed_path_names_nothing_outside_the_repository(clone, tmp_path):
    assert short_path(clone / "runs" / "a.pt") == "runs/a.pt"
    assert short_path("a.txt") == "notebooks/a.txt"
    assert short_path(tmp_path / "x" / "peclr" / "checkpoint.pt") == "…/x/peclr/checkpoint.pt"
