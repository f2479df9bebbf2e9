"""Run the five chapters in order, and report.

    python -m peclr_utils.course --profile laptop

A run folder holds the executed chapters (`.ipynb` and `.html`), what the chapters left for each other, the
result table (`results.md`, `results.json`, by chapter 05) and `course.json`, which says what is finished.
"""

import json
import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .execution import execute_chapter, export_html, parameter_names, require_course_packages
from .profiles import CHAPTERS, NEEDS_DATA, PROFILES, chapter_parameters
from .sources import resolve_data

COMMON = ("run_dir", "data")
"""Parameters a chapter gets only if its cell tagged `parameters` has them."""


@dataclass(frozen=True)
class ChapterRun:
    """One finished chapter: its name, how long it took, and the parameters it ran with."""

    chapter: str
    seconds: float
    parameters: dict[str, Any]


@dataclass(frozen=True)
class CourseRun:
    """A run folder and the chapters finished in it, in order."""

    folder: Path
    chapters: tuple[ChapterRun, ...]

    @property
    def results(self) -> str | None:
        """The result table as Markdown, once chapter 05 is finished."""
        table = self.folder / "results.md"
        finished = any(run.chapter == CHAPTERS[-1] for run in self.chapters)
        return table.read_text(encoding="utf-8") if finished and table.is_file() else None


def find_repository(start: Path | None = None) -> Path:
    """Find the folder that holds `notebooks/`.

    Args:
        start: Where to look, there and above; None for the current folder. Then above this package.

    Returns:
        The folder.

    Raises:
        FileNotFoundError: There is none.
    """
    places = [Path.cwd() if start is None else start, Path(__file__)]
    for place in places:
        for folder in [place.resolve(), *place.resolve().parents]:
            if (folder / "notebooks" / f"{CHAPTERS[0]}.ipynb").is_file():
                return folder
    raise FileNotFoundError(
        f"Found no notebooks/{CHAPTERS[0]}.ipynb at or above {places[0].resolve()}. The chapters are not "
        f"part of the installed package: run this inside a clone of the repository."
    )


def select_chapters(text: str | None) -> tuple[str, ...]:
    """Choose chapters by what a user writes.

    Args:
        text: "1,3", "3-5" or "03"; None or "" means all.

    Returns:
        Some of `CHAPTERS`, in order.

    Raises:
        ValueError: The text is none of these, or there is no such chapter.
    """
    if not text:
        return CHAPTERS
    numbers: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        try:
            numbers |= set(range(int(first), int(last or first) + 1))
        except ValueError:
            raise ValueError(f"--chapters {text!r}: expected numbers, as in 1,3 or 3-5.") from None
    if not numbers or not numbers <= set(range(1, len(CHAPTERS) + 1)):
        raise ValueError(f"--chapters {text!r}: expected numbers between 1 and {len(CHAPTERS)}.")
    return tuple(CHAPTERS[number - 1] for number in sorted(numbers))


def run_course(
    profile: str = "laptop",
    *,
    data: str | None = None,
    output: Path | None = None,
    chapters: Iterable[str] = CHAPTERS,
    resume: bool = False,
    repository: Path | None = None,
) -> CourseRun:
    """Execute chapters in order through papermill, each followed by its export to HTML.

    Args:
        profile: One of `PROFILES`.
        data: Folder or source names of real data; see `resolve_data`. None for rendered hands.
        output: The run folder; by default `runs/<profile>` in the repository.
        chapters: Some of `CHAPTERS`.
        resume: Skip the leading chapters that this folder already has with the same parameters.
        repository: The folder with `notebooks/`; found by itself if None.

    Returns:
        The run folder and all chapters finished in it.

    Raises:
        ChapterError: A chapter failed. Everything made so far is kept.
        ValueError, FileNotFoundError, ModuleNotFoundError: Something about the call is wrong; nothing ran.
    """
    require_course_packages()
    if profile not in PROFILES:
        raise ValueError(f"There is no profile {profile!r}; choose one of {', '.join(PROFILES)}.")
    if profile in NEEDS_DATA and not data:
        raise ValueError(
            f"Profile {profile!r} is for real photographs: name their folder with --data (make: DATA=...). "
            f"data/README.md says how to get them."
        )
    repository = find_repository() if repository is None else repository.resolve()
    folder = (repository / "runs" / profile if output is None else output).resolve()
    sources = resolve_data(data)
    plan = {
        chapter: _parameters(find_notebook(repository, chapter), profile, folder, sources)
        for chapter in CHAPTERS
        if chapter in set(chapters)
    }
    folder.mkdir(parents=True, exist_ok=True)
    finished = _read_state(folder)
    if resume:
        plan = _skip_finished(plan, finished)
    for chapter, parameters in plan.items():
        # Whatever comes later was made from the old state of this chapter.
        finished = [run for run in finished if run.chapter < chapter]
        _write_state(folder, finished)
        seconds = _run_chapter(repository, chapter, folder, parameters)
        finished.append(ChapterRun(chapter, seconds, parameters))
        _write_state(folder, finished)
    return CourseRun(folder, tuple(finished))


