"""Run the chapters in order, and check a reader's answers.

`python -m peclr_utils.course --profile laptop` runs the five notebooks with papermill (`runner`) with the
numbers of a profile (`profiles.toml`). Every chapter's exercises call `peclr_utils.course.exercises.check`.
"""

import os
from pathlib import Path


def find_repository() -> Path:
    """Find the folder that holds `notebooks/`: at or above the current folder, or above this package.

    Raises:
        FileNotFoundError: if there is none.
    """
    for place in (Path.cwd(), Path(__file__).resolve()):
        for folder in (place, *place.parents):
            if (folder / "notebooks" / "01_data_loading.ipynb").is_file():
                return folder
    raise FileNotFoundError(
        f"No notebooks/ at or above {Path.cwd()}: run this inside a clone of the repository."
    )


def base_folder() -> Path:
    """The repository, or the current folder outside a clone."""
    try:
        return find_repository()
    except FileNotFoundError:
        return Path.cwd()


def enter_repository() -> None:
    """Make the repository the current folder, so that every relative path of a chapter starts there.

    JupyterLab starts a kernel in `notebooks/`, papermill in the caller's folder.
    """
    os.chdir(base_folder())


def run_folder(run_dir: str | Path) -> Path:
    """Make a chapter's run folder, and return its absolute path; a relative one starts at the repository."""
    folder = (base_folder() / Path(run_dir).expanduser()).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def short_path(path: str | Path) -> str:
    """A path to print: relative to the repository or the current folder, else its last three parts."""
    full = Path(path).resolve()
    for base in (base_folder(), Path.cwd()):
        if full.is_relative_to(base):
            return full.relative_to(base).as_posix()
    return Path("…", *full.parts[-3:]).as_posix()
