"""Every field of a configuration as an option of a command.

`python -m peclr_utils.training.pretrain --help` shows what this makes.
"""

import argparse
import dataclasses
import inspect
import json
import re
import sys
import typing
from collections.abc import Callable, Sequence
from typing import TypeVar

Settings = TypeVar("Settings")


def field_comments(kind: type) -> dict[str, str]:
    """Read the comment behind or above each field of a dataclass: the one place where a field is explained.

    Args:
        kind: a dataclass; the classes it builds on are read too.

    Returns:
        Field name to comment.
    """
    comments: dict[str, str] = {}
    for part in kind.__mro__:
        if not dataclasses.is_dataclass(part):
            continue
        above = ""
        for line in inspect.getsource(part).splitlines():
            found = re.match(r"    (\w+): [^=]+ = .*?(?:  # (.+))?$", line)
            if found and found[1] in part.__annotations__:
                comments.setdefault(found[1], found[2] or above)
            comment = line.startswith("    # ")
            above = f"{above} {line.strip().removeprefix('# ')}".strip() if comment else ""
    return comments


def _option(kind: object) -> dict:
    """How argparse reads a field of this type."""
    if kind is bool:
        return {"action": argparse.BooleanOptionalAction}
    if kind in (int, float, str):
        return {"type": kind, "metavar": kind.__name__.upper()}
    if typing.get_origin(kind) is tuple:
        return {"type": typing.get_args(kind)[0], "nargs": "*", "metavar": "VALUE"}
    return {"type": _json_object, "metavar": "JSON"}


def _json_object(text: str) -> dict:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"expected JSON such as '{{\"steps\": 100}}', {error}") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"expected a JSON object such as '{{\"steps\": 100}}', found {text}")
    return value


def parse(kind: type[Settings], arguments: Sequence[str] | None, program: str) -> Settings:
    """Read a configuration from the command line.

    Args:
        kind: `PretrainConfig` or another of the `Settings`; class methods such as `laptop` are named
            starting points, and its defaults are the one without.
        arguments: without the program's name; None takes the process's.
        program: how it is called, for the help.

    Returns:
        The starting point with the given fields changed.
    """
    presets = [name for name in ("laptop", "smoke", "paper_rn50", "paper_rn152") if hasattr(kind, name)]
    parser = argparse.ArgumentParser(prog=program, description=f"All settings of {kind.__name__}.")
    if presets:
        parser.add_argument(
            "--preset", choices=presets, default=presets[0], help="starting point (default: %(default)s)"
        )
    parser.add_argument("--config", help="starting point: the config.json of an earlier run, or its results")
    if hasattr(kind, "with_data"):
        parser.add_argument("--data", help="folder that holds FreiHAND and YouTube3DHands: sets the sources")
    hints, comments = typing.get_type_hints(kind), field_comments(kind)
    for field in dataclasses.fields(kind):
        text = comments.get(field.name, "").replace("%", "%%")
        parser.add_argument(
            f"--{field.name}", default=argparse.SUPPRESS, help=text, **_option(hints[field.name])
        )
    values = vars(parser.parse_args(arguments))
    path, preset = values.pop("config"), values.pop("preset", None)
    make = getattr(kind, preset) if preset else kind
    start = kind.load(path) if path else make()
    if hasattr(kind, "with_data") and (data := values.pop("data")):
        start = start.with_data(data)
    return start.replace(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


def run_command_line(
    kind: type[Settings],
    run: Callable[[Settings], object],
    program: str,
    show: Callable[[object], str] = str,
    arguments: Sequence[str] | None = None,
) -> int:
    """Run a training from the command line; errors in settings are one line, not a traceback.

    Returns:
        The process's exit code: 0, 2 for a wrong setting or a file that is missing or can't be
            written, 130 after Ctrl-C.
    """
    from peclr_utils.training.distributed import processes_started
    from peclr_utils.training.optimisation import NonFiniteLossError

    try:
        result = run(parse(kind, arguments, program))
    except KeyboardInterrupt as stop:
        print(f"\n{stop}" if str(stop) else "\nstopped", file=sys.stderr)
        return 130
    except (ValueError, OSError, NonFiniteLossError) as error:
        # Notes say what was kept, such as crops that need not be made again.
        print(f"{program}: {error}", *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)
        return 2
    if processes_started().first:
        print(show(result))
    return 0
