import json
import pickle
import shutil
import tracemalloc

import numpy as np
import pytest

from peclr_utils.crops import CropSet, build_crops, crop
from peclr_utils.datasets.sample import HandSample, Subset

FIELDS = ("image", "mask", "keypoints_3d", "keypoints_2d", "K", "bone_length")


class DrawnHands:
    """A picklable data set of noise: every third sample has no labels and comes from another source."""

    def __init__(self, length: int = 9, seed: int = 0, fail_at: int | None = None):
        self.length, self.seed, self.fail_at = length, seed, fail_at
        self.source = "drawn"

    def __len__(self) -> int:
        return self.length

    @property
    def identities(self) -> np.ndarray:
        return np.arange(self.length) // 2

    def __getitem__(self, index: int) -> HandSample:
        if not 0 <= index < self.length:
            raise IndexError(index)
        if index == self.fail_at:
            raise OSError(f"picture {index} cannot be read")
        rng = np.random.default_rng([self.seed, index])
        known = index % 3 != 2
        return HandSample(
            image=rng.integers(0, 256, (60, 80, 3), dtype=np.uint8),
            identity=index // 2,
            source="drawn" if known else "bare",
            handedness="left" if index % 2 else "right",
            keypoints_3d=rng.normal(size=(21, 3)).astype(np.float32) if known else None,
            keypoints_2d=rng.uniform(0, 60, (21, 2)).astype(np.float32) if known else None,
            K=np.diag([90, 90, 1]).astype(np.float32) if known else None,
            bone_length=0.03 if known else None,
            mask=rng.integers(0, 256, (60, 80), dtype=np.uint8) if known else None,
        )


def build(dataset, path, size=24, **options) -> CropSet:
    return build_crops(dataset, path, size, progress=False, **options)


def assert_holds(crops: CropSet, dataset, size: int = 24, factor: float = 1.3) -> None:
    assert len(crops) == len(dataset)
    assert np.array_equal(crops.identities, dataset.identities)
    for index in range(len(dataset)):
        expected, found = crop(dataset[index], size, factor), crops[index]
        for field in FIELDS:
            wanted, value = getattr(expected, field), getattr(found, field)
            assert (wanted is None) == (value is None), (index, field)
            assert wanted is None or np.allclose(wanted, value, rtol=1e-6), (index, field)
        for field in ("identity", "source", "handedness"):
            assert getattr(expected, field) == getattr(found, field)


def stamp_time(path) -> int:
    return (path / "stamp.json").stat().st_mtime_ns


def test_a_crop_set_holds_what_cropping_each_sample_gives(tmp_path):
    crops = build(DrawnHands(), tmp_path / "crops")
    assert_holds(crops, DrawnHands())
    assert_holds(CropSet(tmp_path / "crops"), DrawnHands())
    assert crops.sources == ("bare", "drawn") and crops.source == "bare+drawn"
    assert [path.name for path in tmp_path.iterdir()] == ["crops"]


def test_workers_build_the_same_set(tmp_path):
    dataset = DrawnHands(length=150)
    alone, together = build(dataset, tmp_path / "a"), build(dataset, tmp_path / "b", workers=2)
    for name in ("images", "masks", "keypoints_3d", "K", "identities", "handedness", "source_index"):
        assert np.array_equal(getattr(alone, name), getattr(together, name), equal_nan=name != "source_index")
    assert alone.stamp == together.stamp


def test_an_equal_build_is_reused_and_another_one_replaces_it(tmp_path):
    path = tmp_path / "crops"
    build(DrawnHands(), path)
    first = stamp_time(path)
    build(DrawnHands(), path)
    assert stamp_time(path) == first
    for dataset, options in [
        (DrawnHands(seed=1), {}),
        (DrawnHands(length=7), {}),
        (Subset(DrawnHands(), [8, 7, 6, 5, 4, 3, 2, 1, 0]), {}),
        (DrawnHands(), {"factor": 1.5}),
        (DrawnHands(), {"size": 16}),
    ]:
        before = stamp_time(path)
        crops = build(dataset, path, **options)
        assert stamp_time(path) != before
        assert_holds(crops, dataset, options.get("size", 24), options.get("factor", 1.3))
    assert [path.name for path in tmp_path.iterdir()] == ["crops"]


