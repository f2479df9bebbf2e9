"""The rigged hand mesh: vertices, triangles, joints and skinning weights of one right hand.

Appendix A1 shows it. The mesh is the WebXR Input Profiles' generic hand (MIT, licence beside the file in
`peclr_utils/assets`): 1360 vertices, 2314 triangles, closed, with 25 joints.

**Convention.** The *hand's own frame* is oriented like the camera's: metres, x right, y down, z forward. The
wrist is the origin, the fingers point up (−y), the palm faces the viewer (−z), a right hand's thumb is on the
viewer's right (+x). A joint's own −z axis runs along its bone, its x axis is the axis of flexion (a
*negative* angle flexes), its +y axis points to the back of the hand.
"""

import functools
import json
import struct
from dataclasses import dataclass
from importlib import resources

import numpy as np

# The file has the fingers along −y, the back of the hand along +x and the thumb along −z.
_FILE_TO_HAND = np.array([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])

_RIG_FINGERS = ("index-finger", "middle-finger", "ring-finger", "pinky-finger")
_THUMB_PARTS = ("metacarpal", "phalanx-proximal", "phalanx-distal", "tip")
_FINGER_PARTS = ("metacarpal", "phalanx-proximal", "phalanx-intermediate", "phalanx-distal", "tip")

# Per finger from thumb to little, the rig's joints from the palm outwards.
CHAINS: tuple[tuple[str, ...], ...] = (
    tuple(f"thumb-{part}" for part in _THUMB_PARTS),
    *(tuple(f"{finger}-{part}" for part in _FINGER_PARTS) for finger in _RIG_FINGERS),
)
JOINT_NAMES: tuple[str, ...] = ("wrist", *(name for chain in CHAINS for name in chain))
_PARENT = {name: parent for chain in CHAINS for parent, name in zip(("wrist", *chain), chain, strict=False)}

# The last four joints of each chain are its keypoints; the fingers' metacarpals, deep in the palm, are not.
KEYPOINT_JOINTS = np.array([0, *(JOINT_NAMES.index(name) for chain in CHAINS for name in chain[-4:])])

