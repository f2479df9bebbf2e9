"""The exercises of chapter 01: the hand, the camera, 2.5D."""

from typing import Any

import numpy as np

from peclr_utils import camera
from peclr_utils.skeleton import BONES, FREIHAND_INDEX, REFERENCE_BONE, ROOT

from .registry import exercise, expect, expect_close


def _random_camera(rng: np.random.Generator) -> np.ndarray:
    """Intrinsics with unequal focal lengths and a principal point off the middle, so that a swap shows."""
    fx, fy = rng.uniform(400, 500), rng.uniform(550, 650)
    return np.array([[fx, 0, rng.uniform(90, 110)], [0, fy, rng.uniform(130, 150)], [0, 0, 1]])


def _random_points(rng: np.random.Generator) -> np.ndarray:
    """21 points the size of a hand, half a metre or so before the camera."""
    return rng.uniform(-0.1, 0.1, size=(21, 3)) + [0.02, -0.03, rng.uniform(0.4, 0.9)]


@exercise("1.1", "Project points")
def project_points(answer: Any, rng: np.random.Generator) -> None:
    """`answer(points (N, 3), K (3, 3))` gives pixels (N, 2)."""
    for _ in range(5):
        K, points = _random_camera(rng), _random_points(rng)
        pixels = camera.project(points, K)
        expect_close(
            answer(points, K),
            pixels,
            "Multiply each point by K, then divide by the third coordinate.",
            mistakes={
                "x and y are swapped: a pixel is (x, y), across before down.": pixels[:, ::-1],
                "You did not divide by the depth.": (points @ K.T)[:, :2],
                "That is points @ K. K stands on the left of a column: points @ K.T.": _divide(points @ K),
                "The principal point (K's last column) is missing.": pixels - K[:2, 2],
            },
        )


def _divide(rays: np.ndarray) -> np.ndarray:
    return rays[:, :2] / rays[:, 2:]


@exercise("1.2", "From 3D to 2.5D")
def to_25d(answer: Any, rng: np.random.Generator) -> None:
    """`answer(points (21, 3), K (3, 3))` gives (21, 3): u, v in pixels, depth from the wrist in bones."""
    for _ in range(5):
        K, points = _random_camera(rng), _random_points(rng)
        truth = camera.to_25d(points, K)
        uv, depth, bone = truth[:, :2], points[:, 2:], camera.bone_length(points)
        relative = depth - depth[ROOT]
        expect_close(
            answer(points, K),
            truth,
            "u and v are the projection; the third number is (z - z of the wrist) / length of bone 9-10.",
            tolerance=1e-6,
            mistakes={
                "The relative depth must be divided by the reference bone's length.": np.hstack(
                    [uv, relative]
                ),
                "The depth is not relative yet: subtract the wrist's.": np.hstack([uv, depth / bone]),
                "The sign is turned: a point behind the wrist has a positive relative depth.": np.hstack(
                    [uv, -relative / bone]
                ),
                "The root is the wrist (keypoint 0), not the middle finger's base.": np.hstack(
                    [uv, (depth - depth[REFERENCE_BONE[0]]) / bone]
                ),
            },
        )


@exercise("1.3", "Bone lengths")
def bone_lengths(answer: Any, rng: np.random.Generator) -> None:
    """`answer(points (21, 3))` gives the lengths of the 20 `BONES` (20,), in metres."""
    for _ in range(5):
        points = _random_points(rng)
        bones = np.stack([points[child] - points[parent] for parent, child in BONES])
        expect_close(
            answer(points),
            np.linalg.norm(bones, axis=1),
            "Subtract the two ends of each bone and take the length of the difference.",
            tolerance=1e-6,
            mistakes={
                "Those are squared lengths: take the root.": (bones**2).sum(1),
                "You left the depth out: a bone's length has three coordinates.": np.linalg.norm(
                    bones[:, :2], axis=1
                ),
                "Each keypoint's neighbour is not always its parent: a finger's base joins the wrist.": (
                    np.linalg.norm(np.diff(points, axis=0), axis=1)
                ),
            },
        )


@exercise("1.4", "Reorder keypoints")
def reorder_keypoints(answer: Any, rng: np.random.Generator) -> None:
    """`answer`: 21 indices such that `mano[answer]` is in FreiHAND's order when `mano` is in MANO's."""
    in_freihand = np.array(FREIHAND_INDEX["mano"])
    truth = np.argsort(in_freihand)
    given = np.asarray(answer)
    expect(
        given.shape == (21,) and sorted(given.tolist()) == list(range(21)),
        "Each of the numbers 0 to 20 must occur exactly once.",
    )
    expect(
        not np.array_equal(given, in_freihand),
        "That is the way back, from FreiHAND's order to MANO's: you need its inverse.",
    )
    points = rng.normal(size=(21, 3))
    mano = points[in_freihand]
    expect_close(mano[given], mano[truth], "Entry k says where in MANO's order FreiHAND's keypoint k stands.")
