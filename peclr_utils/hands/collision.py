"""Do fingers go through fingers? A cheap test: spheres inside the flesh, and how deep they overlap.

Each bone carries five spheres as large as the flesh around them. Two spheres of different fingers, or one of
a finger and one of the palm, that overlap by more than soft skin gives way mean that the pose is impossible.
"""

import functools

import numpy as np

from peclr_utils.hands.articulation import HandPose, local_rotations
from peclr_utils.hands.kinematics import forward_kinematics
from peclr_utils.hands.mesh import CHAINS, JOINT_NAMES, load_hand_mesh

_PER_BONE = 5
_PALM = 5
# A sphere's radius is the mean distance to this many nearest vertices. The nearest alone misses overlaps at
# the broader side of a finger; more call close neighbours a collision (checked against winding numbers).
_NEAREST = 4


@functools.cache
def _spheres() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the spheres sit, and how near two of them may come.

    Returns:
        joint: (S,) index of the joint whose frame carries the sphere.
        centre: (S, 3) in that frame, metres.
        reach: (S, S) distance at which two spheres touch, metres; −inf where they may overlap.
    """
    mesh = load_hand_mesh()
    joint, centre, part, bone_number = [], [], [], []
    for finger, chain in enumerate(CHAINS):
        joints = [JOINT_NAMES.index(name) for name in chain]
        for k, (base, end) in enumerate(zip(joints[:-1], joints[1:], strict=True)):
            # The last bone ends in skin: a sphere there must sit back by its own radius.
            shares = np.linspace(0, 0.75 if end == joints[-1] else 1, _PER_BONE)
            centre += list(shares[:, None] * (mesh.inverse_bind[base] @ mesh.bind[end])[:3, 3])
            joint += [base] * _PER_BONE
            part += [_PALM if finger and k == 0 else finger] * _PER_BONE
            bone_number += [k if finger else k + 1] * _PER_BONE
    joint, centre, part, bone_number = (np.array(a) for a in (joint, centre, part, bone_number))
    place = _places(mesh.bind[joint], centre)
    flesh = np.sort(np.linalg.norm(mesh.vertices - place[:, None], axis=-1), axis=1)
    radius = flesh[:, :_NEAREST].mean(1)
    reach = radius[:, None] + radius

    # A finger's first bone and the thumb's metacarpal grow out of the palm: only what is beyond counts.
    rooted = (part == _PALM)[:, None] & (bone_number < 2)
    # Neighbours touch at the root at rest: there is skin between them, not a collision.
    joined = _distances(place) < reach
    reach[(part[:, None] == part) | rooted | rooted.T | joined] = -np.inf
    return joint, centre, reach


def _places(transforms: np.ndarray, centre: np.ndarray) -> np.ndarray:
    return np.einsum("sij,sj->si", transforms[:, :3, :3], centre) + transforms[:, :3, 3]


def _distances(place: np.ndarray) -> np.ndarray:
    """(S, 3) -> (S, S)."""
    square = np.einsum("si,si->s", place, place)
    return np.sqrt(np.maximum(square[:, None] + square - 2 * place @ place.T, 0))


def penetration(pose: HandPose) -> float:
    """How deep the pose's deepest overlap is.

    Args:
        pose: joint angles.

    Returns:
        Metres, for the mesh's own proportions; 0 where nothing overlaps.
    """
    joint, centre, reach = _spheres()
    transforms = forward_kinematics(load_hand_mesh(), local_rotations(pose))
    return max(0.0, float((reach - _distances(_places(transforms[joint], centre))).max()))
