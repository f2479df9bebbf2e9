"""The 21 keypoints of a hand: names, bones, finger colours, and index maps between data sets' orders.

Chapter 01 introduces the skeleton.

**Convention.** Everywhere in this package keypoints are in FreiHAND's order: the wrist, then thumb, index,
middle, ring and little finger, each from base to tip. Other orders exist only as index maps, applied where
data enters or leaves.
"""

from typing import TypeVar

NUM_KEYPOINTS = 21
ROOT = 0
"""The wrist. Relative depth is measured from it."""

REFERENCE_BONE = (9, 10)
"""Middle MCP to middle PIP: the bone whose length is FreiHAND's `scale`."""

FINGERS: dict[str, tuple[int, ...]] = {
    "thumb": (1, 2, 3, 4),
    "index": (5, 6, 7, 8),
    "middle": (9, 10, 11, 12),
    "ring": (13, 14, 15, 16),
    "little": (17, 18, 19, 20),
}

FINGER_COLOURS: dict[str, str] = {
    "thumb": "#E69F00",
    "index": "#56B4E9",
    "middle": "#009E73",
    "ring": "#D55E00",
    "little": "#CC79A7",
}
"""Okabe and Ito's colour-blind safe palette, one colour per finger."""

_THUMB_JOINTS = ("CMC", "MCP", "IP", "tip")
_FINGER_JOINTS = ("MCP", "PIP", "DIP", "tip")

KEYPOINT_NAMES: tuple[str, ...] = (
    "wrist",
    *(f"thumb {joint}" for joint in _THUMB_JOINTS),
    *(f"{finger} {joint}" for finger in list(FINGERS)[1:] for joint in _FINGER_JOINTS),
)

PARENTS: tuple[int, ...] = tuple(
    -1 if k == ROOT else ROOT if k % 4 == 1 else k - 1 for k in range(NUM_KEYPOINTS)
)
"""The keypoint one step nearer to the wrist; -1 for the wrist itself."""

BONES: tuple[tuple[int, int], ...] = tuple((PARENTS[k], k) for k in range(1, NUM_KEYPOINTS))
"""The 20 bones as (parent, child); bone k-1 ends in keypoint k."""

_BASE_TO_TIP = [[finger[joint] for finger in FINGERS.values()] for joint in range(4)]

FREIHAND_INDEX: dict[str, tuple[int, ...]] = {
    "freihand": tuple(range(NUM_KEYPOINTS)),
    # PeCLR's: the wrist (or palm), then all first joints from thumb to little, all second joints, ...
    "ait": (ROOT, *(k for joint in _BASE_TO_TIP for k in joint)),
    # MANO's 16 joints in its regressor's order, followed by the five finger tips from thumb to little.
    "mano": (0, 5, 6, 7, 9, 10, 11, 17, 18, 19, 13, 14, 15, 1, 2, 3, 4, 8, 12, 16, 20),
    # InterHand2.6M, one hand: each finger from tip to base, from thumb to little, and the wrist last.
    "interhand": (*(k for finger in FINGERS.values() for k in reversed(finger)), ROOT),
}
"""For each order, the FreiHAND index of its k-th entry."""

Points = TypeVar("Points")


def reorder(points: Points, source: str, target: str) -> Points:
    """Bring keypoints from one data set's order into another's.

    Args:
        points: array or tensor (..., 21, C) in the order `source`.
        source: one of "freihand", "ait", "mano", "interhand".
        target: likewise.

    Returns:
        The same keypoints (..., 21, C) in the order `target`; a copy.
    """
    for order in (source, target):
        if order not in FREIHAND_INDEX:
            raise ValueError(f"unknown keypoint order {order!r}; expected one of {', '.join(FREIHAND_INDEX)}")
    if points.shape[-2] != NUM_KEYPOINTS:
        raise ValueError(f"keypoints: expected shape (..., {NUM_KEYPOINTS}, C), found {tuple(points.shape)}")
    position = {freihand: k for k, freihand in enumerate(FREIHAND_INDEX[source])}
    return points[..., [position[freihand] for freihand in FREIHAND_INDEX[target]], :]


def freihand_from_ait_palm(points: Points) -> Points:
    """Bring 3D keypoints from the published weights' order into FreiHAND's, with the wrist for the palm.

    That order is "ait" with the centre of the palm in place of the wrist, half way between wrist and middle
    MCP, so wrist = 2 palm - middle MCP. That holds in 3D only: in an image, perspective moves the middle of a
    line. For a 2D wrist, project the 3D wrist.

    Args:
        points: array or tensor (..., 21, 3), palm first.

    Returns:
        (..., 21, 3) in FreiHAND's order; a copy.
    """
    if tuple(points.shape[-2:]) != (NUM_KEYPOINTS, 3):
        raise ValueError(
            f"freihand_from_ait_palm: expected 3D points (..., {NUM_KEYPOINTS}, 3), found "
            f"{tuple(points.shape)}; the wrist follows from the palm in 3D only"
        )
    moved = reorder(points, "ait", "freihand")
    moved[..., ROOT, :] = 2 * points[..., 0, :] - points[..., 3, :]
    return moved
