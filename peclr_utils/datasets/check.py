"""Check a data folder and say what is wrong with it.

    python -m peclr_utils.datasets.check freihand data/raw/FreiHAND_pub_v2
    python -m peclr_utils.datasets.check youtube data/raw/youtube_3d_hands
    python -m peclr_utils.datasets.check folder my_pictures --boxes boxes.csv

The exit code is 0 if nothing is wrong, otherwise 1. data/README.md says when to use it.
"""

import argparse
import sys
from collections.abc import Sequence

from peclr_utils.datasets.check_freihand import check_freihand
from peclr_utils.datasets.check_unlabelled import check_folder, check_youtube
from peclr_utils.datasets.report import Report


def check(kind: str, path: str, *, boxes: str | None = None, decode: int | None = 8) -> Report:
    """Check one folder.

    Args:
        kind: "freihand", "youtube" or "folder".
        path: the folder.
        boxes: CSV file of boxes, for "folder".
        decode: how many pictures of each part to decode, spread evenly; None decodes all.

    Returns:
        What was found, and what is wrong.

    Raises:
        ValueError: if the kind is unknown.
    """
    if kind == "freihand":
        return check_freihand(path, decode)
    if kind == "youtube":
        return check_youtube(path, decode)
    if kind == "folder":
        return check_folder(path, boxes, decode)
    raise ValueError(f"check: kind must be freihand, youtube or folder, found {kind!r}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m peclr_utils.datasets.check",
        description="Say what a data folder holds and what is wrong with it. Exit code 0: nothing is wrong.",
    )
    parser.add_argument("kind", choices=("freihand", "youtube", "folder"))
    parser.add_argument("path", help="the data's folder")
    parser.add_argument("--boxes", help="CSV file of boxes (only for folder)")
    parser.add_argument("--decode", type=int, default=8, metavar="N", help="pictures to decode (default: 8)")
    parser.add_argument("--all", action="store_true", help="decode all pictures; takes minutes")
    given = parser.parse_args(arguments)
    if given.boxes and given.kind != "folder":
        parser.error("--boxes goes with folder only")
    report = check(given.kind, given.path, boxes=given.boxes, decode=None if given.all else given.decode)
    print(report)
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
