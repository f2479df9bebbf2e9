"""Named gestures: the poses from which sampled ones are mixed.

Chapter 01 shows them all.
"""

from peclr_utils.hands.articulation import HandPose, constrain

Finger = tuple[float, ...]


def _gesture(
    thumb: tuple[float, float, float],
    index: Finger,
    middle: Finger,
    ring: Finger,
    little: Finger,
    *,
    spread: tuple[float, float, float, float] = (1.5, 0, 1, 1.5),
    lift: float = 0,
    opposition: float = 0,
    arch: float = 0,
) -> HandPose:
    """The thumb's and fingers' flexions, (MCP, PIP) or (MCP, PIP, DIP); without DIP it is 2/3 PIP."""
    fingers = [(*finger, finger[1] * 2 / 3)[:3] for finger in (index, middle, ring, little)]
    return constrain(HandPose([thumb, *fingers], [lift, *spread], opposition, arch))


_CURLED = ((78, 98), (80, 98), (84, 98), (84, 88))
_OVER = {"lift": 22, "opposition": 12}

GESTURES: dict[str, HandPose] = {
    "open": _gesture((-8, 0, 0), (2, 3), (2, 3), (2, 4), (3, 5), spread=(4, 0, 3, 6)),
    "relaxed": _gesture((2, 8, 10), (18, 25), (24, 30), (28, 32), (30, 32), lift=6, opposition=5, arch=4),
    "spread": _gesture((-22, -2, -5), (-5, 2), (-4, 2), (-4, 3), (-4, 4), spread=(16, 0, 13, 20), lift=-6),
    "flat": _gesture((16, 5, 10), (3, 2), (3, 2), (2, 2), (2, 3), spread=(-2, 0, -4, -4), lift=-16),
    "fist": _gesture((11, 35, 70), (76, 105), (78, 105), *_CURLED[2:], lift=28, opposition=16, arch=6),
    "point": _gesture((13, 55, 12), (2, 5), *_CURLED[1:], arch=6, **_OVER),
    "peace": _gesture((26, 48, 24), (0, 4), (2, 4), *_CURLED[2:], spread=(12, -4, 0, 0), lift=21, arch=8),
    "three": _gesture((26, 50, 55), (0, 4), (2, 4), (3, 6), (80, 90), spread=(8, 0, 6, 0), arch=8, **_OVER),
    "four": _gesture(
        (28, 50, 60), (0, 3), (0, 3), (0, 4), (2, 5), spread=(8, 0, 6, 12), lift=8, opposition=12
    ),
    "thumbs_up": _gesture((-22, -5, -10), *_CURLED, lift=-12, arch=4),
    "gun": _gesture((-20, -3, -5), (0, 3), *_CURLED[1:], lift=-10, arch=4),
    "call": _gesture((-22, -3, -8), *_CURLED[:3], (-5, 5), spread=(0, 0, 0, 16), lift=-4),
    "horns": _gesture((6, 58, 37), (0, 4), *_CURLED[1:3], (2, 6), spread=(4, 0, 0, 6), lift=14),
    "pinch": _gesture(
        (7, 26, 44),
        (54, 50, 36),
        (40, 42),
        (34, 40),
        (30, 38),
        spread=(0, 0, 1, 1.5),
        lift=22,
        opposition=14,
        arch=4,
    ),
    "okay": _gesture((12, 14, 44), (51, 62, 38), (16, 18), (8, 12), (4, 8), spread=(0, 0, 4, 8), lift=22),
    "tripod": _gesture(
        (21, 9, 52), (50, 58, 25), (61, 66, 26), (62, 66), (62, 66), lift=28, opposition=12, arch=8
    ),
    "key": _gesture((22, 0, 8), (55, 80), (62, 85), (66, 86), (68, 84), lift=6, arch=4),
    "grasp": _gesture(
        (2, 15, 22), (42, 46), (46, 48), (50, 48), (52, 46), spread=(4, 0, 2, 4), arch=8, **_OVER
    ),
    "sphere": _gesture(
        (-8, 6, 20), (26, 36), (26, 38), (28, 38), (30, 36), spread=(10, 0, 8, 12), arch=10, **_OVER
    ),
    "claw": _gesture((-5, 10, 40), (-5, 70), (-5, 72), (-4, 70), (-4, 66), spread=(8, 0, 6, 10), lift=6),
    "hook": _gesture((10, 10, 20), (5, 95), (5, 96), (6, 94), (8, 88)),
    "table": _gesture((10, 10, 10), (72, 6), (74, 6), (74, 6), (72, 8), lift=10, opposition=10),
    "cup": _gesture((18, 8, 12), (28, 26), (30, 26), (30, 26), (30, 26), lift=2, opposition=5, arch=12),
}
"""Gestures by name, angles in degrees."""


def gesture(name: str) -> HandPose:
    """The named gesture.

    Args:
        name: a key of `GESTURES`, such as "fist", "point", "pinch", "open", "grasp".

    Returns:
        Its joint angles.

    Raises:
        ValueError: if there is no such gesture; the message lists those there are.
    """
    if name not in GESTURES:
        raise ValueError(f"gesture: expected one of {', '.join(GESTURES)}; found {name!r}")
    return GESTURES[name]
