import pytest

from peclr_utils.datasets import ImageFolderHands, find_data, find_set


@pytest.fixture
def shelf(tmp_path):
    """A folder that holds FreiHAND, its evaluation labels beside it, YouTube3DHands and something else."""
    labels = "FreiHAND/training_K.json", "FreiHAND_eval/evaluation_xyz.json", "You Tube/youtube_train.json"
    for path in map(tmp_path.joinpath, labels):
        path.parent.mkdir()
        path.write_text("{}")
    (tmp_path / "notes").mkdir()
    return tmp_path


def names(text) -> list[str]:
    return [str(source) for source in find_data(text)]


def test_a_folder_that_is_or_holds_data_sets_gives_each(shelf):
    assert find_data(None) == find_data("") == []
    freihand, youtube = f"freihand:{shelf / 'FreiHAND'}", f"youtube:{shelf / 'You Tube'}"
    assert names(str(shelf)) == names(shelf) == [freihand, youtube]
    assert names(shelf / "FreiHAND") == [freihand]
    assert names(shelf / "You Tube") == [youtube]
    assert find_set("freihand", shelf) == find_set("freihand", shelf / "FreiHAND") == shelf / "FreiHAND"
    assert find_set("youtube", str(shelf)) == shelf / "You Tube"


@pytest.mark.parametrize("mark", ["training/rgb/00000000.jpg", "youtube_val.json"])
def test_a_data_set_without_its_training_labels_is_not_taken_for_mere_images(tmp_path, mark):
    path = tmp_path / "set" / mark
    path.parent.mkdir(parents=True)
    path.touch()
    assert names(tmp_path)[0].partition(":")[0] in ("freihand", "youtube")


def test_a_data_set_that_is_there_twice_is_an_error(shelf):
    (shelf / "copy").mkdir()
    (shelf / "copy" / "training_K.json").touch()
    for find in (find_data, lambda root: find_set("youtube", root)):
        with pytest.raises(ValueError, match=r"freihand is in .*FreiHAND and in .*copy; name one"):
            find(shelf)
    assert names(f"freihand:{shelf / 'copy'}") == [f"freihand:{shelf / 'copy'}"]


@pytest.mark.parametrize("name", ["monday/left/a.JPG", "a.bmp", "a.webp", "a.tiff"])
def test_a_folder_of_images_is_taken_as_one(tmp_path, name):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).touch()
    assert ImageFolderHands(tmp_path).names == [name]
    assert names(tmp_path) == [f"folder:{tmp_path}"]


@pytest.mark.parametrize(
    ("label", "image"),
    [("training_K.json", "training/rgb/0.jpg"), ("youtube_val.json", "youtube/v/f/0.png")],
)
def test_a_data_set_too_far_down_is_not_taken_for_mere_images(tmp_path, label, image):
    root = tmp_path / "all" / "hands" / "set"
    (root / image).parent.mkdir(parents=True)
    (root / image).touch()
    (root / label).write_text("{}")
    with pytest.raises(ValueError, match=rf"found {root}; name {root.parent}, or folder:{tmp_path}"):
        find_data(tmp_path)
    assert find_data(root.parent) != []
    assert names(f"folder:{tmp_path}") == [f"folder:{tmp_path}"]


def test_sources_keep_their_options_and_commas_and_get_absolute_paths(shelf, monkeypatch):
    monkeypatch.chdir(shelf)
    (shelf / "b.csv").touch()
    text = "freihand:FreiHAND?versions=1,2&split=train, folder:notes?boxes=b.csv,synthetic:64?seed=1"
    assert names(text) == [
        f"freihand:{shelf / 'FreiHAND'}?versions=1,2&split=train",
        f"folder:{shelf / 'notes'}?boxes={shelf / 'b.csv'}",
        "synthetic:64?seed=1",
    ]


def test_what_is_not_there_is_named(shelf):
    for text in (str(shelf / "gone"), f"freihand:{shelf / 'gone'}", f"interhand:{shelf / 'gone'}"):
        with pytest.raises(FileNotFoundError, match="gone: there is no such folder"):
            find_data(text)
    (shelf / "notes" / ".thumb").mkdir()
    (shelf / "notes" / ".thumb" / "a.png").touch()  # hidden
    with pytest.raises(FileNotFoundError, match=r"notes: holds no image; .* data/README.md"):
        find_data(shelf / "notes")
    for path, message in ((shelf / "notes", "holds no image"), (shelf / "notes/.thumb/a.png", "is a file")):
        with pytest.raises(FileNotFoundError, match=message):
            ImageFolderHands(path)
    with pytest.raises(FileNotFoundError, match=r"expected youtube \(youtube_train.json\) in it or"):
        find_set("youtube", shelf / "FreiHAND")
