"""Films: what is written can be read, hands are followed, and the filter does what its paper says."""

import itertools
import warnings
from dataclasses import replace

import cv2
import numpy as np
import pytest

from peclr_utils.inference import film
from peclr_utils.inference.film import Film, OneEuro, follow, write_film
from peclr_utils.inference.finding import LIKELY

from .test_finding import CIRCLE, DiscNetwork, find, picture


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


def test_a_film_that_breaks_off_gives_what_can_be_read_and_one_warning(tmp_path):
    path, rng = tmp_path / "a.avi", np.random.default_rng(0)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 24, (64, 48))
    for _ in range(40):
        writer.write(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8))
    writer.release()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(list(Film(path))) == 40
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.warns(UserWarning, match=r"breaks off after \d+ of 40 frames") as warned:
        frames = list(Film(path))
    assert len(warned) == 1
    assert 10 < len(frames) < 30


@pytest.mark.parametrize("rate", [211.222, 105611 / 500, 119.88, 29.97, 24.0])
def test_films_of_every_rate_can_be_written(tmp_path, rate):
    assert write_film(tmp_path / "a.mp4", moving(2), rate) == 2
    assert Film(tmp_path / "a.mp4").rate == pytest.approx(rate, abs=0.5)


def test_what_is_no_film_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such film"):
        Film(tmp_path / "gone.mp4")
    (tmp_path / "text.mp4").write_text("not a film")
    with pytest.raises(ValueError, match="can't read a frame; convert it"):
        Film(tmp_path / "text.mp4")
    with pytest.raises(OSError, match="can't write this film"):
        write_film(tmp_path / "no" / "folder.mp4", moving(), 24.0)


def test_a_film_is_written_whole_or_not_at_all(tmp_path):
    def broken():
        yield from moving(3)
        raise ValueError("halfway")

    with pytest.raises(ValueError, match="halfway"):
        write_film(tmp_path / "a.mp4", broken(), 24.0)
    assert write_film(tmp_path / "b.mp4", [], 24.0) == 0
    assert not list(tmp_path.iterdir())


def test_hands_are_followed_without_searching_the_whole_image_again(monkeypatch):
    searched = []
    original = film.find_in
    monkeypatch.setattr(film, "find_in", lambda *a, **k: searched.append(1) or original(*a, **k))
    hands = [found for _, found in follow(DiscNetwork(), moving())]
    assert [len(found) for found in hands] == [2] * 8 + [1] * 4 and len(searched) == 1
    for k, found in enumerate(hands):
        right = next(hand for hand in found if not hand.is_left)
        middle = (right.keypoints_2d.min(0) + right.keypoints_2d.max(0)) / 2
        np.testing.assert_allclose(middle, (100 + 8 * k, 120), atol=4)


def test_a_film_without_a_hand_is_searched_now_and_then_and_at_once_when_the_last_hand_is_lost():
    left, right = picture((200, 150, 50, "left")), picture((60, 60, 40, "right"))
    frames = [picture(), *[left] * 5, right, picture(), *[left] * 5]
    found = [[hand.is_left for hand in hands] for _, hands in follow(DiscNetwork(), frames)]
    assert found == [*[[]] * 5, [True], [False], *[[]] * 5, [True]]


def test_a_followed_hand_that_the_windows_miss_stays(monkeypatch):
    searched, original = [], film.find_in

    def miss(*given):
        searched.append(1)
        return original(*given) if len(searched) == 1 else []

    monkeypatch.setattr(film, "find_in", miss)
    hands = [found for _, found in follow(DiscNetwork(), moving(20))]
    assert len(searched) == 2 and [len(found) for found in hands] == [2] * 8 + [1] * 12


class DoubtfulNetwork(DiscNetwork):
    """Never surer than it needs to be for a search."""

    def forward(self, images, K=None):
        output = super().forward(images, K)
        return output._replace(presence=output.presence.clamp_max(1.4))  # 0.80


def test_a_doubtful_hand_is_not_followed_without_the_votes_of_windows(monkeypatch):
    searched, original = [], film.find_in
    monkeypatch.setattr(film, "find_in", lambda *a, **k: searched.append(1) or original(*a, **k))
    hands = [found for _, found in follow(DoubtfulNetwork(), moving(4))]
    assert [len(found) for found in hands] == [2] * 4 and len(searched) == 4
    assert LIKELY < hands[0][0].presence < film.FOLLOWED
    assert len({hand.index for found in hands for hand in found}) == 2


def test_hands_keep_their_numbers_and_new_hands_get_new_ones():
    hands = [found for _, found in follow(DiscNetwork(), moving(20))]
    numbers = [{hand.is_left: hand.index for hand in found} for found in hands]
    assert numbers[:8] == [numbers[0]] * 8 and sorted(numbers[0].values()) == [0, 1]
    assert numbers[8:] == [{False: numbers[0][False]}] * 12
    frames = [picture((100, 100, 50, "right")), picture((300, 200, 50, "right"))]
    assert [found[0].index for _, found in follow(DiscNetwork(), frames)] == [0, 1]


def test_a_number_is_given_to_one_hand_only():
    (hand,) = find(picture((200, 150, 50, "right")))

    def at(x, index=0, is_left=False):
        return replace(hand, keypoints_2d=50 * CIRCLE + [x, 100], index=index, is_left=is_left)

    last = [at(0, 7), at(40, 9)]
    # The hand at 18 is nearer to number 7, which the hand at 10 has.
    now = [at(18), at(10), at(300), at(0, is_left=True)]
    numbered = film._numbered(now, last, itertools.count(20))
    assert [hand.index for hand in numbered] == [9, 7, 20, 21]


def test_the_camera_and_the_bone_of_a_film_are_used():
    K = np.array([[500.0, 0, 200], [0, 510, 150], [0, 0, 1]])
    hands = [hand for _, found in follow(DiscNetwork(), moving(3), K, 0.03) for hand in found]
    assert len(hands) == 6 and all(hand.unit == "metres" for hand in hands)
    for hand in hands:
        np.testing.assert_allclose(hand.K, K)


def test_limits_of_the_search_are_checked():
    with pytest.raises(ValueError, match="most must be at least 1, found 0"):
        next(follow(DiscNetwork(), moving(), most=0))


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
            np.testing.assert_array_equal(one.keypoints_3d, other.keypoints_3d)
