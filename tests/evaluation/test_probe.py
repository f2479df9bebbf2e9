"""The ridge probe against its closed form and its limits."""

import numpy as np
import pytest
from scipy.linalg import lstsq

from peclr_utils.evaluation import mean_pose, ridge_probe
from peclr_utils.evaluation.probe import fit_ridge


def problem(rows: int = 60, features: int = 12, targets: int = 5, noise: float = 0.1, seed: int = 0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, features)) * rng.uniform(0.1, 10, features) + rng.normal(size=features) * 5
    y = x @ rng.normal(size=(features, targets)) + 3 + noise * rng.normal(size=(rows, targets))
    return x, y, rng.normal(size=(9, features))


@pytest.mark.parametrize("shape", [(60, 12), (20, 50), (30, 30)])
@pytest.mark.parametrize("alpha", [1e-3, 1.0, 250.0])
def test_equals_least_squares_with_the_penalty_written_as_rows(shape, alpha):
    x, y, new = problem(*shape)
    standard = (x - x.mean(0)) / x.std(0)
    rows = np.vstack([standard, np.sqrt(alpha) * np.eye(shape[1])])
    weights = lstsq(rows, np.vstack([y - y.mean(0), np.zeros((shape[1], y.shape[1]))]))[0]
    expected = (new - x.mean(0)) / x.std(0) @ weights + y.mean(0)
    np.testing.assert_allclose(ridge_probe(x, y, new, alpha), expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("alpha", [0.0, 1e-9])
def test_no_penalty_is_ordinary_least_squares(alpha):
    x, y, new = problem()
    weights = lstsq(np.hstack([x, np.ones((len(x), 1))]), y)[0]
    np.testing.assert_allclose(
        ridge_probe(x, y, new, alpha), np.hstack([new, np.ones((9, 1))]) @ weights, rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("shape", [(60, 12), (20, 50)])
def test_infinite_penalty_is_the_mean_target(shape):
    x, y, new = problem(*shape)
    for alpha, tolerance in ((1e14, 1e-8), (np.inf, 1e-15)):
        np.testing.assert_allclose(
            ridge_probe(x, y, new, alpha), mean_pose(y, len(new)), rtol=tolerance, atol=10 * tolerance
        )


def test_more_features_than_rows_without_penalty_fits_the_rows_exactly():
    x, y, _ = problem(20, 50)
    np.testing.assert_allclose(ridge_probe(x, y, x, 0.0), y, atol=1e-9)


def test_units_of_features_do_not_matter_and_constant_ones_drop_out():
    x, y, new = problem()
    scale, shift = np.linspace(0.01, 100, 12), np.linspace(-3, 3, 12)
    plain = ridge_probe(x, y, new, 2.0)
    np.testing.assert_allclose(ridge_probe(x * scale + shift, y, new * scale + shift, 2.0), plain, rtol=1e-8)
    with_constant = ridge_probe(
        np.hstack([x, np.full((60, 1), 0.1)]), y, np.hstack([new, np.full((9, 1), 7.0)]), 2.0
    )
    np.testing.assert_allclose(with_constant, plain, rtol=1e-8)


def test_chosen_alpha_beats_the_ends_on_new_rows():
    rng = np.random.default_rng(3)
    x, new = rng.normal(size=(150, 100)), rng.normal(size=(500, 100))
    weights = rng.normal(size=(100, 4)) * 0.3
    y = x @ weights + 3 * rng.normal(size=(150, 4))
    error = {a: np.square(ridge_probe(x, y, new, a) - new @ weights).mean() for a in (None, 0.0, 1e8)}
    assert error[None] < error[0.0] and error[None] < error[1e8]


def test_images_of_one_hand_are_held_out_together():
    # Each pose comes twice with the same features and its own random target: rows held out alone could be
    # remembered through their twin, and the smallest alpha would look best.
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(50, 80)), rng.normal(size=(50, 2))
    twins, targets = np.repeat(x, 2, axis=0), np.repeat(y, 2, axis=0)
    assert fit_ridge(twins, targets)[2] < 10
    assert fit_ridge(twins, targets, identity=np.repeat(np.arange(50), 2))[2] > 100


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((np.ones((4, 2)), np.ones((5, 1))), r"found \(4, 2\) and \(5, 1\)"),
        ((np.full((4, 2), np.nan), np.ones((4, 1))), "features: 8 of 8 values are NaN"),
        ((np.ones((40, 2)), np.ones((40, 1)), None, np.zeros(40)), "10 different ones; found 40, 1 of them"),
        ((np.ones((40, 2)), np.ones((40, 1)), None, np.arange(39)), "each of the 40 rows, .* found 39"),
    ],
)
def test_bad_input_is_refused_with_the_reason(arguments, words):
    with pytest.raises(ValueError, match=words):
        fit_ridge(*arguments)
