"""A forearm for a hand mesh that ends at the wrist, bare or in a sleeve.

Chapter 01 shows hands with it. A flat cut would show a network where the wrist is, so a tube continues its
rim, bends at the wrist and widens towards the elbow.

**Convention.** The hand's own frame of `mesh`: it is the arm that turns, opposite to `ArmPose`.
"""

import functools
from dataclasses import dataclass

import numpy as np

from peclr_utils.hands.articulation import turn
from peclr_utils.hands.kinematics import PosedHand
from peclr_utils.hands.mesh import HandMesh
from peclr_utils.hands.renderer import Surface

# The arm's rings: metres from the rim, and width relative to it.
_RING_DISTANCE = np.array([0.007, 0.02, 0.04, 0.07, 0.11, 0.16, 0.24, 0.32])
_RING_WIDTH = np.array([1.0, 1.02, 1.06, 1.16, 1.3, 1.42, 1.5, 1.5])
# The sleeve's rings: metres from its cuff, and width relative to the arm; the first two make the cuff's edge.
_CUFF_DISTANCE = np.array([0.0, 1e-6, 0.004, 0.03, 0.08, 0.16, 0.30])
_CUFF_WIDTH = np.array([0.98, 1.13, 1.17, 1.19, 1.25, 1.32, 1.4])
# The wrist bends over this length in small steps: their ends, and the share of the bend in each one's middle.
_BEND_LENGTH = 0.04
_STEPS = np.concatenate([np.linspace(0, _BEND_LENGTH, 9), [1.0]])
_STEPS_BENT = np.clip((_STEPS[1:] + _STEPS[:-1]) / (2 * _BEND_LENGTH), 0, 1)


@dataclass(frozen=True)
class ArmPose:
    """How the forearm leaves the hand."""

    flexion: float = 0.0  # degrees; positive when the palm leans towards the inside of the forearm
    deviation: float = 0.0  # degrees; positive when the hand leans towards the thumb
    length: float = 0.32  # metres from the rim


def sample_arm(rng: np.random.Generator, to_camera: np.ndarray, wrist_depth: float) -> ArmPose:
    """A bent wrist whose arm does not point at the camera, or ends before it gets near."""
    bends = np.clip(rng.normal((0, 0), (22, 10), (6, 2)), (-50, -22), (50, 28))
    depth = _bend(*np.radians(bends.T))[:, :, 1] @ to_camera[2]  # of the unit vectors along the arm
    clear = np.flatnonzero(depth > -0.4)
    chosen = int(clear[0]) if len(clear) else int(depth.argmax())
    length = 0.32 if depth[chosen] > 0 else min(0.32, 0.3 * wrist_depth / -depth[chosen])
    return ArmPose(*bends[chosen].tolist(), float(length))


