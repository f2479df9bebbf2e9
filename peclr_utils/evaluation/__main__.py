"""Score a submission from the command line, beside the published numbers.

    python -m peclr_utils.evaluation pred.zip data/raw/FreiHAND_pub_v2
    python -m peclr_utils.evaluation pred.json evaluation_xyz.json --proper-rotation
    python -m peclr_utils.evaluation zeros data/raw/FreiHAND_pub_v2

The last one scores the zero predictor, whose published result checks the labels and the protocol. The exit
code is 0 if all went well, otherwise 1. Chapter 05 does the same in cells.
"""

import argparse
import sys
from collections.abc import Sequence

from peclr_utils.evaluation.metrics import Evaluation
from peclr_utils.evaluation.published import EVALUATION_HANDS, ZERO_PREDICTOR, evaluate_zeros, published_table
from peclr_utils.evaluation.submission import load_truth, read_submission

ZEROS = "zeros"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    given = _parser().parse_args(arguments)
    try:
        if given.submission == ZEROS:
            return _check_zeros(evaluate_zeros(load_truth(given.truth)))
        found = read_submission(
            given.submission,
            given.truth,
            proper_rotation=given.proper_rotation,
            check_units=not given.any_unit,
        )
    except (ValueError, TypeError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(found)
    print()
    print(published_table({given.name or given.submission: found}, "plain"))
    _say_if_another_set(found)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m peclr_utils.evaluation",
        description="Score a FreiHAND submission by the official protocol, beside the published numbers.",
    )
    parser.add_argument(
        "submission", help="pred.json, its zip, a folder with either, or the word zeros: the zero predictor"
    )
    parser.add_argument("truth", help="evaluation_xyz.json, or FreiHAND's folder that holds it")
    parser.add_argument(
        "--name", help="what the table calls it; rn50 and rn152 stand below the published rows"
    )
    parser.add_argument(
        "--proper-rotation", action="store_true", help="align without mirroring, as most papers; not official"
    )
    parser.add_argument("--any-unit", action="store_true", help="score hands far too large for metres too")
    return parser


def _check_zeros(found: Evaluation) -> int:
    print(published_table({ZEROS: found}, "plain"))
    _say_if_another_set(found)
    if len(found.per_hand_epe_mm) != EVALUATION_HANDS:
        return 0
    if ZERO_PREDICTOR.agrees(found):
        print("The zero predictor's published result is met: labels and protocol are the official ones.")
        return 0
    print("The zero predictor's published result is NOT met: these aren't the labels of FreiHAND_pub_v2.")
    return 1


def _say_if_another_set(found: Evaluation) -> None:
    hands = len(found.per_hand_epe_mm)
    if hands != EVALUATION_HANDS:
        print(f"Published numbers are over {EVALUATION_HANDS:,} hands, these are {hands:,}: another set.")


if __name__ == "__main__":
    sys.exit(main())
