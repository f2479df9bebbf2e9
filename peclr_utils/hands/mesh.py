"""The rigged hand mesh: vertices, triangles, joints and skinning weights of one right hand.

Chapter 01 shows it. The mesh is the WebXR Input Profiles' generic hand (MIT, licence beside the file in
`peclr_utils/assets`): 1360 vertices, 2314 triangles, closed, with 25 joints.

**Convention.** The *hand's own frame* is set up as the camera's: metres, x right, y down, z forward. The
wrist is the origin, the fingers point up (−y) and the palm faces the viewer (−z). A right hand seen from its
palm has its thumb on the viewer's right (+x). So an unrotated hand pushed to z = 0.5 m is a right hand held
up, palm to the camera. A joint's own −z axis runs along its bone, its x axis is the axis of flexion (turning
by a *negative* angle about it flexes), its +y axis points to the back of the hand.
"""

import functools
import json
import struct
from dataclasses import dataclass
from importlib import resources

import numpy as np

ASSET = "generic_hand_right.glb"

# The file has the fingers along −y, the back of the hand along +x and the thumb along −z.
_FILE_TO_HAND = np.array([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])

_RIG_FINGERS = ("index-finger", "middle-finger", "ring-finger", "pinky-finger")
_THUMB_CHAIN = tuple(f"thumb-{part}" for part in ("metacarpal", "phalanx-proximal", "phalanx-distal", "tip"))
_FINGER_PARTS = ("metacarpal", "phalanx-proximal", "phalanx-intermediate", "phalanx-distal", "tip")

# Per finger from thumb to little, the rig's joints from the palm outwards.
CHAINS: tuple[tuple[str, ...], ...] = (
    _THUMB_CHAIN,
    *(tuple(f"{finger}-{part}" for part in _FINGER_PARTS) for finger in _RIG_FINGERS),
)
JOINT_NAMES: tuple[str, ...] = ("wrist", *(name for chain in CHAINS for name in chain))
NUM_JOINTS = len(JOINT_NAMES)

# The last four joints of each chain are its keypoints; the fingers' metacarpals, deep in the palm, are none.
_KEYPOINT_NAMES = ("wrist", *(name for chain in CHAINS for name in chain[-4:]))
KEYPOINT_JOINTS = np.array([JOINT_NAMES.index(name) for name in _KEYPOINT_NAMES], dtype=np.int64)
KEYPOINT_JOINTS.setflags(write=False)

