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


def test_known_effects_are_found_within_their_standard_errors():
    for switch, expected in ((0, -1.0), (1, 0.25)):
        pixels, error = ablation.change(made_up(), switch)
        assert abs(pixels - expected) < 4 * error and error < 0.05


def test_the_order_of_the_runs_does_not_matter():
    errors = made_up()
    backwards = dict(reversed(errors.items()))
    assert ablation.change(errors, 0) == pytest.approx(ablation.change(backwards, 0))
    assert ablation.change(errors, 1) == pytest.approx(ablation.change(backwards, 1))


def test_a_kept_record_is_read_back_from_the_repository(tmp_path, monkeypatch):
    record = ablation.sum_up(made_up(), 8.0, steps=3, seed=0)
    ablation.keep(tmp_path / "data" / "results", record)
    monkeypatch.setattr(ablation, "find_repository", lambda: tmp_path)
    assert ablation.committed() == record


def test_no_file_is_no_record_and_another_file_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(ablation, "find_repository", lambda: tmp_path)
    assert ablation.committed() is None
    (tmp_path / "data" / "results").mkdir(parents=True)
    (tmp_path / "data" / "results" / ablation.FILE).write_text("{}")
    with pytest.raises(ValueError, match="background_and_temperature.json.*expected"):
        ablation.committed()


def test_the_table_has_each_run_in_its_place_and_the_untrained_bar():
    record = ablation.sum_up(made_up(), 8.0)
    lines = ablation.table(record).splitlines()
    for line, new in (
        (next(x for x in lines if "own" in x), False),
        (next(x for x in lines if "new" in x), True),
    ):
        for cell in record["cells"]:
            assert (f"{cell['epe_2d']:.3f}" in line) == (cell["new_background"] == new)
    assert "8.000" in next(line for line in lines if "untrained" in line)


def test_the_verdict_calls_runs_too_short_that_do_not_beat_untrained_features():
    record = ablation.sum_up(made_up(), 8.0)
    assert "better than untrained" in ablation.verdict(record)[-1]
    assert "too short" in ablation.verdict({**record, "untrained": 1.0})[-1]
