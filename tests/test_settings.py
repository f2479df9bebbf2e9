"""What all configurations share: checks by type, JSON, and the command line."""

import json
from dataclasses import dataclass, field
from typing import Literal

import pytest

from peclr_utils.settings import JSON, NonFiniteLossError, Settings, parse, run_command_line
from peclr_utils.training import FinetuneConfig


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
        ("temperature", float("nan"), "a finite number"),
        ("resume", 1, "True or False, found 1"),
        ("sources", "synthetic:64", "a tuple of strings"),
        ("labels", (1.5,), "a tuple of whole numbers"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected_and_found(name, value, expected):
    with pytest.raises(ValueError, match=rf"Small\.{name}: expected {expected}"):
        Small(**{name: value}).validate()


def test_no_term_of_the_loss_has_a_negative_weight():
    names = [name for name in vars(FinetuneConfig()) if name.startswith("weight_")]
    assert "weight_presence" in names
    for name in names:
        with pytest.raises(ValueError, match=f"{name}: expected at least 0, found -1"):
            FinetuneConfig(**{name: -1.0}).validate()


def test_an_unknown_field_is_named_with_those_there_are():
    with pytest.raises(ValueError, match="Small has no field step; it has .*steps"):
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
    read = parse(Small, ["--config", str(file), "--seed", "2"], "small")
    assert read == Small(steps=5, sources=("a",), seed=2)


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
