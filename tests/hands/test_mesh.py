"""The rigged mesh as it is read from the asset."""

import numpy as np
import pytest

from peclr_utils.hands.mesh import KEYPOINT_JOINTS, load_hand_mesh


@pytest.fixture(scope="module")
def mesh():
    return load_hand_mesh()


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


def test_fingertips_lie_on_the_surface(mesh):
    for tip in (4, 8, 12, 16, 20):
        assert np.linalg.norm(mesh.vertices - mesh.keypoints[tip], axis=1).min() < 0.003
        # A tip with skinning weight would drag the skin along when its joint is moved.
        assert not mesh.weights[:, KEYPOINT_JOINTS[tip]].any()
