"""Run the five chapters and the appendices in order, and report.

    python -m peclr_utils.course --profile laptop

A run folder holds the executed chapters (`.ipynb` and `.html`), the files that the chapters save for each
other, chapter 05's result table (`results.md`, `results.json`), and `course.json`: the seconds and the
parameters of each finished chapter.
"""

import itertools
import json
import time
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from peclr_utils.datasets import find_data
from peclr_utils.files import write_json

from . import find_repository
from .execution import execute_chapter, export_html

STATE = "course.json"

CHAPTERS: tuple[str, ...] = (
    "01_data_loading",
    "02_equivariant_augmentation",
    "03_contrastive_pretraining",
    "04_finetuning",
    "05_evaluation",
)
APPENDICES = ("A1_data_formats", "A2_two_backends_and_the_authors_slips", "A3_large_batches")

PROFILES: dict[str, Any] = tomllib.loads(
    Path(__file__).with_name("profiles.toml").read_text(encoding="utf-8")
)
PROFILES["paper_rn152"] = {
    chapter: {**numbers, "arch": "resnet152"} if "arch" in numbers else numbers
    for chapter, numbers in PROFILES["paper"].items()
}
_LONG = {"unlabelled_images": 12_288, "methods": ["simclr_no_rotation", "peclr"], "epochs": 12}
_LONG |= {"batch_size": 128, "rotation_degrees": 180.0}
PROFILES["night"] = {  # the laptop's, but it trains the encoders itself for which the laptop's has no time
    chapter: {**numbers, **({"long_encoders": False} if "long_encoders" in numbers else {})}
    for chapter, numbers in PROFILES["laptop"].items()
}
PROFILES["night"]["03_contrastive_pretraining"] |= _LONG

NEEDS_DATA = ("paper", "paper_rn152")  # they make no sense on rendered hands


# What `estimate` adds up by chapter: seconds on any machine; and what takes longer on a slower one, such as
# small networks and features, in images that could be trained meanwhile. `course.json` has measured seconds.
FIXED = dict(zip(CHAPTERS, ((15, 0), (18, 0), (25, 9_000), (15, 0), (25, 2_000)), strict=True))
FIXED |= dict.fromkeys(APPENDICES, (30, 0))
FROZEN = 1 / 3  # an image in fine-tuning with a frozen encoder, which has no backward pass, over one trained


def select_chapters(text: str = "", appendices: bool = False) -> tuple[str, ...]:
    """Choose chapters and appendices by number, such as "1,3", "3-5" or "A1"; "" means all chapters.

    `appendices` adds all appendices.

    Raises:
        ValueError: if the text is none of these, or there is no such chapter.
    """
    known = CHAPTERS + APPENDICES
    labels = [name.partition("_")[0].lstrip("0") for name in known]
    chosen = set(APPENDICES) if appendices else set()
    for part in (text or f"1-{len(CHAPTERS)}").upper().split(","):
        first, _, last = part.partition("-")
        ends = [label.strip().lstrip("0") for label in (first, last or first)]
        start, end = map(labels.index, ends) if set(ends) <= set(labels) else (0, -1)
        if start > end:
            raise ValueError(f"--chapters {text!r}: expected some of {', '.join(labels)}, such as 1,3-5.")
        chosen |= set(known[start : end + 1])
    return tuple(name for name in known if name in chosen)


