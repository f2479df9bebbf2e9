import errno
import inspect
import os
import shutil
import tracemalloc
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
import pytest

from peclr_utils.crops import CropSet, pack
from peclr_utils.crops.layout import RECORD
from peclr_utils.datasets import ImageFolderHands
from peclr_utils.datasets.sample import Subset
from peclr_utils.training import PretrainConfig, open_crops
from peclr_utils.training.pair_data import pair_augmentation

PROBES = 8


def stamp_time(path) -> int:
    return (path / "stamp.json").stat().st_mtime_ns


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class Bare:
    """A data set without its masks."""

    def __init__(self, dataset):
        self.dataset, self.source = dataset, dataset.source

    def __len__(self):
        return len(self.dataset)

    @property
    def identities(self):
        return self.dataset.identities

    def __getitem__(self, index):
        return replace(self.dataset[index], mask=None)


class TwoPartError(Exception):
    """Cannot be sent to another process: it is made of two parts and pickled with one."""

    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


class Failing(Bare):
    """Sample 100 raises an error, or ends the process."""

    def __init__(self, dataset, error):
        super().__init__(dataset)
        self.error = error

    def __getitem__(self, index):
        if index == 100 and self.error == "end":
            os._exit(3)
        if index == 100:
            raise TwoPartError("this", "that")
        return super().__getitem__(index)


@pytest.fixture
def pictures(tmp_path):
    """150 pictures in a folder; number 100 is none of those that are looked at to recognise the folder."""
    (tmp_path / "pictures").mkdir()
    rng = np.random.default_rng(0)
    for number in range(150):
        image = rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / "pictures" / f"{number:03d}.png"), image)
    return tmp_path / "pictures"


class CountedFolder(ImageFolderHands):
    asked = 0

    def __getitem__(self, index):
        self.asked += 1
        return super().__getitem__(index)


def test_a_crop_set_holds_what_cropping_each_sample_gives(tmp_path, drawn_hands, build, assert_holds):
    crops = build(drawn_hands(), tmp_path / "crops")
    assert_holds(crops, drawn_hands())
    assert_holds(CropSet(tmp_path / "crops"), drawn_hands())
    assert crops.sources == ("bare", "drawn") and crops.source == "bare+drawn"
    assert names(tmp_path) == ["crops"]


def test_its_defaults_are_what_training_packs(drawn_hands):
    config = PretrainConfig(progress=False)
    crops = open_crops(config, pair_augmentation(config), (), drawn_hands())
    defaults = inspect.signature(pack).parameters
    assert defaults["size"].default == crops.size
    assert defaults["factor"].default == pytest.approx(crops.stamp["factor"])


def test_workers_make_the_same_bytes(tmp_path, drawn_hands, build, contents):
    # The first mask is in the last chunk, the sources alternate.
    dataset = drawn_hands(length=150, masks_from=140)
    build(dataset, tmp_path / "a")
    build(dataset, tmp_path / "b", workers=2)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert set(contents(tmp_path / "a")) == {
        "images.npy", "masks.npy", "index.npy", "checksums.npy", "stamp.json",
    }  # fmt: skip


def test_an_index_record_has_no_padding_that_would_be_left_to_chance():
    assert RECORD.itemsize == sum(RECORD[name].itemsize for name in RECORD.names)


def test_masks_are_stored_only_if_there_are_any(tmp_path, drawn_hands, build, assert_holds):
    masked, bare = drawn_hands(), Bare(drawn_hands())
    assert "masks.npy" in names(build(masked, tmp_path / "masked").path)
    crops = build(bare, tmp_path / "bare")
    assert "masks.npy" not in names(crops.path)
    assert crops.masks is None and not crops.has_mask.any()
    assert_holds(crops, bare)


def test_an_equal_set_is_reused_and_another_one_replaces_it(
    tmp_path, drawn_hands, build, assert_holds, capsys
):
    path = tmp_path / "crops"
    build(drawn_hands(), path)
    first = stamp_time(path)
    again = drawn_hands()
    (tmp_path / ".crops.outdated").mkdir()  # left by a kill
    build(again, path)
    assert stamp_time(path) == first and again.asked == PROBES
    assert names(tmp_path) == ["crops"]
    assert capsys.readouterr().err == ""
    for dataset, options in [
        (drawn_hands(seed=1), {}),
        (drawn_hands(length=7), {}),
        (Subset(drawn_hands(), [8, 7, 6, 5, 4, 3, 2, 1, 0]), {}),
        (drawn_hands(), {"factor": 1.5}),
        (drawn_hands(), {"size": 16}),
    ]:
        before = stamp_time(path)
        crops = build(dataset, path, **{"progress": True, **options})
        assert "holds crops of other data, or of another size or factor: pack" in capsys.readouterr().err
        assert stamp_time(path) != before
        assert_holds(crops, dataset, options.get("size", 24), options.get("factor", 1.3))
    assert names(tmp_path) == ["crops"]


