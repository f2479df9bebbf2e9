"""`python -m peclr_utils.course`: run the chapters in order."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .execution import ChapterError
from .profiles import PROFILES
from .runner import report, run_course, select_chapters

KEPT = "What earlier chapters made is kept; the same command with --resume goes on from here."


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m peclr_utils.course",
        description="Run the five chapters in order, without a window, and print the result table.",
    )
    parser.add_argument(
        "--profile",
        choices=list(PROFILES),
        default="laptop",
        help="smoke: does everything work; laptop: long enough to see the effect, without a GPU; paper: real "
        "photographs and a GPU "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--data",
        metavar="PATH",
        help="real photographs: a folder with FreiHAND or YouTube3DHands or both, a folder of pictures, or "
        "freihand:PATH,youtube:PATH,folder:PATH (default: rendered hands)",
    )
    parser.add_argument(
        "--output",
        metavar="DIR",
        type=Path,
        help="where the executed chapters go (default: runs/<profile> in the repository)",
    )
    parser.add_argument("--chapters", metavar="LIST", help="only these: 1,3 or 3-5 (default: all)")
    parser.add_argument("--resume", action="store_true", help="go on with the first chapter not yet finished")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the course as the command line says.

    Args:
        arguments: Those of the command line; None takes them from there.

    Returns:
        0 if every chapter ran; 1 if one failed or could not start; 130 if the user stopped it.
    """
    options = _parser().parse_args(arguments)
    try:
        course = run_course(
            options.profile,
            data=options.data,
            output=options.output,
            chapters=select_chapters(options.chapters),
            resume=options.resume,
        )
    except ChapterError as error:
        print(f"\n{error}\n{KEPT}", file=sys.stderr)
        return 1
    except (ValueError, FileNotFoundError, ModuleNotFoundError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nStopped. {KEPT}", file=sys.stderr)
        return 130
    print(f"\n{report(course)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
