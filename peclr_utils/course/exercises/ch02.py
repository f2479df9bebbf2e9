"""The exercises of chapter 02: moving a picture, its keypoints and its camera together, and undoing it."""

from typing import Any

import cv2
import numpy as np

from .registry import exercise, expect_close


def _about(centre: np.ndarray, angle: float) -> np.ndarray:
    """OpenCV's rotation about a centre, as a 3x3 matrix."""
    matrix = cv2.getRotationMatrix2D((float(centre[0]), float(centre[1])), float(angle), 1.0)
    return np.vstack([matrix, [0, 0, 1]])


def _random_angle(rng: np.random.Generator) -> float:
    """An angle far enough from 0, 90 and 180 degrees for every mistake to show."""
    return float(rng.uniform(20, 70) * rng.choice([-1, 1]))


def _move(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:2, :2].T + matrix[:2, 2]


@exercise("2.1", "Rotate about a centre")
def rotation_about_centre(answer: Any, rng: np.random.Generator) -> None:
    """`answer(centre (2,), angle)`: 3x3 source-to-output, degrees, counter-clockwise as seen on screen."""
    for _ in range(5):
        centre, angle = rng.uniform(20, 100, size=2), _random_angle(rng)
        expect_close(
            answer(centre, angle),
            _about(centre, angle),
            "Move the centre to the origin, rotate, move it back.",
            mistakes={
                "The sense is turned. y points down, so counter-clockwise on screen is "
                "[[cos, sin], [-sin, cos]].": _about(centre, -angle),
                "That turns about the picture's corner: bring the centre to the origin first.": _about(
                    np.zeros(2), angle
                ),
                "x and y of the centre are swapped.": _about(centre[::-1], angle),
                "cos and sin take radians: np.deg2rad.": _about(centre, np.rad2deg(angle)),
            },
        )


@exercise("2.2", "Undo a rotation")
def undo_rotation(answer: Any, rng: np.random.Generator) -> None:
    """`answer(points (N, 2), angle)`: the points before they were turned by angle about their centroid."""
    for _ in range(5):
        before, angle = rng.normal(size=(64, 2)) + rng.uniform(1, 3, size=2), _random_angle(rng)
        centre = before.mean(0)
        turned = _move(_about(centre, angle), before)
        expect_close(
            answer(turned, angle),
            before,
            "Rotate by minus the angle about the mean of the points.",
            mistakes={
                "That turns them further: undoing is a rotation by minus the angle.": _move(
                    _about(centre, angle), turned
                ),
                "Turn about the centroid of the points, not about the origin.": _move(
                    _about(np.zeros(2), -angle), turned
                ),
                "The centroid went missing: add it back after the rotation.": before - centre,
            },
        )


@exercise("2.3", "The camera of a warped picture")
def warp_camera(answer: Any, rng: np.random.Generator) -> None:
    """`answer(A (3, 3), K (3, 3))`: the intrinsics of the picture that the affine A makes."""
    for _ in range(5):
        K = np.array([[rng.uniform(400, 500), 0, 110], [0, rng.uniform(550, 650), 130], [0, 0, 1]])
        A = np.diag([rng.uniform(0.4, 0.9), rng.uniform(0.4, 0.9), 1]) @ _about(
            np.array([60, 40]), _random_angle(rng)
        )
        expect_close(
            answer(A, K),
            A @ K,
            "The camera makes a pixel first, the affine moves the pixel second.",
            mistakes={
                "The order is turned: K acts first, so it stands on the right.": K @ A,
                "A goes from source to output pixels already: no inverse.": np.linalg.inv(A) @ K,
            },
        )


@exercise("2.4", "The shift as a fraction")
def shift_fraction(answer: Any, rng: np.random.Generator) -> None:
    """`answer(shift (2,), side, size)`: the content's motion as a fraction of the crop's side.

    The shift is in pixels of a crop `side` pixels wide, which is then resized to `size` pixels.
    """
    for side, size in ((224, 64), (180, 128), (96, 128)):
        shift = rng.uniform(5, 15, size=2) * rng.choice([-1, 1], size=2)
        expect_close(
            answer(shift, side, size),
            shift / side,
            "A fraction of the side does not change when the crop is resized.",
            mistakes={
                "You divided pixels of before the resizing by the size after it. "
                "So did the authors' code.": shift / size,
                "Those are the pixels after resizing, not a fraction yet.": shift * size / side,
                "The sign is turned: right and down are positive, and it is the content that moves.": -shift
                / side,
                "x and y are swapped.": shift[::-1] / side,
            },
            tolerance=1e-6,
        )
