"""Data sets by name, as configurations and command lines give them.

    synthetic:4096?seed=1&versions=2        rendered hands
    freihand:PATH?split=train               FreiHAND, or anything exported in its layout
    youtube:PATH?split=train                YouTube3DHands
    folder:PATH?boxes=FILE                  your own images

After the colon comes a path, or the number of images to render; after the question mark come options joined by
`&`. Chapter 01 opens every data set by its name.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from peclr_utils.datasets.freihand import FreiHAND
from peclr_utils.datasets.image_folder import ImageFolderHands
from peclr_utils.datasets.mixture import EvenMixture
from peclr_utils.datasets.sample import HandDataset
from peclr_utils.datasets.synthetic import SyntheticHands
from peclr_utils.datasets.youtube3d import YouTube3DHands
from peclr_utils.hands.scene import ViewRange

EXAMPLES = (
    "synthetic:4096?seed=1, freihand:PATH?split=train, youtube:PATH?split=train, folder:PATH?boxes=FILE"
)

_OPTIONS = re.compile(r"(.*)\?(\w+=[^&]*(?:&\w+=[^&]*)*)", re.DOTALL)
"""A path and options: what follows the last `?` that is followed by nothing else."""


def _view(text: str) -> ViewRange:
    return ViewRange.anywhere() if text == "anywhere" else ViewRange(*map(float, text.split(",", 1)))


def _versions(text: str) -> int | tuple[int, ...]:
    numbers = tuple(int(number) for number in text.split(","))
    return numbers[0] if len(numbers) == 1 else numbers


KINDS: dict[str, tuple[Callable[..., HandDataset], dict[str, Callable[[str], object]]]] = {
    "synthetic": (
        SyntheticHands,
        {
            "seed": int,
            "size": int,
            "versions": int,
            "view": _view,
            "left_fraction": float,
            "backgrounds": str,
        },
    ),
    "freihand": (FreiHAND, {"split": str, "versions": _versions, "val_fraction": float, "split_seed": int}),
    "youtube": (YouTube3DHands, {"split": str, "regressor": str, "cache": str}),
    "folder": (ImageFolderHands, {"boxes": str}),
}
"""What opens each kind, and the options it takes."""

_PATH_OPTIONS = ("backgrounds", "boxes", "cache", "regressor")


@dataclass(frozen=True)
class Source:
    """One data set by name. `Source.parse(text)` reads it, `str(source)` prints it, `open` opens it.

    Attributes:
        kind: "synthetic", "freihand", "youtube" or "folder".
        path: the data's folder; for "synthetic" the number of images.
        options: by name, as text. `view` is the largest angle between the line of sight and the normal of
            palm or back in degrees, with the largest roll after a comma if it is limited, as in "40,45"; or
            "anywhere". `versions` of FreiHAND is a count or a list such as "1,2,3". The others are arguments
            of the data set's class.

    Raises:
        ValueError: if the kind is unknown, the path is empty, or path or options would be read as something
            else once they are printed: "&" in an option, or a path that ends as options do.
    """

    kind: str
    path: str
    options: dict[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"source {str(self)!r}: unknown kind {self.kind!r}; known are {EXAMPLES}")
        if not self.path:
            raise ValueError(f"source {str(self)!r}: nothing after {self.kind!r}; expected one of {EXAMPLES}")
        if _split(str(self)) != (self.kind, self.path, self.options):
            raise ValueError(
                f"source {str(self)!r}: path {self.path!r} and {self.options} can't be told apart"
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a name such as "synthetic:4096?seed=1".

        Options are what follows the last question mark, if it is `key=value` or several joined by `&`;
        other question marks belong to the path.

        Raises:
            ValueError: if it is no name; lists the known kinds.
        """
        return cls(*_split(text))

    def __str__(self) -> str:
        options = "&".join(f"{key}={value}" for key, value in self.options.items())
        return f"{self.kind}:{self.path}?{options}" if options else f"{self.kind}:{self.path}"

    def replace(self, **options: object) -> Self:
        """Return the source with options set to other values; None removes one."""
        changed = {**self.options, **options}
        kept = {key: str(value) for key, value in changed.items() if value is not None}
        return type(self)(self.kind, self.path, kept)

    def absolute(self) -> Self:
        """Return the source with absolute paths, so that it holds in whatever folder it is opened."""
        path = self.path if self.kind == "synthetic" else str(Path(self.path).expanduser().resolve())
        paths = {key: self.options[key] for key in _PATH_OPTIONS if key in self.options}
        resolved = {key: Path(value).expanduser().resolve() for key, value in paths.items()}
        return type(self)(self.kind, path, self.options).replace(**resolved)

    def open(self) -> HandDataset:
        """Open the data set.

        Raises:
            ValueError: if an option or a value is not understood; lists what is known.
            FileNotFoundError: if the data are not there.
        """
        factory, converters = KINDS[self.kind]
        unknown = [key for key in self.options if key not in converters]
        if unknown:
            known = ", ".join(converters)
            raise ValueError(f"source {str(self)!r}: unknown option {unknown[0]!r}; known are {known}")
        try:
            path = int(self.path) if self.kind == "synthetic" else self.path
            options = {key: converters[key](text) for key, text in self.options.items()}
        except ValueError as error:
            raise ValueError(f"source {str(self)!r}: {error}") from None
        return factory(path, **options)


def _split(text: str) -> tuple[str, str, dict[str, str]]:
    kind, _, rest = text.partition(":")
    found = _OPTIONS.fullmatch(rest)
    if not found:
        return kind, rest, {}
    return kind, found[1], dict(option.split("=", 1) for option in found[2].split("&"))


def open_source(source: str | Source | Sequence[str | Source]) -> HandDataset:
    """Open a data set by its name, or several as an `EvenMixture`.

    Args:
        source: a `Source`, a name such as "synthetic:4096?seed=1", or a sequence of these.

    Returns:
        The data set.

    Raises:
        ValueError: if a name is not understood; lists what is known.
        FileNotFoundError: if the data are not there.
    """
    if isinstance(source, str):
        source = Source.parse(source)
    if isinstance(source, Source):
        return source.open()
    return EvenMixture([open_source(one) for one in source])
