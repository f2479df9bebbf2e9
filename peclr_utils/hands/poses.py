"""Random hand poses that a hand can make: named gestures, what lies between them, and free bends.

Chapter 01 shows some gestures and a row of random poses. Neighbouring fingers' angles are correlated, because
they share tendons and muscles (Häger-Ross & Schieber 2000, doi:10.1523/JNEUROSCI.20-22-08542.2000).

Poses in which fingers go through fingers are drawn again, and eased open if no draw succeeds. The test: each
bone carries five spheres as large as the flesh around them, and spheres of different fingers, or of a finger
and the palm, may overlap by no more than soft skin yields.
"""

import functools

import numpy as np

from peclr_utils.hands.articulation import ANGLE_NAMES, JOINT_LIMITS, HandPose, constrain, local_rotations
from peclr_utils.hands.kinematics import forward_kinematics
from peclr_utils.hands.mesh import CHAINS, JOINT_NAMES, load_hand_mesh

SOFTNESS = 0.0005  # metres of overlap that soft fingertips yield to

# Correlation 0.6 between neighbouring fingers, 0.36 to the next but one, and so on.
_NEIGHBOURS = np.linalg.cholesky(0.6 ** np.abs(np.subtract.outer(np.arange(4), np.arange(4))))
_THUMB = [k for k, name in enumerate(ANGLE_NAMES) if name.startswith("thumb")]
_LOW, _HIGH = (HandPose.from_angles(limits) for limits in np.array(list(JOINT_LIMITS.values())).T)

_PER_BONE = 5
# A sphere's radius is the mean distance to the nearest vertices: fewer miss overlaps, more invent them.
_NEAREST = 4
_PALM = 5  # parts 0 to 4 are the fingers

# In degrees: flexion of the thumb (CMC, MCP, IP), of index, middle, ring and little finger (MCP, PIP, and DIP
# if it is not 2/3 PIP); abduction of these fingers, abduction and opposition of the thumb; arch.
_TABLE = {
    "open": ((-8, 0, 0), (2, 3), (2, 3), (2, 4), (3, 5), (4, 0, 3, 6), 0, 0, 0),
    "relaxed": ((2, 8, 10), (18, 25), (24, 30), (28, 32), (30, 32), (1.5, 0, 1, 1.5), 6, 5, 4),
    "spread": ((-22, -2, -5), (-5, 2), (-4, 2), (-4, 3), (-4, 4), (16, 0, 13, 20), -6, 0, 0),
    "flat": ((16, 5, 10), (3, 2), (3, 2), (2, 2), (2, 3), (-2, 0, -4, -4), -16, 0, 0),
    "fist": ((11, 35, 70), (76, 105), (78, 105), (84, 98), (84, 88), (1.5, 0, 1, 1.5), 28, 16, 6),
    "point": ((13, 55, 12), (2, 5), (80, 98), (84, 98), (84, 88), (1.5, 0, 1, 1.5), 22, 12, 6),
    "peace": ((26, 48, 24), (0, 4), (2, 4), (84, 98), (84, 88), (12, -4, 0, 0), 21, 0, 8),
    "three": ((26, 50, 55), (0, 4), (2, 4), (3, 6), (80, 90), (8, 0, 6, 0), 22, 12, 8),
    "four": ((28, 50, 60), (0, 3), (0, 3), (0, 4), (2, 5), (8, 0, 6, 12), 8, 12, 0),
    "thumbs_up": ((-22, -5, -10), (78, 98), (80, 98), (84, 98), (84, 88), (1.5, 0, 1, 1.5), -12, 0, 4),
    "gun": ((-20, -3, -5), (0, 3), (80, 98), (84, 98), (84, 88), (1.5, 0, 1, 1.5), -10, 0, 4),
    "call": ((-22, -3, -8), (78, 98), (80, 98), (84, 98), (-5, 5), (0, 0, 0, 16), -4, 0, 0),
    "horns": ((6, 58, 37), (0, 4), (80, 98), (84, 98), (2, 6), (4, 0, 0, 6), 14, 0, 0),
    "pinch": ((7, 26, 44), (54, 50, 36), (40, 42), (34, 40), (30, 38), (0, 0, 1, 1.5), 22, 14, 4),
    "okay": ((12, 14, 44), (51, 62, 38), (16, 18), (8, 12), (4, 8), (0, 0, 4, 8), 22, 0, 0),
    "tripod": ((21, 9, 52), (50, 58, 25), (61, 66, 26), (62, 66), (62, 66), (1.5, 0, 1, 1.5), 28, 12, 8),
    "key": ((22, 0, 8), (55, 80), (62, 85), (66, 86), (68, 84), (1.5, 0, 1, 1.5), 6, 0, 4),
    "grasp": ((2, 15, 22), (42, 46), (46, 48), (50, 48), (52, 46), (4, 0, 2, 4), 22, 12, 8),
    "sphere": ((-8, 6, 20), (26, 36), (26, 38), (28, 38), (30, 36), (10, 0, 8, 12), 22, 12, 10),
    "claw": ((-5, 10, 40), (-5, 70), (-5, 72), (-4, 70), (-4, 66), (8, 0, 6, 10), 6, 0, 0),
    "hook": ((10, 10, 20), (5, 95), (5, 96), (6, 94), (8, 88), (1.5, 0, 1, 1.5), 0, 0, 0),
    "table": ((10, 10, 10), (72, 6), (74, 6), (74, 6), (72, 8), (1.5, 0, 1, 1.5), 10, 10, 0),
    "cup": ((18, 8, 12), (28, 26), (30, 26), (30, 26), (30, 26), (1.5, 0, 1, 1.5), 2, 5, 12),
}


