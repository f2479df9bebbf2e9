import pytest

from peclr_utils.course import folders, run_folder, short_path


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A repository that the current folder lies in, as in JupyterLab."""
    (tmp_path / "clone" / "notebooks").mkdir(parents=True)
    (tmp_path / "clone" / "notebooks" / "01_data_loading.ipynb").touch()
    monkeypatch.chdir(tmp_path / "clone" / "notebooks")
    return tmp_path / "clone"


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A folder outside any repository, with an installed package."""

    def nothing():
        raise FileNotFoundError

    monkeypatch.setattr(folders, "find_repository", nothing)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_relative_run_folder_counts_from_the_repository_and_is_made(clone):
    assert run_folder("runs/chapters") == clone / "runs" / "chapters"
    assert (clone / "runs" / "chapters").is_dir()


def test_a_relative_run_folder_counts_from_the_current_folder_outside_a_repository(elsewhere):
    assert run_folder("mine") == elsewhere / "mine"
    assert (elsewhere / "mine").is_dir()


def test_an_absolute_run_folder_is_taken_as_it_is(clone, tmp_path):
    assert run_folder(tmp_path / "there") == tmp_path / "there"


def test_a_printed_path_names_nothing_outside_the_repository(clone, tmp_path):
    assert short_path(clone / "runs" / "a.pt") == "runs/a.pt"
    assert short_path("a.txt") == "notebooks/a.txt"
    assert short_path(tmp_path / "x" / "peclr" / "checkpoint.pt") == "…/x/peclr/checkpoint.pt"


def test_a_printed_path_is_relative_to_the_current_folder_outside_a_repository(elsewhere):
    assert short_path(elsewhere / "mine" / "a.pt") == "mine/a.pt"
