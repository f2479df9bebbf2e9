"""The label-fraction table: every cell once, resumed where it stopped, equal settings for all methods."""

import json

import pytest
import torch

from peclr_utils.experiments import label_fractions
from peclr_utils.experiments.label_fractions import METHODS, PRETRAINED, TUNINGS, Cell, LabelFractionsConfig
from peclr_utils.experiments.probes import initial_model
from peclr_utils.experiments.results import load_results
from peclr_utils.weights import load_pose_network

SMALL = {"progress": False, "batch_size": 8, "image_size": 32}
PRETRAIN = {"epochs": 1, "warmup_epochs": 0.5, "exchange_background": False, **SMALL}
FINETUNE = {"steps": 2, "warmup_steps": 1, "augmentation": {"background": 0.0}, **SMALL}


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("table")
    return LabelFractionsConfig.smoke(
        output=str(folder / "run"), cache=str(folder / "cache"), methods=("mean_pose", "scratch", "peclr"),
        unlabelled=("synthetic:16?seed=1&size=96",),
        labelled={"turned": "synthetic:16?seed=5&size=96", "upright": "synthetic:16?seed=2&size=96"},
        test=("synthetic:8?seed=3&size=96",), pretrain=PRETRAIN, finetune=FINETUNE,
    )  # fmt: skip


@pytest.fixture(scope="module")
def results(config):
    return label_fractions.run_label_fractions(config)


def test_every_cell_is_filled_once_and_saved(config, results):
    assert load_results(config.output) == json.loads(json.dumps(results))
    found = [tuple(cell[name] for name in Cell._fields) for cell in results["cells"]]
    expected = [
        (method, labelled, tuning, labels, 0)
        for method in config.methods
        for labelled in ("turned", "upright")
        for tuning in (("none",) if method == "mean_pose" else TUNINGS)
        for labels in (10, 16)
    ]
    assert found == expected
    for cell in results["cells"]:
        assert cell["pa_epe_mm"] > 0 and cell["epe_2d"] > 0
        assert (cell["training_loss"] is None) == (cell["tuning"] in ("none", "probe"))
    assert [turn["method"] for turn in results["turns"]] == ["scratch", "peclr"]
    assert all(turn["low"] <= turn["slope"] <= turn["high"] for turn in results["turns"])


def test_a_frozen_encoder_keeps_its_weights_and_a_tuned_one_does_not(config, tmp_path):
    """Frozen cells differ from full ones by what they train, and from each other by their labels alone."""
    config = config.replace(output=str(tmp_path), methods=("scratch",), labels=(10,), keep_networks=True)
    label_fractions.run_label_fractions(config.replace(tunings=("frozen", "full")))
    start = initial_model("", config.pretrain_config(0, "peclr")).encoder.conv1.weight
    for cell in config.cells(0, "scratch"):
        if cell.tuning != "probe":
            folder = config.finetune_config(cell).output
            found = load_pose_network(f"{folder}/checkpoint.pt").backbone.conv1.weight
            assert torch.equal(found, start) == (cell.tuning == "frozen")


def test_given_encoders_are_used_instead_of_pre_training(config, results, tmp_path, monkeypatch):
    monkeypatch.setattr(label_fractions, "pretrain", lambda *_: pytest.fail("pre-trained again"))
    own = f"{config.output}/pretrain/peclr-seed{{seed}}/checkpoint.pt"
    given = config.replace(
        output=str(tmp_path), methods=("peclr",), encoders={"peclr": own}, tunings=("probe",)
    )
    found = label_fractions.run_label_fractions(given)
    assert found["turns"] == [turn for turn in results["turns"] if turn["method"] == "peclr"]
    same = [c for c in results["cells"] if (c["method"], c["tuning"]) == ("peclr", "probe")]
    assert [{**c, "seconds": 0} for c in found["cells"]] == [{**c, "seconds": 0} for c in same]


def test_a_finished_table_is_not_computed_again_and_no_other_table_is_taken_for_it(
    config, results, monkeypatch
):
    monkeypatch.setattr(label_fractions, "pretrain", lambda *_: pytest.fail("pre-trained again"))
    monkeypatch.setattr(label_fractions, "finetune", lambda *_: pytest.fail("fine-tuned again"))
    assert label_fractions.run_label_fractions(config)["cells"] == results["cells"]
    with pytest.raises(ValueError, match=r"made with other settings \(test\)"):
        label_fractions.run_label_fractions(config.replace(test=("synthetic:9?seed=3",)))


def test_a_killed_table_resumes_with_the_next_cell(config, tmp_path, monkeypatch):
    config = config.replace(output=str(tmp_path / "run"), methods=("mean_pose", "scratch"))
    config = config.replace(labelled={"upright": config.labelled["upright"]}, tunings=("full",))
    original, done = label_fractions.finetune, []

    def killed_at_the_second(settings, *data):
        if done:
            raise KeyboardInterrupt
        done.append(settings.labels)
        return original(settings, *data)

    monkeypatch.setattr(label_fractions, "finetune", killed_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        label_fractions.run_label_fractions(config)
    assert len(load_results(config.output)["cells"]) == 3
    monkeypatch.undo()
    assert len(label_fractions.run_label_fractions(config)["cells"]) == 4 and done == [10]


def test_methods_fine_tune_alike_but_for_the_encoder():
    config = LabelFractionsConfig()
    for tuning in ("frozen", "full"):
        cells = {method: Cell(method, "upright", tuning, 128, 1) for method in METHODS}
        configs = {method: config.finetune_config(cell) for method, cell in cells.items()}
        assert len({one.replace(encoder="", output="").to_json() for one in configs.values()}) == 1
        assert {method for method, one in configs.items() if one.encoder} == set(PRETRAINED)
        assert configs["peclr"].freeze_encoder == (tuning == "frozen")


def test_methods_pre_train_alike_but_for_what_they_are():
    config = LabelFractionsConfig()
    peclr, simclr, plain = (config.pretrain_config(1, m) for m in ("peclr", "simclr", "simclr_no_rotation"))
    assert simclr.replace(method="peclr", output=peclr.output) == peclr
    assert plain.replace(rotation_degrees=simclr.rotation_degrees, output=simclr.output) == simclr
    assert plain.rotation_degrees == 0
