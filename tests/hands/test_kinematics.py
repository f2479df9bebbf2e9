"""Forward kinematics, skinning, and the proportions of different people's hands."""

import numpy as np
import pytest

from peclr_utils.hands import (
    KEYPOINT_JOINTS,
    HandShape,
    forward_kinematics,
    gesture,
    load_hand_mesh,
    local_rotations,
    pose_hand,
    sample_shape,
)
from peclr_utils.hands.articulation import rest_pose
from peclr_utils.skeleton import FINGERS

MESH = load_hand_mesh()
IDENTITY = np.tile(np.eye(3), (25, 1, 1))
OPEN = local_rotations(gesture("open"))
KNUCKLES = [5, 9, 13, 17]


def random_rotations(rng, *shape):
    q, r = np.linalg.qr(rng.standard_normal((*shape, 3, 3)))
    q = q * np.sign(np.diagonal(r, axis1=-2, axis2=-1))[..., None, :]
    return q * np.linalg.det(q)[..., None, None]


def bone_lengths(keypoints):
    """(5, 3) the last three bones of each finger."""
    chains = np.array(list(FINGERS.values()))
    return np.linalg.norm(np.diff(keypoints[chains], axis=1), axis=2)


def test_identity_rotations_reproduce_the_bind_pose_and_the_file_s_normals():
    posed = pose_hand(MESH, IDENTITY)
    np.testing.assert_allclose(posed.vertices, MESH.vertices, atol=1e-8)
    np.testing.assert_allclose(posed.keypoints, MESH.keypoints, atol=1e-12)
    np.testing.assert_allclose(local_rotations(rest_pose()), IDENTITY, atol=1e-12)
    assert np.degrees(np.arccos(np.clip((posed.normals * MESH.normals).sum(1), -1, 1))).max() < 10
    np.testing.assert_array_equal(posed.normals, posed.normals[MESH.weld])  # also across seams


