"""What differs between two people's hands: overall size, the bones' lengths, and how stout the flesh is.

Chapter 01 shows several people's hands in the same pose.

A shape changes the skeleton and the skin together. Every bone's flesh is scaled along the bone by the bone's
own factor and across it by the girth; the skinning weights blend neighbouring bones, so the skin stays
smooth. Girth moves no joint: the keypoints of a stout and of a slender hand are the same.
"""

import functools
from dataclasses import dataclass, field

import numpy as np

from peclr_utils.hands.mesh import CHAINS, JOINT_NAMES, HandMesh


def _ones(*shape: int):
    return field(default_factory=lambda: np.ones(shape))


@dataclass(frozen=True, eq=False)
class HandShape:
    """Factors on the mesh's own proportions; all ones is the mesh itself, a hand of 190 mm.

    Attributes:
        size: overall size; 1 is 190 mm from the wrist to the middle fingertip.
        palm_width: across the palm, index side to little side.
        palm_length: from the wrist to the knuckles.
        bones: (5, 3) lengths of each finger's last three bones, thumb to little finger, base to tip. For the
            thumb these are the metacarpal and two phalanges.
        girth: (5,) thickness of each finger, at a given size.
        palm_girth: thickness of the palm.
    """

    size: float = 1.0
    palm_width: float = 1.0
    palm_length: float = 1.0
    bones: np.ndarray = _ones(5, 3)
    girth: np.ndarray = _ones(5)
    palm_girth: float = 1.0

    def __post_init__(self) -> None:
        for name, shape in (("bones", (5, 3)), ("girth", (5,))):
            value = np.array(getattr(self, name), dtype=np.float64)
            value.setflags(write=False)
            if value.shape != shape:
                raise ValueError(f"HandShape.{name}: expected shape {shape}, found {value.shape}")
            object.__setattr__(self, name, value)
        for name, value in vars(self).items():
            if not (np.isfinite(value).all() and np.min(value) > 0):
                raise ValueError(f"HandShape.{name}: expected positive factors, found {value}")


_FINGER_JOINTS = np.array([[JOINT_NAMES.index(name) for name in chain[-4:]] for chain in CHAINS])
_PALM_JOINTS = np.array([0, *(JOINT_NAMES.index(chain[0]) for chain in CHAINS[1:])])


@functools.cache
def bind_offsets(mesh: HandMesh) -> np.ndarray:
    """(25, 4, 4) each joint relative to its parent in the bind pose; the wrist relative to the mesh."""
    offsets = mesh.bind.copy()
    offsets[1:] = mesh.inverse_bind[mesh.parents[1:]] @ mesh.bind[1:]
    offsets.setflags(write=False)
    return offsets


@functools.lru_cache(maxsize=2)  # a scene needs it to place the hand, and again to draw it
def shaped_skeleton(mesh: HandMesh, shape: HandShape) -> tuple[np.ndarray, np.ndarray]:
    """The bind pose's bones and flesh for one shape.

    Args:
        mesh: the rigged hand.
        shape: the factors.

    Returns:
        offsets: (25, 4, 4) as `bind_offsets`, with the bones' lengths changed; read-only.
        flesh: (25, 3, 3) linear map of each bone's flesh, in the joint's own frame; read-only.
    """
    offsets = bind_offsets(mesh).copy()
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
    for array in (offsets, flesh):
        array.setflags(write=False)
    return offsets, flesh


# Hand length, wrist crease to middle fingertip, in round numbers: 194 ± 10 mm for men, 181 ± 10 mm for women.
# Children from about six years on.
_ADULT_SIZES = ((1.02, 0.05), (0.95, 0.05))
_CHILD_SIZES = (0.68, 0.86)


def sample_shape(
    rng: np.random.Generator, *, child_fraction: float = 0.15, variation: float = 1.0
) -> HandShape:
    """Draw one person's hand: size, proportions and girth independently of each other.

    Args:
        rng: source of randomness.
        child_fraction: share of children's hands, 0 to 1.
        variation: factor on the spread of proportions and girth; 0 varies the overall size only.

    Returns:
        A `HandShape`; hands are 125 to 222 mm long before their proportions vary.
    """
    if not 0 <= child_fraction <= 1:
        raise ValueError(f"child_fraction: expected a share between 0 and 1, found {child_fraction}")
    is_child, adult = rng.random() < child_fraction, _ADULT_SIZES[rng.integers(2)]
    child_size, adult_size = rng.uniform(*_CHILD_SIZES), rng.normal(*adult)
    size = float(np.clip(child_size if is_child else adult_size, 0.66, 1.17))

    def spread(scale: float, *shape: int) -> np.ndarray:
        return np.exp(scale * variation * np.clip(rng.standard_normal(shape), -2.5, 2.5))

    fingers, bones = spread(0.035, 5, 1), spread(0.02, 5, 3)
    stout, girth = float(spread(0.08)), spread(0.025, 5)
    # Children's fingers are plumper for their length; a stout hand is also a little broader.
    plump = 1.04 if is_child and variation else 1.0
    return HandShape(
        size=size,
        palm_width=float(spread(0.035)) * plump * stout**0.3,
        palm_length=float(spread(0.03)),
        bones=fingers * bones,
        girth=stout * plump * girth,
        palm_girth=stout * float(spread(0.04)),
    )
