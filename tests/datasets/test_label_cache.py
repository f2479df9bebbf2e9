import json
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest

from peclr_utils.datasets import FreiHAND, cache, labels


@pytest.fixture(autouse=True)
def cache_small_files_too(monkeypatch):
    monkeypatch.setattr(labels, "CACHED_FROM", 0)


@pytest.fixture
def parsed(monkeypatch) -> list[str]:
    """Names of the label files parsed since."""
    names = []
    read_array = labels.read_array

    def counting(path, shape):
        names.append(path.name)
        return read_array(path, shape)

    monkeypatch.setattr(labels, "read_array", counting)
    return names


def compact_files(root: Path) -> list[str]:
    return sorted(path.name for path in root.rglob("*.npz"))


def test_labels_are_parsed_once_and_stay_the_same(freihand_root, parsed):
    root = freihand_root()
    first = FreiHAND(root, "training").labels
    assert len(parsed) == 3
    second = FreiHAND(root, "val", val_fraction=0.2).labels
    assert len(parsed) == 3
    for name in ("K", "xyz", "scale"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert not list(root.rglob(".*-freihand*"))  # no temporary file is left


def test_changed_labels_are_parsed_again_and_the_stale_file_goes(freihand_root, parsed):
    root = freihand_root()
    FreiHAND(root, "training")
    path = root / "training_scale.json"
    before = path.stat()
    entries = json.loads(path.read_text())[::-1]
    path.write_text(json.dumps(entries))  # of the same size
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    np.testing.assert_array_equal(FreiHAND(root, "training").labels.scale, np.float32(entries))
    assert len(compact_files(root)) == 1


def test_training_and_evaluation_have_a_file_each(freihand_root, parsed):
    freihand_root(count=3)
    root = freihand_root(count=4, versions=1, part="evaluation")
    for _ in range(2):
        FreiHAND(root, "training")
        FreiHAND(root, "evaluation")
    assert len(parsed) == 6
    assert len(compact_files(root)) == 2


def test_public_evaluation_labels_added_later_are_seen(freihand_root):
    root = freihand_root(count=4, versions=1, part="evaluation")
    text = (root / "evaluation_xyz.json").read_text()
    (root / "evaluation_xyz.json").unlink()
    assert FreiHAND(root, "evaluation")[0].keypoints_3d is None
    (root / "evaluation_xyz.json").write_text(text)
    assert FreiHAND(root, "evaluation")[0].keypoints_3d is not None


def test_a_damaged_compact_file_is_made_again(freihand_root, parsed):
    root = freihand_root()
    FreiHAND(root, "training")
    (compact,) = root.rglob("*.npz")
    compact.write_bytes(compact.read_bytes()[:100])
    assert len(FreiHAND(root, "training").labels.K) == 5
    assert len(parsed) == 6
    FreiHAND(root, "training")
    assert len(parsed) == 6


def test_a_root_that_cannot_be_written_to_uses_the_users_cache(freihand_root, home_is_empty, parsed):
    root = freihand_root()
    (root / cache.BESIDE).write_text("in the way: stands for a read-only root, also for the superuser")
    for _ in range(2):
        assert len(FreiHAND(root, "training").labels.K) == 5
    assert len(parsed) == 3
    assert compact_files(home_is_empty / ".cache" / "peclr_utils")


def test_two_read_only_roots_of_one_name_do_not_share_a_cache(freihand_root, parsed, tmp_path):
    roots = [freihand_root(count=count, name=f"{count}/FreiHAND") for count in ()]
    for count in (3, 4):
        (tmp_path / str(count)).mkdir()
        root = freihand_root(count=count, name=f"{count}/FreiHAND")
        (root / cache.BESIDE).write_text("in the way")
        roots.append(root)
    assert [len(FreiHAND(root, "training").labels.K) for root in roots * 2] == [3, 4, 3, 4]


def test_without_any_place_to_write_it_still_opens_and_says_so(freihand_root, home_is_empty):
    root = freihand_root()
    (root / cache.BESIDE).write_text("in the way")
    (home_is_empty / ".cache").write_text("in the way")
    with pytest.warns(UserWarning, match=r"parsed anew at each opening; no folder .* cache="):
        assert len(FreiHAND(root, "training").labels.K) == 5


def test_a_folder_can_be_named(freihand_root, tmp_path):
    root = freihand_root()
    FreiHAND(root, "training", cache=tmp_path / "mine")
    assert compact_files(tmp_path / "mine")
    assert not (root / cache.BESIDE).exists()


def test_the_cache_keeps_itself_out_of_version_control(freihand_root):
    root = freihand_root()
    FreiHAND(root, "training")
    assert (root / cache.BESIDE / ".gitignore").read_text().strip() == "*"


def _open_many(root: Path, failures) -> None:
    labels.CACHED_FROM = 0
    for _ in range(20):
        for compact in root.rglob("*.npz"):
            compact.unlink(missing_ok=True)
        if len(FreiHAND(root, "training", cache=root / "shared").labels.K) != 5:
            failures.put("wrong labels")
    failures.put("done")


def test_two_processes_may_open_at_once(freihand_root):
    root = freihand_root()
    context = multiprocessing.get_context("fork")
    failures = context.Queue()
    workers = [context.Process(target=_open_many, args=(root, failures)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert [failures.get(timeout=5) for _ in workers] == ["done", "done"]


def test_small_label_files_leave_no_trace(freihand_root, monkeypatch):
    monkeypatch.setattr(labels, "CACHED_FROM", 1_000_000)
    root = freihand_root()
    FreiHAND(root, "training")
    assert not (root / cache.BESIDE).exists()
