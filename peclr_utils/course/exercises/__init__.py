"""Self-checking exercises: `check("2.1", my_function)`.

Every chapter ends with some. A right answer is praised in one line, a wrong one raises `ExerciseError`
with a hint, and no answer at all is only noted, so that a chapter runs from top to bottom untouched.
"""

from .registry import Exercise, ExerciseError, chapter_exercises, check, exercise, expect, expect_close

__all__ = [
    "Exercise",
    "ExerciseError",
    "chapter_exercises",
    "check",
    "exercise",
    "expect",
    "expect_close",
]
