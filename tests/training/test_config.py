"""Configurations: errors that name the field, JSON, and the command line."""

import dataclasses
import json

import pytest

from peclr_utils.training import FinetuneConfig, LabelFractionsConfig, PretrainConfig
from peclr_utils.training.command_line import field_comments, parse, run_command_line

ALL = [PretrainConfig, FinetuneConfig, LabelFractionsConfig]


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("preset", ["laptop", "smoke"])
def test_named_starting_points_are_valid(kind, preset):
    getattr(kind, preset)().validate()


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("preset", ["laptop", "smoke"])
def test_json_round_trip(kind, preset):
    config = getattr(kind, preset)()
    assert kind.from_json(config.to_json()) == config


@pytest.mark.parametrize("kind", ALL)
def test_fields_are_plain_literals(kind):
    assert json.loads(kind.laptop().to_json()).keys() == {f.name for f in dataclasses.fields(kind)}


@pytest.mark.parametrize("kind", ALL)
def test_every_field_is_explained_by_a_comment(kind):
    comments = field_comments(kind)
    assert [f.name for f in dataclasses.fields(kind) if not comments.get(f.name)] == []


@pytest.mark.parametrize(
    ("kind", "field", "value", "message"),
    [
        (PretrainConfig, "method", "byol", "one of 'peclr', 'simclr', found 'byol'"),
        (PretrainConfig, "rotation_degrees", 270.0, "0 to 180 degrees, found 270.0"),
        (PretrainConfig, "rotation_degrees", -1.0, "at least 0"),
        (PretrainConfig, "temperature", 0.0, "a positive number, found 0.0"),
        (PretrainConfig, "temperature", float("nan"), "a positive number"),
        (PretrainConfig, "batch_size", 1, "at least 2"),
        (PretrainConfig, "batch_size", 12.5, "a whole number"),
        (PretrainConfig, "projection_size", 127, "an even number"),
        (PretrainConfig, "warmup_epochs", 10.0, r"less than epochs \(10\)"),
        (PretrainConfig, "sources", "synthetic:64", "a tuple of strings"),
        (PretrainConfig, "arch", "resnet19", "one of 'resnet18'"),
        (PretrainConfig, "precision", "fp8", "one of 'auto'"),
        (PretrainConfig, "image_size", 8, "at least 32"),
        (PretrainConfig, "seed", -1, "at least 0"),
        (PretrainConfig, "learning_rate", 0.0, "a positive number"),
        (PretrainConfig, "augmentation", None, "a dict of augmentation settings"),
        (PretrainConfig, "grad_cache", "no", "True or False, found 'no'"),
        (PretrainConfig, "resume", None, "True or False, found None"),
        (PretrainConfig, "channels_last", 2, "True or False, found 2"),
        (PretrainConfig, "cache", 5, "a text, found 5"),
        (PretrainConfig, "encoder", None, "a text, found None"),
        (PretrainConfig, "device", None, "a text, found None"),
        (FinetuneConfig, "freeze_encoder", "false", "True or False, found 'false'"),
        (FinetuneConfig, "output", None, "a text, found None"),
        (FinetuneConfig, "labels", -1, "at least 0"),
        (FinetuneConfig, "labels", True, "a whole number, found True"),
        (FinetuneConfig, "steps", 0, "at least 1"),
        (FinetuneConfig, "warmup_steps", 1000, r"less than steps \(1000\)"),
        (FinetuneConfig, "weight_2d", -1.0, "at least 0"),
        (FinetuneConfig, "test_sources", ["synthetic:64"], "a tuple of strings"),
        (LabelFractionsConfig, "methods", ("magic",), "some of"),
        (LabelFractionsConfig, "labels", (1,), "none below 2"),
        (LabelFractionsConfig, "seeds", (), "at least one"),
        (LabelFractionsConfig, "output", "", "a folder"),
    ],
)
def test_a_wrong_field_is_named_with_what_was_expected_and_found(kind, field, value, message):
    with pytest.raises(ValueError, match=rf"{kind.__name__}\.{field}: expected .*{message}"):
        kind().replace(**{field: value}).validate()


def test_json_that_is_no_object_is_an_error():
    with pytest.raises(ValueError, match="PretrainConfig: expected a JSON object of its fields, found 3"):
        PretrainConfig.from_json("3")


def test_an_unknown_field_is_named_with_those_there_are():
    with pytest.raises(ValueError, match="PretrainConfig has no field epoch; its fields are .*epochs"):
        PretrainConfig.laptop(epoch=3)


def test_an_augmentation_setting_that_does_not_exist_is_reported(dot_hands):
    from peclr_utils.training import pretrain

    with pytest.raises(ValueError, match="blurr"):
        pretrain(PretrainConfig(augmentation={"blurr": 1.0}, progress=False), dot_hands(4))


def test_the_peak_rate_follows_the_root_of_the_effective_batch():
    config = PretrainConfig(learning_rate=1e-4, batch_size=128, accumulate=2)
    assert config.peak_learning_rate == pytest.approx(1.6e-3)


def test_every_field_is_an_option():
    arguments = [
        *("--preset", "smoke", "--sources", "folder:a", "folder:b", "--epochs", "7"),
        *("--temperature", "0.1", "--no-pair_identities", "--method", "simclr"),
        *("--augmentation", '{"scale": [0.5, 1.5]}'),
    ]
    expected = PretrainConfig.smoke(
        sources=("folder:a", "folder:b"),
        epochs=7,
        temperature=0.1,
        pair_identities=False,
        method="simclr",
        augmentation={"scale": [0.5, 1.5]},
    )
    assert parse(PretrainConfig, arguments, "pretrain") == expected


def test_tuples_of_numbers_come_through_the_command_line():
    config = parse(LabelFractionsConfig, ["--seeds", "0", "1", "--labels", "32"], "table")
    assert config.seeds == (0, 1) and config.labels == (32,)


def test_an_earlier_run_is_a_starting_point(tmp_path):
    file = tmp_path / "config.json"
    file.write_text(PretrainConfig.smoke(epochs=5).to_json())
    assert parse(PretrainConfig, ["--config", str(file), "--seed", "2"], "p") == PretrainConfig.smoke(
        epochs=5, seed=2
    )


def test_help_shows_every_field_and_its_comment(capsys):
    with pytest.raises(SystemExit) as stop:
        parse(PretrainConfig, ["--help"], "pretrain")
    text = " ".join(capsys.readouterr().out.split())
    assert stop.value.code == 0
    assert "--temperature" in text and "of NT-Xent, positive" in text
    assert "base rate; the peak is this times" in text


def test_a_comment_of_two_lines_is_shown_whole():
    comment = field_comments(PretrainConfig)["precision"]
    assert comment.startswith('"fp32", "tf32"') and comment.endswith("else fp32")


def test_a_wrong_setting_is_one_line_on_the_command_line(capsys):
    def run(config):
        config.validate()

    assert run_command_line(PretrainConfig, run, "pretrain", arguments=["--batch_size", "1"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("pretrain: PretrainConfig.batch_size") and error.count("\n") == 1


def test_ctrl_c_ends_with_the_message_and_code_130(capsys):
    def run(config):
        raise KeyboardInterrupt("interrupted: saved here")

    assert run_command_line(PretrainConfig, run, "pretrain", arguments=[]) == 130
    assert "interrupted: saved here" in capsys.readouterr().err
