"""Pose a hand: joint rotations down each finger (forward kinematics), then the skin with them (skinning).

Chapter 01 turns one finger and watches its children follow.

Forward kinematics: T_j = T_parent(j) · O_j · R_j, with O_j the joint relative to its parent in the bind pose
and R_j its local rotation. Linear-blend skinning: v' = Σ_j w_vj · T_j · F_j · B_j⁻¹ · v, with B_j the bind
pose and F_j the flesh map of `shape`.

**Convention.** The hand's own frame of `mesh`: metres, wrist at the origin, palm to −z, fingers to −y, and
for a right hand the thumb to +x. Local rotations are relative to the bind pose, in the joint's own frame, and
turn the joint and all that hangs on it.
"""

import functools
from dataclasses import dataclass, replace

import numpy as np

from peclr_utils.hands.mesh import KEYPOINT_JOINTS, HandMesh, vertex_normals
from peclr_utils.hands.shape import HandShape, bind_offsets, shaped_skeleton


@dataclass(frozen=True, eq=False)
class PosedHand:
    """A hand's surface and keypoints in the hand's own frame.

    Attributes:
        vertices: (V, 3) float64, metres.
        normals: (V, 3) float64, unit, outward.
        keypoints: (21, 3) float64, metres, FreiHAND order, wrist at the origin.
        faces: (F, 3) int32, counter-clockwise seen from outside.
    """

    vertices: np.ndarray
    normals: np.ndarray
    keypoints: np.ndarray
    faces: np.ndarray


@functools.cache
def _levels(mesh: HandMesh) -> list[tuple[np.ndarray, np.ndarray]]:
    """(joints, their parents) by distance from the wrist: each level is one batched product."""
    depth = np.zeros(len(mesh.parents), dtype=np.int64)
    for joint, parent in enumerate(mesh.parents):
        depth[joint] = 0 if parent < 0 else depth[parent] + 1
    levels = [np.flatnonzero(depth == level) for level in range(1, depth.max() + 1)]
    return [(level, mesh.parents[level]) for level in levels]


def _chain(mesh: HandMesh, offsets: np.ndarray, rotations: np.ndarray) -> np.ndarray:
    """Compose (25, 4, 4) offsets and (..., 25, 3, 3) rotations into (..., 25, 4, 4) joint transforms."""
    transforms = np.empty((*rotations.shape[:-2], 4, 4))
    transforms[...] = offsets
    transforms[..., :3, :3] = offsets[:, :3, :3] @ rotations
    for level, parents in _levels(mesh):
        transforms[..., level, :, :] = transforms[..., parents, :, :] @ transforms[..., level, :, :]
    return transforms


def _check_rotations(rotations: np.ndarray, joints: int) -> np.ndarray:
    rotations = np.asarray(rotations, dtype=np.float64)
    if rotations.shape[-3:] != (joints, 3, 3):
        raise ValueError(f"rotations: expected shape (..., {joints}, 3, 3), found {rotations.shape}")
    return rotations


def forward_kinematics(mesh: HandMesh, rotations: np.ndarray, shape: HandShape | None = None) -> np.ndarray:
    """Where every joint goes.

    Args:
        mesh: the rigged hand.
        rotations: (..., 25, 3, 3) local rotations; identities give the bind pose.
        shape: the person's proportions; the mesh's own by default.

    Returns:
        (..., 25, 4, 4) float64 transforms from each joint's frame to the hand's;
        `[..., KEYPOINT_JOINTS, :3, 3]` are the keypoints in metres.

    Raises:
        ValueError: if `rotations` has another shape.
    """
    rotations = _check_rotations(rotations, len(mesh.parents))
    offsets = shaped_skeleton(mesh, shape)[0] if shape else bind_offsets(mesh)
    return _chain(mesh, offsets, rotations)


def pose_hand(mesh: HandMesh, rotations: np.ndarray, shape: HandShape | None = None) -> PosedHand:
    """The posed surface and keypoints of one hand.

    Args:
        mesh: the rigged hand.
        rotations: (25, 3, 3) local rotations, as `local_rotations` gives them.
        shape: the person's proportions; the mesh's own by default.

    Returns:
        A `PosedHand` in the hand's own frame. Rotating the wrist turns the hand about the origin.

    Raises:
        ValueError: if `rotations` has another shape.
    """
    rotations = _check_rotations(rotations, len(mesh.parents))
    if rotations.ndim != 3:
        raise ValueError(f"rotations: expected one hand, (25, 3, 3), found {rotations.shape}")
    offsets, flesh = shaped_skeleton(mesh, shape or HandShape())
    transforms = _chain(mesh, offsets, rotations)
    skinning = transforms[:, :3].copy()
    skinning[:, :, :3] = skinning[:, :, :3] @ flesh
    skinning = skinning @ mesh.inverse_bind
    blended = (mesh.weights @ skinning.reshape(len(skinning), 12)).reshape(-1, 3, 4)
    vertices = np.einsum("vij,vj->vi", blended[:, :, :3], mesh.vertices) + blended[:, :, 3]
    return PosedHand(
        vertices=vertices,
        normals=vertex_normals(vertices, mesh.faces, mesh.weld),
        keypoints=transforms[KEYPOINT_JOINTS, :3, 3],
        faces=mesh.faces,
    )


def mirror(posed: PosedHand) -> PosedHand:
    """The same pose of the other hand: x → −x, triangles wound the other way so that they face outwards."""
    flip = np.array([-1.0, 1.0, 1.0])
    return replace(
        posed,
        vertices=posed.vertices * flip,
        normals=posed.normals * flip,
        keypoints=posed.keypoints * flip,
        faces=np.ascontiguousarray(posed.faces[:, ::-1]),
    )
