"""The exercises of chapter 05: alignment, PCK, the area below it, and another root."""

from typing import Any

import numpy as np

from peclr_utils import evaluation
from peclr_utils.camera import random_rotations

from .registry import exercise, expect_close

_KNUCKLE = 9  # base of the middle finger


def _random_hands(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and true hands in metres; the predictions are turned, moved, too large and noisy."""
    true = rng.normal(0, 0.04, size=(count, 21, 3)) + [0.02, -0.05, 0.6]
    noisy = 1.3 * (true + rng.normal(0, 0.01, size=true.shape))
    return noisy @ random_rotations(1, rng)[0].T + [0.05, 0.02, -0.1], true


@exercise("5.1", "Align")
def align(answer: Any, rng: np.random.Generator) -> None:
    """`answer(pred (21, 3), gt (21, 3))`: the prediction, moved, turned and scaled onto the truth."""
    for mirrored in (False, False, True):
        (pred,), (true,) = _random_hands(rng, 1)
        pred = pred * [1, 1, -1] if mirrored else pred
        p, t = pred - pred.mean(0), true - true.mean(0)
        ratio = np.linalg.norm(t) / np.linalg.norm(p)
        u, s, vt = np.linalg.svd(t.T @ p / np.linalg.norm(t) / np.linalg.norm(p))
        rotation, best = u @ vt, ratio * s.sum()
        expect_close(
            answer(pred, true),
            best * p @ rotation.T + true.mean(0),
            "Centre both, take the SVD of gtᵀ pred, turn by U Vᵀ, scale, and put the centre back.",
            tolerance=1e-6,
            mistakes={
                "The turn goes the wrong way: rows of points are multiplied by (U Vᵀ)ᵀ on the right.": (
                    best * p @ rotation + true.mean(0)
                ),
                "The aligned hand lies at the origin: add the true hand's centre.": best * p @ rotation.T,
                "The scale is missing: the prediction is still as large as it was.": p @ rotation.T
                + true.mean(0),
                "The scale makes both hands equally large; the best one is also times the trace of S.": (
                    ratio * p @ rotation.T + true.mean(0)
                ),
                "You kept it from mirroring. FreiHAND's evaluator does not.": evaluation.procrustes_align(
                    pred, true, proper_rotation=True
                ),
            },
        )


@exercise("5.2", "PCK")
def share_of_correct_keypoints(answer: Any, rng: np.random.Generator) -> None:
    """`answer(pred (N, 21, 3), gt (N, 21, 3), threshold)` in metres: the share within it, 0 to 1."""
    for threshold in (0.01, 0.02):
        true = rng.normal(0, 0.04, size=(8, 21, 3))
        pred = true + rng.normal(0, 0.008, size=true.shape)
        distance = np.linalg.norm(pred - true, axis=-1)
        share = (distance <= threshold).mean()
        expect_close(
            answer(pred, true, threshold),
            share,
            "Take the distance of every keypoint, and count those of at most the threshold.",
            tolerance=1e-6,
            mistakes={
                "That is a percentage: give a share between 0 and 1.": 100 * share,
                "That is the share of the keypoints that are farther away.": 1 - share,
                "You asked whole hands by their mean error: count keypoints.": (
                    distance.mean(1) <= threshold
                ).mean(),
                "You compared coordinates. The distance is the root of the sum of their squares.": (
                    np.abs(pred - true) <= threshold
                ).mean(),
            },
        )


@exercise("5.3", "The area from 20 to 50 mm")
def area_from_20_to_50_mm(answer: Any, rng: np.random.Generator) -> None:
    """`answer(share (T,), thresholds (T,))`: the area under PCK from 0.02 to 0.05 m, 1 for a perfect one."""
    thresholds = np.linspace(0, 0.05, 101)
    for _ in range(3):
        distance = rng.exponential(rng.uniform(0.01, 0.03), size=2000)
        share = evaluation.pck(distance, thresholds)
        part = thresholds >= 0.02 - 1e-9
        area = float(np.trapezoid(share[part], thresholds[part]))
        expect_close(
            answer(share, thresholds),
            area / 0.03,
            "Keep the thresholds from 0.02 on, integrate by the trapezoid rule, and divide by the width.",
            tolerance=1e-5,
            mistakes={
                "That is the area from 0 on: leave the thresholds below 0.02 out.": evaluation.auc(
                    share, thresholds
                ),
                "Divide by the width of the range, 0.03: a perfect curve has area 1.": area,
                "The range is 0.03 wide, not 0.05.": area / 0.05,
            },
        )


@exercise("5.4", "Another root")
def another_root(answer: Any, rng: np.random.Generator) -> None:
    """`answer(pred (N, 21, 3), gt (N, 21, 3))` in metres: mean error in mm, middle MCP on middle MCP."""
    for _ in range(3):
        pred, true = _random_hands(rng, 4)
        error = 1000 * evaluation.root_relative_epe(pred, true, root=_KNUCKLE)
        expect_close(
            answer(pred, true),
            error,
            "Shift each prediction so that its keypoint 9 lies on the true one, then take the mean distance.",
            tolerance=1e-6,
            mistakes={
                "Those are metres: the answer is in millimetres.": error / 1000,
                "You put the wrist onto the wrist. Here the root is keypoint 9.": 1000
                * evaluation.root_relative_epe(pred, true),
                "Nothing was shifted: that is the absolute error.": 1000 * evaluation.epe(pred, true),
                "Leave no keypoint out: the root's own error, 0, counts too.": error * 21 / 20,
            },
        )
