"""Self-checking exercises: `check("2.1", my_function)`.

A right answer gets one line of praise, a wrong one raises `ExerciseError` with a hint, and no answer is only
noted, so that an unanswered chapter still runs from top to bottom.

An exercise is a function that draws one case: the answer's arguments, the right result, and the results of
common mistakes by their hints. Its docstring is the hint against any other mistake. The right result of an
experiment is `Measured`: every number near it is right.
"""

import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

CASES = 5
TOLERANCE = 1e-5  # of the largest right value: answers may be in single precision


class Measured(NamedTuple):
    """The result of an experiment: right if no number is further than `away` from `value`."""

    value: Any
    away: float


Case = tuple[tuple[Any, ...], Any, dict[str, Any]]
Draw = Callable[[np.random.Generator], Case]


class ExerciseError(AssertionError):
    """The answer to an exercise is wrong; the message is a hint."""


class Exercise(NamedTuple):
    """One exercise: its name (`"1.3"`), its title, and the function that draws a case."""

    name: str
    title: str
    draw: Draw


_EXERCISES: dict[str, Exercise] = {}


def exercise(name: str, title: str) -> Callable[[Draw], Draw]:
    """Register the decorated function as an exercise; see the module."""

    def register(draw: Draw) -> Draw:
        _EXERCISES[name] = Exercise(name, title, draw)
        return draw

    return register


def chapter_exercises(chapter: int) -> list[Exercise]:
    """The exercises of one chapter (1 to 5), in order."""
    from . import chapter_3, chapters_1_and_2, chapters_4_and_5  # noqa: F401  they register their exercises

    return [known for known in _EXERCISES.values() if known.name.startswith(f"{chapter}.")]


def check(name: str, answer: Any) -> None:
    """Check a reader's answer to one exercise, and print the outcome in one line.

    Args:
        name: the exercise, for example `"2.1"`.
        answer: the reader's function or value. `...`, None, or a function that returns one is no answer yet.

    Raises:
        ExerciseError: if the answer is wrong; the message is a hint.
        ValueError: if there is no such exercise.
    """
    known = {one.name: one for chapter in range(1, 6) for one in chapter_exercises(chapter)}
    if name not in known:
        raise ValueError(f"There is no exercise {name!r}; there are {', '.join(known)}.")
    draw, label = known[name].draw, f"Exercise {name} ({known[name].title})"
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    for _ in range(CASES):
        arguments, right, mistakes = draw(rng)
        try:
            found = answer(*arguments) if callable(answer) else answer
        except Exception as error:
            raise ExerciseError(f"{label}: your function raised {type(error).__name__}: {error}") from error
        if found is None or found is ...:
            print(f"{label}: not answered yet.")
            return
        if hint := find_fault(found, right, mistakes, " ".join(draw.__doc__.split())):
            raise ExerciseError(f"{label}: not yet. {hint}")
    print(f"{label}: right. Well done.")


def find_fault(found: Any, right: Any, mistakes: dict[str, Any], hint: str) -> str:
    """Return the hint of the mistake that gives this result, `hint` if none does, "" for the right result."""
    truth = _array(right.value if isinstance(right, Measured) else right)
    away = right.away if isinstance(right, Measured) else TOLERANCE * np.abs(truth).max()
    try:
        value = _array(found)
    except (TypeError, ValueError):
        return f"Expected numbers of shape {truth.shape}, found a {type(found).__name__}."
    if value.shape != truth.shape or (value.dtype == bool) != (truth.dtype == bool):
        return f"Expected {truth.dtype} of shape {truth.shape}, found {value.dtype} of {value.shape}. {hint}"
    for known, result in {"": truth, **mistakes}.items():
        if np.allclose(value, _array(result), rtol=0, atol=away):
            return known
    return hint


def _array(value: Any) -> np.ndarray:
    """Booleans, or numbers as float64; also from a tensor on any device."""
    value = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
    return value if value.dtype == bool else value.astype(np.float64)
