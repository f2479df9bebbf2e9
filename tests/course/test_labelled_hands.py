import numpy as np
import pytest

from peclr_utils.course.labelled_hands import (
    distances,
    labelled_crops,
    labelled_source,
    one_of_each,
    unlabelled_crops,
)
from peclr_utils.datasets import SyntheticHands, export_freihand, open_source
from peclr_utils.training import FinetuneConfig, PretrainConfig
from peclr_utils.training.poses import plain_labels


@pytest.fixture
def config(tmp_path):
    return FinetuneConfig(
        sources=("synthetic:24?seed=2&size=96",), image_size=32, cache=str(tmp_path / "cache"), progress=False
    )


@pytest.fixture(scope="module")
def freihand(tmp_path_factory):
    """FreiHAND's layout with ten photographs."""
    root = tmp_path_factory.mktemp("hands of") / "frei hand"
    export_freihand(SyntheticHands(10, seed=5, size=64), root)
    return root


def test_without_freihand_the_hands_are_rendered_and_no_part_shares_one_with_another():
    names = [labelled_source(["folder:/p"], part, 600) for part in ("training", "validation", "test")]
    assert all(name.startswith("synthetic:600?seed=") for name in names)
    assert len(set(names)) == 3
    # Few labels are drawn from as many hands as more labels.
    assert labelled_source([], "training", 64) == labelled_source([], "training", 256)
    assert labelled_source([], "validation", 64) != labelled_source([], "validation", 512)


def test_freihand_is_taken_in_its_own_parts_whatever_else_is_named(freihand):
    data = ["folder:/p", f"freihand:{freihand}?split=training&versions=1"]
    train = labelled_source(data, "training", 4)
    validation = labelled_source(data, "validation", 4)
    assert train == f"freihand:{freihand}?split=train&versions=1"
    assert not set(open_source(train).identities) & set(open_source(validation).identities)


def test_the_test_is_freihands_evaluation_set_once_all_its_labels_are_there(tmp_path):
    data = [f"freihand:{tmp_path}?versions=2"]
    (tmp_path / "evaluation_xyz.json").write_text("[]")
    assert "split=val" in labelled_source(data, "test", 4)
    (tmp_path / "evaluation_scale.json").write_text("[]")
    assert labelled_source(data, "test", 4) == f"freihand:{tmp_path}?split=evaluation"


def test_fewer_labels_lie_within_more_and_another_seed_labels_other_hands(config):
    few, many = (labelled_crops(config.replace(labels=count)) for count in (4, 12))
    assert (len(few), len(many)) == (4, 12)
    assert set(few.identities) < set(many.identities)
    assert set(few.identities) != set(labelled_crops(config.replace(labels=4, seed=1)).identities)


def test_one_of_each_takes_every_hand_once_and_not_always_the_first_version():
    identities = np.tile(np.arange(50), 4)
    positions = one_of_each(identities, 1000)
    assert sorted(identities[positions]) == list(range(50))
    assert len({int(position) // 50 for position in positions}) > 1
    assert np.array_equal(positions, one_of_each(identities, 1000))
    assert len(set(identities[one_of_each(identities, 7)])) == 7


def test_unlabelled_hands_are_a_draw_by_the_seed_and_all_of_them_if_there_are_fewer(tmp_path):
    config = PretrainConfig(sources=("synthetic:12?seed=1&size=48",), image_size=32, cache=str(tmp_path))
    few, other, all_of_them = (
        unlabelled_crops(config.replace(seed=seed), count) for seed, count in ((0, 5), (1, 5), (0, 50))
    )
    assert len(few) == len(other) == 5 and len(all_of_them) == 12
    assert set(few.identities) != set(other.identities)


def test_distances_in_pose_and_colour_are_zero_to_oneself_symmetric_and_those_of_the_labels(config):
    hands = labelled_crops(config.replace(labels=4))
    apart = distances(hands, hands, 32, 1.2)
    for name in ("pose", "colour"):
        assert np.allclose(np.diag(apart[name]), 0) and np.allclose(apart[name], apart[name].T)
        assert (apart[name] + np.eye(4) > 0).all()
    points = plain_labels(hands, None, 32, 1.2)["keypoints_2d"]
    assert np.isclose(apart["pose"][0, 1], np.linalg.norm(points[0] - points[1], axis=1).mean())
