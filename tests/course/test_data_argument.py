import pytest

from peclr_utils.course.sources import KINDS, resolve_data
from peclr_utils.datasets import ImageFolderHands, sources


@pytest.fixture
def shelf(tmp_path):
    """A folder that holds FreiHAND, YouTube3DHands and something else."""
    (tmp_path / "FreiHAND" / "training" / "rgb").mkdir(parents=True)
    (tmp_path / "YouTube 3D").mkdir()
    (tmp_path / "YouTube 3D" / "youtube_train.json").write_text("{}")
    (tmp_path / "notes").mkdir()
    return tmp_path


@pytest.mark.parametrize("nothing", [None, ""])
def test_no_data_means_rendered_hands(nothing):
    assert resolve_data(nothing) == []


def test_a_folder_that_holds_data_sets_gives_each(shelf):
    assert resolve_data(str(shelf)) == [f"freihand:{shelf / 'FreiHAND'}", f"youtube:{shelf / 'YouTube 3D'}"]


def test_a_data_set_itself_is_recognised(shelf):
    assert resolve_data(str(shelf / "FreiHAND")) == [f"freihand:{shelf / 'FreiHAND'}"]
    assert resolve_data(str(shelf / "YouTube 3D")) == [f"youtube:{shelf / 'YouTube 3D'}"]


def test_a_folder_of_pictures_is_taken_as_one(shelf):
    (shelf / "notes" / "a.JPG").touch()
    assert resolve_data(str(shelf / "notes")) == [f"folder:{shelf / 'notes'}"]


@pytest.mark.parametrize("name", ["monday/left/a.jpg", "a.bmp", "a.webp", "a.tiff"])
def test_pictures_that_the_loader_finds_are_enough(tmp_path, name):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).touch()
    assert ImageFolderHands(tmp_path).names == [name]
    assert resolve_data(str(tmp_path)) == [f"folder:{tmp_path}"]


def test_hidden_pictures_are_none(tmp_path):
    (tmp_path / ".thumb").mkdir()
    (tmp_path / ".thumb" / "a.png").touch()
    with pytest.raises(ValueError, match="and no pictures"):
        resolve_data(str(tmp_path))


@pytest.mark.parametrize(
    ("label", "picture"),
    [("training_K.json", "training/rgb/0.jpg"), ("youtube_val.json", "youtube/v/f/0.png")],
)
def test_a_data_set_too_far_down_is_not_taken_for_mere_pictures(tmp_path, label, picture):
    root = tmp_path / "all" / "hands" / "set"
    (root / picture).parent.mkdir(parents=True)
    (root / picture).touch()
    (root / label).write_text("{}")
    with pytest.raises(ValueError, match=rf"found {root} deeper; name {root.parent}, or folder:{tmp_path}"):
        resolve_data(str(tmp_path))
    assert resolve_data(str(root.parent)) != []
    assert resolve_data(f"folder:{tmp_path}") == [f"folder:{tmp_path}"]


def test_source_names_keep_their_options_and_get_absolute_paths(shelf, monkeypatch):
    monkeypatch.chdir(shelf)
    assert resolve_data("freihand:FreiHAND?split=train, synthetic:64?seed=1") == [
        f"freihand:{shelf / 'FreiHAND'}?split=train",
        "synthetic:64?seed=1",
    ]


def test_a_path_that_does_not_exist_is_named(tmp_path):
    for text in (str(tmp_path / "gone"), f"freihand:{tmp_path / 'gone'}"):
        with pytest.raises(FileNotFoundError, match="gone"):
            resolve_data(text)


def test_a_folder_with_nothing_to_read_says_what_was_looked_for(tmp_path):
    with pytest.raises(ValueError, match=r"training_K\.json.*youtube_train\.json"):
        resolve_data(str(tmp_path))


def test_an_unknown_kind_is_an_error(shelf):
    for text in (f"interhand:{shelf}", f"freihand:{shelf / 'FreiHAND'},interhand:{shelf}"):
        with pytest.raises(FileNotFoundError, match="interhand"):
            resolve_data(text)


def test_a_comma_or_a_path_within_an_option_is_kept(shelf, monkeypatch):
    monkeypatch.chdir(shelf)
    assert resolve_data("freihand:FreiHAND?versions=1,2&split=notes,folder:notes?boxes=b.csv") == [
        f"freihand:{shelf / 'FreiHAND'}?versions=1,2&split=notes",
        f"folder:{shelf / 'notes'}?boxes={shelf / 'b.csv'}",
    ]


def test_the_kinds_are_those_that_open_source_knows():
    assert set(KINDS) == set(sources.KINDS)
