"""What all configurations share: checks by type, JSON, and the command line."""

import dataclasses
import json
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Literal

import pytest

from peclr_utils.settings import JSON, NonFiniteLossError, Settings, parse, run_command_line


@dataclass(frozen=True, kw_only=True)
class Small(Settings):
    """One field of each kind."""

    output: str = "there"  # Where it goes.
    steps: int = 3  # How many of them.
    seed: int = 0
    temperature: float = 0.5
    resume: bool = True
    # What it does,
    # in two lines.
    method: Literal["peclr", "simclr"] = "peclr"
    sources: tuple[str, ...] = ()
    labels: tuple[int, ...] = (32,)
    augmentation: JSON = field(default_factory=dict)

    @classmethod
    def laptop(cls) -> "Small":
        return cls(steps=7)

    @classmethod
    def smoke(cls) -> "Small":
        return cls(steps=2)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("method", "byol", "one of 'peclr', 'simclr', found 'byol'"),
        ("steps", 0, "at least 1, found 0"),
        ("seed", True, "a whole number, found True"),
        ("temperature", float("nan"), "a finite number"),
        ("resume", 1, "True or False, found 1"),
        ("output", None, "a string, found None"),
        ("sources", "synthetic:64", "a tuple of strings"),
        ("labels", (1.5,), "a tuple of whole numbers"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected_and_found(name, value, expected):
    with pytest.raises(ValueError, match=rf"Small\.{name}: expected {expected}"):
        Small(**{name: value}).validate()


def test_an_unknown_field_is_named_with_those_there_are():
    with pytest.raises(ValueError, match="Small has no field step; its fields are .*steps"):
        Small().replace(step=3)


def test_json_round_trip_brings_tuples_back(tmp_path):
    config = Small(sources=("a", "b"), labels=(1, 2), augmentation={"scale": [0.5, 2.0]})
    file = tmp_path / "config.json"
    file.write_text(config.to_json())
    assert Small.load(file) == config
    file.write_text(json.dumps({"loss": 0.3, "config": config.plain()}))  # results with their settings
    assert Small.load(file) == config


@pytest.mark.parametrize(("text", "expected"), [("3", "expected a JSON object"), ("{", "expected JSON")])
def test_other_files_are_refused_by_name(text, expected, tmp_path):
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(ValueError, match=f"bad.json: {expected}"):
        Small.load(tmp_path / "bad.json")


def test_every_field_is_an_option():
    arguments = [
        *("--output", "x", "--steps", "9", "--temperature", "2", "--no-resume", "--method", "simclr"),
        *("--sources", "a", "b", "--labels", "4", "8", "--augmentation", '{"scale": [0.5, 1.5]}'),
    ]
    expected = Small(
        output="x", steps=9, temperature=2.0, resume=False, method="simclr", sources=("a", "b"),
        labels=(4, 8), augmentation={"scale": [0.5, 1.5]},
    )  # fmt: skip
    assert parse(Small, arguments, "small") == expected


def test_presets_and_files_are_starting_points(tmp_path):
    file = tmp_path / "config.json"
    file.write_text(Small(steps=5, sources=("a",)).to_json())
    assert parse(Small, [], "small") == Small.laptop()
    assert parse(Small, ["--preset", "smoke", "--seed", "2"], "small") == Small(steps=2, seed=2)
    assert parse(Small, ["--config", str(file), "--seed", "2"], "small") == Small(
        steps=5, sources=("a",), seed=2
    )


def test_help_shows_presets_and_every_field_with_its_comment(capsys):
    with pytest.raises(SystemExit) as stop:
        parse(Small, ["--help"], "small")
    assert stop.value.code == 0
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "{laptop,smoke}" in text and "--config FILE" in text
    assert all(f"--{field.name}" in text for field in dataclasses.fields(Small) if field.name != "resume")
    assert "Where it goes." in text and "What it does, in two lines." in text


def test_the_command_line_works_from_compiled_files_alone(tmp_path):
    (tmp_path / "plain.py").write_text(
        "from dataclasses import dataclass\n"
        "from peclr_utils.settings import Settings, run_command_line\n"
        "@dataclass(frozen=True, kw_only=True)\n"
        "class Plain(Settings):\n"
        "    steps: int = 3  # A comment.\n"
        "def main(): return run_command_line(Plain, lambda config: config, 'plain')\n"
    )
    command = [sys.executable, "-m", "compileall", "-q", "-b", str(tmp_path)]
    subprocess.run(command, check=True)
    (tmp_path / "plain.py").unlink()
    run = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import plain; sys.exit(plain.main())"
    shown = subprocess.run([sys.executable, "-c", run, "--help"], capture_output=True, text=True)
    assert shown.returncode == 0 and "--steps" in shown.stdout, shown.stderr
    done = subprocess.run([sys.executable, "-c", run, "--steps", "4"], capture_output=True, text=True)
    assert done.returncode == 0 and "steps=4" in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (ValueError("Small.steps: expected less"), 2, "small: Small.steps: expected less\n"),
        (NonFiniteLossError("The loss is nan"), 2, "small: The loss is nan\n"),
        (KeyboardInterrupt("interrupted: saved here"), 130, "\ninterrupted: saved here\n"),
    ],
)
def test_an_expected_error_is_one_line_and_an_exit_code(error, code, text, capsys):
    def run(_):
        raise error

    assert run_command_line(Small, run, "small", arguments=[]) == code
    assert capsys.readouterr().err == text


def test_a_result_is_printed(capsys):
    show = "{0.steps} steps".format
    assert run_command_line(Small, lambda config: config, "small", show, ["--steps", "4"]) == 0
    assert capsys.readouterr().out == "4 steps\n"
