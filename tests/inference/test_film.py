"""Films: what is written can be read, hands are followed, and the filter does what its paper says."""

import numpy as np
import pytest

from peclr_utils.inference import film
from peclr_utils.inference.film import Film, OneEuro, follow, write_film

from .test_finding import DiscNetwork, picture


def moving(count=12):
    """A right and a left hand that cross the image; after eight frames the left one is gone."""
    for k in range(count):
        discs = [(100 + 8 * k, 120, 50, "right")]
        yield picture(*discs, *([(320 - 3 * k, 200 + 2 * k, 40, "left")] if k < 8 else []))


def test_a_film_comes_back_as_it_was_written(tmp_path):
    assert write_film(tmp_path / "a.mp4", moving(), 24.0) == 12
    read = Film(tmp_path / "a.mp4")
    frames = list(read)
    assert (len(frames), read.frames, read.rate) == (12, 12, 24.0)
    for frame, expected in zip(frames, moving(), strict=True):
        assert np.abs(frame.astype(int) - expected).mean() < 4


def test_what_is_no_film_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such film"):
        Film(tmp_path / "gone.mp4")
    (tmp_path / "text.mp4").write_text("not a film")
    with pytest.raises(ValueError, match="can't read a frame; convert it"):
        Film(tmp_path / "text.mp4")
    with pytest.raises(OSError, match="can't write this film"):
        write_film(tmp_path / "no" / "folder.mp4", moving(), 24.0)


def test_hands_are_followed_without_searching_the_whole_image_again(monkeypatch):
    searched = []
    original = film.find_hands
    monkeypatch.setattr(film, "find_hands", lambda *a, **k: searched.append(1) or original(*a, **k))
    hands = [found for _, found in follow(DiscNetwork(), moving())]
    assert [len(found) for found in hands] == [2] * 8 + [1] * 4 and len(searched) == 1
    for k, found in enumerate(hands):
        right = next(hand for hand in found if not hand.is_left)
        middle = (right.keypoints_2d.min(0) + right.keypoints_2d.max(0)) / 2
        np.testing.assert_allclose(middle, (100 + 8 * k, 120), atol=4)


def test_a_hand_that_comes_back_is_found_again():
    frames = [picture(), picture((200, 150, 50, "left")), picture(), picture((60, 60, 40, "right"))]
    assert [len(found) for _, found in follow(DiscNetwork(), iter(frames))] == [0, 1, 0, 1]


def test_the_filter_keeps_what_rests_and_takes_noise_from_it():
    rng = np.random.default_rng(0)
    still = rng.uniform(0, 100, (21, 2))
    smooth = OneEuro(30.0, 100.0)
    assert all(np.allclose(smooth(still), still) for _ in range(5))
    smooth, noisy = OneEuro(30.0, 100.0), still + rng.normal(0, 1, (90, 21, 2))
    filtered = np.stack([smooth(frame) for frame in noisy])[30:]
    assert (filtered - still).std() < 0.5 * (noisy[30:] - still).std()


def test_the_filter_lags_less_the_faster_the_motion_is_for_its_distance():
    """After a jump, each frame covers the more of what is left the larger the jump was."""
    remaining = []
    for jump in (1.0, 100.0):
        smooth = OneEuro(30.0, 100.0)
        smooth(np.zeros((21, 2)))
        remaining.append(1 - smooth(np.full((21, 2), jump)).mean() / jump)
    assert remaining[1] < 0.5 * remaining[0]


def test_a_smoothed_film_stays_near_its_hands():
    for (_, plain), (_, smooth) in zip(
        follow(DiscNetwork(), moving()), follow(DiscNetwork(), moving(), smooth=True), strict=True
    ):
        for one, other in zip(plain, smooth, strict=True):
            assert np.abs(one.keypoints_2d - other.keypoints_2d).max() < 25
