"""Configurations of both trainings: rules across fields, presets, the authors' settings, the command line."""

import json
import re

import pytest

from peclr_utils.datasets import open_source
from peclr_utils.settings import parse
from peclr_utils.training import FinetuneConfig, PretrainConfig
from peclr_utils.training.checkpoint import changed_settings

PRESETS = [
    *((PretrainConfig, name) for name in ("laptop", "smoke", "paper_rn50", "paper_rn152", "authors_rn50")),
    *((FinetuneConfig, name) for name in ("laptop", "smoke", "paper_rn50", "paper_rn152")),
]
CONFLICTS = {"pair_identities": True, "optimiser": "adam", "backend": "batch"}
CONFLICTS |= {"augmentation": {"blur": 0.5}}


@pytest.mark.parametrize(("kind", "preset"), PRESETS)
def test_presets_are_valid_and_survive_json_and_the_command_line(kind, preset):
    config = getattr(kind, preset)()
    config.validate()
    assert kind().replace(**json.loads(config.to_json())) == config
    assert parse(kind, ["--preset", preset], "train") == config
    assert parse(kind, ["--preset", preset, "--seed", "3"], "train") == config.replace(seed=3)


@pytest.mark.parametrize(
    ("kind", "field", "value", "message"),
    [
        (PretrainConfig, "rotation_degrees", 270.0, "0 to 180 degrees, found 270.0"),
        (PretrainConfig, "warmup_epochs", 10.0, r"less than epochs \(10\)"),
        (PretrainConfig, "loggers", ("paper",), "a tuple of any of .*'wandb'"),
        (FinetuneConfig, "optimiser", "layerwise_adam", "one of 'adam', 'adamw', found 'layerwise_adam'"),
    ],
)
def test_a_wrong_field_is_named_with_what_was_expected_and_found(kind, field, value, message):
    with pytest.raises(ValueError, match=rf"{kind.__name__}\.{field}: expected .*{message}"):
        kind().replace(**{field: value}).validate()


def test_data_sets_the_sources_to_the_parts_for_training_and_evaluation(repository):
    folder = repository / "data" / "sample"
    parts = [f"freihand:{folder}?split={split}" for split in ("training", "evaluation")]
    config = parse(PretrainConfig, ["--data", str(folder), "--epochs", "3"], "train")
    assert config == PretrainConfig.laptop(sources=(parts[0],), epochs=3)
    config = parse(FinetuneConfig, ["--preset", "paper_rn50", "--data", str(folder)], "train")
    assert config == FinetuneConfig.paper_rn50(sources=(parts[0],), test_sources=(parts[1],))
    assert len(open_source(parts[0])) > 0


def test_the_peak_rate_follows_the_root_of_the_effective_batch_and_the_cache_compares_all_of_it():
    config = PretrainConfig(learning_rate=1e-4, batch_size=128, accumulate=2)
    assert config.peak_learning_rate == pytest.approx(1.6e-3)
    assert config.compared_pairs == 128 and config.replace(grad_cache=True).compared_pairs == 256


@pytest.mark.parametrize("conflict", CONFLICTS.items(), ids=CONFLICTS)
def test_a_field_that_contradicts_authors_exact_is_refused_by_name_and_not_overwritten(conflict):
    field, value = conflict
    config = PretrainConfig().as_authors().replace(**{field: value})
    assert getattr(config, field) == value
    with pytest.raises(ValueError, match=rf"PretrainConfig\.{field}: expected .*authors_exact"):
        config.validate()


def test_a_run_knows_its_own_saved_settings_and_names_what_changed():
    config = PretrainConfig(augmentation={"scale": (0.8, 1.25)}, sources=("synthetic:8",))
    older = {name: value for name, value in config.plain().items() if name != "undo_shift"}
    for saved in (config.plain(), json.loads(config.to_json()), older):
        assert changed_settings(config, saved) == []
        assert changed_settings(config.replace(augmentation={"scale": [0.8, 1.25]}), saved) == []
        assert changed_settings(config.replace(epochs=3), saved) == ["epochs (there 10, here 3)"]
        for change in ({"augmentation": {"scale": (0.8, 1.3)}}, {"undo_shift": False}):
            (text,) = changed_settings(config.replace(**change), saved)
            assert text.startswith(f"{next(iter(change))} (there ")


def test_another_machine_may_compute_the_rest_in_its_own_way():
    free = {"device": "cpu", "precision": "bf16", "backend": "batch", "workers": 2, "compile": True}
    free |= {"output": "x", "cache": "y", "loggers": ("comet",), "max_steps": 3, "save_every_steps": 7}
    assert changed_settings(FinetuneConfig(**free), FinetuneConfig().plain()) == []


@pytest.mark.parametrize("kind", [PretrainConfig, FinetuneConfig])
def test_the_help_shows_every_field_with_its_comment(kind, capsys):
    with pytest.raises(SystemExit) as stop:
        parse(kind, ["--help"], "train")
    assert stop.value.code == 0
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "{laptop," in text and "--config FILE" in text
    for name in kind().plain():
        (option,) = re.findall(rf" --{name}(?:,| ).*?\(default: ", text)
        assert len(option.split()) >= 6, option
    assert "Peak rate" in text or "Base rate, positive; the peak is this times" in text
