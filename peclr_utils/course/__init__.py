"""Run the chapters in order, and check a reader's answers.

`python -m peclr_utils.course --profile laptop` runs the five notebooks through papermill (`runner`) with
the numbers of a profile (`profiles`). `peclr_utils.course.exercises.check` is what every chapter's
exercises call, `run_folder` says where a chapter leaves what it makes.
"""

from .folders import run_folder, short_path

__all__ = ["run_folder", "short_path"]
