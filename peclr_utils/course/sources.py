"""From the path given as `--data` to the names of the data sets in it.

Chapter 01 shows each data set; the names made here are what `peclr_utils.datasets.open_source` takes.
"""

import os
import re
from pathlib import Path, PurePosixPath

from peclr_utils.datasets.image_folder import find_pictures

KINDS = ("freihand", "youtube", "folder", "synthetic")
PATH_OPTIONS = ("boxes", "regressor", "cache", "backgrounds")


def resolve_data(text: str | None) -> list[str]:
    """Turn what a user writes after `--data` into source names with absolute paths.

    Args:
        text: None or "" for rendered hands alone; a folder that is, or holds, FreiHAND and YouTube3DHands;
            a folder of pictures, in it or below; or source names such as `freihand:/data/FreiHAND`, joined
            by commas.

    Returns:
        Source names, for example `["freihand:/data/FreiHAND", "youtube:/data/YouTube3DHands"]`.

    Raises:
        FileNotFoundError: A path does not exist.
        ValueError: A folder holds nothing this course can read, or a data set too far down.
    """
    if not text:
        return []
    names = re.split(rf",\s*(?=(?:{'|'.join(KINDS)}):)", text)  # not at every comma: ?versions=1,2
    if names[0].partition(":")[0] in KINDS:
        return [_absolute(name) for name in names]
    return _look_into(_existing(text))


def _absolute(name: str) -> str:
    """The source name with its paths made absolute, so that it holds in whatever folder a chapter runs."""
    kind, _, rest = name.strip().partition(":")
    first, mark, options = rest.partition("?")
    if kind != "synthetic":
        first = str(_existing(first))
    pairs = [option.partition("=") for option in options.split("&")] if mark else []
    options = "&".join(
        f"{key}{equals}{Path(value).expanduser().resolve() if key in PATH_OPTIONS else value}"
        for key, equals, value in pairs
    )
    return f"{kind}:{first}{mark}{options}"


def _existing(text: str) -> Path:
    path = Path(text).expanduser().resolve()
    if not path.is_dir():
        raise FileNotFoundError(f"--data: there is no folder {path}.")
    return path


def _look_into(folder: Path) -> list[str]:
    """The data sets that are this folder or lie directly in it."""
    own = _kind(folder)
    if own:
        return [f"{own}:{folder}"]
    inside = sorted(child for child in folder.iterdir() if child.is_dir())
    found = [f"{kind}:{child}" for child in inside if (kind := _kind(child))]
    if found:
        return found
    try:
        pictures = find_pictures(folder)
    except FileNotFoundError:
        raise ValueError(
            f"--data {folder}: found neither FreiHAND (training/rgb, training_K.json) nor YouTube3DHands "
            f"(youtube_train.json), here or one folder down, and no pictures. See data/README.md."
        ) from None
    deeper = _data_sets_of(folder, pictures)
    if deeper:
        raise ValueError(
            f"--data {folder}: expected a data set here or one folder down, found {deeper[0]} deeper; "
            f"name {deeper[0].parent}, or folder:{folder} to take all pictures below without labels."
        )
    return [f"folder:{folder}"]


def _data_sets_of(folder: Path, pictures: list[str]) -> list[Path]:
    """The data sets in a folder that hold some of its pictures: as mere pictures they'd lose their labels."""
    holders = {PurePosixPath(name) for name in {os.path.dirname(picture) for picture in pictures}}
    above = {folder / parent for holder in holders for parent in (holder, *holder.parents)}
    return sorted(place for place in above if _kind(place))


def _kind(folder: Path) -> str | None:
    if (folder / "training" / "rgb").is_dir() or (folder / "training_K.json").is_file():
        return "freihand"
    if any(folder.glob("youtube_*.json")):
        return "youtube"
    return None