@pytest.mark.parametrize(
    ("joint", "below"), [("wrist", range(1, 25)), ("index-finger-phalanx-intermediate", (8, 9))]
)
def test_turning_a_joint_moves_its_children_rigidly_and_nothing_else(joint, below):
    rng = np.random.default_rng(1)
    shape, before, joint = sample_shape(rng), random_rotations(rng, 25), MESH.joint_names.index(joint)
    after = before.copy()
    after[joint] = random_rotations(rng)
    below = list(below)
    a, b = forward_kinematics(MESH, before, shape), forward_kinematics(MESH, after, shape)
    motion = b[joint] @ np.linalg.inv(a[joint])
    np.testing.assert_allclose(motion[:3, :3] @ motion[:3, :3].T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(b[below], motion @ a[below], atol=1e-12)
    rest = np.setdiff1d(np.arange(25), [joint, *below])
    np.testing.assert_array_equal(a[rest], b[rest])
    np.testing.assert_allclose(a[joint, :3, 3], b[joint, :3, 3], atol=1e-12)

    skin = MESH.weights[:, [joint, *below]].sum(1)
    va, vb = pose_hand(MESH, before, shape).vertices, pose_hand(MESH, after, shape).vertices
    carried = va[skin > 1 - 1e-6] @ motion[:3, :3].T + motion[:3, 3]
    np.testing.assert_allclose(vb[skin > 1 - 1e-6], carried, atol=1e-7)
    np.testing.assert_allclose(va[skin == 0], vb[skin == 0], atol=1e-12)


def test_skinning_equals_the_sum_over_joints_written_out():
    rotations = local_rotations(gesture("grasp"))
    transforms = forward_kinematics(MESH, rotations)
    posed = pose_hand(MESH, rotations)
    for v in np.random.default_rng(3).integers(0, 1360, 20):
        point = np.append(MESH.vertices[v], 1)
        expected = sum(
            MESH.weights[v, j] * (transforms[j] @ MESH.inverse_bind[j] @ point)[:3] for j in range(25)
        )
        np.testing.assert_allclose(posed.vertices[v], expected, atol=1e-8)


def test_a_batch_of_poses_equals_one_at_a_time():
    rotations = random_rotations(np.random.default_rng(4), 2, 3, 25)
    batched = forward_kinematics(MESH, rotations)
    np.testing.assert_allclose(batched[1, 2], forward_kinematics(MESH, rotations[1, 2]), atol=1e-14)
    keypoints = pose_hand(MESH, rotations[0, 1]).keypoints
    np.testing.assert_allclose(batched[0, 1][KEYPOINT_JOINTS, :3, 3], keypoints, atol=1e-14)


def flesh_thickness(posed, base, end, joint):
    """Mean distance of a bone's skin from its axis."""
    a, b = posed.keypoints[base], posed.keypoints[end]
    skin = posed.vertices[MESH.weights[:, MESH.joint_names.index(joint)] > 0.9] - a
    axis = (b - a) / np.linalg.norm(b - a)
    return np.linalg.norm(skin - (skin @ axis)[:, None] * axis, axis=1).mean()


def test_bones_take_their_own_factors():
    bones = np.random.default_rng(0).uniform(0.8, 1.2, (5, 3))
    grown, hand = pose_hand(MESH, OPEN, HandShape(bones=bones)), pose_hand(MESH, OPEN)
    np.testing.assert_allclose(bone_lengths(grown.keypoints), bones * bone_lengths(MESH.keypoints), rtol=1e-9)
    np.testing.assert_allclose(grown.keypoints[KNUCKLES], hand.keypoints[KNUCKLES])


@pytest.mark.parametrize("factor", [0.85, 1.2])
def test_girth_changes_thickness_but_no_keypoint(factor):
    stout = pose_hand(MESH, OPEN, HandShape(girth=np.full(5, factor), palm_girth=factor))
    hand = pose_hand(MESH, OPEN)
    np.testing.assert_allclose(stout.keypoints, hand.keypoints, atol=1e-15)
    for base, end, finger in ((10, 11, "middle"), (18, 19, "pinky")):
        joint = f"{finger}-finger-phalanx-intermediate"
        ratio = flesh_thickness(stout, base, end, joint) / flesh_thickness(hand, base, end, joint)
        assert ratio == pytest.approx(factor, rel=0.03)
    palm = MESH.weights[:, 10] > 0.5
    depth = np.ptp(stout.vertices[palm, 2]) / np.ptp(hand.vertices[palm, 2])
    assert (depth > 1.05) if factor > 1 else (depth < 0.95)


def test_palm_factors_stretch_the_palm_as_one_piece():
    wide = pose_hand(MESH, IDENTITY, HandShape(palm_width=1.1, palm_length=0.9))
    factors = [1.1, 0.9, 1]
    np.testing.assert_allclose(wide.keypoints[KNUCKLES], MESH.keypoints[KNUCKLES] * factors, atol=1e-12)
    names = ["wrist", *(f"{finger}-finger-metacarpal" for finger in ("index", "middle", "ring", "pinky"))]
    palm = [MESH.joint_names.index(name) for name in names]
    inside = MESH.weights[:, palm].sum(1) > 1 - 1e-6
    assert inside.sum() > 100
    np.testing.assert_allclose(wide.vertices[inside], MESH.vertices[inside] * factors, atol=1e-7)


def test_skin_of_every_shape_is_smooth_and_outward_and_ends_at_the_fingertips():
    edges = np.unique(np.sort(MESH.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1), axis=0)

    def lengths(posed):
        return np.linalg.norm(posed.vertices[edges[:, 0]] - posed.vertices[edges[:, 1]], axis=1)

    hand = pose_hand(MESH, OPEN)
    for seed in range(20):
        shape = sample_shape(np.random.default_rng(seed))
        posed = pose_hand(MESH, OPEN, shape)
        stretch = lengths(posed) / lengths(hand) / shape.size
        assert 0.5 < stretch.min() and stretch.max() < 1.7
        a, b, c = (posed.vertices[MESH.faces[:, k]] for k in range(3))
        outwards = np.einsum("ij,ij->i", np.cross(b - a, c - a), posed.normals[MESH.faces].mean(1))
        assert (outwards > 0).mean() > 0.995
        for tip in (4, 8, 12, 16, 20):
            assert np.linalg.norm(posed.vertices - posed.keypoints[tip], axis=1).min() < 0.004


def test_sampled_hands_are_as_long_as_people_s():
    shapes = [sample_shape(np.random.default_rng(seed)) for seed in range(300)]
    k = np.stack([pose_hand(MESH, IDENTITY, shape).keypoints for shape in shapes])
    lengths = np.linalg.norm(k[:, 12] - k[:, 0], axis=1)
    assert 0.11 < min(lengths) < 0.15 and 0.2 < max(lengths) < 0.24
    assert 0.175 < np.median(lengths) < 0.195
    assert 0.04 < np.median(np.linalg.norm(k[:, 10] - k[:, 9], axis=1)) < 0.05
