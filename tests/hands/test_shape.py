import numpy as np
import pytest

from peclr_utils.hands import (
    HandShape,
    gesture,
    load_hand_mesh,
    local_rotations,
    pose_hand,
    sample_shape,
)
from peclr_utils.skeleton import FINGERS

MESH = load_hand_mesh()
OPEN = local_rotations(gesture("open"))


def bone_lengths(keypoints):
    """(5, 3) the last three bones of each finger."""
    chains = np.array(list(FINGERS.values()))
    return np.linalg.norm(np.diff(keypoints[chains], axis=1), axis=2)


def flesh_thickness(posed, base, end, joint):
    """Mean distance of a bone's skin from its axis."""
    a, b = posed.keypoints[base], posed.keypoints[end]
    skin = posed.vertices[MESH.weights[:, MESH.joint_names.index(joint)] > 0.9] - a
    axis = (b - a) / np.linalg.norm(b - a)
    return np.linalg.norm(skin - (skin @ axis)[:, None] * axis, axis=1).mean()


def test_default_shape_is_the_mesh_itself():
    a, b = pose_hand(MESH, OPEN), pose_hand(MESH, OPEN, HandShape())
    np.testing.assert_allclose(a.vertices, b.vertices, atol=1e-15)
    np.testing.assert_allclose(a.keypoints, b.keypoints, atol=1e-15)


def test_size_scales_everything():
    small, hand = pose_hand(MESH, OPEN, HandShape(size=0.7)), pose_hand(MESH, OPEN)
    np.testing.assert_allclose(small.vertices, 0.7 * hand.vertices, atol=1e-8)
    np.testing.assert_allclose(small.keypoints, 0.7 * hand.keypoints, atol=1e-12)
    np.testing.assert_allclose(small.normals, hand.normals, atol=1e-5)


def test_bones_take_their_own_factors():
    bones = np.random.default_rng(0).uniform(0.8, 1.2, (5, 3))
    grown = pose_hand(MESH, OPEN, HandShape(bones=bones))
    np.testing.assert_allclose(bone_lengths(grown.keypoints), bones * bone_lengths(MESH.keypoints), rtol=1e-9)
    np.testing.assert_allclose(
        grown.keypoints[[5, 9, 13, 17]], pose_hand(MESH, OPEN).keypoints[[5, 9, 13, 17]]
    )


@pytest.mark.parametrize("factor", [0.85, 1.2])
def test_girth_changes_thickness_but_no_keypoint(factor):
    stout = pose_hand(MESH, OPEN, HandShape(girth=np.full(5, factor), palm_girth=factor))
    hand = pose_hand(MESH, OPEN)
    np.testing.assert_allclose(stout.keypoints, hand.keypoints, atol=1e-15)
    for base, end, joint in (
        (10, 11, "middle-finger-phalanx-intermediate"),
        (18, 19, "pinky-finger-phalanx-intermediate"),
    ):
        ratio = flesh_thickness(stout, base, end, joint) / flesh_thickness(hand, base, end, joint)
        assert ratio == pytest.approx(factor, rel=0.03)
    depth = np.ptp(stout.vertices[MESH.weights[:, 10] > 0.5, 2]) / np.ptp(
        hand.vertices[MESH.weights[:, 10] > 0.5, 2]
    )
    assert (depth > 1.05) if factor > 1 else (depth < 0.95)


def test_fingertips_stay_on_the_surface_of_every_shape():
    for seed in range(10):
        posed = pose_hand(MESH, OPEN, sample_shape(np.random.default_rng(seed)))
        for tip in (4, 8, 12, 16, 20):
            assert np.linalg.norm(posed.vertices - posed.keypoints[tip], axis=1).min() < 0.004


def test_palm_factors_stretch_the_palm_as_one_piece():
    wide = pose_hand(MESH, np.tile(np.eye(3), (25, 1, 1)), HandShape(palm_width=1.1, palm_length=0.9))
    knuckles = [5, 9, 13, 17]
    np.testing.assert_allclose(wide.keypoints[knuckles], MESH.keypoints[knuckles] * [1.1, 0.9, 1], atol=1e-12)
    palm = [
        k
        for k, name in enumerate(MESH.joint_names)
        if name == "wrist" or ("metacarpal" in name and "thumb" not in name)
    ]
    inside = MESH.weights[:, palm].sum(1) > 1 - 1e-6
    assert inside.sum() > 100
    np.testing.assert_allclose(wide.vertices[inside], MESH.vertices[inside] * [1.1, 0.9, 1], atol=1e-7)


def test_skin_stays_smooth_and_outward_at_extreme_shapes():
    edges = np.unique(np.sort(MESH.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1), axis=0)

    def lengths(posed):
        return np.linalg.norm(posed.vertices[edges[:, 0]] - posed.vertices[edges[:, 1]], axis=1)

    hand = pose_hand(MESH, OPEN)
    for seed in range(20):
        shape = sample_shape(np.random.default_rng(seed), variation=1.5)
        posed = pose_hand(MESH, OPEN, shape)
        stretch = lengths(posed) / lengths(hand) / shape.size
        assert 0.4 < stretch.min() and stretch.max() < 2
        a, b, c = (posed.vertices[posed.faces[:, k]] for k in range(3))
        outwards = np.einsum("ij,ij->i", np.cross(b - a, c - a), posed.normals[posed.faces].mean(1)) > 0
        assert outwards.mean() > 0.995


def test_sampled_hands_are_as_long_as_people_s():
    lengths, bones = [], []
    for seed in range(300):
        k = pose_hand(
            MESH, np.tile(np.eye(3), (25, 1, 1)), sample_shape(np.random.default_rng(seed))
        ).keypoints
        lengths.append(np.linalg.norm(k[12] - k[0]))
        bones.append(np.linalg.norm(k[10] - k[9]))
    assert 0.11 < min(lengths) < 0.15 and 0.2 < max(lengths) < 0.24
    assert 0.175 < np.median(lengths) < 0.195
    assert 0.04 < np.median(bones) < 0.05


def test_girth_does_not_follow_length():
    shapes = [sample_shape(np.random.default_rng(seed), child_fraction=0) for seed in range(600)]
    girth = [s.girth.mean() for s in shapes]
    assert np.std(girth) > 0.05
    assert abs(np.corrcoef(girth, [s.bones.mean() for s in shapes])[0, 1]) < 0.12
    assert abs(np.corrcoef(girth, [s.size for s in shapes])[0, 1]) < 0.12


def test_same_seed_same_shape():
    a, b = (sample_shape(np.random.default_rng(7)) for _ in range(2))
    assert all(np.array_equal(x, y) for x, y in zip(vars(a).values(), vars(b).values(), strict=True))


def test_without_variation_only_the_size_differs():
    shape = sample_shape(np.random.default_rng(3), variation=0)
    assert shape.size != 1
    np.testing.assert_array_equal(np.concatenate([shape.bones.ravel(), shape.girth, [shape.palm_width]]), 1)


def test_bad_factors_are_named():
    with pytest.raises(ValueError, match="HandShape.size: expected positive factors, found 0"):
        HandShape(size=0)
    with pytest.raises(ValueError, match=r"HandShape.girth: expected shape \(5,\), found \(4,\)"):
        HandShape(girth=np.ones(4))
    with pytest.raises(ValueError, match="child_fraction: expected a share"):
        sample_shape(np.random.default_rng(0), child_fraction=2)
