"""`python -m peclr_utils.course`: run the chapters in order."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from peclr_utils.settings import run_and_exit

from . import find_repository
from .execution import ChapterError, refresh
from .runner import report, run_course, select_chapters


@dataclass(frozen=True)
class Options:
    """Run the five chapters in order, without JupyterLab, and print the result table."""

    # smoke checks that all works; laptop shows the effect; night trains the encoders of data/weights; the
    # others need photographs and a GPU.
    profile: Literal["smoke", "laptop", "night", "paper", "paper_rn152"] = "laptop"
    # Photographs: a folder with FreiHAND, YouTube3DHands or both, a folder of images, or
    # freihand:PATH,youtube:PATH,folder:PATH; rendered hands if empty.
    data: str = ""
    # Run folder; runs/PROFILE in the repository if not given.
    output: Path | None = None
    # Chapters to run, such as 1,3 or 3-5 or A1; all chapters if empty.
    chapters: str = ""
    # Also run the appendices, A1 and so on, after the chapters.
    appendices: bool = False
    # Skip the chapters that are finished.
    resume: bool = False
    # Run the committed chapters and appendices in place instead, with their own numbers.
    refresh: bool = False


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the course as the command line says.

    Returns:
        0 if every chapter ran; 1 if one failed or could not start; 130 after Ctrl-C.
    """
    options = tyro.cli(Options, prog="python -m peclr_utils.course", args=arguments)
    try:
        everything = options.refresh and not options.chapters
        chapters = select_chapters(options.chapters, options.appendices or everything)
        if options.refresh:
            for chapter in chapters:
                refresh(find_repository() / "notebooks" / f"{chapter}.ipynb")
            return 0
        print(report(run_course(options.profile, options.data, options.output, chapters, options.resume)))
    except KeyboardInterrupt:
        print("Stopped; add --resume to the command to continue.", file=sys.stderr)
        return 130
    except ModuleNotFoundError as error:
        print(f"{error}; run pip install '.[course]' in the repository", file=sys.stderr)
        return 1
    except (ChapterError, ValueError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    run_and_exit(main)
