"""How an exercise is declared, found and checked.

A chapter's exercises sit in a module of their own, `ch01.py` to `ch05.py`:

    @exercise("1.3", "Bone lengths")
    def bone_lengths(answer, rng):
        points = rng.normal(size=(21, 3))
        expect_close(answer(points), truth(points), "Which points does a bone join?")

and the notebook calls `check("1.3", my_function)`.
"""

import importlib
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Check = Callable[[Any, np.random.Generator], None]


class ExerciseError(AssertionError):
    """The answer to an exercise is wrong; the message is a hint."""


class _NotAnsweredError(Exception):
    """A reader's function gave nothing back: its body is still to be written."""


@dataclass(frozen=True)
class Exercise:
    """One exercise: its name (`"1.3"`), its title, and the function that checks an answer."""

    name: str
    title: str
    run: Check


_REGISTRY: dict[str, Exercise] = {}


def exercise(name: str, title: str) -> Callable[[Check], Check]:
    """Declare the decorated function as the check of exercise `name`.

    The function takes the reader's answer and a seeded generator, and raises `ExerciseError` with a hint
    (by `expect_close` or `expect`) if the answer is wrong.

    Raises:
        ValueError: The name is not of the form `"1.3"`, or another exercise has it.
    """
    if name != ".".join(map(str, _chapter_and_number(name))):
        raise ValueError(f"exercise name {name!r}: expected no leading zeros, as in '1.3'.")

    def register(run: Check) -> Check:
        known = _REGISTRY.get(name)
        if known is not None and (known.run.__module__, known.run.__qualname__) != (
            run.__module__,
            run.__qualname__,
        ):
            raise ValueError(f"exercise {name!r} is declared twice: {known.title!r} and {title!r}.")
        _REGISTRY[name] = Exercise(name, title, run)
        return run

    return register


def chapter_exercises(chapter: int) -> list[Exercise]:
    """The exercises of one chapter (1 to 5), in order.

    Raises:
        ValueError: The chapter has none.
    """
    module = f"{__package__}.ch{chapter:02d}"
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise ValueError(f"Chapter {chapter} has no exercises.") from None
    own = [known for name, known in _REGISTRY.items() if _chapter_and_number(name)[0] == chapter]
    return sorted(own, key=lambda known: _chapter_and_number(known.name))


def check(name: str, answer: Any) -> None:
    """Check a reader's answer to one exercise, and say so in one line.

    Args:
        name: The exercise, for example `"2.1"`.
        answer: The reader's function or value. None or `...`, or a function whose body still is `...`,
            is not an answer yet: that is said, and nothing fails.

    Raises:
        ExerciseError: The answer is wrong. The message is a hint.
        ValueError: There is no such exercise.
    """
    found = _find(name)
    label = f"Exercise {found.name} ({found.title})"
    try:
        if answer is None or answer is Ellipsis:
            raise _NotAnsweredError
        found.run(_guard(answer, label), np.random.default_rng(zlib.crc32(found.name.encode())))
    except _NotAnsweredError:
        print(f"{label}: not answered yet.")
        return
    except ExerciseError as error:
        # The reader needs the hint, not the traceback of the check.
        raise ExerciseError(f"{label}: not yet. {error}") from error.__cause__
    print(f"{label}: right. Well done.")


def _find(name: str) -> Exercise:
    chapter, number = _chapter_and_number(name)
    known = chapter_exercises(chapter)
    for found in known:
        if found.name == f"{chapter}.{number}":
            return found
    raise ValueError(f"There is no exercise {name!r}; chapter {chapter} has {[e.name for e in known]}.")


def _chapter_and_number(name: str) -> tuple[int, int]:
    chapter, _, number = str(name).partition(".")
    if not (chapter.isdigit() and number.isdigit()):
        raise ValueError(f"exercise name {name!r}: expected chapter and number, as in '1.3'.")
    return int(chapter), int(number)


def _guard(answer: Any, label: str) -> Any:
    """Wrap a reader's function: nothing returned is no answer, an exception inside is the reader's own."""
    if not callable(answer):
        return answer

    def guarded(*args: Any) -> Any:
        try:
            result = answer(*args)
        except Exception as error:
            raise ExerciseError(f"Your function raised {type(error).__name__}: {error}") from error
        if result is None or result is Ellipsis:
            raise _NotAnsweredError
        return result

    guarded.__name__ = getattr(answer, "__name__", label)
    return guarded


def expect(condition: bool, hint: str) -> None:
    """Raise `ExerciseError(hint)` unless the condition holds."""
    if not condition:
        raise ExerciseError(hint)


def expect_close(
    found: Any,
    expected: Any,
    hint: str,
    *,
    mistakes: Mapping[str, Any] | None = None,
    tolerance: float = 1e-4,
) -> None:
    """Compare an answer with the truth, and give the most helpful hint there is.

    Args:
        found: The reader's number, array, list or tensor.
        expected: The truth, of any shape.
        hint: What to say when the answer is wrong and nothing better is known.
        mistakes: Results of well-known wrong ways, each by the hint that helps against it.
        tolerance: Largest accepted difference, times one or the truth's largest size if that is more.

    Raises:
        ExerciseError: The shape or a value differs.
    """
    truth = _as_array(expected)
    try:
        value = _as_array(found)
    except (TypeError, ValueError):
        raise ExerciseError(
            f"Expected numbers of shape {truth.shape}, found a {type(found).__name__}."
        ) from None
    if value.shape != truth.shape:
        raise ExerciseError(f"Expected shape {truth.shape}, found {value.shape}. {hint}")
    limit = tolerance * max(1.0, float(np.abs(truth).max(initial=0.0)))
    worst = float(np.abs(value - truth).max(initial=0.0))
    if worst <= limit:
        return
    for help_against, wrong in (mistakes or {}).items():
        if np.abs(value - _as_array(wrong)).max(initial=0.0) <= limit:
            raise ExerciseError(help_against)
    raise ExerciseError(f"{hint} (Largest difference: {worst:.3g}.)")


def _as_array(value: Any) -> np.ndarray:
    """Numbers as float64, from a tensor on whatever device too."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().float().numpy()
    return np.asarray(value, dtype=np.float64)
