import numpy as np
import pytest

from peclr_utils.datasets import EvenMixture, FreiHAND, ImageFolderHands, SyntheticHands, open_source
from peclr_utils.hands.scene import ViewRange


def test_rendered_hands_by_name():
    dataset = open_source("synthetic:6?seed=3&versions=2&size=48&left_fraction=0.5&view=25")
    assert isinstance(dataset, SyntheticHands)
    assert len(dataset) == 6
    assert (dataset.seed, dataset.versions, dataset.size, dataset.left_fraction) == (3, 2, 48, 0.5)
    assert dataset.view == ViewRange(max_angle_degrees=25)
    assert open_source("synthetic:6?view=anywhere").view == ViewRange.anywhere()
    limited = ViewRange(max_angle_degrees=40, roll_degrees=45)
    assert open_source("synthetic:6?view=40,45").view == limited
    assert open_source("synthetic:6").seed == SyntheticHands(6).seed


def test_freihand_by_name(freihand_root):
    root = freihand_root(count=10, versions=4)
    dataset = open_source(f"freihand:{root}?split=val&versions=2&val_fraction=0.3")
    assert isinstance(dataset, FreiHAND)
    assert len(dataset) == 3 * 2
    assert open_source(f"freihand:{root}?split=training&versions=1,3").versions == (1, 3)
    assert open_source(f"freihand:{root}").split == "train"


def test_folders_by_name(tmp_path, write_picture):
    write_picture(tmp_path / "what? a folder" / "a.jpg")
    (tmp_path / "boxes.csv").write_text("name,x,y,width,height\na.jpg,1,1,5,5\n")
    folder = tmp_path / "what? a folder"
    dataset = open_source(f"folder:{folder}?boxes={tmp_path / 'boxes.csv'}")
    assert isinstance(dataset, ImageFolderHands)
    assert dataset[0].outline is not None
    assert open_source(f"folder:{folder}?")[0].outline is None


def test_several_names_are_an_even_mixture(freihand_root):
    mixture = open_source(["synthetic:4?size=32", f"freihand:{freihand_root()}?split=training"])
    assert isinstance(mixture, EvenMixture)
    assert len(mixture) == 4 + 20
    assert [mixture[index].source for index in (0, 4)] == ["synthetic", "freihand"]
    drawn = mixture.even_indices(np.random.default_rng(0), 40)
    assert (mixture.source_of(drawn) == 0).sum() == 20


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("mpii:here", r"unknown kind 'mpii'; known are synthetic:4096\?seed=1.*freihand:PATH.*folder:PATH"),
        ("/data/FreiHAND", r"unknown kind '/data/FreiHAND'; known are"),
        ("freihand:", "nothing after 'freihand:'; expected for example freihand:PATH"),
        ("synthetic:many", "synthetic can't be 'many'"),
        ("synthetic:4?seed=a", "seed can't be 'a'"),
        ("synthetic:4?view=400", "view can't be '400' .*must lie in"),
        ("synthetic:4?colour=red", r"option 'colour=red' not understood; known are seed=\.\.\., size=\.\.\."),
        ("synthetic:4?seed", "option 'seed' not understood"),
        ("youtube:here?versions=4", r"option 'versions=4' not understood; known are split=\.\.\., regressor"),
    ],
)
def test_a_name_that_is_not_understood_lists_what_is_known(source, message):
    with pytest.raises(ValueError, match=message):
        open_source(source)


@pytest.mark.parametrize("source", [5, None, [5], ["synthetic:4", None]])
def test_what_is_no_name_is_refused_with_an_example(source):
    found = source[-1] if isinstance(source, list) else source
    with pytest.raises(
        ValueError, match=rf"open_source: source must be a name, such as synthetic:4096.* found {found}$"
    ):
        open_source(source)


def test_missing_data_are_said_to_be_missing(tmp_path):
    for kind in ("freihand", "youtube", "folder"):
        with pytest.raises(FileNotFoundError, match="there is no such folder"):
            open_source(f"{kind}:{tmp_path / 'nowhere'}")
