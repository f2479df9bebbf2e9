"""The rigged mesh as it is read from the asset."""

import numpy as np
import pytest

from peclr_utils.hands.mesh import KEYPOINT_JOINTS, load_hand_mesh


@pytest.fixture(scope="module")
def mesh():
    return load_hand_mesh()


def test_skinning_weights_sum_to_one_over_at_most_four_joints(mesh):
    np.testing.assert_allclose(mesh.weights.sum(1), 1, atol=1e-6)
    assert mesh.weights.min() >= 0
    assert (mesh.weights > 0).sum(1).max() <= 4


def test_bind_matrices_are_rigid_and_inverse(mesh):
    identities = np.broadcast_to(np.eye(4), (25, 4, 4))
    np.testing.assert_allclose(mesh.bind @ mesh.inverse_bind, identities, atol=1e-12)
    rotation = mesh.bind[:, :3, :3]
    np.testing.assert_allclose(rotation @ rotation.transpose(0, 2, 1), identities[:, :3, :3], atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(rotation), 1)


def test_surface_is_closed_and_wound_outwards(mesh):
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    volume = np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6
    assert 2e-4 < volume < 6e-4  # cubic metres: a hand displaces a few decilitres
    outwards = np.einsum("ij,ij->i", np.cross(b - a, c - a), mesh.normals[mesh.faces].mean(1))
    assert (outwards > 0).all()
    _, place = np.unique(np.round(mesh.vertices, 6), axis=0, return_inverse=True)
    edges = np.sort(place[mesh.faces][:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
    np.testing.assert_allclose(mesh.vertices, mesh.vertices[mesh.weld], atol=2e-6)


def test_frame_is_a_right_hand_with_its_palm_to_the_viewer(mesh):
    k = mesh.keypoints
    np.testing.assert_allclose(k[0], 0, atol=1e-12)
    assert (k[[8, 12, 16, 20], 1] < k[[5, 9, 13, 17], 1]).all()  # fingertips above the knuckles, y is down
    # Of a right hand, (towards the fingertips) × (towards the thumb) points out of the back of the hand.
    up, thumb_side = k[9] - k[0], k[5] - k[17]
    assert np.cross(up, thumb_side)[2] > 0 and k[4, 0] > k[8, 0]
    back = mesh.bind[KEYPOINT_JOINTS[[5, 9, 13, 17]], :3, 1]
    assert (back[:, 2] > 0.8).all()
    # The thumb lies to the palm's side of the knuckles, never behind them.
    assert k[4, 2] < k[[5, 9, 13, 17], 2].min()


def test_bones_run_along_minus_z_of_their_joints(mesh):
    for child in np.flatnonzero(mesh.parents > 0):
        parent = mesh.parents[child]
        bone = mesh.joints[child] - mesh.joints[parent]
        assert -mesh.bind[parent, :3, 2] @ bone / np.linalg.norm(bone) > 0.97, mesh.joint_names[child]


def test_parents_precede_their_children_and_end_at_the_wrist(mesh):
    assert mesh.joint_names[0] == "wrist" and mesh.parents[0] == -1
    assert (mesh.parents[1:] < np.arange(1, 25)).all() and (mesh.parents[1:] >= 0).all()
    names = [name.split("-")[0] for name in mesh.joint_names]
    assert all(parent == 0 or names[parent] == names[k] for k, parent in enumerate(mesh.parents) if k)


def test_keypoints_are_joints_in_freihand_order(mesh):
    names = [mesh.joint_names[i] for i in KEYPOINT_JOINTS]
    assert names[0] == "wrist" and [name[:5] for name in names[1:5]] == ["thumb"] * 4
    assert names[9] == "middle-finger-phalanx-proximal" and names[20] == "pinky-finger-tip"
    np.testing.assert_array_equal(mesh.keypoints, mesh.bind[KEYPOINT_JOINTS, :3, 3])


def test_fingertips_lie_on_the_surface(mesh):
    for tip in (4, 8, 12, 16, 20):
        assert np.linalg.norm(mesh.vertices - mesh.keypoints[tip], axis=1).min() < 0.003
        # A tip with skinning weight would drag the skin along when its joint is moved.
        assert not mesh.weights[:, KEYPOINT_JOINTS[tip]].any()
