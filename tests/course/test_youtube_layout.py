"""The small set in YouTube3DHands' layout is read as what was rendered."""

import json

import numpy as np

from peclr_utils.course.youtube_layout import write_youtube_set
from peclr_utils.datasets import SyntheticHands, YouTube3DHands


def test_a_set_is_read_back_with_its_right_and_left_hands_each_within_its_outline(tmp_path):
    labels = write_youtube_set(tmp_path, frames=2, seed=5)
    assert json.loads((tmp_path / "youtube_train.json").read_text()) == labels
    hands = YouTube3DHands(tmp_path)
    assert list(hands.is_left) == [False, True, False, True]
    rendered = SyntheticHands(2, seed=5)[1].keypoints_2d
    outline = hands[2].outline
    assert outline.shape == (778, 2)
    assert (outline.min(axis=0) <= rendered.min(axis=0) + 3).all()
    assert (outline.max(axis=0) >= rendered.max(axis=0) - 3).all()
    # A left hand is mirrored with its frame: it stood in the right half.
    assert hands[1].outline[:, 0].max() < 224
    assert np.isfinite(hands[1].outline).all()
