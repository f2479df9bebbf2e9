"""Misplaced views: each kind is moved as it says, and only that."""

import numpy as np
import pytest

from peclr_utils.augmentation import AugmentationConfig, affine, sample_parameters
from peclr_utils.training.presence import AWAY, KINDS, misplace

MARGIN = 2.0


@pytest.fixture(scope="module")
def placed():
    config = AugmentationConfig.weak(margin=MARGIN, rotation=180.0)
    parameters = sample_parameters(config, 8000, np.random.default_rng(0))
    return parameters, misplace(parameters, 0.4, MARGIN, np.random.default_rng(1))


def _of(placed, kind):
    return placed.kind == KINDS.index(kind)


def test_the_shares_are_as_asked(placed):
    shares = np.bincount(placed[1].kind, minlength=len(KINDS)) / 8000
    np.testing.assert_allclose(shares, [0.4, 0.2, 0.1, 0.1, 0.1, 0.1], atol=0.02)


def test_what_is_in_place_or_mirrored_moves_as_it_did_and_colours_never_change(placed):
    before, after = placed
    for kind in ("in place", "mirrored"):
        for name in ("shift", "scale", "angle"):
            same = getattr(before, name)[_of(after, kind)], getattr(after.parameters, name)[_of(after, kind)]
            np.testing.assert_array_equal(*same)
    for name in ("colour", "blur", "angle"):
        np.testing.assert_array_equal(getattr(before, name), getattr(after.parameters, name))


def test_hands_lie_where_their_kind_says(placed):
    """Where the crop's centre, the hand's, comes to lie in a view of 100 pixels, and how large it is."""
    _, after = placed
    matrices = affine(after.parameters, 200, 100)
    centre = matrices[:, :2] @ np.array([99.5, 99.5, 1.0])
    off = np.linalg.norm(centre - 49.5, axis=1) / 100
    size = np.sqrt(np.abs(np.linalg.det(matrices[:, :2, :2]))) * 200 / 100 / MARGIN
    assert 0.1 <= off[_of(after, "near")].min() and off[_of(after, "near")].max() <= 0.3
    assert 0.4 <= off[_of(after, "off-centre")].min() and off[_of(after, "off-centre")].max() <= 0.6
    assert off[_of(after, "no hand")].min() > 5
    wrong = size[_of(after, "wrong scale")]
    assert ((wrong < 0.5) | (wrong > 2)).all() and 0.4 < (wrong < 1).mean() < 0.6
    assert 0.6 <= size[_of(after, "near")].min() and size[_of(after, "near")].max() <= 1.7


def test_a_view_without_a_hand_shows_another_background_and_the_others_keep_theirs():
    """Otherwise it would be black, and the network would learn nothing from it."""
    config = AugmentationConfig.weak(margin=MARGIN, background=0.5)
    before = sample_parameters(config, 2000, np.random.default_rng(0))
    after = misplace(before, 0.4, MARGIN, np.random.default_rng(1))
    bare = _of(after, "no hand")
    assert (before.background[bare] < 0).any() and (after.parameters.background[bare] >= 0).all()
    kept = ~bare | (before.background >= 0)
    np.testing.assert_array_equal(after.parameters.background[kept], before.background[kept])
    assert len(np.unique(after.parameters.background[bare] % 512)) > 100


def test_presence_is_asked_of_what_is_in_place_or_away_and_the_pose_of_what_is_near(placed):
    _, after = placed
    assert (after.presence[_of(after, "in place")] == 1).all()
    assert np.isnan(after.presence[_of(after, "near")]).all()
    for kind in AWAY:
        assert (after.presence[_of(after, kind)] == 0).all() and not after.posed[_of(after, kind)].any()
    assert after.posed[_of(after, "in place")].all() and after.posed[_of(after, "near")].all()
    assert (after.mirrored == _of(after, "mirrored")).all()


def test_none_are_moved_if_none_are_asked_for():
    parameters = sample_parameters(AugmentationConfig.weak(), 500, np.random.default_rng(0))
    after = misplace(parameters, 0.0, 1.0, np.random.default_rng(1))
    assert (after.kind == 0).all() and (after.presence == 1).all()
