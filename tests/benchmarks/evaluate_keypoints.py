"""Print how long FreiHAND's whole evaluation set takes, against SciPy hand by hand.

Run it with `python tests/benchmarks/evaluate_keypoints.py`. It asserts that both agree, nothing about speed.
"""

import time

import numpy as np
from scipy.linalg import orthogonal_procrustes

from peclr_utils.evaluation import evaluate_keypoints

HANDS = 3960  # FreiHAND's evaluation set


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


def main() -> None:
    rng = np.random.default_rng(0)
    gt = rng.normal(size=(HANDS, 21, 3)) * 0.05 + [0, 0, 0.7]
    pred = gt + rng.normal(size=gt.shape) * 0.01

    start = time.perf_counter()
    slow = one_by_one(pred, gt)
    slow_seconds = time.perf_counter() - start

    fast_seconds = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        found = evaluate_keypoints(pred, gt)
        fast_seconds = min(fast_seconds, time.perf_counter() - start)

    np.testing.assert_allclose([found.pa_epe_mm, found.pa_auc], slow, atol=1e-6)
    print(f"{HANDS} hands: {fast_seconds * 1000:.0f} ms batched, everything before and after alignment")
    print(f"             {slow_seconds * 1000:.0f} ms hand by hand, the aligned part alone")
    print(f"             {slow_seconds / fast_seconds:.0f} times as long")


if __name__ == "__main__":
    main()