def _from_row(row: tuple) -> HandPose:
    thumb, *fingers, spread, lift, opposition, arch = row
    fingers = [(*finger, finger[1] * 2 / 3)[:3] for finger in fingers]
    return constrain(HandPose([thumb, *fingers], [lift, *spread], opposition, arch))


GESTURES: dict[str, HandPose] = {name: _from_row(row) for name, row in _TABLE.items()}
"""Gestures by name, angles in degrees."""

_GESTURES = list(GESTURES.values())


def gesture(name: str) -> HandPose:
    """Look up one of `GESTURES`, such as "fist", "point", "pinch", "open", "grasp"."""
    if name not in GESTURES:
        raise ValueError(f"gesture: expected one of {', '.join(GESTURES)}; found {name!r}")
    return GESTURES[name]


@functools.cache
def _spheres() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(S,) joint that carries each sphere, (S, 3) centre in its frame, (S, S) distance at which they meet."""
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

    # A finger's first bone and the thumb's metacarpal grow out of the palm: only the part beyond counts.
    rooted = (part == _PALM)[:, None] & (bone_number < 2)
    # Neighbours touch at the root at rest: that is skin between them, not a collision.
    joined = _distances(place) < reach
    reach[(part[:, None] == part) | rooted | rooted.T | joined] = -np.inf
    return joint, centre, reach


def _places(transforms: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """(S, 3) centres in the hand's frame."""
    return np.einsum("sij,sj->si", transforms[:, :3, :3], centre) + transforms[:, :3, 3]


def _distances(place: np.ndarray) -> np.ndarray:
    """(S, S) distances between (S, 3) places."""
    square = np.einsum("si,si->s", place, place)
    return np.sqrt(np.maximum(square[:, None] + square - 2 * place @ place.T, 0))


def penetration(pose: HandPose) -> float:
    """Metres by which two fingers, or a finger and the palm, overlap most; for the mesh's own proportions."""
    joint, centre, reach = _spheres()
    transforms = forward_kinematics(load_hand_mesh(), local_rotations(pose))
    return max(0.0, float((reach - _distances(_places(transforms[joint], centre))).max()))


def _loosen(pose: HandPose, rng: np.random.Generator, looseness: float) -> HandPose:
    """A pose near this one: neighbouring fingers stray together, end joints follow middle joints."""
    mcp, pip = _NEIGHBOURS @ rng.standard_normal((4, 2)).T[..., None] * [[[9.0]], [[11.0]]]
    dip = pip * 2 / 3 + 4.0 * rng.standard_normal((4, 1))
    thumb = rng.standard_normal((1, 3)) * [7.0, 8.0, 10.0]
    flexion = np.concatenate([thumb, np.concatenate([mcp, pip, dip], axis=1)])
    abduction = rng.standard_normal(5) * [6.0, 3.5, 2.5, 3.5, 4.5]
    stray = HandPose(flexion, abduction, *(rng.standard_normal(2) * [4.0, 2.5]))
    return HandPose.from_angles(pose.angles + looseness * stray.angles)


