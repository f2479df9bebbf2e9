"""The tables in Markdown pages, made from the files of results that they show.

    python -m peclr_utils.course.tables README.md data/results/README.md

A page says where each table comes from in a comment on the line before it: `<!-- FILE -->` for the errors of
a label-fraction table, `<!-- FILE: features -->` for its probes of frozen features. Paths are the page's own.
"""

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from peclr_utils.training.results import markdown, probes_markdown

_TABLE = re.compile(r"(?m)^<!-- (?P<file>[^ :]+\.json)(?P<part>: features)? -->\n(?:\|.*\n)*")


def fill_tables(page: Path) -> str:
    """Make a page's tables anew.

    Args:
        page: the Markdown file; it isn't changed.

    Returns:
        Its text, with the tables that the files of results hold now.

    Raises:
        FileNotFoundError: if the page or a file that it names is missing.
        ValueError: if such a file is not JSON.
    """

    def table(found: re.Match[str]) -> str:
        path = page.parent / found["file"]
        try:
            results = json.loads(path.read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}: expected the results of a label-fraction table, {error}") from None
        shown = probes_markdown(results["probes"]) if found["part"] else markdown(results)
        return f"{found[0].splitlines()[0]}\n{shown}\n"

    return _TABLE.sub(table, page.read_text(encoding="utf-8"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Fill the pages given, in place.

    Args:
        arguments: their paths; None takes them from the command line.

    Returns:
        0, or 2 if there is none, or a file is missing or broken.
    """
    pages = [Path(name) for name in (sys.argv[1:] if arguments is None else arguments)]
    if not pages:
        print("usage: python -m peclr_utils.course.tables PAGE.md ...", file=sys.stderr)
        return 2
    try:
        texts = {page: fill_tables(page) for page in pages}
    except (FileNotFoundError, ValueError) as error:
        print(f"peclr_utils.course.tables: {error}", file=sys.stderr)
        return 2
    for page, text in texts.items():
        page.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
