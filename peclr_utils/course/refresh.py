"""Run the committed chapters anew, in place: `python -m peclr_utils.course.refresh --chapters 1,3`.

For those who change a chapter: every cell is run from top to bottom with the numbers that stand in it, and
only what a reader wants to see is kept, so that two runs differ in their outputs alone.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from .execution import ChapterError, execute_chapter, require_course_packages
from .runner import find_notebook, find_repository, select_chapters

METADATA = {
    "kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"},
    "language_info": {"name": "python"},
}
"""What a committed notebook says about itself; Python's exact version is nobody's business."""


def refresh(chapters: Iterable[str], repository: Path | None = None) -> None:
    """Execute chapters with their own parameters and write them back, one after the other.

    Args:
        chapters: Names as in `peclr_utils.course.profiles.CHAPTERS`.
        repository: The folder with `notebooks/`; found by itself if None.

    Raises:
        ChapterError: A chapter failed. It is left as it was.
    """
    import nbformat

    require_course_packages()
    repository = find_repository() if repository is None else repository
    for chapter in chapters:
        notebook = find_notebook(repository, chapter)
        executed = repository / "runs" / "refresh" / notebook.name
        executed.parent.mkdir(parents=True, exist_ok=True)
        execute_chapter(notebook, executed, {}, repository)
        clean = nbformat.read(executed, as_version=4)
        clean.metadata = nbformat.from_dict(METADATA)
        for cell in clean.cells:
            tags = cell.metadata.get("tags")
            cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
        nbformat.write(clean, notebook)


def main(arguments: Sequence[str] | None = None) -> int:
    """Refresh the chapters the command line names.

    Args:
        arguments: Those of the command line; None takes them from there.

    Returns:
        0, or 1 if a chapter failed.
    """
    parser = argparse.ArgumentParser(
        prog="python -m peclr_utils.course.refresh", description="Run the committed chapters anew, in place."
    )
    parser.add_argument("--chapters", metavar="LIST", help="only these: 1,3 or 3-5 (default: all)")
    options = parser.parse_args(arguments)
    try:
        refresh(select_chapters(options.chapters))
    except (ChapterError, ValueError, FileNotFoundError, ModuleNotFoundError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