def test_a_failed_rebuild_keeps_the_old_set(tmp_path, drawn_hands, build, assert_holds):
    build(drawn_hands(), tmp_path / "crops")
    with pytest.raises(OSError, match="picture 75"):
        build(drawn_hands(length=100, fail_at=75), tmp_path / "crops")
    assert_holds(CropSet(tmp_path / "crops"), drawn_hands())


@pytest.mark.parametrize(("workers", "kept"), [(0, 64), (2, 86)])
def test_a_corrupt_picture_is_named_and_costs_no_finished_chunk(
    workers, kept, pictures, tmp_path, build, contents
):
    whole = build(ImageFolderHands(pictures), tmp_path / "whole").path
    good = (pictures / "100.png").read_bytes()
    (pictures / "100.png").write_bytes(good[:30])
    with pytest.raises(ValueError, match="100.png: its 30 bytes don't decode") as raised:
        build(ImageFolderHands(pictures), tmp_path / "crops", workers=workers)
    notes = " ".join(raised.value.__notes__)
    assert "sample 100 of folder" in notes
    assert f"{kept} of 150 crops are done and kept in {tmp_path / 'crops.unfinished'}" in notes
    assert not (tmp_path / "crops").exists()

    (pictures / "100.png").write_bytes(good)
    mended = CountedFolder(pictures)
    mended.__class__.__qualname__ = "ImageFolderHands"
    crops = build(mended, tmp_path / "crops")
    assert mended.asked == PROBES + 150 - kept
    assert contents(crops.path) == contents(whole)
    assert names(tmp_path) == ["crops", "pictures", "whole"]


def test_an_error_that_cannot_be_sent_still_says_what_and_where(tmp_path, drawn_hands, build):
    with pytest.raises(RuntimeError, match="TwoPartError: this and that") as raised:
        build(Failing(drawn_hands(length=128), "raise"), tmp_path / "crops", workers=1)
    assert "sample 100 of drawn" in raised.value.__notes__[0]


def test_a_worker_that_dies_is_reported(tmp_path, drawn_hands, build):
    with pytest.raises(RuntimeError, match="a worker process died.*fewer workers") as raised:
        build(Failing(drawn_hands(length=128), "end"), tmp_path / "crops", workers=1)
    assert "64 of 128 crops are done and kept" in raised.value.__notes__[0]


@pytest.fixture
def half(tmp_path, drawn_hands, build):
    """A set of three chunks of which two are made."""
    with pytest.raises(OSError, match="picture 130"):
        build(drawn_hands(length=150, fail_at=130), tmp_path / "crops")
    return tmp_path / "crops.unfinished"


def test_what_is_done_is_not_made_again(half, tmp_path, drawn_hands, build, contents, capsys):
    dataset = drawn_hands(length=150)
    crops = build(dataset, tmp_path / "crops", progress=True)
    assert dataset.asked == PROBES + 22
    assert f"going on with {half}: 128 of 150 crops are there" in capsys.readouterr().err
    assert contents(crops.path) == contents(build(dataset, tmp_path / "one go").path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda journal: journal[:-7],
        lambda journal: journal[:-1],
        lambda journal: journal[:-20] + b"\0" * 20,
        lambda journal: journal.replace(b"[1, ", b"[2, "),
    ],
    ids=["torn", "without its end", "zeros", "of another chunk"],
)
def test_a_line_of_the_journal_that_was_torn_is_ignored(half, damage, tmp_path, drawn_hands, build, contents):
    journal = half / "journal.txt"
    journal.write_bytes(damage(journal.read_bytes()))
    with pytest.raises(OSError, match="picture 130"):  # the chunk is made again, and its line is whole
        build(drawn_hands(length=150, fail_at=130), tmp_path / "crops")
    dataset = drawn_hands(length=150)
    crops = build(dataset, tmp_path / "crops")
    assert dataset.asked == PROBES + 22
    assert contents(crops.path) == contents(build(dataset, tmp_path / "one go").path)


@pytest.mark.parametrize(
    ("changes", "options", "line"),
    [
        ({"seed": 1}, {}, "from another data set"),
        ({"length": 149}, {}, "with another count, 150 and not 149"),
        ({}, {"size": 16}, "with another size, 24 and not 16"),
        ({}, {"factor": 1.5}, "with another factor, 1.3 and not 1.5"),
    ],
)
def test_another_plan_starts_anew_and_says_so(
    half, changes, options, line, tmp_path, drawn_hands, build, assert_holds, capsys
):
    dataset = drawn_hands(**{"length": 150, **changes})
    crops = build(dataset, tmp_path / "crops", progress=True, **options)
    assert f"{half} was begun {line}: starting anew" in capsys.readouterr().err
    assert dataset.asked == PROBES + len(dataset)
    assert_holds(crops, dataset, crops.size, crops.stamp["factor"])