_COMPONENTS = {5121: "<u1", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


@dataclass(frozen=True, eq=False)
class HandMesh:
    """One rigged right hand in its bind pose, in the hand's own frame. All arrays are read-only.

    Attributes:
        vertices: (V, 3) float64, metres, wrist at the origin.
        normals: (V, 3) float64, unit, outward.
        faces: (F, 3) int32, counter-clockwise seen from outside: cross(b − a, c − a) points outwards.
        uv: (V, 2) float32 texture coordinates in [0, 1].
        weights: (V, 25) float32 skinning weights; each row sums to one, at most four are not zero.
        joint_names: 25 WebXR joint names, wrist first, then each finger from the palm outwards.
        parents: (25,) int64 index of each joint's parent, −1 for the wrist; a parent precedes its children.
        bind: (25, 4, 4) float64, joint to mesh.
        inverse_bind: (25, 4, 4) float64, mesh to joint.
        weld: (V,) int64, the first vertex at the same place on the same smooth surface. Texture seams repeat
            vertices; their normals must agree. The rim of the wrist's cut stays sharp.
    """

    vertices: np.ndarray
    normals: np.ndarray
    faces: np.ndarray
    uv: np.ndarray
    weights: np.ndarray
    joint_names: tuple[str, ...]
    parents: np.ndarray
    bind: np.ndarray
    inverse_bind: np.ndarray
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


def _read_glb(data: bytes, name: str) -> tuple[dict, bytes]:
    """Split a binary glTF 2.0 file into its JSON head and its binary chunk."""
    if len(data) < 20 or data[:4] != b"glTF":
        raise ValueError(f"{name}: expected a binary glTF file starting with 'glTF', found {data[:4]!r}")
    version, total, head_size = struct.unpack("<4xIII", data[:16])
    if version != 2 or total != len(data):
        raise ValueError(
            f"{name}: expected glTF version 2 and {total} bytes, found {version} and {len(data)}"
        )
    head = json.loads(data[20 : 20 + head_size])
    return head, data[28 + head_size :]


def _accessor(head: dict, blob: bytes, index: int) -> np.ndarray:
    """Accessor `index` as a (count,) or (count, width) array."""
    accessor = head["accessors"][index]
    view = head["bufferViews"][accessor["bufferView"]]
    width = _WIDTHS[accessor["type"]]
    start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
    dtype = _COMPONENTS[accessor["componentType"]]
    values = np.frombuffer(blob, dtype, accessor["count"] * width, start)
    return values if width == 1 else values.reshape(-1, width)


def _parents() -> np.ndarray:
    """Every chain hangs on the wrist; within a chain each joint hangs on the one before it."""
    parents = {"wrist": -1}
    for chain in CHAINS:
        for parent, child in zip(("wrist", *chain), chain, strict=False):
            parents[child] = JOINT_NAMES.index(parent)
    return np.array([parents[name] for name in JOINT_NAMES], dtype=np.int64)


def _weld(vertices: np.ndarray, normals: np.ndarray, tolerance: float = 1e-6) -> np.ndarray:
    """Index of the first vertex at the same place whose normal differs by less than 60°."""
    _, group = np.unique(np.round(vertices / tolerance), axis=0, return_inverse=True)
    first = np.arange(len(vertices))
    for members in (np.flatnonzero(group == g) for g in np.flatnonzero(np.bincount(group) > 1)):
        for k in members:
            alike = members[normals[members] @ normals[k] > 0.5]
            first[k] = alike.min()
    return first


def _tips_to_surface(bind: np.ndarray, vertices: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Move each tip joint outwards along its bone to where the finger ends.

    The rig's tips lie halfway along the last bone, about 11 mm inside the finger; annotated data sets mark
    the fingertip itself. The tips carry no skinning weight, so only the keypoints change.
    """
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
    """The package's right hand, read once per process.

    Returns:
        The `HandMesh`, in the hand's own frame (see this module's Convention).

    Raises:
        FileNotFoundError: if the asset is missing from the installed package.
        ValueError: if the asset is not the file expected.
    """
    asset = resources.files("peclr_utils").joinpath("assets", ASSET)
    head, blob = _read_glb(asset.read_bytes(), str(asset))
    skin = head["skins"][0]
    names = [head["nodes"][node]["name"] for node in skin["joints"]]
    if sorted(names) != sorted(JOINT_NAMES):
        raise ValueError(f"{asset}: expected the 25 WebXR hand joints, found {names}")
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
    weights = np.zeros((len(vertices), NUM_JOINTS))
    np.add.at(
        weights,
        (np.arange(len(vertices))[:, None], np.argsort(order)[fields["JOINTS_0"]]),
        fields["WEIGHTS_0"],
    )
    bind = _tips_to_surface(bind, vertices, weights)
    return HandMesh(
        vertices=vertices,
        normals=normals / np.linalg.norm(normals, axis=1, keepdims=True),
        faces=_accessor(head, blob, primitive["indices"]).reshape(-1, 3).astype(np.int32),
        uv=fields["TEXCOORD_0"].astype(np.float32),
        weights=(weights / weights.sum(1, keepdims=True)).astype(np.float32),
        joint_names=JOINT_NAMES,
        parents=_parents(),
        bind=bind,
        inverse_bind=np.linalg.inv(bind),
        weld=_weld(vertices, normals),
    )


def vertex_normals(vertices: np.ndarray, faces: np.ndarray, weld: np.ndarray) -> np.ndarray:
    """Smooth outward unit normals: the triangles' normals, weighted by area, summed at each welded vertex.

    Args:
        vertices: (V, 3) metres.
        faces: (F, 3) counter-clockwise seen from outside.
        weld: (V,) see `HandMesh.weld`.

    Returns:
        (V, 3) float64, unit.
    """
    a, b, c = (vertices.take(corner, axis=0) for corner in faces.T)
    u, v = b - a, c - a
    corners = weld.take(faces.T).ravel()
    total = np.empty((len(vertices), 3))
    for axis in range(3):
        i, j = (axis + 1) % 3, (axis + 2) % 3
        area = u[:, i] * v[:, j] - u[:, j] * v[:, i]
        total[:, axis] = np.bincount(corners, np.tile(area, 3), minlength=len(vertices))
    length = np.sqrt(np.einsum("ij,ij->i", total, total))
    return (total / np.maximum(length, 1e-20)[:, None]).take(weld, axis=0)
