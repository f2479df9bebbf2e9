import numpy as np
import pytest

from peclr_utils.hands import (
    KEYPOINT_JOINTS,
    HandPose,
    HandShape,
    forward_kinematics,
    gesture,
    load_hand_mesh,
    local_rotations,
    mirror,
    pose_hand,
    rest_pose,
    sample_shape,
)
from peclr_utils.skeleton import BONES

MESH = load_hand_mesh()
IDENTITY = np.tile(np.eye(3), (25, 1, 1))


def random_rotations(rng, *shape):
    q, r = np.linalg.qr(rng.standard_normal((*shape, 3, 3)))
    q = q * np.sign(np.diagonal(r, axis1=-2, axis2=-1))[..., None, :]
    return q * np.linalg.det(q)[..., None, None]


def volume(posed):
    a, b, c = (posed.vertices[posed.faces[:, k]] for k in range(3))
    return np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6


def test_identity_rotations_reproduce_the_bind_pose():
    posed = pose_hand(MESH, IDENTITY)
    np.testing.assert_allclose(posed.vertices, MESH.vertices, atol=1e-8)
    np.testing.assert_allclose(posed.keypoints, MESH.keypoints, atol=1e-12)
    np.testing.assert_allclose(local_rotations(rest_pose()), IDENTITY, atol=1e-12)


def test_bone_lengths_do_not_depend_on_the_pose():
    rng = np.random.default_rng(0)
    shape = sample_shape(rng)
    parent, child = np.array(BONES).T
    lengths = [
        np.linalg.norm(k[child] - k[parent], axis=1)
        for k in (pose_hand(MESH, r, shape).keypoints for r in (IDENTITY, *random_rotations(rng, 5, 25)))
    ]
    # From the wrist to a knuckle there are two joints, so that distance is a bone only for the thumb.
    bones = [k for k, (a, b) in enumerate(BONES) if a != 0 or b == 1]
    np.testing.assert_allclose(np.array(lengths)[:, bones], np.tile(lengths[0][bones], (6, 1)), atol=1e-12)


def test_turning_a_joint_moves_its_children_rigidly_and_nothing_else():
    rng = np.random.default_rng(1)
    shape = sample_shape(rng)
    before = random_rotations(rng, 25)
    joint = MESH.joint_names.index("index-finger-phalanx-intermediate")
    below = [MESH.joint_names.index(f"index-finger-{part}") for part in ("phalanx-distal", "tip")]
    after = before.copy()
    after[joint] = random_rotations(rng)
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


def test_turning_the_wrist_turns_the_whole_hand_about_the_origin():
    turn = random_rotations(np.random.default_rng(2))
    rotations = local_rotations(gesture("point"))
    still = pose_hand(MESH, rotations)
    rotations[0] = turn
    moved = pose_hand(MESH, rotations)
    wrist = MESH.bind[0, :3, :3]
    whole = wrist @ turn @ wrist.T
    np.testing.assert_allclose(moved.vertices, still.vertices @ whole.T, atol=1e-7)
    np.testing.assert_allclose(moved.normals, still.normals @ whole.T, atol=1e-5)
    np.testing.assert_allclose(moved.keypoints, still.keypoints @ whole.T, atol=1e-12)
    np.testing.assert_array_equal(moved.keypoints[0], 0)


def test_skinning_equals_the_sum_over_joints_written_out():
    rng = np.random.default_rng(3)
    rotations = local_rotations(gesture("grasp"))
    transforms = forward_kinematics(MESH, rotations)
    posed = pose_hand(MESH, rotations)
    for v in rng.integers(0, 1360, 20):
        point = np.append(MESH.vertices[v], 1)
        expected = sum(
            MESH.weights[v, j] * (transforms[j] @ MESH.inverse_bind[j] @ point)[:3] for j in range(25)
        )
        np.testing.assert_allclose(posed.vertices[v], expected, atol=1e-8)


def test_a_batch_of_poses_equals_one_at_a_time():
    rotations = random_rotations(np.random.default_rng(4), 2, 3, 25)
    batched = forward_kinematics(MESH, rotations)
    assert batched.shape == (2, 3, 25, 4, 4)
    np.testing.assert_allclose(batched[1, 2], forward_kinematics(MESH, rotations[1, 2]), atol=1e-14)
    np.testing.assert_allclose(
        batched[0, 1][KEYPOINT_JOINTS, :3, 3], pose_hand(MESH, rotations[0, 1]).keypoints, atol=1e-14
    )


@pytest.mark.parametrize("name", ["open", "fist", "pinch", "peace", "spread"])
def test_posed_surface_faces_outwards(name):
    posed = pose_hand(MESH, local_rotations(gesture(name)))
    assert 2e-4 < volume(posed) < 5e-4
    np.testing.assert_allclose(np.linalg.norm(posed.normals, axis=1), 1, atol=1e-9)
    a, b, c = (posed.vertices[posed.faces[:, k]] for k in range(3))
    outwards = np.einsum("ij,ij->i", np.cross(b - a, c - a), posed.normals[posed.faces].mean(1)) > 0
    assert outwards.mean() > 0.99


def test_mirrored_hand_is_a_left_hand_that_still_faces_outwards():
    posed = pose_hand(MESH, local_rotations(gesture("point")))
    left = mirror(posed)
    np.testing.assert_array_equal(left.keypoints, posed.keypoints * [-1, 1, 1])
    assert volume(left) == pytest.approx(volume(posed))
    towards = np.cross(left.keypoints[9] - left.keypoints[0], left.keypoints[5] - left.keypoints[17])
    assert towards[2] < 0  # of a left hand this points out of the palm, −z
    a, b, c = (left.vertices[left.faces[:, k]] for k in range(3))
    outwards = np.einsum("ij,ij->i", np.cross(b - a, c - a), left.normals[left.faces].mean(1)) > 0
    assert outwards.mean() > 0.99


def test_mirrored_twice_is_the_identity():
    posed = pose_hand(MESH, local_rotations(gesture("horns")))
    twice = mirror(mirror(posed))
    for name in ("vertices", "normals", "keypoints", "faces"):
        np.testing.assert_array_equal(getattr(twice, name), getattr(posed, name))


def test_nothing_is_modified_in_place():
    rotations, shape = local_rotations(gesture("fist")), HandShape(size=0.8)
    copy = rotations.copy()
    pose_hand(MESH, rotations, shape)
    np.testing.assert_array_equal(rotations, copy)
    np.testing.assert_array_equal(shape.bones, 1)


def test_wrong_shapes_are_named():
    with pytest.raises(
        ValueError, match=r"rotations: expected shape \(\.\.\., 25, 3, 3\), found \(21, 3, 3\)"
    ):
        pose_hand(MESH, IDENTITY[:21])
    with pytest.raises(ValueError, match="rotations: expected one hand"):
        pose_hand(MESH, IDENTITY[None])
    with pytest.raises(ValueError, match=r"HandPose.flexion: expected degrees of shape \(5, 3\)"):
        HandPose(np.zeros(15), np.zeros(5))
