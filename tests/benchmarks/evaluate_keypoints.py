"""FreiHAND's whole evaluation set, 3,960 hands: batched, against SciPy hand by hand.

    python tests/benchmarks/evaluate_keypoints.py

Ours gives everything before and after alignment; hand by hand is the aligned part alone. Both agree.
"""

import time

import numpy as np
from harness import Row, interleaved, main, use_threads
from scipy.linalg import orthogonal_procrustes

from peclr_utils.evaluation import evaluate_keypoints

HANDS = 3960
REPEATS = 5


def one_by_one(pred: np.ndarray, gt: np.ndarray) -> tuple[float, float]:
    """Aligned EPE in mm and AUC, the way the official evaluator goes about it."""
    thresholds = np.linspace(0, 0.05, 100)
    errors: list[list[float]] = [[] for _ in range(21)]
    for p, g in zip(pred, gt, strict=True):
        size = np.linalg.norm(g - g.mean(0)) + 1e-8
        a = (g - g.mean(0)) / size
        b = (p - p.mean(0)) / (np.linalg.norm(p - p.mean(0)) + 1e-8)
        rotation, scale = orthogonal_procrustes(a, b)
        aligned = b @ rotation.T * scale * size + g.mean(0)
        for k, distance in enumerate(np.sqrt(np.sum((g - aligned) ** 2, axis=1))):
            errors[k].append(distance)
    areas = []
    for joint in errors:
        curve = [np.mean((np.array(joint) <= t).astype(float)) for t in thresholds]
        areas.append(np.trapezoid(curve, thresholds) / 0.05)
    return float(np.mean([np.mean(joint) for joint in errors])) * 1000, float(np.mean(areas))


def measure() -> list[Row]:
    use_threads(1)
    rng = np.random.default_rng(0)
    gt = rng.normal(size=(HANDS, 21, 3)) * 0.05 + [0, 0, 0.7]
    pred = gt + rng.normal(size=gt.shape) * 0.01
    batched = evaluate_keypoints(pred, gt)
    np.testing.assert_allclose([batched.pa_epe_mm, batched.pa_auc], one_by_one(pred, gt), atol=1e-6)
    found = interleaved(
        lambda: evaluate_keypoints(pred, gt), lambda: one_by_one(pred, gt), REPEATS, clock=time.process_time
    )
    against = f"SciPy hand by hand, the aligned part alone: {1e3 * found.against:.0f} ms"
    return [
        Row(f"evaluating {HANDS:,} hands", f"{1e3 * found.ours:.0f} ms", against, found.times, at_least=10)
    ]


if __name__ == "__main__":
    main(measure)