_COMPONENTS = {5121: "<u1", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


@dataclass(frozen=True, eq=False)
class HandMesh:
    """One rigged right hand in its bind pose, in the hand's own frame. All arrays are read-only."""

    vertices: np.ndarray  # (V, 3) float64, metres, wrist at the origin
    normals: np.ndarray  # (V, 3) float64, unit, outward
    faces: np.ndarray  # (F, 3) int32, wound so that cross(b − a, c − a) points outwards
    uv: np.ndarray  # (V, 2) float32 texture coordinates in [0, 1]
    weights: np.ndarray  # (V, 25) float32 for skinning; each row sums to one, at most four are not zero
    joint_names: tuple[str, ...]  # 25 WebXR names, wrist first, then each finger from the palm outwards
    parents: np.ndarray  # (25,) int64, −1 for the wrist; a parent precedes its children
    bind: np.ndarray  # (25, 4, 4) float64, joint to mesh
    inverse_bind: np.ndarray  # (25, 4, 4) float64, mesh to joint
    # (V,) int64, the first vertex at the same place on the same smooth surface: texture seams repeat vertices
    # whose normals must agree.
    weld: np.ndarray

    def __post_init__(self) -> None:
        for value in vars(self).values():
            if isinstance(value, np.ndarray):
                value.setflags(write=False)

    @property
    def joints(self) -> np.ndarray:
        """(25, 3) joint positions in the bind pose, metres."""
        return self.bind[:, :3, 3]

    @property
    def keypoints(self) -> np.ndarray:
        """(21, 3) keypoints in the bind pose, FreiHAND order, metres."""
        return self.joints[KEYPOINT_JOINTS]


def read_only(name: str, value: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A float64 copy of a field's value that can't be written to; ValueError if it has another shape."""
    array = np.array(value, dtype=np.float64)
    if array.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, found {array.shape}")
    array.setflags(write=False)
    return array


def _accessor(head: dict, blob: bytes, index: int) -> np.ndarray:
    """The glTF accessor `index` as a (count,) or (count, width) array."""
    accessor = head["accessors"][index]
    view = head["bufferViews"][accessor["bufferView"]]
    width = _WIDTHS[accessor["type"]]
    start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
    values = np.frombuffer(blob, _COMPONENTS[accessor["componentType"]], accessor["count"] * width, start)
    return values if width == 1 else values.reshape(-1, width)


def _weld(vertices: np.ndarray, normals: np.ndarray, tolerance: float = 1e-6) -> np.ndarray:
    """Index of the first vertex at the same place whose normal differs by less than 60°."""
    _, group = np.unique(np.round(vertices / tolerance), axis=0, return_inverse=True)
    first = np.arange(len(vertices))
    for members in (np.flatnonzero(group == g) for g in np.flatnonzero(np.bincount(group) > 1)):
        for k in members:
            first[k] = members[normals[members] @ normals[k] > 0.5].min()
    return first


def _tips_to_surface(bind: np.ndarray, vertices: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Move each tip joint 11 mm outwards to the end of the finger, which annotated data sets mark."""
    bind = bind.copy()
    for chain in CHAINS:
        last, tip = JOINT_NAMES.index(chain[-2]), JOINT_NAMES.index(chain[-1])
        bone = bind[tip, :3, 3] - bind[last, :3, 3]
        bone /= np.linalg.norm(bone)
        flesh = vertices[weights[:, last] > 0.5] - bind[last, :3, 3]
        bind[tip, :3, 3] = bind[last, :3, 3] + bone * (flesh @ bone).max()
    return bind


@functools.cache
def load_hand_mesh() -> HandMesh:
    """The package's right hand in its own frame, read once per process."""
    data = resources.files("peclr_utils").joinpath("assets", "generic_hand_right.glb").read_bytes()
    # A binary glTF 2.0 file: 20 bytes of header, a JSON head, 8 bytes of header, a binary chunk.
    end = 20 + struct.unpack("<I", data[12:16])[0]
    head, blob = json.loads(data[20:end]), data[end + 8 :]
    skin = head["skins"][0]
    names = [head["nodes"][node]["name"] for node in skin["joints"]]
    order = np.array([names.index(name) for name in JOINT_NAMES])
    primitive = head["meshes"][0]["primitives"][0]
    fields = {name: _accessor(head, blob, index) for name, index in primitive["attributes"].items()}

    # glTF stores matrices by column.
    stored = _accessor(head, blob, skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
    bind = np.linalg.inv(stored[order].astype(np.float64))
    origin = bind[0, :3, 3].copy()
    bind[:, :3, :] = _FILE_TO_HAND @ (bind[:, :3, :] - origin[:, None] * [0, 0, 0, 1])
    # The file's rotations are single precision: make them orthonormal, so that bones keep their lengths.
    u, _, vt = np.linalg.svd(bind[:, :3, :3])
    bind[:, :3, :3] = u @ vt

    vertices = (fields["POSITION"].astype(np.float64) - origin) @ _FILE_TO_HAND.T
    normals = fields["NORMAL"].astype(np.float64) @ _FILE_TO_HAND.T
    weights = np.zeros((len(vertices), len(JOINT_NAMES)))
    vertex, joint = np.arange(len(vertices))[:, None], np.argsort(order)[fields["JOINTS_0"]]
    np.add.at(weights, (vertex, joint), fields["WEIGHTS_0"])
    bind = _tips_to_surface(bind, vertices, weights)
    return HandMesh(
        vertices=vertices,
        normals=normals / np.linalg.norm(normals, axis=1, keepdims=True),
        faces=_accessor(head, blob, primitive["indices"]).reshape(-1, 3).astype(np.int32),
        uv=fields["TEXCOORD_0"].astype(np.float32),
        weights=(weights / weights.sum(1, keepdims=True)).astype(np.float32),
        joint_names=JOINT_NAMES,
        parents=np.array([-1, *(JOINT_NAMES.index(_PARENT[name]) for name in JOINT_NAMES[1:])]),
        bind=bind,
        inverse_bind=np.linalg.inv(bind),
        weld=_weld(vertices, normals),
    )
