"""The skin of the hand as a few maps over its texture: palm, redness, nails, creases, mottling.

Chapter 01 shows them. They are drawn once per process from the mesh, whose joints give their places.

**Convention.** Texture coordinates (u, v) in 0..1, u right, v down; texel centres at half-integers.
"""

import functools

import cv2
import numpy as np

from peclr_utils.hands.mesh import CHAINS, HandMesh
from peclr_utils.hands.rasteriser import rasterise

TEXTURE_SIZE = 512
MAPS = ("plain", "skin", "palm", "red", "nail", "nail edge", "crease", "mottled", "blotched", "tendon")


@functools.cache
def skin_maps(mesh: HandMesh) -> np.ndarray:
    """(TEXTURE_SIZE, TEXTURE_SIZE, len(MAPS)) float32 in 0..1, the last three in -1..1; read-only."""
    texel, position, back = _texels(mesh)
    red, joint_creases = _joint_marks(mesh, position, back)
    nail, nail_edge = _nails(mesh, position)
    fields = {
        "plain": np.zeros(len(texel)),
        "skin": np.ones(len(texel)),
        "palm": _step(-back, 0.05, 0.65) * (1 - nail),
        "red": red,
        "nail": nail,
        "nail edge": nail_edge,
        "crease": np.maximum(joint_creases, _palm_lines(mesh, position, back)),
        "mottled": _solid_noise(position, 140.0, 3),
        "blotched": _solid_noise(position, 35.0, 3),
        "tendon": _tendons(mesh, position, back),
    }
    maps = np.zeros((TEXTURE_SIZE * TEXTURE_SIZE, len(MAPS)), dtype=np.float32)
    maps[:, 0] = 1.0
    maps[texel] = np.stack([fields[name] for name in MAPS], axis=-1)
    maps = _bleed(maps.reshape(TEXTURE_SIZE, TEXTURE_SIZE, -1))
    # Texel (0, 0) belongs to no skin: a vertex's own colour shows there.
    maps[0, 0] = np.eye(len(MAPS), dtype=np.float32)[0]
    maps.setflags(write=False)
    return maps


def _texels(mesh: HandMesh) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The skin's texels: flat index, (N, 3) place in the bind pose, how much each faces the hand's back."""
    sheet = np.concatenate([mesh.uv * TEXTURE_SIZE - 0.5, np.ones((len(mesh.uv), 1))], axis=1)
    both_ways = np.concatenate([mesh.faces, mesh.faces[:, ::-1]])
    seen = rasterise(sheet, both_ways, np.eye(3), (TEXTURE_SIZE, TEXTURE_SIZE), supersample=1)
    backwards = np.einsum("vj,jc->vc", mesh.weights, mesh.bind[:, :3, 1])
    facing = np.einsum("vc,vc->v", mesh.normals, backwards)
    values = np.concatenate([mesh.vertices, facing[:, None]], axis=1)
    values = np.einsum("kn,knc->nc", seen.weights, values[seen.corners])
    top, left, _, width = seen.box
    line, column = np.divmod(seen.pixel[seen.slot], width)
    return (line + top) * TEXTURE_SIZE + column + left, values[:, :3], values[:, 3]


def _bleed(maps: np.ndarray, reach: int = 4) -> np.ndarray:
    """Grow the skin beyond its islands, so that no seam shows where a texel falls just outside."""
    for _ in range(reach):
        skin = maps[..., 1:2]
        total, weight = cv2.blur(maps * skin, (3, 3)), cv2.blur(skin, (3, 3))[..., None]
        fill = (skin == 0) & (weight > 0)
        maps = np.where(fill, total / np.maximum(weight, 1e-6), maps)
        maps[..., 1:2][fill] = 1.0
    maps[..., 0] = np.where(maps[..., 1] > 0, 0.0, 1.0)
    return maps


def _step(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below low, 1 above high, smooth in between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _solid_noise(position: np.ndarray, frequency: float, octaves: int) -> np.ndarray:
    """(N,) noise in about -1 to 1: sums of waves in space, which have no seams on any surface."""
    rng = np.random.default_rng(20)
    position = position.astype(np.float32)
    total = np.zeros(len(position), dtype=np.float32)
    for k in range(octaves):
        waves = rng.normal(0, 1, (8, 3))
        waves *= frequency * 2 * np.pi * 1.8**k / np.linalg.norm(waves, axis=1, keepdims=True)
        phase = rng.uniform(0, 2 * np.pi, 8)
        angles = position @ waves.T.astype(np.float32) + phase.astype(np.float32)
        total += np.float32(0.7**k / 8) * np.sin(angles).sum(axis=1)
    return np.clip(total * 1.5, -1, 1)


def _around(mesh: HandMesh, joint: str, position: np.ndarray, radius: float = 0.022):
    """Indices of the places near a joint, and their (N, 3) across, towards the back, along the bone."""
    k = mesh.joint_names.index(joint)
    near = np.flatnonzero(((position - mesh.joints[k]) ** 2).sum(axis=1) < radius**2)
    frame = mesh.inverse_bind[k]
    return near, (position[near] @ frame[:3, :3].T + frame[:3, 3]) * (1, 1, -1)


def _joint_marks(mesh: HandMesh, position: np.ndarray, back: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Redness of knuckles and finger tips; creases across the fingers, deeper on the palm's side."""
    red, crease = np.zeros((2, len(position)))
    for chain in CHAINS:
        for joint in chain[-4:]:
            near, local = _around(mesh, joint, position)
            side = back[near]
            distance2 = (local**2).sum(axis=1)
            if joint == chain[-1]:
                spot = 0.8 * np.exp(-distance2 / (2 * 0.009**2))
            else:
                width = 0.011 if joint == chain[-4] else 0.008
                spot = _step(side, 0.0, 0.6) * np.exp(-(distance2 - 0.00006) / (2 * width**2))
            red[near] = np.maximum(red[near], spot)
            if joint in chain[-3:-1]:
                crease[near] = np.maximum(crease[near], _finger_creases(local, side))
    return np.clip(red, 0, 1), crease


