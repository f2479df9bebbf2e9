"""The label-fraction table: every cell once, resumed where it stopped, summarised by seeds."""

import json
from unittest.mock import Mock

import pytest

from peclr_utils.training import (
    LabelFractionsConfig,
    label_fractions,
    load_results,
    run_label_fractions,
    summarise,
)
from peclr_utils.training.config import FinetuneConfig
from peclr_utils.training.label_fractions import METHODS, markdown
from peclr_utils.training.results import MEASURES, measures

SMALL = {"progress": False, "tensorboard": False, "batch_size": 8, "image_size": 32}


def _config(output, **changes) -> LabelFractionsConfig:
    start = LabelFractionsConfig(
        output=str(output), cache=str(output.parent / "cache"), labels=(8, 16), seeds=(0,),
        unlabelled=("synthetic:16?seed=1&size=96",), labelled=("synthetic:16?seed=2&size=96",),
        test=("synthetic:8?seed=3&size=96",), pretrain={"epochs": 1, "warmup_epochs": 0.5, **SMALL},
        finetune={"steps": 2, "warmup_steps": 1, "log_every": 1, **SMALL},
    )  # fmt: skip
    return start.replace(**changes)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    config = _config(tmp_path_factory.mktemp("table") / "run")
    return config, run_label_fractions(config)


def test_every_cell_is_filled_once(finished):
    _, results = finished
    found = [(cell["method"], cell["labels"], cell["seed"]) for cell in results["cells"]]
    assert sorted(found) == sorted((method, labels, 0) for method in METHODS for labels in (8, 16))
    assert {probe["method"] for probe in results["probes"]} == set(METHODS) - {"mean_pose"}


def test_cells_hold_measures_and_the_training_loss(finished):
    _, results = finished
    for cell in results["cells"]:
        assert cell["pa_epe_mm"] > 0 and cell["epe_2d"] > 0
        assert (cell["training_loss"] is None) == (cell["method"] == "mean_pose")


def test_measures_are_kept_finer_than_a_table_shows_them():
    evaluation = Mock(**dict.fromkeys(MEASURES, 1 / 3))
    assert measures(evaluation) == pytest.approx(dict.fromkeys(MEASURES, 1 / 3), abs=1e-6)


def test_the_file_holds_what_is_returned(finished):
    config, results = finished
    assert load_results(config.output) == json.loads(json.dumps(results))


def test_a_finished_table_is_not_computed_again(finished, monkeypatch):
    config, results = finished
    monkeypatch.setattr(label_fractions, "pretrain", lambda *_: pytest.fail("pre-trained again"))
    monkeypatch.setattr(label_fractions, "finetune", lambda *_: pytest.fail("fine-tuned again"))
    assert run_label_fractions(config)["cells"] == results["cells"]


def test_a_killed_table_goes_on_with_the_next_cell(tmp_path, monkeypatch):
    config = _config(tmp_path / "run", methods=("mean_pose", "scratch"))
    original, done = label_fractions.finetune, []

    def killed_at_the_second(settings, *data):
        if len(done) == 1:
            raise KeyboardInterrupt
        done.append(settings.labels)
        return original(settings, *data)

    monkeypatch.setattr(label_fractions, "finetune", killed_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        run_label_fractions(config)
    assert len(load_results(config.output)["cells"]) == 3
    monkeypatch.undo()
    results = run_label_fractions(config)
    assert len(results["cells"]) == 4 and done == [8]


def test_a_folder_with_another_table_is_refused(finished):
    config, _ = finished
    with pytest.raises(ValueError, match=r"made with other settings \(test\)"):
        run_label_fractions(config.replace(test=("synthetic:9?seed=3",)))


def test_all_methods_fine_tune_alike():
    config = LabelFractionsConfig.laptop()
    settings = [vars(config.finetune_config(1, method, 128)) for method in METHODS]
    alike = [{**one, "encoder": "", "output": ""} for one in settings]
    assert all(one == alike[0] for one in alike)
    started = {method for method, one in zip(METHODS, settings, strict=True) if one["encoder"]}
    assert started == {"simclr_no_rotation", "simclr", "peclr"}


def test_a_pretrained_encoder_may_be_tuned_in_another_way():
    config = LabelFractionsConfig(finetune_pretrained={"encoder_learning_rate": 1e-5})
    rates = {m: config.finetune_config(1, m, 128).encoder_learning_rate for m in METHODS}
    assert rates["peclr"] == rates["simclr"] == 1e-5
    assert rates["scratch"] == FinetuneConfig().encoder_learning_rate


def test_methods_pre_train_alike_but_for_what_they_are():
    config = LabelFractionsConfig.laptop()
    peclr, simclr, plain = (config.pretrain_config(1, m) for m in ("peclr", "simclr", "simclr_no_rotation"))
    assert simclr.replace(method="peclr", output=peclr.output) == peclr
    assert plain.replace(rotation_degrees=simclr.rotation_degrees, output=simclr.output) == simclr
    assert plain.rotation_degrees == 0


def test_the_summary_gathers_seeds_in_a_fixed_order():
    def cell(method, labels, seed, error):
        measures = {"pa_epe_mm": error, "epe_2d": error / 4, "training_loss": 0.5}
        return {"method": method, "labels": labels, "seed": seed, **measures}

    cells = [cell("peclr", 128, 0, 10.0), cell("peclr", 128, 1, 12.0), cell("scratch", 128, 0, 20.0)]
    rows = summarise({"cells": [*cells, cell("peclr", 32, 0, 30.0)]})
    assert [(row["labels"], row["method"], row["seeds"]) for row in rows] == [
        ("32", "PeCLR", 1),
        ("128", "from scratch", 1),
        ("128", "PeCLR", 2),
    ]
    assert rows[2]["PA-EPE (mm)"] == [10.0, 12.0]
    assert "11.00 ± 1.41" in markdown({"cells": cells})


def test_results_that_are_not_there_or_something_else_are_clear_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="make table"):
        load_results(tmp_path)
    (tmp_path / "results.json").write_text('{"format": "other"}')
    with pytest.raises(ValueError, match="expected a file of format"):
        load_results(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labelled": None}, "labelled: expected a tuple of strings"),
        ({"test": "synthetic:8?seed=1"}, "test: expected a tuple of strings"),
        ({"unlabelled": "synthetic:8?seed=1"}, "LabelFractionsConfig.unlabelled"),
        ({"labels": "x"}, "labels: expected a tuple of whole numbers"),
        ({"labels": (True, 8)}, "labels: expected a tuple of whole numbers"),
        ({"seeds": -1}, "seeds: expected a tuple of whole numbers"),
        ({"methods": ("other",)}, "methods: expected some of"),
        ({"pretrain": None}, "pretrain: expected settings"),
        ({"finetune_pretrained": -1}, "finetune_pretrained: expected settings"),
        ({"finetune_pretrained": {"encoder_learning_rte": 1}}, "no field encoder_learning_rte"),
        ({"output": 1.5}, "output: expected a text"),
        ({"keep_networks": "no"}, "keep_networks: expected True or False"),
    ],
)
def test_a_wrong_setting_of_a_table_is_named_before_anything_is_trained(change, message):
    with pytest.raises(ValueError, match=message):
        LabelFractionsConfig.smoke(**change).validate()
