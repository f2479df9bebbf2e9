"""Backgrounds: what is painted, photographs and their errors, compositing."""

import cv2
import numpy as np
import pytest

from peclr_utils.hands.appearance import skin_tone
from peclr_utils.hands.backgrounds import PAINTERS, composite, photo_background, sample_background
from peclr_utils.hands.people import _Canvas, paint_person


@pytest.mark.parametrize("paint", [*PAINTERS, paint_person])
@pytest.mark.parametrize("size", [(224, 224), (96, 160), (33, 17)])
def test_each_painter_makes_an_image_of_any_size_that_depends_on_the_seed_alone(paint, size):
    first, again, other = (paint(np.random.default_rng(seed), size) for seed in (5, 5, 6))
    assert first.shape == (*size, 3) and first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert np.abs(first.astype(int) - other).mean() > 3


@pytest.fixture
def photographs(tmp_path):
    """A folder with a red and a green photograph, one of them in a sub-folder."""
    (tmp_path / "deeper").mkdir()
    cv2.imwrite(str(tmp_path / "a.png"), np.full((50, 300, 3), (0, 0, 255), np.uint8))
    cv2.imwrite(str(tmp_path / "deeper/b.JPG"), np.full((400, 90, 3), (0, 255, 0), np.uint8))
    (tmp_path / "notes.txt").write_text("not an image")
    return tmp_path


def test_photographs_are_cut_to_size_in_rgb(photographs, rng):
    pieces = [photo_background(rng, photographs, (64, 80)) for _ in range(20)]
    assert all(piece.shape == (64, 80, 3) for piece in pieces)
    means = np.stack([piece.mean(axis=(0, 1)) for piece in pieces])
    red, green = ((means[:, k] > 200) & (means.sum(axis=1) < 300) for k in (0, 1))
    assert red.any() and green.any() and (red | green).all()


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


def test_people_are_painted_only_where_asked_and_change_no_other_background():
    def paint(seed, people=0.0):
        return sample_background(np.random.default_rng(seed), (48, 40), people)

    assert all(paint(seed, 1.0).shape == (48, 40, 3) for seed in range(5))
    assert np.array_equal(paint(1), sample_background(np.random.default_rng(1), (48, 40)))
    lightest, darkest = skin_tone(78.0), skin_tone(26.0)
    assert lightest[0] > darkest[0] and (skin_tone(50.0)[1:] > 0).all()


@pytest.mark.parametrize("light", [-0.3, 0.3])
@pytest.mark.parametrize("ends", [((-0.5, -1), (0.5, 1)), ((0.5, 1), (-0.5, -1)), ((0.6, -1), (-0.4, 1))])
def test_a_painted_limb_is_brighter_towards_the_light(light, ends):
    """Whichever end it is drawn from; heads take the light from the same side."""
    canvas = _Canvas(np.random.default_rng(0), np.zeros((200, 200, 3), np.uint8))
    canvas.place, canvas.r, canvas.light = np.array([100.0, 100.0]), 50.0, light
    canvas.limb(*map(np.array, ends), 0.4, 0.3, np.array([[60.0] * 3, [240.0] * 3]))
    grey = canvas.image[..., 0].astype(float)
    x = np.arange(200)[None] + np.zeros_like(grey)
    assert np.sign((x * grey).sum() / grey.sum() - x[grey > 0].mean()) == np.sign(light)