def _finger_creases(local: np.ndarray, side: np.ndarray) -> np.ndarray:
    """(N,) strength of one joint's creases, from (N, 3) places relative to it and how far they face back."""
    across, _, along = local.T
    near = _step(-(local**2).sum(axis=1), -(0.016**2), -(0.013**2))
    wiggle = 0.0004 * np.sin(across * 700)
    lines = np.zeros(len(local))
    for offset, strength in ((-0.0012, 1.0), (0.0014, 0.6)):
        line = np.exp(-(((along - offset + wiggle) / 0.0006) ** 2))
        lines = np.maximum(lines, _step(-side, -0.2, 0.4) * strength * line)
    for offset, strength in ((-0.003, 0.4), (0.0, 0.5), (0.003, 0.4)):
        bend = 60 * across**2 * np.sign(offset)
        line = np.exp(-(((along - offset - bend) / 0.0007) ** 2))
        lines = np.maximum(lines, _step(side, 0.0, 0.6) * strength * line)
    return lines * near


def _tendons(mesh: HandMesh, position: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Cords over the back of the hand to each finger's knuckle: a light ridge between dark valleys."""
    wrist, cords = mesh.joints[0], np.zeros(len(position))
    for chain in CHAINS[1:]:
        knuckle = mesh.joints[mesh.joint_names.index(chain[1])]
        start = wrist + 0.25 * (knuckle - wrist)
        bone = knuckle - start
        t = (position - start) @ bone / (bone @ bone)
        x, y = position[:, 0] - start[0], position[:, 1] - start[1]
        side = (x * bone[1] - y * bone[0]) / np.hypot(bone[0], bone[1])
        wave = (1 - (side / 0.004) ** 2) * np.exp(-((side / 0.0045) ** 2))
        cords += wave * _step(t, 0.0, 0.5) * _step(-t, -1.12, -0.95)
    return np.clip(cords, -1, 1) * _step(back, 0.3, 0.8)


def _palm_lines(mesh: HandMesh, position: np.ndarray, back: np.ndarray) -> np.ndarray:
    """The three long creases of the palm: curves through points between the knuckles and the wrist."""
    wrist, thumb, thumb_knuckle, index, middle, ring, little = mesh.keypoints[[0, 1, 2, 5, 9, 13, 17]]
    web, between = 0.62 * index + 0.38 * thumb_knuckle, 0.5 * (index + middle)
    side = little + 0.30 * (wrist - little) + (-0.012, 0, 0)
    heel = 0.72 * wrist + 0.18 * middle + 0.10 * thumb
    curves = [
        [side, 0.80 * ring + 0.20 * wrist, 0.86 * middle + 0.14 * wrist, between + 0.02 * wrist],
        [web, 0.70 * between + 0.30 * wrist, 0.55 * ring + 0.45 * wrist, 0.45 * little + 0.55 * wrist],
        [web, 0.55 * index + 0.25 * middle + 0.20 * thumb, 0.45 * middle + 0.30 * wrist + 0.25 * thumb, heel],
    ]
    palm = np.flatnonzero(back < -0.2)
    x, y = position[palm, 0], position[palm, 1]
    nearest = np.full(len(palm), np.inf)
    t = np.linspace(0, 1, 40)[:, None]
    for points in curves:
        a, b, c, d = np.array(points)[:, :2]
        curve = (1 - t) ** 3 * a + 3 * t * (1 - t) ** 2 * b + 3 * t**2 * (1 - t) * c + t**3 * d
        for point in curve:
            np.minimum(nearest, (x - point[0]) ** 2 + (y - point[1]) ** 2, out=nearest)
    lines = np.zeros(len(position))
    lines[palm] = 0.8 * np.exp(-nearest / 0.0008**2) * _step(-back[palm], 0.2, 0.5)
    return lines


def _nails(mesh: HandMesh, position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nails as rounded boxes on the back of each last bone, and the fold of skin around them."""
    nail, edge = np.zeros((2, len(position)))
    for chain in CHAINS:
        near, local = _around(mesh, chain[-1], position, 0.024)
        own = np.abs(local[:, 0]) < 0.0125
        near, local = near[own], local[own]
        end = local[:, 2].max()
        behind = local[np.abs(local[:, 2] - end + 0.009) < 0.002]
        half_width = 0.70 * np.abs(behind[:, 0] - behind[:, 0].mean()).max()
        half_length = 1.15 * half_width
        along = (local[:, 2] - (end - 1.12 * half_length - 0.0005)) / half_length
        across = (local[:, 0] - behind[:, 0].mean()) / half_width
        distance = (np.abs(along) ** 3.5 + np.abs(across) ** 3.5) ** (1 / 3.5)
        dorsal = _step(local[:, 1] - behind[:, 1].mean(), 0.0005, 0.0015)
        nail[near] = np.maximum(nail[near], dorsal * _step(-distance, -1.06, -0.94))
        edge[near] = np.maximum(edge[near], dorsal * np.exp(-(((distance - 1.08) / 0.10) ** 2)))
    return nail, edge
