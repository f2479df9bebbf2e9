"""From a folder to the data sets in it: the rule that every `--data` follows.

data/README.md says where to get FreiHAND and YouTube3DHands, and where they go.
"""

import re
from pathlib import Path

from peclr_utils.datasets.images import find_images, require_folder
from peclr_utils.datasets.source import KINDS, Source

MARKS = {
    "freihand": ("training_K.json", "training/rgb"),
    "youtube": ("youtube_train.json", "youtube_val.json", "youtube_test.json"),
}
"""What tells each data set's folder: any of these in it. An evaluation set alone is not FreiHAND."""


def find_data(text: str | Path | None) -> list[Source]:
    """Turn what a user gives as `--data` into sources with absolute paths.

    Args:
        text: None or "" for none; a folder that is, or holds one level down, FreiHAND or YouTube3DHands or
            both; a folder with images in it or below; or sources such as `freihand:PATH,youtube:PATH`.

    Returns:
        The sources; of a folder FreiHAND comes first.

    Raises:
        FileNotFoundError: if a folder does not exist, or holds nothing that can be read.
        ValueError: if a folder holds a data set twice, or one lies deeper; says what to name instead.
    """
    text = str(text or "")
    if not text:
        return []
    names = re.split(rf",\s*(?=(?:{'|'.join(KINDS)}):)", text)  # not at every comma: ?versions=1,2
    if names[0].partition(":")[0] in KINDS:
        sources = [Source.parse(name.strip()).absolute() for name in names]
        for source in sources:
            if source.kind != "synthetic":
                require_folder(Path(source.path))
        return sources
    folder = Path(text).expanduser().resolve()
    found = _find_sets(folder)
    if found:
        return [Source(kind, str(path)) for kind, path in found.items()]
    deeper = [place for kind in MARKS for place in _places(kind, folder, "**/")]
    if deeper:
        raise ValueError(
            f"{folder}: expected a data set here or one folder down, found {deeper[0]}; name "
            f"{deeper[0].parent}, or folder:{folder} to take all images below without labels"
        )
    find_images(folder)
    return [Source("folder", str(folder))]


def find_set(kind: str, root: str | Path) -> Path:
    """Find "freihand" or "youtube" in its folder, or in the one above; returns its absolute path.

    Raises:
        FileNotFoundError: if it is not there.
        ValueError: if it is there twice.
    """
    found = _find_sets(Path(root).expanduser().resolve())
    if kind not in found:
        expected = f"{kind} ({MARKS[kind][0]}) in it or one folder down"
        raise FileNotFoundError(f"{root}: expected {expected}; data/README.md says where to get it")
    return found[kind]


def _find_sets(folder: Path) -> dict[str, Path]:
    """The folder of each data set that a folder is, or holds one level down."""
    require_folder(folder)
    found = {kind: _places(kind, folder, "", "*/") for kind in MARKS}
    for kind, places in found.items():
        if len(places) > 1:
            raise ValueError(f"{folder}: {kind} is in {places[0]} and in {places[1]}; name one of them")
    return {kind: places[0] for kind, places in found.items() if places}


def _places(kind: str, folder: Path, *levels: str) -> list[Path]:
    """Folders of a data set at these levels below a folder."""
    marks = [(mark, level) for mark in MARKS[kind] for level in levels]
    found = {path.parents[mark.count("/")] for mark, level in marks for path in folder.glob(level + mark)}
    return sorted(found)
