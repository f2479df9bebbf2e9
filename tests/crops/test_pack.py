"""Packing: what is made, reused, resumed and refused. `test_processes` kills and interrupts it."""

import errno
import gc
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from peclr_utils.crops import CropSet, open_crops
from peclr_utils.datasets import SyntheticHands
from peclr_utils.datasets.sample import Subset

PROBES = 8


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


@pytest.mark.parametrize("masks_from", [0, 140, 150], ids=["masks", "a mask that no probe sees", "no mask"])
def test_workers_pack_what_cropping_gives(masks_from, tmp_path, drawn_hands, build, assert_holds, contents):
    dataset = drawn_hands(length=150, masks_from=masks_from)
    crops = build(dataset, tmp_path / "one")
    assert_holds(crops, dataset)
    assert contents(build(dataset, tmp_path / "two", workers=2).path) == contents(crops.path)
    assert crops.source == "bare+drawn" and names(tmp_path) == ["one", "two"]
    masks = {"masks.npy"} if masks_from < 150 else set()
    assert set(names(crops.path)) == {"images.npy", "index.npy", "done.npy", "stamp.json"} | masks
    assert (crops.masks is None) == (not masks)


def test_an_equal_set_is_reused_and_another_one_replaces_it(tmp_path, drawn_hands, build, assert_holds):
    path, again = tmp_path / "crops", drawn_hands()
    build(drawn_hands(), path)
    build(again, path)
    assert again.asked == PROBES
    for dataset, options in [
        (drawn_hands(seed=1), {}),
        (drawn_hands(length=7), {}),
        (Subset(drawn_hands(), [8, 7, 6, 5, 4, 3, 2, 1, 0]), {}),
        (drawn_hands(), {"factor": 1.5}),
        (drawn_hands(), {"size": 16}),
    ]:
        (tmp_path / "crops.old").mkdir()  # left by a kill
        with pytest.warns(UserWarning, match="holds crops of other data, size or factor"):
            crops = build(dataset, path, **options)
        assert (crops.size, crops.factor) == (options.get("size", 24), options.get("factor", 1.3))
        assert_holds(crops, dataset)
    assert names(tmp_path) == ["crops"]


@pytest.mark.filterwarnings("ignore:Packing again")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_bad_sample_costs_no_finished_chunk(workers, tmp_path, drawn_hands, build, contents, assert_holds):
    build(drawn_hands(), tmp_path / "crops")
    with pytest.raises(OSError, match="image 130 can't be read") as raised:
        build(drawn_hands(length=150, fail_at=130), tmp_path / "crops", workers=workers)
    assert raised.value.__notes__[0] == "This was sample 130 of drawn."
    assert raised.value.__notes__[-1] == "128 of 150 crops are done; the same call resumes there."
    assert_holds(CropSet(tmp_path / "crops"), drawn_hands())  # the old set stays until the new one is whole
    mended = drawn_hands(length=150)
    crops = build(mended, tmp_path / "crops")
    assert mended.asked == PROBES + 22
    assert contents(crops.path) == contents(build(mended, tmp_path / "one go").path)


@pytest.mark.filterwarnings("ignore:Packing again")
def test_crops_begun_from_other_data_start_anew_and_finished_ones_are_kept(
    tmp_path, drawn_hands, build, assert_holds
):
    with pytest.raises(OSError, match="image 130"):
        build(drawn_hands(length=150, fail_at=130), tmp_path / "crops")
    dataset, again = drawn_hands(length=150, seed=1), drawn_hands(length=150, seed=1)
    crops = build(dataset, tmp_path / "crops")
    assert dataset.asked == PROBES + 150
    crops.path.rename(tmp_path / "crops.unfinished")  # as a kill before the last step leaves it
    assert_holds(build(again, tmp_path / "crops"), dataset)
    assert again.asked == PROBES


FULL = Mock(return_value=SimpleNamespace(free=300_000))
QUOTA = Mock(side_effect=OSError(errno.EDQUOT, "Disk quota exceeded"))


@pytest.mark.parametrize(("name", "answer"), [("shutil.disk_usage", FULL), ("os.posix_fallocate", QUOTA)])
def test_a_full_disk_is_noticed_at_once(name, answer, tmp_path, drawn_hands, build, monkeypatch):
    monkeypatch.setattr(name, answer, raising=False)
    dataset = drawn_hands(length=100)
    with pytest.raises(OSError, match="(space|exceeded): the crops need 0.42 GB, .* GB are free"):
        build(dataset, tmp_path / "crops", size=1024)
    assert dataset.asked == PROBES and names(tmp_path) == []


@pytest.mark.parametrize("name", ["crops", "crops.unfinished"])
def test_a_folder_of_something_else_is_not_touched(name, tmp_path, drawn_hands, build):
    (tmp_path / name).mkdir()
    (tmp_path / name / "one.jpg").touch()
    with pytest.raises(FileNotFoundError, match=f"{name} is not a crop set"):
        build(drawn_hands(), tmp_path / "crops")
    assert (tmp_path / name / "one.jpg").exists()


def test_open_crops_fits_the_views_and_finds_its_crops_again(tmp_path, drawn_hands, assert_holds):
    crops, again = open_crops(drawn_hands(), 24, 1.2, 1.77, tmp_path), drawn_hands()
    assert crops.size == 43 and crops.factor == 1.2 * 43 / 24  # 42.48 pixels, rounded up
    assert open_crops(again, 24, 1.2, 1.77, str(tmp_path)).path == crops.path and again.asked == 2 * PROBES
    assert open_crops(crops, 64, 1.0, 1.0) is crops
    named = open_crops(["synthetic:2?size=64"], 24, 1.2, 1.77, tmp_path)
    assert named.path.name == "synthetic-2-size-64_43px_2.150"
    assert_holds(named, SyntheticHands(2, size=64))
    many = open_crops([f"synthetic:1?size=64&seed={seed}" for seed in range(9)], 24, 1.2, 1.77, tmp_path)
    assert len(many) == 9 and len(many.path.name) < 100
    with pytest.raises(ValueError, match="sources: expected at least one, such as"):
        open_crops((), 24, 1.2, 1.77)


def test_without_a_cache_the_crops_are_temporary(tmp_path, drawn_hands, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    crops = open_crops(drawn_hands(), 24, 1.2, 1.77)
    assert crops.path.parent.parent == tmp_path and crops[0].image.shape == (43, 43, 3)
    del crops
    gc.collect()
    with pytest.raises(OSError, match="image 3") as raised:
        open_crops(drawn_hands(20, fail_at=3), 24, 1.2, 1.77)
    assert "with `cache` set, the next run resumes" in raised.value.__notes__[-1]
    assert names(tmp_path) == []
