"""What all configurations and commands share.

Checks of the fields, JSON, a command line made from the fields and their comments, and how a command ends.
"""

import argparse
import dataclasses
import json
import math
import sys
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import tyro

_LEAST = {
    -1: "workers",
    0: "seed labels warmup_epochs warmup_steps weight_decay max_steps time_limit_minutes save_every_minutes "
    "rotation_degrees weight_2d weight_relative_depth weight_root_depth weight_presence",
    1: "epochs steps accumulate log_every save_every_epochs save_every_steps projector_hidden",
    2: "batch_size",  # batch norm has no variance in a batch of one
    32: "image_size",
}
AT_LEAST = {name: least for least, names in _LEAST.items() for name in names.split()}
"""Smallest value of each number, by field name."""

PRESETS = ("laptop", "night", "smoke", "paper_rn50", "paper_rn152", "authors_rn50")
"""Class methods that the command line knows as starting points."""

POSITIVE = frozenset("learning_rate encoder_learning_rate temperature view_factor projection_size".split())


def _json_object(arguments: Sequence[str]) -> dict[str, Any]:
    try:
        value = json.loads(arguments[0])
    except json.JSONDecodeError as error:
        raise ValueError(f'expected JSON such as {{"steps": 100}}, {error}') from None
    if not isinstance(value, dict):
        raise ValueError(f'expected a JSON object such as {{"steps": 100}}, found {arguments[0]}')
    return value


JSON = Annotated[
    dict[str, Any],
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="JSON",
        instance_from_str=_json_object,
        is_instance=lambda value: isinstance(value, dict),
        str_from_instance=lambda value: [json.dumps(value)],
    ),
]
"""Type of a field that holds further settings by name; on the command line a JSON object."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Base of the frozen dataclasses of plain values that configure a run."""

    def validate(self) -> None:
        """Check each field's type, choices and smallest value.

        Raises:
            ValueError: names the first wrong field, what was expected and what was found.
        """
        for name, kind in typing.get_type_hints(type(self)).items():
            value = getattr(self, name)
            self._require(_fits(value, kind), name, _describe(kind))
            if name in AT_LEAST and not isinstance(value, tuple):
                self._require(value >= AT_LEAST[name], name, f"at least {AT_LEAST[name]}")
            if name in POSITIVE:
                self._require(value > 0, name, "a positive number")

    def _require(self, fine: bool, name: str, expected: str) -> None:
        if not fine:
            found = getattr(self, name)
            raise ValueError(f"{type(self).__name__}.{name}: expected {expected}, found {found!r}")

    def plain(self) -> dict[str, Any]:
        """Return the fields as JSON knows them: tuples become lists, nested ones too."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    def to_json(self) -> str:
        """Write as JSON, one field per line."""
        return json.dumps(dataclasses.asdict(self), indent=1)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a JSON file: the `config.json` of an earlier run, or results with the settings under "config".

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is not a JSON object, or names fields that do not exist.
        """
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}: expected JSON, {error}") from None
        if not isinstance(values, dict):
            raise ValueError(f"{path}: expected a JSON object of the fields of {cls.__name__}")
        config = values.get("config")
        return cls().replace(**(config if isinstance(config, dict) else values))

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed; a list for a field of tuples becomes a tuple.

        Raises:
            ValueError: names the fields that do not exist.
        """
        hints = typing.get_type_hints(type(self))
        if unknown := sorted(set(changes) - set(hints)):
            raise ValueError(
                f"{type(self).__name__} has no field {', '.join(unknown)}; it has {', '.join(hints)}"
            )
        changes = {
            name: tuple(value)
            if isinstance(value, list) and typing.get_origin(hints[name]) is tuple
            else value
            for name, value in changes.items()
        }
        return dataclasses.replace(self, **changes)


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value has a field's type; True is not a number, nor are infinity and NaN."""
    arguments = typing.get_args(kind)
    match typing.get_origin(kind):
        case typing.Literal:
            return value in arguments
        case origin if origin is tuple:
            return isinstance(value, tuple) and all(_fits(one, arguments[0]) for one in value)
        case origin if origin is dict:
            return isinstance(value, dict)
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _describe(kind: Any) -> str:
    """A field's type in words."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return "one of " + ", ".join(map(repr, arguments))
    if origin is tuple:
        # A lone string is a sequence of letters: the most common mistake.
        items = {str: 'strings such as ("a",)', int: "whole numbers such as (1, 2)"}
        return "a tuple of " + items.get(arguments[0], f"any of {typing.get_args(arguments[0])}")
    names = {bool: "True or False", str: "a string", int: "a whole number", float: "a finite number"}
    return names.get(kind, 'a dict of settings such as {"batch_size": 64}')


class NonFiniteLossError(FloatingPointError):
    """The loss became NaN or infinite; the last checkpoint on disk is still good."""


Config = TypeVar("Config", bound=Settings)


def parse(kind: type[Config], arguments: Sequence[str] | None, program: str) -> Config:
    """Read a configuration from the command line.

    Args:
        kind: one of the `Settings`; class methods such as `laptop` are presets to start from.
        arguments: without the program's name; None takes the process's.
        program: how it is called, for the help.

    Returns:
        The starting point with the given fields changed.
    """
    presets = [name for name in PRESETS if hasattr(kind, name)]
    first = next((name for name in presets if name != "smoke"), "none")
    starts = argparse.ArgumentParser(program, add_help=False, allow_abbrev=False)
    starts.add_argument("--preset", choices=presets, default=first)
    starts.add_argument("--config")
    text = [f"All settings of {kind.__name__}. Further options choose the starting point:"]
    text += [f"--preset {{{','.join(presets)}}} (default: {first})"] if presets else []
    text += ["--config FILE: the config.json of an earlier run, or its results"]
    if hasattr(kind, "with_data"):
        starts.add_argument("--data")
        text += ["--data PATH: a folder with FreiHAND, YouTube3DHands or your images; sets the sources"]
    options, rest = starts.parse_known_args(arguments)
    start = kind() if options.preset == "none" else getattr(kind, options.preset)()
    start = kind.load(options.config) if options.config else start
    start = start.with_data(options.data) if getattr(options, "data", None) else start
    text = "\n".join(text)
    return tyro.cli(kind, prog=program, description=text, default=start, args=rest, use_underscores=True)


def run_command_line(
    kind: type[Config],
    run: Callable[[Config], Any],
    program: str,
    show: Callable[[Any], str] = str,
    arguments: Sequence[str] | None = None,
) -> int:
    """Run a training from the command line; an error in the settings is one line, not a traceback.

    Returns:
        Exit code: 0, 2 for a wrong setting or a file that is missing or can't be written, 130 after Ctrl-C.
    """
    try:
        result = run(parse(kind, arguments, program))
    except KeyboardInterrupt as stop:
        print(f"\n{stop}" if str(stop) else "\nstopped", file=sys.stderr)
        return 130
    except (ValueError, OSError, NonFiniteLossError) as error:
        # Notes say what was kept, such as crops that need not be made again.
        print(f"{program}: {error}", *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)
        return 2
    if text := show(result):
        print(text)
    return 0


def run_and_exit(main: Callable[[], int]) -> None:
    """Run a command and exit with its code; what stdout can't encode, such as "±" in ASCII, becomes "?"."""
    sys.stdout.reconfigure(errors="replace")  # stderr prints escapes by itself
    sys.exit(main())