def test_an_unfinished_folder_whose_files_were_cut_starts_anew(
    half, tmp_path, drawn_hands, build, assert_holds
):
    os.truncate(half / "images.npy", 1000)
    assert_holds(build(drawn_hands(length=150), tmp_path / "crops"), drawn_hands(length=150))


@pytest.mark.parametrize("step", ["_put_in_place", "UnfinishedSet.finish", "os.rename"])
def test_stopped_at_the_last_steps_it_goes_on(
    half, step, tmp_path, drawn_hands, build, contents, monkeypatch
):
    build(drawn_hands(), tmp_path / "crops")  # in whose place the new set will come
    with monkeypatch.context() as patched:
        calls = []

        def stop(*arguments):
            calls.append(arguments)
            if step != "os.rename" or len(calls) == 2:
                raise KeyboardInterrupt
            shutil.move(*arguments)

        patched.setattr(f"peclr_utils.crops.packing.{step}", stop)
        with pytest.raises(KeyboardInterrupt):
            build(drawn_hands(length=150), tmp_path / "crops")
    dataset = drawn_hands(length=150)
    crops = build(dataset, tmp_path / "crops")
    assert dataset.asked <= 2 * PROBES  # none but those looked at
    assert contents(crops.path) == contents(build(dataset, tmp_path / "one go").path)
    assert names(tmp_path) == ["crops", "one go"]


Usage = namedtuple("Usage", "total used free")


def test_a_disk_too_small_is_said_before_anything_is_made(tmp_path, drawn_hands, build, monkeypatch):
    need = 150 * (24 * 24 * 4 + 472)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, need))
    dataset = drawn_hands(length=150)
    with pytest.raises(OSError, match=r"150 crops of 24 px need 0.00 GB more, .* are free; make room"):
        build(dataset, tmp_path / "crops")
    assert dataset.asked == PROBES and not names(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, need + 1000))
    assert len(build(dataset, tmp_path / "crops")) == 150


def test_going_on_needs_room_for_what_is_missing_only(half, tmp_path, drawn_hands, build, monkeypatch):
    if not hasattr(os.stat(half / "images.npy"), "st_blocks"):
        pytest.skip("this system does not tell how much of a file is on the disk")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, 60 * (24 * 24 * 4 + 472)))
    assert len(build(drawn_hands(length=150), tmp_path / "crops")) == 150


def test_a_disk_that_gets_full_is_an_error_after_which_it_goes_on(
    tmp_path, drawn_hands, build, contents, monkeypatch
):
    synced = []

    def sync(number):
        synced.append(number)
        if len(synced) == 10:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", sync)
        with pytest.raises(OSError, match="No space left on device while packing crops: .*unfinished"):
            build(drawn_hands(length=300), tmp_path / "crops")
    dataset = drawn_hands(length=300)
    crops = build(dataset, tmp_path / "crops")
    assert dataset.asked < 300
    assert contents(crops.path) == contents(build(dataset, tmp_path / "one go").path)


def test_two_threads_make_a_set_once(tmp_path, drawn_hands, build, assert_holds):
    datasets = [drawn_hands(length=150) for _ in range(2)]
    with ThreadPoolExecutor(2) as threads:
        assert all(len(crops) == 150 for crops in threads.map(build, datasets, [tmp_path / "crops"] * 2))
    assert sorted(data.asked for data in datasets) == [PROBES, PROBES + 150]
    assert_holds(CropSet(tmp_path / "crops"), drawn_hands(length=150))


def test_memory_does_not_grow_with_the_number_of_crops(tmp_path, drawn_hands, build):
    build(drawn_hands(), tmp_path / "warm up")
    peaks = []
    for length in (64, 256):
        tracemalloc.start()
        build(drawn_hands(length=length), tmp_path / str(length), size=64)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


def test_senseless_requests_are_refused(tmp_path, drawn_hands, build):
    with pytest.raises(ValueError, match="'drawn' is empty"):
        build(drawn_hands(length=0), tmp_path / "crops")
    for options in ({"size": 0}, {"factor": -1}, {"workers": -1}):
        with pytest.raises(ValueError, match=f"{next(iter(options))}={next(iter(options.values()))}"):
            build(drawn_hands(), tmp_path / "crops", **options)