def _between(rng: np.random.Generator) -> HandPose:
    """A blend of two gestures; the thumb may be ahead of the fingers or behind them."""
    first, second = rng.choice(len(GESTURES), 2, replace=False)
    fingers = rng.random()
    weights = np.full(len(ANGLE_NAMES), fingers)
    weights[_THUMB] = np.clip(fingers + 0.2 * rng.standard_normal(), 0, 1)
    return _GESTURES[first].blend(_GESTURES[second], weights)


def _free(rng: np.random.Generator) -> HandPose:
    """Every joint anywhere within its limits; neighbouring joints and fingers bend similarly."""
    closing = _NEIGHBOURS @ rng.standard_normal(4)
    own = _NEIGHBOURS @ rng.standard_normal((4, 2))
    # A logistic curve for the normal distribution's gives nearly uniform shares; the power opens the hand.
    share = (1 + np.exp(-1.702 * (0.6 * closing[:, None] + 0.8 * own))) ** -1.25
    low, high = _LOW.flexion, _HIGH.flexion
    flexion = low + (high - low) * rng.random((5, 3))
    flexion[1:, :2] = low[1:, :2] + (high - low)[1:, :2] * share
    flexion[1:, 2] = flexion[1:, 1] * 2 / 3 + 6.0 * rng.standard_normal(4)
    low, high = _LOW.abduction, _HIGH.abduction
    abduction = low + (high - low) * np.clip(0.5 * rng.random() + 0.5 * rng.random(5), 0, 1)
    abduction[0] = low[0] + (high - low)[0] * rng.random()
    opposition = rng.uniform(_LOW.opposition, _HIGH.opposition)
    return HandPose(flexion, abduction, opposition, rng.uniform(_LOW.arch, _HIGH.arch))


def _counted(rng: np.random.Generator) -> HandPose:
    """Every finger stretched or folded on its own, as in counting and in sign language."""
    flexion, abduction = GESTURES["fist"].flexion.copy(), GESTURES["fist"].abduction.copy()
    stretched = rng.random(4) < 0.5
    spread = (GESTURES["flat"] if rng.random() < 0.4 else GESTURES["spread"]).abduction[1:]
    flexion[1:][stretched] = GESTURES["open"].flexion[1:][stretched]
    abduction[1:] = np.where(stretched, spread * rng.random(), abduction[1:])
    # Out beside the palm, along it, or across the palm in one of the ways in which gestures fold it.
    thumb = GESTURES[("thumbs_up", "open", "flat", "point", "peace", "three", "four")[rng.integers(7)]]
    flexion[0], abduction[0] = thumb.flexion[0], thumb.abduction[0]
    return HandPose(flexion, abduction, thumb.opposition, thumb.arch)


def sample_pose(rng: np.random.Generator, counting: float = 0.0) -> HandPose:
    """Draw one possible pose: 35% are near a gesture, 40% between two, and 25% are bent freely.

    It is within `JOINT_LIMITS`, and its fingers overlap by at most half a millimetre (see `penetration`).

    Args:
        rng: where the randomness comes from.
        counting: share of poses whose fingers are each stretched or folded, instead of those above.
    """
    counted = bool(counting) and rng.random() < counting
    kind = rng.random()
    best, depth = None, np.inf
    for _ in range(8):
        if counted:
            pose = _loosen(_counted(rng), rng, 0.8)
        elif kind < 0.35:
            pose = _loosen(_GESTURES[rng.integers(len(_GESTURES))], rng, 1.0)
        elif kind < 0.75:
            pose = _loosen(_between(rng), rng, 0.6)
        else:
            pose = _free(rng)
        pose = constrain(pose)
        overlap = penetration(pose)
        if overlap <= SOFTNESS:
            return pose
        if overlap < depth:
            best, depth = pose, overlap
    return _ease(best)


def _ease(pose: HandPose) -> HandPose:
    """Move just far enough towards the relaxed hand, which is free of overlap."""
    for weight in np.linspace(0.1, 1, 10):
        eased = constrain(pose.blend(GESTURES["relaxed"], weight))
        if penetration(eased) <= SOFTNESS:
            break
    return eased