def run_course(
    profile: str = "laptop",
    data: str = "",
    output: Path | None = None,
    chapters: Sequence[str] = CHAPTERS,
    resume: bool = False,
) -> Path:
    """Execute chapters in order by papermill, export each to HTML, and return the run folder.

    Args:
        profile: one of `PROFILES`.
        data: photographs, see `datasets.find_data`; "" for rendered hands.
        output: the run folder; None for `runs/<profile>` in the repository.
        chapters: some of `CHAPTERS` and `APPENDICES`, in order.
        resume: skip the first chapters if this folder has them, finished with the same parameters.

    Raises:
        ChapterError: if a chapter failed; its outputs and the chapters before it are kept.
        ValueError, FileNotFoundError: if an argument is wrong or something is missing; nothing ran.
    """
    if profile in NEEDS_DATA and not data:
        raise ValueError(f"Profile {profile!r} needs photographs, --data (make: DATA=...): data/README.md")
    notebooks = find_repository() / "notebooks"
    folder = (output or notebooks.parent / "runs" / profile).resolve()
    given = {"run_dir": str(folder), "data": list(map(str, find_data(data)))}
    plan = {name: _parameters(notebooks / f"{name}.ipynb", profile, given) for name in chapters}
    folder.mkdir(parents=True, exist_ok=True)
    finished = _finished(folder)
    if resume:
        done = {name: run["parameters"] for name, run in finished.items()}
        plan = dict(itertools.dropwhile(lambda item: done.get(item[0]) == item[1], plan.items()))
    for name in set(chapters) - set(plan):
        export_html(folder / f"{name}.ipynb", chapters)  # its links now have more pages to lead to
    if text := estimate(plan):
        print(text, flush=True)
    for name, parameters in plan.items():
        # The later chapters used what this one made last time.
        finished = {earlier: run for earlier, run in finished.items() if earlier < name}
        write_json(folder / STATE, list(finished.values()))
        start = time.perf_counter()
        executed = folder / f"{name}.ipynb"
        execute_chapter(notebooks / executed.name, executed, parameters, notebooks.parent)
        export_html(executed, chapters)
        seconds = time.perf_counter() - start
        finished[name] = {"chapter": name, "seconds": seconds, "parameters": parameters}
        write_json(folder / STATE, list(finished.values()))
    return folder


def estimate(plan: Mapping[str, Mapping[str, Any]]) -> str:
    """Measure this machine, and say how long chapters with these parameters will take.

    "" without training, on a GPU, and for networks other than the one that is measured.
    """
    from peclr_utils.training.device import choose_device, images_per_second  # takes seconds to import

    sizes = {(numbers["arch"], numbers["image_size"]) for numbers in plan.values() if "arch" in numbers}
    if sizes != {("resnet18", 64)} or choose_device().type != "cpu":
        return ""
    seconds, images = (sum(amounts) for amounts in zip(*(FIXED[name] for name in plan), strict=True))
    if numbers := plan.get(CHAPTERS[2]):
        images += 2 * len(numbers["methods"]) * numbers["epochs"] * numbers["unlabelled_images"]  # two views
    if numbers := plan.get(CHAPTERS[3]):
        other = FROZEN if numbers["freeze_encoder"] else 1
        runs = sum(1 if method == "scratch" else other for method in numbers["methods"])
        images += runs * len(numbers["label_counts"]) * numbers["steps"] * numbers["batch_size"]
    rate, what = images_per_second(), "the course" if {*CHAPTERS} <= {*plan} else "these chapters"
    minutes = max(1, round((seconds + images / rate) / 60))
    return f"This machine trains {rate:.0f} images/s: about {minutes} minute{'s' * (minutes > 1)} for {what}."


def report(folder: Path) -> str:
    """Sum up a run folder: the result table if chapter 05 is finished, and how long each chapter took."""
    finished, lines = _finished(folder), []
    if CHAPTERS[-1] in finished:
        lines = [(folder / "results.md").read_text(encoding="utf-8")]
    lines.append(f"The executed chapters, as notebooks and as web pages, are in {folder}:")
    times = {f"{name}.html": run["seconds"] for name, run in finished.items()}
    for name, seconds in {**times, "all": sum(times.values())}.items():
        lines.append(f"  {name:<42} {seconds // 60:3.0f} min {seconds % 60:2.0f} s")
    return "\n".join(lines)


def _finished(folder: Path) -> dict[str, dict[str, Any]]:
    """Seconds and parameters of each finished chapter."""
    state = folder / STATE
    if not state.is_file():
        return {}
    return {run["chapter"]: run for run in json.loads(state.read_text(encoding="utf-8"))}


def _parameters(notebook: Path, profile: str, given: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a chapter, checked because papermill accepts a misspelt name."""
    import papermill

    numbers, known = PROFILES[profile][notebook.stem], papermill.inspect_notebook(notebook)
    if unknown := set(numbers) - set(known):
        raise ValueError(f"{notebook}: its cell tagged 'parameters' has no {unknown}, only {set(known)}")
    return {**numbers, **{name: value for name, value in given.items() if name in known}}
