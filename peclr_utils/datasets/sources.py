"""Data sets by name, as configurations and command lines give them.

    synthetic:4096?seed=1&versions=2        rendered hands
    freihand:PATH?split=train               FreiHAND, or anything exported in its layout
    youtube:PATH?split=train                YouTube3DHands
    folder:PATH?boxes=FILE                  your own pictures

What comes before the question mark is a number of pictures or a path, what comes after it are options joined
by `&`. Chapter 01 opens every data set by its name.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from peclr_utils.datasets.freihand import FreiHAND
from peclr_utils.datasets.image_folder import ImageFolderHands
from peclr_utils.datasets.mixture import EvenMixture
from peclr_utils.datasets.sample import HandDataset
from peclr_utils.datasets.synthetic import SyntheticHands
from peclr_utils.datasets.youtube3d import YouTube3DHands
from peclr_utils.hands.scene import ViewRange


def _view(text: str) -> ViewRange:
    if text == "anywhere":
        return ViewRange.anywhere()
    angle, comma, roll = text.partition(",")
    return ViewRange(float(angle), float(roll)) if comma else ViewRange(float(angle))


def _versions(text: str) -> int | tuple[int, ...]:
    numbers = tuple(int(number) for number in text.split(","))
    return numbers[0] if len(numbers) == 1 else numbers


@dataclass(frozen=True)
class _Kind:
    open: Callable[..., HandDataset]
    first: Callable[[str], object]
    options: dict[str, Callable[[str], object]]
    example: str


KINDS: dict[str, _Kind] = {
    "synthetic": _Kind(
        SyntheticHands,
        int,
        {
            "seed": int,
            "size": int,
            "versions": int,
            "view": _view,
            "left_fraction": float,
            "backgrounds": str,
        },
        "synthetic:4096?seed=1&versions=2",
    ),
    "freihand": _Kind(
        FreiHAND,
        str,
        {"split": str, "versions": _versions, "val_fraction": float, "split_seed": int, "cache": str},
        "freihand:PATH?split=train",
    ),
    "youtube": _Kind(
        YouTube3DHands,
        str,
        {"split": str, "regressor": str, "cache": str},
        "youtube:PATH?split=train",
    ),
    "folder": _Kind(ImageFolderHands, str, {"boxes": str}, "folder:PATH?boxes=FILE"),
}


def open_source(source: str | Sequence[str]) -> HandDataset:
    """Open a data set by its name, or several as an `EvenMixture`.

    `view` is the largest angle between the line of sight and the normal of palm or back in degrees, with the
    largest roll after a comma if it is limited, as in view=40,45; or "anywhere". `versions` of FreiHAND is a
    count or a list such as 1,2,3. The other options are arguments of the class.

    Args:
        source: a name such as "synthetic:4096?seed=1", or a list of names.

    Returns:
        The data set.

    Raises:
        ValueError: if it is no name, or the kind, an option or a value is not understood; lists what is
            known.
        FileNotFoundError: if the data are not there.
    """
    if not isinstance(source, str):
        if not isinstance(source, Iterable):
            raise ValueError(
                f"open_source: source must be a name, such as {_examples()}, or a list of names, "
                f"found {source!r}"
            )
        return EvenMixture([open_source(one) for one in source])
    name, _, rest = source.partition(":")
    if name not in KINDS:
        raise ValueError(f"source {source!r}: unknown kind {name!r}; known are {_examples()}")
    kind = KINDS[name]
    first, _, query = rest.rpartition("?") if "?" in rest else (rest, "", "")
    if not first:
        raise ValueError(f"source {source!r}: nothing after '{name}:'; expected for example {kind.example}")
    options = [_option(source, kind, option) for option in query.split("&") if option]
    return kind.open(_convert(source, name, kind.first, first), **dict(options))


def _option(source: str, kind: _Kind, option: str) -> tuple[str, object]:
    key, equals, value = option.partition("=")
    if key not in kind.options or not equals:
        known = ", ".join(f"{known}=..." for known in kind.options)
        raise ValueError(f"source {source!r}: option {option!r} not understood; known are {known}")
    return key, _convert(source, key, kind.options[key], value)


def _convert(source: str, what: str, convert: Callable[[str], object], text: str) -> object:
    try:
        return convert(text)
    except ValueError as error:
        raise ValueError(f"source {source!r}: {what} can't be {text!r} ({error})") from None


def _examples() -> str:
    return ", ".join(kind.example for kind in KINDS.values())
