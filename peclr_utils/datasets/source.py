"""Data sets by name, as configurations and command lines give them, and the rule that every `--data` follows.

    synthetic:4096?seed=1&versions=2        rendered hands: how many images
    freihand:PATH?split=train               FreiHAND, or anything exported in its layout
    youtube:PATH?split=train                YouTube3DHands
    folder:PATH?boxes=FILE                  your own images
    coco:PATH?labels=FILE                   images with 2D keypoints in COCO's format

Chapter 01 opens every data set by its name. data/README.md says where to get them, and where they go.
"""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from peclr_utils.datasets.coco import CocoHands
from peclr_utils.datasets.freihand import FreiHAND
from peclr_utils.datasets.image_folder import ImageFolderHands
from peclr_utils.datasets.images import find_images, require_folder
from peclr_utils.datasets.sample import EvenMixture, HandDataset
from peclr_utils.datasets.synthetic import SyntheticHands
from peclr_utils.datasets.youtube3d import YouTube3DHands
from peclr_utils.hands.scene import ViewRange

KINDS: dict[str, tuple[Callable[..., HandDataset], tuple[str, ...]]] = {
    "synthetic": (
        SyntheticHands,
        ("seed", "size", "border", "versions", "view", "left_fraction", "counting", "backgrounds"),
    ),
    "freihand": (FreiHAND, ("split", "versions", "val_fraction", "split_seed")),
    "youtube": (YouTube3DHands, ("split", "regressor", "cache")),
    "folder": (ImageFolderHands, ("boxes", "disc")),
    "coco": (CocoHands, ("labels",)),
}
"""What opens each kind, and the options it takes."""

MARKS = {
    "freihand": ("training_K.json", "training/rgb"),
    "youtube": ("youtube_train.json", "youtube_val.json", "youtube_test.json"),
}
"""What identifies each data set's folder: any of these in it. An evaluation set alone is not FreiHAND."""

_EXAMPLES = (
    "synthetic:4096?seed=1, freihand:PATH?split=train, youtube:PATH, folder:PATH?boxes=FILE, "
    "coco:PATH?labels=FILE"
)
_OPTIONS = re.compile(r"(.*)\?(\w+=[^&]*(?:&\w+=[^&]*)*)", re.DOTALL)
_PATHS = ("backgrounds", "cache", "regressor")


@dataclass(frozen=True)
class Source:
    """One data set by name: `Source.parse(text)` reads it, `str(source)` prints it, `open` opens it.

    Options are what follows the last question mark, if it is `key=value` or several joined by `&`; other
    question marks belong to the path, and so does all of it if there is such a file or folder.

    Attributes:
        kind: "synthetic", "freihand", "youtube", "folder" or "coco".
        path: the data's folder; for "synthetic" the number of images.
        options: arguments of the data set's class, as text. `view` is "anywhere", or the degrees of
            `ViewRange`: "40", or with the roll "40,45". FreiHAND's `versions` is a count or a list: "1,2,3".

    Raises:
        ValueError: if the kind is unknown, the path is empty, or the printed name would read differently.
    """

    kind: str
    path: str
    options: dict[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS or not self.path:
            raise ValueError(f"source {str(self)!r}: expected a known kind and a path, such as {_EXAMPLES}")
        if _split(str(self)) != (self.kind, self.path, self.options):
            raise ValueError(f"source {str(self)!r}: {self.path!r} and {self.options} can't be told apart")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a name such as "synthetic:4096?seed=1"."""
        return cls(*_split(text))

    def __str__(self) -> str:
        options = "&".join(f"{key}={value}" for key, value in self.options.items())
        return f"{self.kind}:{self.path}{'?' if options else ''}{options}"

    def replace(self, **options: object) -> Self:
        """Return the source with options set to other values; None removes one."""
        changed = {**self.options, **options}
        kept = {key: str(value) for key, value in changed.items() if value is not None}
        return type(self)(self.kind, self.path, kept)

    def absolute(self) -> Self:
        """Return the source with absolute paths, so that it can be opened from any folder."""
        path = self.path if self.kind == "synthetic" else _absolute(self.path)
        found = {key: _absolute(text) for key, text in self.options.items() if key in _PATHS}
        for key in ("boxes", "labels"):
            # A name in the folder stays one; a path from the working folder becomes absolute.
            text = self.options.get(key, "")
            if Path(text).is_file() and not Path(path, text).is_file():
                found[key] = _absolute(text)
        return type(self)(self.kind, path, {**self.options, **found})

    def open(self) -> HandDataset:
        """Open the data set; errors as in `open_source`."""
        factory, known = KINDS[self.kind]
        unknown = [key for key in self.options if key not in known]
        if unknown:
            raise ValueError(f"source {str(self)!r}: unknown option {unknown[0]!r}, known: {known}")
        try:
            path = int(self.path) if self.kind == "synthetic" else self.path
            options = {key: _value(key, text) for key, text in self.options.items()}
        except ValueError as error:
            raise ValueError(f"source {str(self)!r}: {error}") from None
        return factory(path, **options)


def _split(text: str) -> tuple[str, str, dict[str, str]]:
    kind, _, rest = text.partition(":")
    found = _OPTIONS.fullmatch(rest)
    if not found or os.path.exists(os.path.expanduser(rest)):
        return kind, rest, {}
    return kind, found[1], dict(option.split("=", 1) for option in found[2].split("&"))


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().resolve())


def _value(key: str, text: str) -> object:
    """Turn an option's text into the argument it stands for."""
    if key in ("seed", "size", "split_seed"):
        return int(text)
    if key == "disc":
        return bool(int(text))
    if key in ("left_fraction", "counting", "val_fraction", "border"):
        return float(text)
    if key == "versions":
        numbers = tuple(map(int, text.split(",")))
        return numbers[0] if len(numbers) == 1 else numbers
    if key == "view":
        return ViewRange.anywhere() if text == "anywhere" else ViewRange(*map(float, text.split(",", 1)))
    return text


def open_source(source: str | Source | Sequence[str | Source]) -> HandDataset:
    """Open a data set by its name, or several as an `EvenMixture`.

    Raises:
        ValueError: if a name is not understood; lists what is known.
        FileNotFoundError: if the data are not there.
    """
    if isinstance(source, str):
        source = Source.parse(source)
    if isinstance(source, Source):
        return source.open()
    return EvenMixture([open_source(one) for one in source])


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
    if found := _find_sets(folder):
        return [Source(kind, str(path)) for kind, path in found.items()]
    if above := [kind for kind, path in _find_sets(folder.parent).items() if path == folder.parent]:
        raise ValueError(f"{folder}: is a part of {above[0]} in {folder.parent}; name that folder")
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

    FileNotFoundError if it is not there, ValueError if it is there twice.
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
