import numpy as np
import pytest
import torch

from peclr_utils import skeleton


def test_every_keypoint_but_the_wrist_ends_one_bone_that_starts_nearer_the_wrist():
    assert [child for _, child in skeleton.BONES] == list(range(1, 21))
    assert all(parent < child for parent, child in skeleton.BONES)
    assert {parent for parent, child in skeleton.BONES if child in (1, 5, 9, 13, 17)} == {0}


# Written out by hand, one landmark at a time, independently of the package's tables.
LANDMARKS = {
    "ait": {0: "wrist", 1: "thumb CMC", 3: "middle MCP", 8: "middle PIP", 16: "thumb tip", 20: "little tip"},
    "mano": {1: "index MCP", 4: "middle MCP", 7: "little MCP", 12: "ring DIP", 13: "thumb CMC"},
    "interhand": {0: "thumb tip", 3: "thumb CMC", 4: "index tip", 19: "little MCP", 20: "wrist"},
}


@pytest.mark.parametrize("order", LANDMARKS)
def test_orders_put_landmarks_where_their_data_sets_do(order):
    freihand = np.arange(21.0)[:, None] * np.ones((1, 3))
    moved = skeleton.reorder(freihand, "freihand", order)
    for position, name in LANDMARKS[order].items():
        assert skeleton.KEYPOINT_NAMES[int(moved[position, 0])] == name


@pytest.mark.parametrize("source", skeleton.FREIHAND_INDEX)
@pytest.mark.parametrize("target", skeleton.FREIHAND_INDEX)
def test_reordering_there_and_back_changes_nothing(source, target):
    points = np.random.default_rng(0).normal(size=(2, 21, 3))
    assert np.array_equal(skeleton.reorder(skeleton.reorder(points, source, target), target, source), points)


def test_wrong_order_or_count_is_named():
    with pytest.raises(ValueError, match="freehand.*freihand"):
        skeleton.reorder(np.zeros((21, 3)), "freehand", "ait")
    with pytest.raises(ValueError, match=r"\(20, 3\)"):
        skeleton.reorder(np.zeros((20, 3)), "freihand", "ait")
    with pytest.raises(ValueError, match=r"3D.*\(21, 2\)"):
        skeleton.freihand_from_ait_palm(np.zeros((21, 2)))


def test_the_published_order_becomes_freihands_with_a_wrist():
    # The authors' order by name, written out: palm, then MCPs thumb to little, PIPs, DIPs, tips.
    to_freihand = [0, 1, 5, 9, 13, 17, 2, 6, 10, 14, 18, 3, 7, 11, 15, 19, 4, 8, 12, 16, 20]
    points = np.random.default_rng(0).normal(size=(5, 21, 3))
    before = points.copy()
    for library in (np.asarray, torch.as_tensor):
        moved = np.asarray(skeleton.freihand_from_ait_palm(library(points)))
        # The palm lies half way between the new wrist and the middle MCP.
        np.testing.assert_allclose((moved[:, 0] + moved[:, 9]) / 2, points[:, 0])
        for position, freihand in list(enumerate(to_freihand))[1:]:
            np.testing.assert_array_equal(moved[:, freihand], points[:, position])
    np.testing.assert_array_equal(points, before)