def test_a_build_that_fails_leaves_nothing_and_says_why(tmp_path):
    for workers in (0, 1):
        with pytest.raises(OSError, match="picture 70 cannot be read"):
            # 70 is none of the samples that are looked at to recognise the data set
            build(DrawnHands(length=100, fail_at=70), tmp_path / "crops", workers=workers)
        assert not list(tmp_path.iterdir())


def test_a_failed_rebuild_keeps_the_old_set(tmp_path):
    build(DrawnHands(), tmp_path / "crops")
    with pytest.raises(OSError, match="picture 70"):
        build(DrawnHands(length=100, fail_at=70), tmp_path / "crops")
    assert_holds(CropSet(tmp_path / "crops"), DrawnHands())


@pytest.fixture
def damaged(tmp_path):
    build(DrawnHands(), tmp_path / "crops")
    return tmp_path / "crops"


def cut(path, to: int) -> None:
    path.write_bytes(path.read_bytes()[:to])


def test_a_file_cut_short_is_named_and_rebuilt(damaged):
    for name, to in [("images", 5000), ("masks", 3), ("K", 0)]:
        cut(damaged / f"{name}.npy", to)
        with pytest.raises(ValueError, match=f"{name}.npy is damaged or cut short"):
            CropSet(damaged)
        assert_holds(build(DrawnHands(), damaged), DrawnHands())


def test_missing_wrong_and_outdated_files_are_named(damaged):
    (damaged / "identity.npy").unlink()
    with pytest.raises(ValueError, match="identity.npy is missing"):
        CropSet(damaged)
    np.save(damaged / "identity.npy", np.zeros(4, np.int64))
    with pytest.raises(ValueError, match=r"identity.npy should be \(9,\) int64, found \(4,\)"):
        CropSet(damaged)
    stamp = json.loads((damaged / "stamp.json").read_text())
    (damaged / "stamp.json").write_text(json.dumps({**stamp, "version": 0}))
    with pytest.raises(ValueError, match="version 0 of the format"):
        CropSet(damaged)
    cut(damaged / "stamp.json", 10)
    with pytest.raises(ValueError, match="stamp.json is damaged"):
        CropSet(damaged)
    assert_holds(build(DrawnHands(), damaged), DrawnHands())


def test_a_folder_that_is_no_crop_set_is_not_touched(tmp_path):
    with pytest.raises(FileNotFoundError, match="no crop set at"):
        CropSet(tmp_path / "nothing")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.jpg").write_bytes(b"x")
    with pytest.raises(FileNotFoundError, match="never finished"):
        CropSet(tmp_path / "photos")
    with pytest.raises(FileExistsError, match="not a crop set"):
        build(DrawnHands(), tmp_path / "photos")
    assert (tmp_path / "photos" / "one.jpg").exists()


def test_senseless_requests_are_refused(tmp_path):
    with pytest.raises(ValueError, match="'drawn' is empty"):
        build(DrawnHands(length=0), tmp_path / "crops")
    for options in ({"size": 0}, {"factor": -1}, {"workers": -1}):
        with pytest.raises(ValueError, match=f"{next(iter(options))}={next(iter(options.values()))}"):
            build(DrawnHands(), tmp_path / "crops", **options)


def test_it_is_a_data_set(tmp_path):
    crops = build(DrawnHands(), tmp_path / "crops")
    assert crops[-1].name == crops[8].name == "crops[8]"
    with pytest.raises(IndexError, match="index 9"):
        crops[9]
    assert len(list(crops)) == 9
    assert len(Subset(crops, [1, 2])) == 2
    with pytest.raises(ValueError, match="read-only"):
        crops.images[0, 0, 0, 0] = 1
    crops[0].image[:] = 0  # a sample is the reader's own
    assert_holds(crops, DrawnHands())


def test_pickling_carries_the_path_and_not_the_pictures(tmp_path):
    crops = build(DrawnHands(), tmp_path / "crops")
    pickled = pickle.dumps(crops)
    assert len(pickled) < 500
    assert_holds(pickle.loads(pickled), DrawnHands())
    shutil.move(tmp_path / "crops", tmp_path / "moved")
    assert_holds(CropSet(tmp_path / "moved"), DrawnHands())


def test_reading_an_item_copies_its_own_row_only(tmp_path):
    crops = build(DrawnHands(length=200), tmp_path / "crops", size=64)
    crops[0]
    tracemalloc.start()
    crops[100]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * 64 * 64 * 4 + 10_000
