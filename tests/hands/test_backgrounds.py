"""Backgrounds: what is painted, photographs and their errors, compositing."""

import cv2
import numpy as np
import pytest

from peclr_utils.hands.backgrounds import KINDS, composite, photo_background, sample_background


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("size", [(224, 224), (96, 160), (33, 17)])
def test_each_kind_paints_a_picture_of_the_size_asked_for(kind, size, rng):
    for _ in range(4):
        picture = sample_background(rng, size, kind)
        assert picture.shape == (*size, 3) and picture.dtype == np.uint8


@pytest.mark.parametrize("kind", list(KINDS))
def test_equal_seeds_paint_equal_pictures_and_others_do_not(kind):
    first, again, other = (sample_background(np.random.default_rng(s), (64, 64), kind) for s in (5, 5, 6))
    assert np.array_equal(first, again)
    assert np.abs(first.astype(int) - other).mean() > 3


def test_backgrounds_differ_in_colour_and_are_not_blank(rng):
    pictures = np.stack([sample_background(rng, (48, 48)) for _ in range(120)]).astype(float)
    means = pictures.mean(axis=(1, 2))
    assert means.std(axis=0).min() > 25
    assert np.median(pictures.std(axis=(1, 2)).mean(axis=1)) > 12


def test_an_unknown_kind_is_named(rng):
    with pytest.raises(ValueError, match="unknown background 'sea'.*gradient"):
        sample_background(rng, (32, 32), "sea")


@pytest.fixture
def photographs(tmp_path):
    """A folder with a red and a green photograph, one of them in a sub-folder."""
    (tmp_path / "deeper").mkdir()
    for name, shape, colour in (
        ("a.png", (50, 300, 3), (0, 0, 255)),
        ("deeper/b.JPG", (400, 90, 3), (0, 255, 0)),
    ):
        cv2.imwrite(str(tmp_path / name), np.full(shape, colour, dtype=np.uint8))
    (tmp_path / "notes.txt").write_text("not a picture")
    return tmp_path


def test_photographs_are_cut_to_size_in_rgb(photographs, rng):
    seen = set()
    for _ in range(20):
        picture = photo_background(rng, photographs, (64, 80))
        assert picture.shape == (64, 80, 3)
        seen.add("red" if picture[..., 0].mean() > 200 else "green" if picture[..., 1].mean() > 200 else "?")
    assert seen == {"red", "green"}


def test_a_missing_empty_or_broken_folder_of_photographs_is_named(tmp_path, rng):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        photo_background(rng, tmp_path / "nowhere", (32, 32))
    with pytest.raises(ValueError, match="no pictures found"):
        photo_background(rng, tmp_path, (32, 32))
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "x.jpg").write_bytes(b"not a jpeg")
    with pytest.raises(ValueError, match=r"x\.jpg.*cannot be read"):
        photo_background(rng, folder, (32, 32))


def test_compositing_mixes_by_alpha(rng):
    front, back = rng.integers(0, 256, (2, 8, 9, 3), dtype=np.uint8)
    alpha = np.zeros((8, 9), dtype=np.uint8)
    alpha[:, 3:6], alpha[:, 6:] = 128, 255
    before = front.copy(), back.copy()
    mixed = composite(front, alpha, back)
    assert np.array_equal(mixed[:, :3], back[:, :3]) and np.array_equal(mixed[:, 6:], front[:, 6:])
    expected = front[:, 3:6] * (128 / 255) + back[:, 3:6] * (127 / 255)
    assert np.abs(mixed[:, 3:6] - expected).max() <= 1
    assert np.array_equal(front, before[0]) and np.array_equal(back, before[1])


def test_compositing_refuses_other_sizes(rng):
    with pytest.raises(ValueError, match="expected one size"):
        composite(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 9), np.uint8), np.zeros((8, 8, 3), np.uint8))