def find_notebook(repository: Path, chapter: str) -> Path:
    """Find a chapter's notebook.

    Args:
        repository: The folder with `notebooks/`.
        chapter: One of `CHAPTERS`.

    Returns:
        Its path.

    Raises:
        FileNotFoundError: It is missing.
    """
    notebook = repository / "notebooks" / f"{chapter}.ipynb"
    if not notebook.is_file():
        raise FileNotFoundError(f"The chapter {notebook} is missing.")
    return notebook


def _parameters(notebook: Path, profile: str, folder: Path, sources: list[str]) -> dict[str, Any]:
    """What to pass to a chapter, checked against the names it has: papermill itself lets a typo pass."""
    given = chapter_parameters(profile, notebook.stem, folder, sources)
    known = parameter_names(notebook)
    unknown = set(given) - known - set(COMMON)
    if unknown:
        raise ValueError(
            f"{notebook}: profile {profile!r} sets {', '.join(sorted(unknown))}, but the cell tagged "
            f"'parameters' has only {', '.join(sorted(known))}."
        )
    return {name: value for name, value in given.items() if name in known}


def _skip_finished(plan: dict[str, dict[str, Any]], finished: list[ChapterRun]) -> dict[str, dict[str, Any]]:
    """The plan from its first chapter on that is not finished with the same parameters."""
    done = {run.chapter: run.parameters for run in finished}
    names = list(plan)
    first = next((k for k, name in enumerate(names) if done.get(name) != plan[name]), len(names))
    return {name: plan[name] for name in names[first:]}


def _run_chapter(repository: Path, chapter: str, folder: Path, parameters: dict[str, Any]) -> float:
    executed = folder / f"{chapter}.ipynb"
    leftovers = [executed.with_suffix(".html")]
    if chapter == CHAPTERS[-1]:
        leftovers += [folder / "results.md", folder / "results.json"]
    for old in leftovers:
        old.unlink(missing_ok=True)
    start = time.perf_counter()
    execute_chapter(find_notebook(repository, chapter), executed, parameters, repository)
    export_html(executed)
    return time.perf_counter() - start


def _read_state(folder: Path) -> list[ChapterRun]:
    path = folder / "course.json"
    if not path.is_file():
        return []
    try:
        runs = [ChapterRun(**run) for run in json.loads(path.read_text(encoding="utf-8"))]
    except (json.JSONDecodeError, TypeError) as error:
        raise ValueError(f"{path} cannot be read ({error}); remove it to start again.") from error
    return [run for run in runs if (folder / f"{run.chapter}.ipynb").is_file()]


def _write_state(folder: Path, finished: list[ChapterRun]) -> None:
    temporary = folder / "course.json.tmp"
    temporary.write_text(json.dumps([asdict(run) for run in finished], indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, folder / "course.json")


def report(course: CourseRun) -> str:
    """Sum up a run.

    Args:
        course: The run.

    Returns:
        Lines of text: the result table, where the executed chapters are, and how long each took.
    """
    lines = []
    if course.results is not None:
        lines += [course.results.strip(), ""]
    lines.append(f"The executed chapters, as notebooks and as web pages, are in {course.folder}:")
    for run in course.chapters:
        lines.append(f"  {run.chapter + '.html':<36} {format_seconds(run.seconds):>8}")
    lines.append(f"  {'in all':<36} {format_seconds(sum(run.seconds for run in course.chapters)):>8}")
    return "\n".join(lines)


def format_seconds(seconds: float) -> str:
    """Write a time as a clock does.

    Args:
        seconds: How long.

    Returns:
        `m:ss` or `h:mm:ss`.
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
