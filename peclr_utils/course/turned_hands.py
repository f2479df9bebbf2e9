"""Rendered hands in random orientations, to see where a formula holds. Chapter 01 does."""

import numpy as np

from peclr_utils.camera import random_rotations
from peclr_utils.datasets import SyntheticHands
from peclr_utils.hands.scene import scene_surface
from peclr_utils.skeleton import REFERENCE_BONE, ROOT

NEAREST = 0.05  # metres from the camera's plane; a turned hand can reach behind it


def turned_hands(
    hands: SyntheticHands, turns: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Turn every hand of a set about its wrist, uniformly over all rotations. Nothing is rendered.

    Args:
        hands: whose poses, positions and cameras to take.
        turns: orientations of each hand.
        rng: source of randomness.

    Returns:
        keypoints: (N, 21, 3) metres, camera frame, without the hands that come nearer than `NEAREST`.
        K: (N, 3, 3) float64 intrinsics in pixels.
    """
    scenes = [hands.scene(k) for k in range(len(hands))]
    still = np.stack([scene_surface(scene)[1] for scene in scenes])[:, None]  # (hands, 1, 21, 3)
    wrist = still[..., [ROOT], :]
    turned = (still - wrist) @ random_rotations(turns, rng).swapaxes(1, 2) + wrist
    points = turned.reshape(-1, *turned.shape[2:])
    K = np.repeat([scene.K.astype(np.float64) for scene in scenes], turns, axis=0)
    in_front = points[..., 2].min(axis=1) > NEAREST
    return points[in_front], K[in_front]


def angle_to_sight(points: np.ndarray) -> np.ndarray:
    """Angle between the reference bone of (N, 21, 3) points and the line of sight to its middle.

    (N,) degrees: 0 for a bone seen end-on, 90 for one seen from the side.
    """
    base, tip = (points[:, k] for k in REFERENCE_BONE)
    bone, sight = tip - base, tip + base
    length = np.linalg.norm(bone, axis=1) * np.linalg.norm(sight, axis=1)
    return np.rad2deg(np.arccos(np.clip(np.abs((bone * sight).sum(axis=1)) / length, 0, 1)))
