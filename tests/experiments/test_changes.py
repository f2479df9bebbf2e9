"""One change at a time: each run differs by what its change says, and all are shown."""

import json
from pathlib import Path

import pytest

from peclr_utils.experiments.changes import ChangesConfig, changes_markdown, run_changes, unchanged

SMALL = {"batch_size": 8, "image_size": 32, "progress": False, "exchange_background": False}


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("changes")
    common = {
        "methods": ["peclr"], "tunings": ["probe"], "labels": [10, 16], "seeds": [0],
        "cache": str(folder / "cache"),
        "unlabelled": ["synthetic:16?seed=1&size=96"], "labelled": {"upright": "synthetic:16?seed=2&size=96"},
        "test": ["synthetic:8?seed=3&size=96"], "finetune": {"image_size": 32},
    }  # fmt: skip
    changes = {"as it is": {}, "hotter": {"temperature": 0.5}, "not turned": {"method": "simclr_no_rotation"}}
    pretrain = {"epochs": 1, "warmup_epochs": 0.5, **SMALL}
    return ChangesConfig(output=str(folder / "run"), common=common, pretrain=pretrain, changes=changes)


def test_each_run_differs_from_the_first_by_its_change_alone(config):
    first, hotter, other = (config.table_config(name).pretrain_config(0, "peclr") for name in config.changes)
    assert hotter.replace(temperature=first.temperature, output=first.output) == first
    assert other.replace(output=first.output) == first
    assert config.table_config("not turned").methods == ("simclr_no_rotation",)


def test_every_change_is_run_once_saved_and_shown(config):
    results = run_changes(config)
    assert json.loads(Path(config.output, "results.json").read_text()) == results
    assert list(results["runs"]) == list(config.changes)
    rows = [
        [c.strip() for c in line.strip("|").split("|")] for line in changes_markdown(results).splitlines()
    ]
    assert [row[0] for row in rows[2:]] == [name for name in config.changes for _ in range(2)]
    assert rows[0][:4] == ["change", "slope", "read-out (px)", "labels"]
    assert [row[3] for row in rows[2:4]] == ["10, upright", "16, upright"]


def test_runs_that_differ_by_their_seed_alone_are_the_unchanged_ones():
    results = {"config": ChangesConfig().plain()}
    assert unchanged(results) == ["as it is", "another seed", "a third seed"]


def test_the_defaults_are_right_for_every_change():
    ChangesConfig().validate()
    with pytest.raises(ValueError, match="temperature"):
        ChangesConfig(changes={"cold": {"temperature": -1.0}}).validate()
