"""What frozen features already know: a ridge regression on them, and the mean pose as the bar to clear.

Chapter 03 reads pre-training by it; the label-fraction table has it for every encoder.

Nothing is trained: the solution is closed form, takes seconds, and says how much of the pose a linear map
can read off.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from peclr_utils.evaluation.checks import ArrayLike, as_float64

ALPHAS = np.logspace(-2, 6, 17)
"""Strengths of regularisation that are tried when none is given."""

HELD_OUT = 5
"""One identity in this many is held out to choose the strength."""


@dataclass(frozen=True, eq=False)
class RidgeProbe:
    """A fitted linear map from features to targets.

    Attributes:
        weights: (F, T) float64.
        bias: (T,) float64.
        alpha: the strength of regularisation that was used.
    """

    weights: np.ndarray = field(repr=False)
    bias: np.ndarray = field(repr=False)
    alpha: float

    def predict(self, features: ArrayLike) -> np.ndarray:
        """Predict targets.

        Args:
            features: (N, F).

        Returns:
            (N, T) float64.

        Raises:
            ValueError: if the features aren't finite or have another width than the ones fitted to.
        """
        x = _rows(features, "features")
        if x.shape[1] != len(self.weights):
            raise ValueError(
                f"features: the probe was fitted to {len(self.weights)} of them, found {x.shape[1]}"
            )
        return x @ self.weights + self.bias


def fit_ridge(
    features: ArrayLike,
    targets: ArrayLike,
    alpha: float | None = None,
    identity: np.ndarray | None = None,
) -> RidgeProbe:
    """Fit a ridge regression in closed form.

    Features are standardised (mean 0, deviation 1; constant ones drop out), targets centred, the intercept
    isn't penalised: min over W of ||Y - X W||² + alpha ||W||². Infinite alpha gives the mean target, alpha =
    0 the least squares solution of smallest norm.

    Args:
        features: (N, F).
        targets: (N, T).
        alpha: strength; None tries `ALPHAS` and keeps the one with the smallest squared error, each target
            counted in its own deviation, on held-out rows; then fits all rows with it.
        identity: (N,) integers, equal for pictures of one hand in one pose; those are held out together. None
            takes every row for another hand.

    Returns:
        The fitted probe.

    Raises:
        ValueError: if shapes don't fit, values aren't finite, alpha is negative, or there are too few rows.
    """
    x, y = _rows(features, "features"), _rows(targets, "targets")
    if len(x) != len(y):
        raise ValueError(f"features and targets must have the same length, found {len(x)} and {len(y)}")
    if alpha is None:
        alpha = _choose_alpha(x, y, np.arange(len(x)) if identity is None else np.asarray(identity))
    if not alpha >= 0:
        raise ValueError(f"alpha must be 0 or more, found {alpha}")
    weights, bias = next(_solve(x, y, [alpha]))
    return RidgeProbe(weights, bias, float(alpha))


def ridge_probe(
    train_features: ArrayLike,
    train_targets: ArrayLike,
    test_features: ArrayLike,
    alpha: float | None = None,
    identity: np.ndarray | None = None,
) -> np.ndarray:
    """Fit a ridge regression and predict with it; see `fit_ridge`.

    Args:
        train_features: (N, F).
        train_targets: (N, T).
        test_features: (M, F).
        alpha: strength, or None to choose it on held-out training rows.
        identity: (N,) integers, or None; see `fit_ridge`.

    Returns:
        (M, T) float64.

    Raises:
        ValueError: as `fit_ridge`.
    """
    return fit_ridge(train_features, train_targets, alpha, identity).predict(test_features)


def mean_pose(train_targets: ArrayLike, count: int) -> np.ndarray:
    """Predict the mean of the training targets for every picture, whatever it shows.

    Args:
        train_targets: (N, ...) of any shape.
        count: number of predictions.

    Returns:
        (count, ...) float64.

    Raises:
        ValueError: if there are no targets, or some aren't finite.
    """
    targets = as_float64(train_targets, "train_targets")
    if targets.ndim < 2 or not len(targets):
        raise ValueError(f"train_targets: expected shape (N, ...) with N > 0, found {targets.shape}")
    return np.repeat(targets.mean(0, keepdims=True), count, axis=0)


def _rows(values: ArrayLike, name: str) -> np.ndarray:
    array = as_float64(values, name)
    if array.ndim != 2 or not array.size:
        raise ValueError(f"{name}: expected a matrix with one row a picture, found shape {array.shape}")
    return array


def _choose_alpha(x: np.ndarray, y: np.ndarray, identity: np.ndarray) -> float:
    if identity.shape != (len(x),):
        raise ValueError(f"identity: expected shape ({len(x)},), found {identity.shape}")
    hands, hand = np.unique(identity, return_inverse=True)
    if len(hands) < 2 * HELD_OUT:
        raise ValueError(
            f"choosing alpha takes {2 * HELD_OUT} different hands, found {len(hands)}; pass alpha"
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
