"""A person's hand in a pose: proportions, forward kinematics, skinning.

Appendix A1 turns one finger and its children follow.

Forward kinematics: T_j = T_parent(j) · O_j · R_j, with O_j the joint relative to its parent in the bind pose
and R_j its local rotation. Linear-blend skinning: v' = Σ_j w_vj · T_j · F_j · B_j⁻¹ · v, with B_j the bind
pose and F_j the joint's flesh map. A `HandShape` changes O and F; girth only F, so it moves no keypoint.

**Convention.** The hand's own frame of `mesh`, metres. Local rotations are relative to the bind pose, in the
joint's own frame, and turn the joint with its descendants.
"""

import functools
from dataclasses import dataclass, field

import numpy as np

from peclr_utils.hands.mesh import CHAINS, JOINT_NAMES, KEYPOINT_JOINTS, HandMesh, read_only

_FINGER_JOINTS = KEYPOINT_JOINTS[1:].reshape(5, 4)
_PALM_JOINTS = np.array([0, *(JOINT_NAMES.index(chain[0]) for chain in CHAINS[1:])])

_ADULT_SIZES = ((1.02, 0.05), (0.95, 0.05))  # 194 ± 10 mm for men, 181 ± 10 mm for women, in round numbers


@dataclass(frozen=True, eq=False)
class HandShape:
    """Factors on the mesh's own proportions; all ones is the mesh itself, a hand of 190 mm."""

    size: float = 1.0  # overall; 1 is 190 mm from the wrist to the middle fingertip
    palm_width: float = 1.0  # across the palm, index side to little side
    palm_length: float = 1.0  # from the wrist to the knuckles
    # (5, 3) lengths of each finger's last three bones, base to tip; the thumb's first is the metacarpal.
    bones: np.ndarray = field(default_factory=lambda: np.ones((5, 3)))
    girth: np.ndarray = field(default_factory=lambda: np.ones(5))  # (5,) thickness of each finger
    palm_girth: float = 1.0  # thickness of the palm

    def __post_init__(self) -> None:
        object.__setattr__(self, "bones", read_only("HandShape.bones", self.bones, (5, 3)))
        object.__setattr__(self, "girth", read_only("HandShape.girth", self.girth, (5,)))


def sample_shape(rng: np.random.Generator) -> HandShape:
    """Draw one person's hand: size, proportions and girth, independently; 15% are children's.

    Hands are 125 to 222 mm long before their proportions vary.
    """
    is_child, adult = rng.random() < 0.15, _ADULT_SIZES[rng.integers(2)]
    child_size, adult_size = rng.uniform(0.68, 0.86), rng.normal(*adult)  # children from about six years on
    size = float(np.clip(child_size if is_child else adult_size, 0.66, 1.17))

    def spread(scale: float, *shape: int) -> np.ndarray:
        return np.exp(scale * np.clip(rng.standard_normal(shape), -2.5, 2.5))

    fingers, bones = spread(0.035, 5, 1), spread(0.02, 5, 3)
    stout, girth = float(spread(0.08)), spread(0.025, 5)
    # Children's fingers are plumper for their length; a stout hand is also a little broader.
    plump = 1.04 if is_child else 1.0
    return HandShape(
        size=size,
        palm_width=float(spread(0.035)) * plump * stout**0.3,
        palm_length=float(spread(0.03)),
        bones=fingers * bones,
        girth=stout * plump * girth,
        palm_girth=stout * float(spread(0.04)),
    )


@functools.cache
def _bind_offsets(mesh: HandMesh) -> np.ndarray:
    """(25, 4, 4) each joint relative to its parent in the bind pose; the wrist relative to the mesh."""
    offsets = mesh.bind.copy()
    offsets[1:] = mesh.inverse_bind[mesh.parents[1:]] @ mesh.bind[1:]
    return offsets


