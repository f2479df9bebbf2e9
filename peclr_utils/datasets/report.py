"""What a check of a data folder found, as a value that prints itself, and checks that all data sets share."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from peclr_utils.datasets.images import read_image

_NAMES_SHOWN = 3


@dataclass
class Report:
    """Lines about what is there, and problems, each with what to do about it.

    Attributes:
        title: what was checked.
        found: what is there.
        problems: (what is wrong, what to do).
    """

    title: str
    found: list[str] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems

    def add(self, line: str) -> None:
        """Note what is there."""
        self.found.append(line)

    def problem(self, what: str, remedy: str) -> None:
        """Note what is wrong, and what to do."""
        self.problems.append((what, remedy))

    def __str__(self) -> str:
        lines = [self.title, *(f"  {line}" for line in self.found)]
        for what, remedy in self.problems:
            lines += [f"  PROBLEM: {what}", f"    -> {remedy}"]
        return "\n".join([*lines, "Nothing is wrong." if self.ok else f"{len(self.problems)} problem(s)."])


def some(names: Iterable[str]) -> str:
    """The first few names, for a message."""
    names = list(names)
    return ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")


def spread(count: int, wanted: int | None) -> list[int]:
    """Up to `wanted` positions of `count`, evenly spread and with both ends; None wants all."""
    if wanted is None or wanted >= count:
        return list(range(count))
    return np.unique(np.linspace(0, count - 1, wanted).astype(int)).tolist()


def decode_some(
    report: Report, paths: Sequence[Path], wanted: int | None, what: str
) -> dict[Path, np.ndarray]:
    """Decode some pictures, spread evenly; note how many and their sizes, and those that fail.

    Returns:
        The shape (height, width) of each picture that could be decoded.
    """
    shapes, broken = {}, []
    chosen = [paths[position] for position in spread(len(paths), wanted)]
    for path in chosen:
        try:
            shapes[path] = read_image(path).shape[:2]
        except (OSError, ValueError) as error:
            broken.append(str(error))
    if broken:
        report.problem(
            f"{what}: {len(broken)} of {len(chosen)} decoded pictures are broken: {some(broken)}",
            "copy or unpack these files again; --all finds every broken one",
        )
    sizes = sorted({f"{width} x {height}" for height, width in shapes.values()})
    if sizes:
        report.add(f"{what}: decoded {len(shapes)} of {len(paths)} pictures, {some(sizes)} pixels")
    return shapes
