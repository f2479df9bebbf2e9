"""A hand's pose as 22 named angles, how far each can go, and the joint rotations they stand for.

Appendix A1 bends one finger by its angles.

**Convention.** Degrees. *Flexion* brings the fingertip towards the palm; 0 is a straight finger. At the
thumb's base (CMC) it carries the thumb across the palm, and 0 is at rest. *Abduction* turns a finger at its
knuckle away from the middle finger, and the middle finger towards the thumb; that of the thumb lifts it out
of the palm's plane; 0 is at rest. *Opposition* rolls the thumb so that its pad faces the fingers. *Arch*
flexes the little finger's metacarpal, and the ring finger's by half as much. The wrist has no angle.
"""

import functools
from dataclasses import dataclass

import numpy as np

from peclr_utils.hands.mesh import CHAINS, JOINT_NAMES, KEYPOINT_JOINTS, load_hand_mesh, read_only

_FINGER_LIMITS = {"mcp": (-20.0, 90.0), "pip": (-3.0, 105.0), "dip": (-5.0, 80.0)}

JOINT_LIMITS: dict[str, tuple[float, float]] = {
    "thumb_cmc_flexion": (-25.0, 30.0),
    "thumb_mcp_flexion": (-8.0, 60.0),
    "thumb_ip_flexion": (-15.0, 80.0),
    **{
        f"{finger}_{joint}_flexion": limits
        for finger in ("index", "middle", "ring", "little")
        for joint, limits in _FINGER_LIMITS.items()
    },
    "thumb_abduction": (-22.0, 28.0),
    "index_abduction": (-10.0, 18.0),
    "middle_abduction": (-8.0, 8.0),
    "ring_abduction": (-10.0, 14.0),
    "little_abduction": (-12.0, 22.0),
    "thumb_opposition": (-6.0, 16.0),
    "arch": (0.0, 15.0),
}
"""Lowest and highest angle of each joint, in degrees.

From the American Academy of Orthopaedic Surgeons (fingers: MCP −45..90, PIP 0..100, DIP 0..90, spread 20;
thumb: MCP 0..50, IP −20..80), with less MCP extension, rare unaided. Thumb MCP: Barakat et al. 2013, "The
range of movement of the thumb", Hand 8. Thumb base, divided about rest by eye: 53° of flexion (Cooney et al.
1981, doi:10.2106/00004623-198163090-00002), 51° of abduction and 21° of roll (Goubier et al. 2009,
doi:10.1016/j.main.2009.07.003). Arch (fourth and fifth carpometacarpal joints): by eye.
"""

ANGLE_NAMES: tuple[str, ...] = tuple(JOINT_LIMITS)

_LOW_HIGH = np.array(list(JOINT_LIMITS.values())).T

# The end joint hardly bends on its own, because one deep flexor moves both joints: it stays within this many
# degrees of DIP = 2/3 PIP (Rijpkema and Girard 1991, "Computer animation of knowledge-based human grasping").
_DIP_SLACK = 20.0


@dataclass(frozen=True, eq=False)
class HandPose:
    """Joint angles of one hand in degrees, as a value; see this module's Convention.

    Attributes:
        flexion: (5, 3) thumb (CMC, MCP, IP), then index to little finger (MCP, PIP, DIP).
        abduction: (5,) thumb to little finger.
        opposition: roll of the thumb.
        arch: flexion of the little finger's metacarpal.
    """

    flexion: np.ndarray
    abduction: np.ndarray
    opposition: float = 0.0
    arch: float = 0.0

    def __post_init__(self) -> None:
        # Read-only, because gestures are shared values.
        object.__setattr__(self, "flexion", read_only("HandPose.flexion", self.flexion, (5, 3)))
        object.__setattr__(self, "abduction", read_only("HandPose.abduction", self.abduction, (5,)))

    @property
    def angles(self) -> np.ndarray:
        """(22,) all angles in degrees, in the order of `ANGLE_NAMES`."""
        return np.concatenate([self.flexion.ravel(), self.abduction, [self.opposition, self.arch]])

    @classmethod
    def from_angles(cls, angles: np.ndarray) -> "HandPose":
        """The pose of (22,) angles in degrees, in the order of `ANGLE_NAMES`."""
        return cls(angles[:15].reshape(5, 3), angles[15:20], float(angles[20]), float(angles[21]))

    def blend(self, other: "HandPose", weight: float | np.ndarray) -> "HandPose":
        """This pose moved towards another: weight 0 is this one, 1 the other; one weight or (22,)."""
        return HandPose.from_angles((1 - weight) * self.angles + weight * other.angles)


