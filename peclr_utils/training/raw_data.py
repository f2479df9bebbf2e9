"""FreiHAND and YouTube3DHands in the folder they were unpacked into.

data/README.md says where to get them; the command lines look for them with `--data`.
"""

from pathlib import Path

KINDS = {"freihand": "training_K.json", "youtube": "youtube_train.json"}
"""Each data set's kind, as `datasets.open_source` calls it, and a file that tells its folder."""


def find_sets(root: str | Path) -> dict[str, Path]:
    """Find the data sets that a folder is, or holds.

    Args:
        root: FreiHAND's or YouTube3DHands' own folder, or the one above them.

    Returns:
        Kind to absolute path, FreiHAND first; at least one.

    Raises:
        FileNotFoundError: if there is no such folder, or neither data set in it.
        ValueError: if it holds one of them twice.
    """
    folder = Path(root).expanduser().resolve()
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: there is no such folder")
    places = [folder, *sorted(child for child in folder.iterdir() if child.is_dir())]
    found: dict[str, Path] = {}
    for kind, file in KINDS.items():
        here = [place for place in places if (place / file).is_file()]
        if len(here) > 1:
            raise ValueError(f"{folder}: {kind} is there twice, in {here[0]} and {here[1]}; name one of them")
        if here:
            found[kind] = here[0]
    if not found:
        wanted = " or ".join(f"{file} ({kind})" for kind, file in KINDS.items())
        raise FileNotFoundError(
            f"{folder}: expected {wanted} here or one folder down, found neither; data/README.md says where "
            "to get them"
        )
    return found


def find_set(kind: str, root: str | Path) -> Path:
    """Find one data set; see `find_sets`.

    Args:
        kind: one of `KINDS`.
        root: its folder, or the one above.

    Returns:
        Its absolute path.

    Raises:
        FileNotFoundError: if it is not there.
    """
    found = find_sets(root)
    if kind not in found:
        raise FileNotFoundError(f"{root}: expected {kind} ({KINDS[kind]}), found only {', '.join(found)}")
    return found[kind]