@functools.lru_cache(maxsize=2)  # a scene needs it to place the hand, and again to draw it
def _shaped(mesh: HandMesh, shape: HandShape) -> tuple[np.ndarray, np.ndarray]:
    """(25, 4, 4) offsets with the bones' lengths changed, and (25, 3, 3) flesh maps in the joints' frames."""
    offsets = _bind_offsets(mesh).copy()
    # The palm is stretched as one piece: one map for the wrist and all metacarpals, so that none tears off.
    palm = np.diag([shape.palm_width, shape.palm_length, 1.0])
    rotation = mesh.bind[_PALM_JOINTS, :3, :3]
    palm_maps = rotation.transpose(0, 2, 1) @ palm @ rotation

    flesh = np.empty((len(offsets), 3, 3))
    flesh[_PALM_JOINTS] = palm_maps * [1.0, shape.palm_girth, 1.0]
    for joint, map_ in zip(_PALM_JOINTS, palm_maps, strict=True):
        children = mesh.parents == joint
        offsets[children, :3, 3] = offsets[children, :3, 3] @ map_.T
    # Bones: a joint's place in its parent's frame, times the length of the bone between them.
    offsets[_FINGER_JOINTS[:, 1:], :3, 3] *= shape.bones[:, :, None]
    # The tips carry no skin; they take the map of the last bone.
    along = np.concatenate([shape.bones, shape.bones[:, -1:]], axis=1)
    across = np.broadcast_to(shape.girth[:, None], along.shape)
    flesh[_FINGER_JOINTS] = np.stack([across, across, along], axis=-1)[..., None] * np.eye(3)
    offsets[1:, :3, 3] *= shape.size
    flesh *= shape.size
    return offsets, flesh


def forward_kinematics(mesh: HandMesh, rotations: np.ndarray, shape: HandShape | None = None) -> np.ndarray:
    """Where every joint goes.

    Args:
        mesh: the rigged hand.
        rotations: (..., 25, 3, 3) local rotations; identities give the bind pose.
        shape: the person's proportions; the mesh's own by default.

    Returns:
        (..., 25, 4, 4) float64 transforms from each joint's frame to the hand's;
        `[..., KEYPOINT_JOINTS, :3, 3]` are the keypoints in metres.
    """
    offsets = _shaped(mesh, shape)[0] if shape else _bind_offsets(mesh)
    transforms = np.empty((*rotations.shape[:-2], 4, 4))
    transforms[...] = offsets
    transforms[..., :3, :3] = offsets[:, :3, :3] @ rotations
    for joint, parent in enumerate(mesh.parents[1:], start=1):
        transforms[..., joint, :, :] = transforms[..., parent, :, :] @ transforms[..., joint, :, :]
    return transforms


@dataclass(frozen=True, eq=False)
class PosedHand:
    """A hand's surface and keypoints in the hand's own frame; the triangles are `HandMesh.faces`."""

    vertices: np.ndarray  # (V, 3) float64, metres
    normals: np.ndarray  # (V, 3) float64, unit, outward
    keypoints: np.ndarray  # (21, 3) float64, metres, FreiHAND order, wrist at the origin


def pose_hand(mesh: HandMesh, rotations: np.ndarray, shape: HandShape | None = None) -> PosedHand:
    """The posed surface and keypoints of one hand.

    Args:
        mesh: the rigged hand.
        rotations: (25, 3, 3) local rotations, as `local_rotations` gives them.
        shape: the person's proportions; the mesh's own by default.

    Returns:
        A `PosedHand` in the hand's own frame. Rotating the wrist turns the hand about the origin.
    """
    shape = shape or HandShape()
    transforms, (_, flesh) = forward_kinematics(mesh, rotations, shape), _shaped(mesh, shape)
    skinning = transforms[:, :3].copy()
    skinning[:, :, :3] = skinning[:, :, :3] @ flesh
    skinning = skinning @ mesh.inverse_bind
    blended = (mesh.weights @ skinning.reshape(len(skinning), 12)).reshape(-1, 3, 4)
    vertices = np.einsum("vij,vj->vi", blended[:, :, :3], mesh.vertices) + blended[:, :, 3]
    normals = _vertex_normals(vertices, mesh.faces, mesh.weld)
    return PosedHand(vertices, normals, transforms[KEYPOINT_JOINTS, :3, 3])


def _vertex_normals(vertices: np.ndarray, faces: np.ndarray, weld: np.ndarray) -> np.ndarray:
    """(V, 3) unit normals: the triangles' normals, weighted by area, summed at each welded vertex."""
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
