import numpy as np
import pytest
import torch

from peclr_utils.course.exercises import (
    ExerciseError,
    check,
    exercise,
    expect,
    expect_close,
    registry,
)


@pytest.fixture
def toy(monkeypatch):
    """A registry that holds one toy exercise: double a number."""
    monkeypatch.setattr(registry, "_REGISTRY", {})
    monkeypatch.setattr(registry, "chapter_exercises", lambda chapter: list(registry._REGISTRY.values()))

    @exercise("9.1", "Double it")
    def double(answer, rng):
        number = rng.normal()
        expect_close(answer(number), 2 * number, "Add it to itself.", mistakes={"That is half.": number / 2})

    return "9.1"


@pytest.mark.parametrize("answer", [None, ..., lambda x: None, lambda x: ...])
def test_no_answer_yet_is_noted_and_does_not_fail(toy, capsys, answer):
    check(toy, answer)
    assert "not answered yet" in capsys.readouterr().out


def test_the_placeholder_of_the_chapters_is_no_answer_yet(toy, capsys):
    def double(x):
        """a number -> a number."""
        ...

    check(toy, double)
    assert capsys.readouterr().out == "Exercise 9.1 (Double it): not answered yet.\n"


def test_a_right_answer_is_praised_in_one_line(toy, capsys):
    check(toy, lambda x: x + x)
    out = capsys.readouterr().out
    assert "right" in out
    assert out.count("\n") == 1


def test_a_wrong_answer_raises_an_assertion_with_the_hint(toy):
    with pytest.raises(ExerciseError, match="Double it.*Add it to itself"):
        check(toy, lambda x: 3 * x)
    assert issubclass(ExerciseError, AssertionError)


def test_a_known_mistake_gets_its_own_hint(toy):
    with pytest.raises(ExerciseError, match="That is half"):
        check(toy, lambda x: x / 2)


def test_an_error_inside_the_answer_is_named_and_kept_as_the_cause(toy):
    with pytest.raises(ExerciseError, match="ZeroDivisionError") as caught:
        check(toy, lambda x: 1 / 0)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_every_check_of_one_exercise_sees_the_same_numbers(toy):
    seen = []
    for _ in range(2):
        check(toy, lambda x: (seen.append(x), 2 * x)[1])
    assert seen[0] == seen[1]


def test_an_unknown_exercise_is_an_error_that_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"no exercise '1\.99'.*1\.1"):
        check("1.99", None)
    with pytest.raises(ValueError, match="Chapter 77 has no exercises"):
        check("77.1", None)
    with pytest.raises(ValueError, match="expected chapter and number"):
        check("project", None)


def test_a_name_is_given_only_once(toy):
    with pytest.raises(ValueError, match="declared twice"):

        @exercise("9.1", "Another")
        def another(answer, rng): ...


@pytest.mark.parametrize(
    ("name", "message"), [("first", "expected chapter and number"), ("03.1", "no leading zeros")]
)
def test_a_name_has_a_chapter_and_a_number(name, message):
    with pytest.raises(ValueError, match=message):
        exercise(name, "Misnamed")


def test_a_reader_may_write_the_chapter_with_two_digits(toy, capsys):
    check("09.1", lambda x: 2 * x)
    assert "Exercise 9.1" in capsys.readouterr().out


def test_expect_close_takes_lists_tensors_and_arrays_alike():
    for found in ([1.0, 2.0], torch.tensor([1.0, 2.0], requires_grad=True), np.array([1.0, 2.0])):
        expect_close(found, [1, 2], "hint")


@pytest.mark.parametrize("found", [[1.0, 2.1], [1.0, np.nan], [[1.0, 2.0]], "no numbers", {"a": 1}])
def test_expect_close_refuses_other_values_shapes_and_kinds(found):
    with pytest.raises(ExerciseError):
        expect_close(found, [1.0, 2.0], "hint")


def test_expect_raises_its_hint():
    expect(True, "never")
    with pytest.raises(ExerciseError, match="look again"):
        expect(False, "look again")
