"""Score a submission from the command line, beside the published numbers.

    python -m peclr_utils.evaluation pred.json data/raw/FreiHAND_pub_v2
    python -m peclr_utils.evaluation zeros data/raw/FreiHAND_pub_v2

The last one scores the zero predictor, whose published result checks the labels and the protocol. The exit
code is 0 on success, otherwise 1. Chapter 05 does the same in cells.
"""

import argparse
import sys
from collections.abc import Sequence

import numpy as np

from peclr_utils.evaluation.metrics import evaluate_keypoints
from peclr_utils.evaluation.published import EVALUATION_HANDS, ZERO_PREDICTOR, published_table
from peclr_utils.evaluation.submission import load_truth, read_submission
from peclr_utils.settings import run_and_exit


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser("python -m peclr_utils.evaluation", description=__doc__.splitlines()[0])
    parser.add_argument("submission", help="pred.json, its folder, or the word zeros: the zero predictor")
    parser.add_argument("truth", help="evaluation_xyz.json, or FreiHAND's folder that holds it")
    parser.add_argument("--name", help="in the table; rn50 and rn152 appear below the published rows")
    parser.add_argument("--proper-rotation", action="store_true", help="don't mirror; not official")
    given = parser.parse_args(arguments)
    zeros = given.submission == "zeros"
    try:
        true = load_truth(given.truth)
        predicted = np.zeros_like(true) if zeros else read_submission(given.submission)
        found = evaluate_keypoints(predicted, true, proper_rotation=given.proper_rotation)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(found, published_table({given.name or given.submission: found}), sep="\n\n")
    if len(true) != EVALUATION_HANDS:
        print(f"Published numbers are over {EVALUATION_HANDS:,} hands, these are {len(true):,}: another set.")
    elif zeros and not ZERO_PREDICTOR.agrees(found):
        print("The zero predictor's published result is NOT met: these aren't FreiHAND_pub_v2's labels.")
        return 1
    elif zeros:
        print("The zero predictor's published result is met: labels and protocol are the official ones.")
    return 0


if __name__ == "__main__":
    run_and_exit(main)
