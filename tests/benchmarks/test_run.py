import sys

import pytest

SCRIPT = """\
from harness import Row, main
main(lambda: [Row("what {name} takes", "1 s", "theirs: 2 s", {ratio}, at_least=1.5, remark="a remark")])
"""


@pytest.fixture
def benchmarks(repository, monkeypatch):
    """The modules `run` and `harness`, importable as they are for `run.py`."""
    monkeypatch.syspath_prepend(repository / "tests" / "benchmarks")
    import harness
    import run

    yield run, harness
    for name in ("run", "harness"):
        del sys.modules[name]


@pytest.fixture
def folder(benchmarks, tmp_path, monkeypatch, repository):
    """Two benchmarks, and one that fails."""
    monkeypatch.setenv("PYTHONPATH", str(repository / "tests" / "benchmarks"))
    for name, ratio in (("one", 2.0), ("two", 1.0)):
        (tmp_path / f"{name}.py").write_text(SCRIPT.format(name=name, ratio=ratio))
    (tmp_path / "broken.py").write_text("raise RuntimeError('it is broken')")
    return tmp_path


def test_a_benchmark_that_fails_costs_no_other_its_row(benchmarks, folder, capsys):
    run, _ = benchmarks
    assert run.main([], folder, ("broken", "one", "two")) == 1
    said, page = capsys.readouterr().out, (folder / "RESULTS.md").read_text()
    assert "it is broken" in said
    for text in (said, page):
        assert "| what one takes | 1 s | theirs: 2 s | 2× | ≥ 1.5× | yes |" in text
        assert "| what two takes | 1 s | theirs: 2 s | 1× | ≥ 1.5× | **no** |" in text
        assert "- *what one takes:* a remark" in text
    assert run.environment()["machine"] in page and "torch" in page


def test_ratios_are_medians_of_pairs_taken_in_turn(benchmarks):
    _, harness = benchmarks
    calls, now = [], [0.0]

    def action(name, durations):
        def act():
            calls.append(name)
            now[0] += durations.pop(0)

        return act

    ours = action("ours", [9.0, 1.0, 2.0, 4.0])
    against = action("against", [9.0, 3.0, 4.0, 40.0])
    found = harness.interleaved(ours, against, repeats=3, clock=lambda: now[0])
    assert calls == ["ours", "against"] * 4
    assert found == pytest.approx((2.0, 4.0, 1 / 3, 3.0))


def test_peak_memory_is_what_a_call_takes_beyond_what_was_taken_before(benchmarks):
    _, harness = benchmarks
    held = bytearray(b"x") * (50 << 20)
    for size in (20, 80):
        found = harness.peak_bytes(lambda size=size: bytearray(b"x") * (size << 20))
        assert found == pytest.approx(size << 20, abs=8 << 20)
    assert len(held)
