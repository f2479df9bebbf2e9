"""Run the chapters in order, and check a reader's answers.

`python -m peclr_utils.course --profile laptop` runs the five notebooks through papermill (`runner`) with
the numbers of a profile (`profiles`). `peclr_utils.course.exercises.check` is what every chapter's
exercises call.
"""
