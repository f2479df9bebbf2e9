"""Background against temperature: effects, file, table."""

import numpy as np
import pytest

from peclr_utils.course import ablation


def made_up() -> dict[tuple[bool, float], np.ndarray]:
    """Errors of 50 hands in which a new background takes 1 px away and a low temperature adds 0.25 px."""
    hands = np.random.default_rng(0).uniform(5, 9, 50)
    noise = np.random.default_rng(1).normal(0, 0.1, (4, 50))
    grid = [(new, t) for new in (False, True) for t in (0.5, 0.2)]
    return {(new, t): hands - 1.0 * new + 0.25 * (t == 0.2) + noise[k] for k, (new, t) in enumerate(grid)}


def test_known_effects_are_found_within_their_standard_errors_in_any_order_of_the_runs():
    changes = ablation.sum_up(made_up(), 8.0)["changes"]
    for name, expected in (("background", -1.0), ("temperature", 0.25)):
        found = changes[name]
        assert abs(found["pixels"] - expected) < 4 * found["standard_error"] < 0.2
    backwards = ablation.sum_up(dict(reversed(made_up().items())), 8.0)["changes"]
    assert {name: pytest.approx(values) for name, values in changes.items()} == backwards
