"""The exercises of chapter 04: the root's depth, lifting to 3D, the loss, and equal numbers of steps."""

from typing import Any

import numpy as np

from peclr_utils import camera
from peclr_utils.skeleton import REFERENCE_BONE, ROOT

from .registry import exercise, expect, expect_close


def _random_camera(rng: np.random.Generator) -> np.ndarray:
    """Intrinsics of a 64 pixel crop with unequal focal lengths and a principal point off the middle."""
    fx, fy = rng.uniform(150, 180), rng.uniform(210, 240)
    return np.array([[fx, 0, rng.uniform(20, 28)], [0, fy, rng.uniform(34, 42)], [0, 0, 1]])


def _random_hand(rng: np.random.Generator) -> np.ndarray:
    """21 points the size of a hand, whose reference bone lies across the line of sight."""
    points = rng.uniform(-0.08, 0.08, size=(21, 3)) + [0.01, -0.02, rng.uniform(0.4, 0.9)]
    m, n = REFERENCE_BONE
    points[n] = points[m] + [0.03, -0.02, rng.uniform(-0.01, 0.01)]
    return points


@exercise("4.1", "Depth of the root")
def depth_of_the_root(answer: Any, rng: np.random.Generator) -> None:
    """`answer(ray_m (3,), ray_n (3,), z_m, z_n)`: the root's depth in bone lengths, the positive root."""
    m, n = REFERENCE_BONE
    for _ in range(5):
        K, points = _random_camera(rng), _random_hand(rng)
        points_25d = camera.to_25d(points, K)
        ray, z = camera.rays(points_25d[:, :2], K), points_25d[:, 2]
        d, e = ray[n] - ray[m], z[n] * ray[n] - z[m] * ray[m]
        a, b, c = d @ d, 2 * d @ e, e @ e - 1
        root = np.sqrt(b * b - 4 * a * c)
        expect_close(
            answer(ray[m], ray[n], z[m], z[n]),
            points[ROOT, 2] / camera.bone_length(points),
            "The ends of the bone lie at (Z + z_m) ray_m and (Z + z_n) ray_n; their distance is 1.",
            tolerance=1e-6,
            mistakes={
                "That is the other root of the quadratic: take + before the square root.": (-b - root)
                / (2 * a),
                "The bone's length is missing: c is |e|² - 1.": _root(a, b, c + 1),
                "You divided by a: the formula divides by 2a.": (-b + root) / a,
                "That is the depth of the bone's first end: the root's depth is without z_m.": (-b + root)
                / (2 * a)
                + z[m],
            },
        )


def _root(a: float, b: float, c: float) -> float:
    return (-b + np.sqrt(max(b * b - 4 * a * c, 0.0))) / (2 * a)


@exercise("4.2", "From 2.5D to metres")
def lift_to_metres(answer: Any, rng: np.random.Generator) -> None:
    """`answer(uv (21, 2), depth (21,), root_depth, K, bone_length)`: keypoints (21, 3) in metres.

    `depth` is relative to the root and, like `root_depth`, in bone lengths.
    """
    for _ in range(5):
        K, points = _random_camera(rng), _random_hand(rng)
        length = camera.bone_length(points)
        points_25d, root = camera.to_25d(points, K), points[ROOT, 2] / length
        uv, depth = points_25d[:, :2], points_25d[:, 2]
        ray = camera.rays(uv, K)
        expect_close(
            answer(uv, depth, root, K, length),
            points,
            "A keypoint lies on its ray K⁻¹ (u, v, 1), at the root's depth plus its own relative depth.",
            tolerance=1e-6,
            mistakes={
                "Those are bone lengths: multiply by the bone's length in metres.": points / length,
                "The root's depth is missing.": ray * (depth * length)[:, None],
                "All keypoints ended up at the root's depth: add each one's relative depth.": ray
                * root
                * length,
                "The rays are not rays yet: multiply (u, v, 1) by the inverse of K.": (
                    np.column_stack([uv, np.ones(21)]) * ((depth + root) * length)[:, None]
                ),
            },
        )


@exercise("4.3", "The loss in the image")
def loss_in_the_image(answer: Any, rng: np.random.Generator) -> None:
    """`answer(predicted (B, 21, 2), true (B, 21, 2), image_size)`: the mean L1 error, as a fraction."""
    for size in (64, 224):
        true = rng.uniform(0, size, size=(6, 21, 2))
        predicted = true + rng.normal(0, size / 20, size=true.shape)
        difference = predicted - true
        expect_close(
            answer(predicted, true, size),
            np.abs(difference).mean() / size,
            "Take the absolute difference of every coordinate, the mean of all, and divide by the side.",
            tolerance=1e-6,
            mistakes={
                "Those are pixels: divide by the picture's side.": np.abs(difference).mean(),
                "That is the mean distance. L1 takes each coordinate by itself.": np.linalg.norm(
                    difference, axis=-1
                ).mean()
                / size,
                "That is the squared error. L1 takes the absolute value.": (difference**2).mean() / size,
                "You summed up x and y: take the mean over the two coordinates too.": np.abs(difference)
                .sum(-1)
                .mean()
                / size,
                "Errors to the left and to the right cancel: take the absolute value first.": (
                    difference.mean() / size
                ),
            },
        )


@exercise("4.4", "When the positive root is the wrong one")
def wrong_root(answer: Any, rng: np.random.Generator) -> None:
    """`answer(a, b, depth)`: True where `depth` solves the quadratic but isn't its positive root.

    `a` and `b` are the quadratic's coefficients, (N,) each, `depth` (N,) the true root depth.
    """
    a, depth = rng.uniform(0.001, 0.02, size=200), rng.uniform(4, 20, size=200)
    other = depth + rng.choice([-1, 1], size=200) * rng.uniform(1, 30, size=200)
    b = -a * (depth + other)
    truth = other > depth
    given = np.asarray(answer(a, b, depth))
    expect(given.shape == truth.shape, f"Expected {truth.shape} booleans, found shape {given.shape}.")
    expect(
        not np.array_equal(given.astype(bool), ~truth),
        "That is where the positive root is the right one: you need the other hands.",
    )
    expect(
        np.array_equal(given.astype(bool), truth),
        "The two roots lie at equal distances from -b / (2a), and the positive one is the larger. "
        "On which side of the middle is the true depth?",
    )


@exercise("4.5", "Equal steps")
def equal_steps(answer: Any, rng: np.random.Generator) -> None:
    """`answer(steps, batch_size, labels)`: how often a fine-tuning shows each labelled picture."""
    for labels in (64, 128, 512):
        steps, batch_size = int(rng.integers(200, 900)), int(rng.choice([16, 32]))
        expect_close(
            answer(steps, batch_size, labels),
            steps * batch_size / labels,
            "Count the pictures that all steps show together, then share them among the labelled ones.",
            tolerance=1e-6,
            mistakes={
                "Each step shows a whole batch.": steps / labels,
                "That is how many pictures are shown in all.": steps * batch_size,
                "That is the number of steps in which every picture comes once.": labels / batch_size,
            },
        )