def constrain(pose: HandPose) -> HandPose:
    """The nearest pose that tendons and ligaments allow.

    Every angle is brought within `JOINT_LIMITS`; then a finger's spread shrinks as its knuckle bends, and its
    end joint stays near two thirds of its middle joint. A possible pose stays as it is.
    """
    pose = HandPose.from_angles(np.clip(pose.angles, *_LOW_HIGH))
    flexion, abduction = pose.flexion.copy(), pose.abduction.copy()
    # A straight finger spreads freely, one bent by 90° hardly: the knuckle's collateral ligaments tighten.
    slack = np.clip(1 - flexion[1:, 0] / 90, 0.15, 1.0)
    abduction[1:] = np.clip(abduction[1:], *(_LOW_HIGH[:, 16:20] * slack))
    follow = flexion[1:, 1] * 2 / 3
    flexion[1:, 2] = np.clip(flexion[1:, 2], follow - _DIP_SLACK, follow + _DIP_SLACK)
    return HandPose(flexion, abduction, pose.opposition, pose.arch)


def _signed_angle(a: np.ndarray, b: np.ndarray, axis: np.ndarray) -> float:
    """Degrees from a to b about the axis."""
    return float(np.degrees(np.arctan2(axis @ np.cross(a, b), a @ b - (a @ axis) * (b @ axis))))


@functools.cache
def rest_pose() -> HandPose:
    """The angles of the mesh's bind pose, measured on its bones: the pose of identity rotations."""
    mesh = load_hand_mesh()
    flexion = np.zeros((5, 3))  # the thumb's first angle is 0 at rest by definition
    for finger, names in enumerate(CHAINS):
        chain = [JOINT_NAMES.index(name) for name in names]
        bones = np.diff(mesh.joints[chain], axis=0)
        angles = [
            _signed_angle(bone, after, -mesh.bind[joint, :3, 0])
            for bone, after, joint in zip(bones[:-1], bones[1:], chain[1:-1], strict=True)
        ]
        flexion[finger, 3 - len(angles) :] = angles
    return HandPose(flexion, np.zeros(5))


def turn(axis: int, radians: np.ndarray) -> np.ndarray:
    """(N, 3, 3) rotations by (N,) radians about one coordinate axis."""
    i, j = (axis + 1) % 3, (axis + 2) % 3
    rotations = np.zeros((len(radians), 3, 3))
    rotations[:, axis, axis] = 1
    rotations[:, i, i] = rotations[:, j, j] = np.cos(radians)
    rotations[:, j, i] = np.sin(radians)
    rotations[:, i, j] = -rotations[:, j, i]
    return rotations


_FLEXING = KEYPOINT_JOINTS[1:].reshape(5, 4)[:, :3]
_METACARPALS = np.array([JOINT_NAMES.index(f"{finger}-finger-metacarpal") for finger in ("ring", "pinky")])
# Turning about a joint's +y carries a right hand's finger towards the thumb.
_AWAY_FROM_MIDDLE = np.array([1.0, 1.0, 1.0, -1.0, -1.0])


def local_rotations(pose: HandPose) -> np.ndarray:
    """The joints' rotations relative to the bind pose.

    At a knuckle the flexion axis is fixed in the palm and the spread turns with the finger (the joint
    coordinate system of the ISB, Wu et al. 2005, doi:10.1016/j.jbiomech.2004.05.042):
    R = R_x(−flexion) · R_y(±abduction) · R_z(roll).

    Args:
        pose: joint angles in degrees. Limits are not enforced; see `constrain`.

    Returns:
        (25, 3, 3) float64, ready for `pose_hand`; identities for `rest_pose()`.
    """
    rotations = np.tile(np.eye(3), (len(JOINT_NAMES), 1, 1))
    flexion = np.radians(pose.flexion - rest_pose().flexion)
    rotations[_FLEXING] = turn(0, -flexion.ravel()).reshape(5, 3, 3, 3)
    bases = _FLEXING[:, 0]
    rotations[bases] = rotations[bases] @ turn(1, np.radians(_AWAY_FROM_MIDDLE * pose.abduction))
    rotations[bases[0]] = rotations[bases[0]] @ turn(2, np.radians([pose.opposition]))[0]
    rotations[_METACARPALS] = turn(0, np.radians([-0.5 * pose.arch, -pose.arch]))
    return rotations
