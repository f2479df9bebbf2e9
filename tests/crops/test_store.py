"""A packed crop set: what it holds, and what it says when a file is damaged."""

import json
import pickle
import shutil

import numpy as np
import pytest

from peclr_utils.crops import CropSet


@pytest.fixture
def folder(tmp_path, drawn_hands, build):
    return build(drawn_hands(), tmp_path / "crops").path


@pytest.mark.parametrize("name", ["images.npy", "masks.npy", "index.npy", "done.npy", "stamp.json"])
@pytest.mark.parametrize("kept", [0, -3])
def test_a_truncated_file_is_named_and_packed_anew(name, kept, folder, drawn_hands, build, assert_holds):
    (folder / name).write_bytes((folder / name).read_bytes()[:kept])
    with pytest.raises(ValueError, match=f"{name} is missing, truncated .*pack it again"):
        CropSet(folder)
    with pytest.warns(UserWarning, match=f"Packing again: .*{name}"):
        assert_holds(build(drawn_hands(), folder), drawn_hands())


def test_unfinished_and_outdated_sets_are_refused(folder):
    np.lib.format.open_memmap(folder / "done.npy")[0] = 0
    with pytest.raises(ValueError, match="is unfinished"):
        CropSet(folder)
    stamp = json.loads((folder / "stamp.json").read_text())
    (folder / "stamp.json").write_text(json.dumps({**stamp, "version": 2}))
    with pytest.raises(ValueError, match="expected format version 3, found 2"):
        CropSet(folder)
    (folder / "stamp.json").unlink()
    with pytest.raises(FileNotFoundError, match="crops is not a crop set"):
        CropSet(folder)


def test_it_is_a_data_set(folder, drawn_hands, assert_holds):
    crops = CropSet(folder)
    assert crops[-1].name == crops[8].name == "crops[8]" and len(list(crops)) == 9
    with pytest.raises(ValueError, match="read-only"):
        crops.images[0, 0, 0, 0] = 1
    crops[0].image[:] = 0  # a sample is the reader's own
    assert_holds(crops, drawn_hands())
    # NumPy alone reads the files.
    assert np.array_equal(np.load(folder / "images.npy"), crops.images)
    assert np.array_equal(np.load(folder / "index.npy")["identity"], crops.identities)


def test_pickling_carries_the_path_and_not_the_images(folder, tmp_path, drawn_hands, assert_holds):
    pickled = pickle.dumps(CropSet(folder))
    assert len(pickled) < 500
    assert_holds(pickle.loads(pickled), drawn_hands())
    assert_holds(CropSet(shutil.move(folder, tmp_path / "moved")), drawn_hands())
