import pickle

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from peclr_utils.datasets import (
    EvenMixture,
    FreiHAND,
    ImageFolderHands,
    Source,
    SyntheticHands,
    find_data,
    open_source,
)
from peclr_utils.hands.scene import ViewRange

PATHS = st.text(st.sampled_from("ab/?=&: %\n.é"), min_size=1, max_size=12)
OPTIONS = st.dictionaries(st.sampled_from(["split", "seed", "x_1"]), st.text(st.sampled_from("a1,/?=%é\n")))


@given(kind=st.sampled_from(["freihand", "youtube", "folder"]), path=PATHS, options=OPTIONS)
def test_parsing_and_printing_are_inverses(kind, path, options):
    try:
        source = Source(kind, path, options)
    except ValueError:
        assume(False)  # refused, because it would be read as something else
    assert Source.parse(str(source)) == source
    assert hash(Source.parse(str(source))) == hash(source)


@pytest.mark.parametrize(
    ("text", "path", "options"),
    [
        ("folder:what? a folder", "what? a folder", {}),
        ("folder:whose?", "whose?", {}),
        ("folder:a?b?boxes=c.csv", "a?b", {"boxes": "c.csv"}),
        ("folder:a?b?boxes=/a?b/c.csv", "a?b", {"boxes": "/a?b/c.csv"}),
        ("freihand:C:/data?split=train&versions=1,2", "C:/data", {"split": "train", "versions": "1,2"}),
        ("synthetic:4?seed", "4?seed", {}),
    ],
)
def test_options_are_what_follows_the_last_question_mark_if_it_looks_like_options(text, path, options):
    source = Source.parse(text)
    assert (source.path, source.options) == (path, options)
    assert str(source) == text


def test_what_would_be_read_as_something_else_is_refused():
    for path, options in [("a?b=c", {}), ("a", {"boxes": "b&c"}), ("a", {"boxes": "b?c=d"})]:
        with pytest.raises(ValueError, match="can't be told apart"):
            Source("folder", path, options)


@pytest.mark.parametrize("name", ["what?", "a?b=c", "split?seed=1&x=2", "100% [1] #2", "a:b, folder"])
def test_folders_with_odd_names_can_be_opened(tmp_path, write_image, name):
    write_image(tmp_path / name / "a.jpg")
    for found in (find_data(tmp_path / name), find_data(f"folder:{tmp_path / name}")):
        assert [str(source) for source in found] == [f"folder:{tmp_path / name}"]
        assert open_source(str(found[0])).names == ["a.jpg"]
    (tmp_path / "boxes.csv").write_text("name,x,y,width,height\na.jpg,1,1,5,5\n")
    boxed = open_source(found[0].replace(boxes=tmp_path / "boxes.csv"))
    assert isinstance(boxed, ImageFolderHands) and boxed[0].outline is not None


def test_options_are_replaced_and_paths_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = Source.parse("freihand:data?split=train&versions=2")
    assert str(source.replace(split="val", seed=1)) == "freihand:data?split=val&versions=2&seed=1"
    assert str(source.replace(split=None, versions=None)) == "freihand:data"
    assert str(source.absolute()) == f"freihand:{tmp_path}/data?split=train&versions=2"
    boxes, rendered = Source.parse("folder:a?boxes=b.csv"), Source.parse("synthetic:4?backgrounds=c")
    assert str(boxes.absolute()) == f"folder:{tmp_path}/a?boxes=b.csv"  # perhaps a name in the folder
    (tmp_path / "b.csv").touch()
    assert str(boxes.absolute()) == f"folder:{tmp_path}/a?boxes={tmp_path}/b.csv"
    assert str(rendered.absolute()) == f"synthetic:4?backgrounds={tmp_path}/c"


def test_options_become_arguments(freihand_root):
    options = "versions=2&size=48&left_fraction=0.5&view=25&border=0.5&counting=0.3"
    hands = open_source(f"synthetic:6?seed=3&{options}")
    assert isinstance(hands, SyntheticHands)
    assert (len(hands), hands.seed, hands.versions, hands.size, hands.left_fraction) == (6, 3, 2, 48, 0.5)
    assert hands.view == ViewRange(max_angle_degrees=25) and (hands.border, hands.counting) == (0.5, 0.3)
    assert open_source("synthetic:6?view=anywhere").view == ViewRange.anywhere()
    assert open_source("synthetic:6?view=40,45").view == ViewRange(max_angle_degrees=40, roll_degrees=45)
    root = freihand_root(count=10, versions=4)
    photographs = open_source(f"freihand:{root}?split=val&versions=2&val_fraction=0.3")
    assert isinstance(photographs, FreiHAND)
    assert len(photographs) == 3 * 2
    assert open_source(f"freihand:{root}?split=training&versions=1,3").versions == (1, 3)
    assert Source("freihand", str(root)).open().split == "train"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("mpii:here", r"known kind and a path, such as synthetic:4096\?seed=1.*freihand:PATH.*coco:PATH"),
        ("synthetic:many", "source 'synthetic:many': .*'many'"),
        ("synthetic:4?view=400", "must lie in"),
        ("synthetic:4?colour=red", r"unknown option 'colour', known: .*'seed', 'size'"),
        ("youtube:here?versions=4", "unknown option 'versions', known: .*'split', 'regressor'"),
    ],
)
def test_a_name_that_is_not_understood_is_quoted_and_lists_what_is_known(source, message):
    with pytest.raises(ValueError, match=message):
        open_source(source)


def test_every_data_set_ends_iteration_counts_from_the_end_and_is_pickled(freihand_root, tmp_path):
    freihand = freihand_root(count=2, versions=2)
    (tmp_path / "boxes.csv").write_text("name,x,y,width,height\n00000001.jpg,1,1,9,9\n")
    images = f"folder:{freihand / 'training' / 'rgb'}"
    sources = [f"freihand:{freihand}?split=training", images, f"{images}?boxes={tmp_path / 'boxes.csv'}"]
    for source in (*sources, "synthetic:2?size=32", sources):
        dataset = open_source(source)
        assert isinstance(dataset, EvenMixture) == (source is sources)
        samples = list(pickle.loads(pickle.dumps(dataset)))
        assert len(samples) == len(dataset)
        assert [sample.identity for sample in samples] == dataset.identities.tolist()
        np.testing.assert_array_equal(samples[-1].image, dataset[-1].image)
        with pytest.raises(IndexError):
            dataset[len(dataset)]
