import json
import pickle
import shutil
import tracemalloc

import numpy as np
import pytest

from peclr_utils.crops import CropSet
from peclr_utils.crops.__main__ import main
from peclr_utils.datasets.sample import Subset


@pytest.fixture
def damaged(tmp_path, drawn_hands, build):
    build(drawn_hands(), tmp_path / "crops")
    return tmp_path / "crops"


@pytest.fixture(scope="module")
def many_whole(tmp_path_factory, drawn_hands, build):
    return build(drawn_hands(length=384), tmp_path_factory.mktemp("whole") / "many", size=8).path


@pytest.fixture
def many(tmp_path, many_whole):
    """Six chunks: more than are looked at when a set is opened."""
    return shutil.copytree(many_whole, tmp_path / "many")


def cut(path, to: int) -> None:
    path.write_bytes(path.read_bytes()[:to])


def flip(path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 4
    path.write_bytes(content)


def test_a_file_cut_short_is_found_at_once_named_and_packed_anew(damaged, drawn_hands, build, assert_holds):
    for name, to in [("images", 15_679), ("masks", 3), ("index", 0), ("checksums", 131)]:
        cut(damaged / f"{name}.npy", to)
        with pytest.raises(ValueError, match=rf"{name}.npy should have [\d,]+ bytes, found.*pack it again"):
            CropSet(damaged)
        assert_holds(build(drawn_hands(), damaged), drawn_hands())


def test_missing_wrong_and_outdated_files_are_named(damaged, drawn_hands, build, assert_holds):
    (damaged / "index.npy").unlink()
    with pytest.raises(ValueError, match="index.npy is missing"):
        CropSet(damaged)
    np.save(damaged / "index.npy", np.zeros(555, np.int64))  # of the same length
    with pytest.raises(ValueError, match="index.npy does not begin as it should"):
        CropSet(damaged)
    stamp = json.loads((damaged / "stamp.json").read_text())
    (damaged / "stamp.json").write_text(json.dumps({**stamp, "version": 1}))
    with pytest.raises(ValueError, match="version 1 of the format"):
        CropSet(damaged)
    cut(damaged / "stamp.json", 10)
    with pytest.raises(ValueError, match="stamp.json is damaged"):
        CropSet(damaged)
    assert_holds(build(drawn_hands(), damaged), drawn_hands())


def test_a_flipped_bit_of_index_checksums_or_stamp_is_found_when_opening(many):
    rng = np.random.default_rng(0)
    for name in ("index.npy", "checksums.npy"):
        length = (many / name).stat().st_size
        for position in [0, 8, 20, length - 1, *rng.integers(128, length, 10)]:
            flip(many / name, position)
            with pytest.raises(ValueError, match=f"{name} (is damaged|does not begin as it should)"):
                CropSet(many)
            flip(many / name, position)
    flip(many / "stamp.json", (many / "stamp.json").read_text().index('"factor": 1.3') + len('"factor": 1.'))
    with pytest.raises(ValueError, match="stamp.json is damaged.*checksum"):
        CropSet(many)


def test_a_flipped_bit_of_a_pixel_is_found_by_the_full_check(many, capsys):
    CropSet(many, verify=True, progress=False)
    assert main([str(many)]) == 0
    assert "whole; 384 crops of 8 px from bare+drawn, with masks" in capsys.readouterr().out
    for name, position in [("images.npy", 128 + 150 * 8 * 8 * 3), ("masks.npy", 128 + 151 * 8 * 8)]:
        flip(many / name, position)  # in the third chunk, which opening does not look at
        assert len(CropSet(many)) == 384
        with pytest.raises(ValueError, match="1 of 6 chunks of 64 .* are crops 128 to 191; delete"):
            CropSet(many, verify=True, progress=False)
        assert main([str(many)]) == 1
        assert "crops 128 to 191" in capsys.readouterr().err
        flip(many / name, position)


def test_a_few_chunks_of_pixels_are_checked_when_opening(many):
    flip(many / "images.npy", 128)
    with pytest.raises(ValueError, match="crops 0 to 63; delete the folder"):
        CropSet(many)


def test_the_command_names_a_folder_that_is_no_crop_set(tmp_path, capsys):
    assert main([str(tmp_path)]) == 1
    assert "not a crop set" in capsys.readouterr().err


def test_a_folder_that_is_no_crop_set_is_not_touched(tmp_path, drawn_hands, build):
    with pytest.raises(FileNotFoundError, match="no crop set at"):
        CropSet(tmp_path / "nothing")
    for folder in ("photos", "crops.unfinished"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "one.jpg").write_bytes(b"x")
    with pytest.raises(FileNotFoundError, match="never finished"):
        CropSet(tmp_path / "photos")
    with pytest.raises(FileExistsError, match="not a crop set"):
        build(drawn_hands(), tmp_path / "photos")
    with pytest.raises(FileExistsError, match="holds one.jpg; move that away"):
        build(drawn_hands(), tmp_path / "crops")
    assert (tmp_path / "photos" / "one.jpg").exists()
    assert (tmp_path / "crops.unfinished" / "one.jpg").exists()


def test_it_is_a_data_set(damaged, drawn_hands, assert_holds):
    crops = CropSet(damaged)
    assert crops[-1].name == crops[8].name == "crops[8]"
    with pytest.raises(IndexError, match="index 9"):
        crops[9]
    assert len(list(crops)) == 9
    assert len(Subset(crops, [1, 2])) == 2
    with pytest.raises(ValueError, match="read-only"):
        crops.images[0, 0, 0, 0] = 1
    crops[0].image[:] = 0  # a sample is the reader's own
    assert_holds(crops, drawn_hands())


def test_numpy_alone_reads_the_files(damaged):
    crops = CropSet(damaged)
    assert np.array_equal(np.load(damaged / "images.npy"), crops.images)
    assert np.array_equal(np.load(damaged / "index.npy")["identity"], crops.identities)


def test_pickling_carries_the_path_and_not_the_pictures(damaged, tmp_path, drawn_hands, assert_holds):
    pickled = pickle.dumps(CropSet(damaged))
    assert len(pickled) < 500
    assert_holds(pickle.loads(pickled), drawn_hands())
    shutil.move(damaged, tmp_path / "moved")
    assert_holds(CropSet(tmp_path / "moved"), drawn_hands())


def test_an_unpickled_set_opens_when_it_is_used_and_notices_other_crops(damaged, drawn_hands, build):
    pickled = pickle.dumps(CropSet(damaged))
    hidden = shutil.move(damaged, damaged.with_name("hidden"))
    unused = pickle.loads(pickled)
    with pytest.raises(FileNotFoundError, match="no crop set at"):
        len(unused)
    shutil.move(hidden, damaged)
    assert len(unused) == 9 and unused.size == 24
    with pytest.raises(AttributeError, match="no attribute 'pictures'"):
        _ = pickle.loads(pickled).pictures
    stale = pickle.loads(pickled)
    build(drawn_hands(seed=1), damaged)
    with pytest.raises(ValueError, match="packed anew since it was opened"):
        len(stale)
    with pytest.raises(ValueError, match="packed anew since it was opened"):
        len(stale)


def test_reading_an_item_copies_its_own_row_only(tmp_path, drawn_hands, build):
    crops = build(drawn_hands(length=200), tmp_path / "crops", size=64)
    crops[0]
    tracemalloc.start()
    crops[100]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * 64 * 64 * 4 + 10_000