@functools.cache
def _wrist_rim(mesh: HandMesh) -> tuple[np.ndarray, np.ndarray]:
    """(F', 3) faces without those that close the cut, and the rim's (N, 2) edges, one after the other."""
    closing = mesh.normals[mesh.faces, 1].min(axis=1) > 0.9  # no other part of the hand faces the elbow
    body = mesh.faces[~closing]
    edges = body[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    ends = [tuple(edge) for edge in mesh.weld[edges].tolist()]
    known = set(ends)
    # At a texture seam two consecutive edges meet in different vertices; welded, these are the same.
    following = {a: (b, k) for k, (a, b) in enumerate(ends) if (b, a) not in known}
    at, rim = min(following), []
    for _ in following:
        at, k = following[at]
        rim.append(k)
    return body, edges[rim]


def _bend(flexion: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """(N, 3, 3) turns of the arm about the wrist in the hand's own frame, from (N,) radians."""
    return turn(2, -deviation) @ turn(0, -flexion)


def _tube(rim: np.ndarray, distance: np.ndarray, width: np.ndarray, pose: ArmPose) -> tuple[np.ndarray, ...]:
    """(R, N, 3) places and outward normals of rings around a bending axis, from (N, 3) rim points."""
    centre = rim.mean(axis=0)
    offsets = rim - centre
    # The axis is the normal of the cut's plane, which leans, straightened by half.
    _, _, planes = np.linalg.svd(offsets, full_matrices=False)
    axis = planes[2] * np.sign(planes[2, 1]) + (0, 1, 0)
    axis /= np.linalg.norm(axis)
    along = offsets @ axis
    flat = offsets - along[:, None] * axis
    round_about = flat[np.arange(-1, len(flat) + 1) % len(flat)]
    tangent = round_about[2:] - round_about[:-2]
    outward = tangent[:, [1, 2, 0]] * axis[[2, 0, 1]] - tangent[:, [2, 0, 1]] * axis[[1, 2, 0]]
    outward *= np.sign((outward * flat).sum()) / np.linalg.norm(outward, axis=1, keepdims=True)

    # The arm's direction turns within a few centimetres of the rim; its path is the sum of its steps.
    turned = np.radians([pose.flexion, pose.deviation])[:, None]
    bent = np.concatenate([_STEPS_BENT, np.clip(distance / _BEND_LENGTH, 0, 1)])
    heading, turns = np.split(_bend(*(turned * bent)), [len(_STEPS_BENT)])
    path = np.zeros((len(_STEPS), 3))
    np.cumsum((heading @ axis) * np.diff(_STEPS)[:, None], axis=0, out=path[1:])
    path = np.stack([np.interp(distance, _STEPS, path[:, k]) for k in range(3)], axis=-1)
    turns = turns.transpose(0, 2, 1)

    slant = np.clip(1 - distance / 0.05, 0, 1)[:, None, None] * along[:, None] * axis
    rings = (width[:, None, None] * flat + slant) @ turns + centre + path[:, None]
    return rings, outward @ turns


def _split(rings: np.ndarray) -> np.ndarray:
    """(R, N, 3) ring points to (R * 2N, 3), both ends of each edge: texture seams may run along the arm."""
    return np.stack([rings, np.roll(rings, -1, axis=1)], axis=2).reshape(-1, 3)


def _bands(first: np.ndarray, rings: int, count: int, start: int) -> np.ndarray:
    """Triangles from a ring of (N, 2) edges through further rings of split vertices from `start` on."""
    further = start + np.arange(rings * count * 2).reshape(rings, count, 2)
    edges = np.concatenate([first[None], further])
    a, b = edges[..., 0], edges[..., 1]
    upper = np.stack([b[:-1], a[:-1], a[1:]], axis=-1)
    lower = np.stack([b[:-1], a[1:], b[1:]], axis=-1)
    return np.concatenate([upper, lower]).reshape(-1, 3)


@functools.cache
def _layout(mesh: HandMesh, sleeved: bool) -> tuple[np.ndarray, np.ndarray]:
    """Triangles and texture coordinates of the hand with its arm, which are the same in every pose."""
    faces, edges = _wrist_rim(mesh)
    count, total = len(edges), len(mesh.vertices)
    parts = [faces, _bands(edges, len(_RING_WIDTH), count, total)]
    uv = [mesh.uv, np.tile(mesh.uv[edges].reshape(-1, 2), (len(_RING_WIDTH), 1))]
    total += 2 * count * len(_RING_WIDTH)
    if sleeved:
        first = total + np.arange(2 * count).reshape(count, 2)
        parts.append(_bands(first, len(_CUFF_WIDTH) - 1, count, total + 2 * count))
        total += 2 * count * len(_CUFF_WIDTH)
        # Texel (0, 0) is plain: the vertex colour alone shows there.
        uv.append(np.zeros((2 * count * len(_CUFF_WIDTH), 2), dtype=mesh.uv.dtype))
    end = total - 2 * count + 2 * np.arange(count)
    parts.append(np.stack([np.full(count - 2, end[0]), end[2:], end[1:-1]], axis=1))
    return np.concatenate(parts).astype(np.int32), np.concatenate(uv)


def with_arm(
    mesh: HandMesh, posed: PosedHand, pose: ArmPose, sleeve: np.ndarray | None, sleeve_start: float
) -> Surface:
    """A posed right hand, then its forearm; `sleeve` is (3,) sRGB or None, `sleeve_start` metres from rim."""
    faces, uv = _layout(mesh, sleeve is not None)
    rim = posed.vertices[_wrist_rim(mesh)[1][:, 0]]
    colours = np.ones((len(uv), 3))
    distance = np.minimum(_RING_DISTANCE, pose.length)
    width = np.interp(distance, _RING_DISTANCE, _RING_WIDTH)
    if sleeve is not None:
        from_cuff = np.minimum(_CUFF_DISTANCE, max(pose.length - sleeve_start, 0.0))
        arm_width = np.interp(sleeve_start + from_cuff, _RING_DISTANCE, _RING_WIDTH)
        width = np.concatenate([width, np.interp(from_cuff, _CUFF_DISTANCE, _CUFF_WIDTH) * arm_width])
        distance = np.concatenate([distance, sleeve_start + from_cuff])
        colours[-2 * len(rim) * len(_CUFF_WIDTH) :] = sleeve
    rings, outward = _tube(rim, distance, width, pose)
    return Surface(
        vertices=np.concatenate([posed.vertices, _split(rings)]),
        normals=np.concatenate([posed.normals, _split(outward)]),
        faces=faces,
        colours=colours,
        uv=uv,
    )
