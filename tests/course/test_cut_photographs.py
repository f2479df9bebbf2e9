"""A photograph is cut beside the hand, and a right view's shift can be taken back there, too."""

import numpy as np
import pytest

from peclr_utils.augmentation import AugmentationConfig, sample_parameters
from peclr_utils.augmentation.authors_views import AuthorsAugmentation, sample_authors_parameters
from peclr_utils.course.cut_photographs import cut_off, off_by_ours, off_by_theirs
from peclr_utils.course.moving_hands import hands_with_masks


@pytest.fixture(scope="module")
def hand():
    return hands_with_masks([], seed=3, border=0)[0]


@pytest.mark.parametrize("where", ["whole", "left", "right"])
def test_the_hand_stays_whole_and_its_keypoints_stay_on_it(hand, where):
    cut = cut_off(hand, where)
    x = cut.keypoints_2d[:, 0]
    assert x.min() >= 0 and x.max() < cut.image.shape[1]
    moved = round(float(hand.keypoints_2d[0, 0] - x[0]))
    np.testing.assert_array_equal(cut.image, hand.image[:, moved : moved + cut.image.shape[1]])
    assert (cut.image.shape == hand.image.shape) == (where == "whole")


def test_our_shift_is_taken_back_exactly_and_theirs_is_not(hand):
    rng = np.random.default_rng(0)
    ours = sample_parameters(AugmentationConfig(rotation=45, shift=0.1), 8, rng)
    theirs = sample_authors_parameters(AuthorsAugmentation(saturation=(1, 1), value=(1, 1)), 8, rng)
    cut = cut_off(hand, "left")
    assert max(off_by_ours(cut, ours, k) for k in range(8)) < 0.05
    assert max(off_by_theirs(cut, theirs, k) for k in range(8)) > 5
