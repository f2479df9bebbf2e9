"""Errors in the image: in sides of each hand's own box, and of known keypoints only."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peclr_utils.evaluation.in_image import evaluate_in_image


def hands(count: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(10, 200, size=(count, 21, 2))


def slow(pred: np.ndarray, gt: np.ndarray) -> tuple[float, float]:
    errors = []
    for one, true in zip(pred, gt, strict=True):
        known = [k for k in range(21) if not np.isnan(true[k]).any()]
        side = max(max(true[k][c] for k in known) - min(true[k][c] for k in known) for c in (0, 1))
        errors += [np.hypot(*(one[k] - true[k])) / side for k in known]
    return float(np.mean(errors)), float(np.mean([error <= 0.2 for error in errors]))


@given(st.integers(0, 100), st.floats(0, 0.9))
def test_equals_a_slow_reference_whatever_is_unknown(seed, share):
    rng = np.random.default_rng(seed)
    true, pred = hands(seed=seed), hands(seed=seed) + rng.normal(0, 30, (6, 21, 2))
    hidden = rng.random((6, 21)) < share
    hidden[:, :2] = False
    true[hidden] = np.nan
    found = evaluate_in_image(pred, true)
    np.testing.assert_allclose((found.error, found.pck), slow(pred, true))
    np.testing.assert_allclose(found.per_hand_error[2], slow(pred[2:3], true[2:3])[0])
    np.testing.assert_array_equal(np.isnan(found.per_keypoint_error), hidden.all(axis=0))


@given(st.floats(0.1, 10), st.floats(-500, 500))
def test_size_and_place_of_the_image_do_not_matter(scale, shift):
    true, pred = hands(), hands(seed=1)
    one, other = evaluate_in_image(pred, true), evaluate_in_image(scale * pred + shift, scale * true + shift)
    np.testing.assert_allclose(other.per_hand_error, one.per_hand_error)
    assert other.pck == pytest.approx(one.pck, abs=0.01)


def test_a_perfect_prediction_has_no_error_and_finds_all():
    found = evaluate_in_image(hands(), hands())
    assert found.error == 0 and found.pck == 1 and (found.per_keypoint_pck == 1).all()


def test_what_can_not_be_measured_is_an_error():
    true = hands()
    true[3, 1:] = np.nan
    with pytest.raises(ValueError, match="hand 3 has no two known keypoints"):
        evaluate_in_image(hands(), true)
    with pytest.raises(ValueError, match="one shape"):
        evaluate_in_image(hands(4), hands(5))
    with pytest.raises(ValueError, match="NaN"):
        evaluate_in_image(true, hands())
