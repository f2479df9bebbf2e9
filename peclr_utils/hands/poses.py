"""Random hand poses that a hand can make.

Chapter 01 shows a row of them.

A pose is a gesture with some looseness, or something between two gestures, or fingers bent freely. Fingers do
not bend alone: tendons and muscles are shared, so a finger takes its neighbours along (Häger-Ross & Schieber
2000, doi:10.1523/JNEUROSCI.20-22-08542.2000); here their angles are correlated. Poses in which fingers go
through fingers are drawn again, and at last eased open.
"""

import numpy as np

from peclr_utils.hands.articulation import ANGLE_NAMES, JOINT_LIMITS, HandPose, constrain
from peclr_utils.hands.collision import penetration
from peclr_utils.hands.gestures import GESTURES

# Overlap that soft fingertips give way to, in metres.
SOFTNESS = 0.0005

_NAMES = tuple(GESTURES)

# Correlation 0.6 between neighbouring fingers, 0.36 to the next but one, and so on.
_NEIGHBOURS = np.linalg.cholesky(0.6 ** np.abs(np.subtract.outer(np.arange(4), np.arange(4))))
_LOW, _HIGH = np.array([JOINT_LIMITS[name] for name in ANGLE_NAMES]).T
_LIMITS_LOW, _LIMITS_HIGH = HandPose.from_angles(_LOW), HandPose.from_angles(_HIGH)


def _loosen(pose: HandPose, rng: np.random.Generator, looseness: float) -> HandPose:
    """A pose near this one: neighbouring fingers stray together, end joints follow middle joints."""
    mcp, pip = _NEIGHBOURS @ rng.standard_normal((4, 2)).T[..., None] * [[[9.0]], [[11.0]]]
    dip = pip * 2 / 3 + 4.0 * rng.standard_normal((4, 1))
    thumb = rng.standard_normal((1, 3)) * [7.0, 8.0, 10.0]
    flexion = np.concatenate([thumb, np.concatenate([mcp, pip, dip], axis=1)])
    abduction = rng.standard_normal(5) * [6.0, 3.5, 2.5, 3.5, 4.5]
    opposition, arch = rng.standard_normal(2) * [4.0, 2.5]
    return HandPose(
        pose.flexion + looseness * flexion,
        pose.abduction + looseness * abduction,
        pose.opposition + looseness * opposition,
        pose.arch + looseness * arch,
    )


def _between(rng: np.random.Generator) -> HandPose:
    """Something between two gestures; the thumb may be ahead of the fingers or behind them."""
    first, second = (GESTURES[_NAMES[k]] for k in rng.choice(len(_NAMES), 2, replace=False))
    fingers = rng.random()
    thumb = np.clip(fingers + 0.2 * rng.standard_normal(), 0, 1)
    pose, ahead = first.blend(second, fingers), first.blend(second, thumb)
    flexion, abduction = pose.flexion.copy(), pose.abduction.copy()
    flexion[0], abduction[0] = ahead.flexion[0], ahead.abduction[0]
    return HandPose(flexion, abduction, ahead.opposition, pose.arch)


def _free(rng: np.random.Generator) -> HandPose:
    """Every joint anywhere within its limits; a finger's joints and its neighbours lean the same way."""
    closing = _NEIGHBOURS @ rng.standard_normal(4)
    own = _NEIGHBOURS @ rng.standard_normal((4, 2))
    # A logistic curve stands in for the normal distribution's: nearly uniform shares. Hands are open more
    # often than shut, hence the power.
    share = (1 + np.exp(-1.702 * (0.6 * closing[:, None] + 0.8 * own))) ** -1.25
    low, high = _LIMITS_LOW.flexion, _LIMITS_HIGH.flexion
    flexion = low + (high - low) * rng.random((5, 3))
    flexion[1:, :2] = low[1:, :2] + (high - low)[1:, :2] * share
    flexion[1:, 2] = flexion[1:, 1] * 2 / 3 + 6.0 * rng.standard_normal(4)
    low, high = _LIMITS_LOW.abduction, _LIMITS_HIGH.abduction
    abduction = low + (high - low) * np.clip(0.5 * rng.random() + 0.5 * rng.random(5), 0, 1)
    abduction[0] = low[0] + (high - low)[0] * rng.random()
    opposition = rng.uniform(_LIMITS_LOW.opposition, _LIMITS_HIGH.opposition)
    return HandPose(flexion, abduction, opposition, rng.uniform(_LIMITS_LOW.arch, _LIMITS_HIGH.arch))


def sample_pose(
    rng: np.random.Generator,
    *,
    gesture_share: float = 0.35,
    blend_share: float = 0.4,
    looseness: float = 1.0,
    tries: int = 8,
) -> HandPose:
    """Draw one possible pose; what remains of the shares is fingers bent freely.

    Args:
        rng: source of randomness; the pose is a function of its state alone.
        gesture_share: share of poses near one gesture.
        blend_share: share of poses between two gestures.
        looseness: factor on how far a pose strays from its gestures; 0 gives the gestures themselves.
        tries: draws before a pose in which fingers meet is eased open instead.

    Returns:
        A pose within `JOINT_LIMITS` whose fingers overlap by at most half a millimetre (see `penetration`).

    Raises:
        ValueError: if the shares are no shares.
    """
    if min(gesture_share, blend_share) < 0 or gesture_share + blend_share > 1:
        raise ValueError(
            "sample_pose: expected shares that are not negative and sum to at most 1, "
            f"found gesture_share={gesture_share}, blend_share={blend_share}"
        )
    kind = rng.random()
    best, depth = None, np.inf
    for _ in range(tries):
        if kind < gesture_share:
            pose = _loosen(GESTURES[_NAMES[rng.integers(len(_NAMES))]], rng, looseness)
        elif kind < gesture_share + blend_share:
            pose = _loosen(_between(rng), rng, 0.6 * looseness)
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
    """Move towards the relaxed hand, which is free of overlap, just far enough."""
    for weight in np.linspace(0.1, 1, 10):
        eased = constrain(pose.blend(GESTURES["relaxed"], weight))
        if penetration(eased) <= SOFTNESS:
            break
    return eased
