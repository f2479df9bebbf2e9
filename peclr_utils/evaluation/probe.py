"""What frozen features already contain: a ridge regression on them, and the mean pose as the baseline.

Chapter 03 judges pre-training by it. The closed-form solution takes seconds and shows how much of the pose a
linear map can read off.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from peclr_utils.evaluation.checks import ArrayLike, as_float64

ALPHAS = np.logspace(-2, 6, 17)
"""Strengths of regularisation that are tried if none is given."""

HELD_OUT = 5
"""One identity in this many is held out to choose the strength."""


def ridge_probe(
    train_features: ArrayLike,
    train_targets: ArrayLike,
    test_features: ArrayLike,
    alpha: float | None = None,
    identity: np.ndarray | None = None,
) -> np.ndarray:
    """Fit a ridge regression in closed form and predict with it.

    Features are standardised (mean 0, deviation 1; constant ones drop out), targets centred, the intercept
    isn't penalised: min over W of ||Y - X W||² + alpha ||W||². Infinite alpha gives the mean target, alpha =
    0 the least squares solution of smallest norm.

    Args:
        train_features, train_targets, test_features: (N, F), (N, T), (M, F).
        alpha: strength; None tries `ALPHAS` and keeps the one with the smallest squared error, each target
            divided by its own deviation, on held-out training rows; then fits all rows with it.
        identity: (N,) integers, equal for images of one hand in one pose; those are held out together. None
            treats every row as a different hand.

    Returns:
        (M, T) float64.
    """
    weights, bias, _ = fit_ridge(train_features, train_targets, alpha, identity)
    return as_float64(test_features, "test_features", (len(weights),)) @ weights + bias


def fit_ridge(
    features: ArrayLike, targets: ArrayLike, alpha: float | None = None, identity: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, float]:
    """The weights (F, T), bias (T,) and strength of `ridge_probe`."""
    x, y = (as_float64(v, name) for v, name in ((features, "features"), (targets, "targets")))
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y):
        raise ValueError(f"features and targets: expected (N, F) and (N, T), found {x.shape} and {y.shape}")
    if alpha is None:
        alpha = _choose_alpha(x, y, np.arange(len(x)) if identity is None else np.asarray(identity))
    if not alpha >= 0:
        raise ValueError(f"alpha must be 0 or more, found {alpha}")
    return *next(_solve(x, y, [alpha])), float(alpha)


def mean_pose(train_targets: ArrayLike, count: int) -> np.ndarray:
    """Predict the mean of the training targets (N, ...) for every image: (count, ...) float64."""
    return np.repeat(as_float64(train_targets, "train_targets").mean(0, keepdims=True), count, axis=0)


def _choose_alpha(x: np.ndarray, y: np.ndarray, identity: np.ndarray) -> float:
    hands, hand = np.unique(identity, return_inverse=True)
    if len(hand) != len(x) or len(hands) < 2 * HELD_OUT:
        raise ValueError(
            f"choosing alpha takes an identity for each of the {len(x)} rows, and {2 * HELD_OUT} different "
            f"ones; found {len(hand)}, {len(hands)} of them different. Pass alpha"
        )
    held_out = hand % HELD_OUT == HELD_OUT - 1
    deviation = _deviation(y)
    errors = [
        np.mean(((x[held_out] @ weights + bias - y[held_out]) / deviation) ** 2)
        for weights, bias in _solve(x[~held_out], y[~held_out], ALPHAS)
    ]
    return float(ALPHAS[int(np.argmin(errors))])


def _solve(
    x: np.ndarray, y: np.ndarray, alphas: Sequence[float] | np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield weights (F, T) and bias (T,) for each alpha, from one decomposition."""
    centre, deviation, mean = x.mean(0), _deviation(x), y.mean(0)
    standard, centred = (x - centre) / deviation, y - mean
    wide = standard.shape[0] < standard.shape[1]
    gram = standard @ standard.T if wide else standard.T @ standard
    values, vectors = np.linalg.eigh(gram)
    projected = vectors.T @ (centred if wide else standard.T @ centred)
    for alpha in alphas:
        if alpha == 0:
            weights = np.linalg.lstsq(standard, centred)[0]
        else:
            weights = vectors @ (projected / (np.maximum(values, 0) + alpha)[:, None])
            weights = standard.T @ weights if wide else weights
        weights = weights / deviation[:, None]
        yield weights, mean - centre @ weights


def _deviation(values: np.ndarray) -> np.ndarray:
    spread = values.std(0)
    constant = spread <= 1e-12 * np.abs(values).max(0)
    return np.where(constant, 1.0, spread)
