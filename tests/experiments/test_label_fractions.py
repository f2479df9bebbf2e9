"""The label-fraction table: every cell once, resumed where it stopped, equal settings for all methods."""

import json

import pytest

from peclr_utils.experiments import label_fractions
from peclr_utils.experiments.label_fractions import METHODS, PRETRAINED, LabelFractionsConfig
from peclr_utils.experiments.results import load_results

SMALL = {"progress": False, "batch_size": 8, "image_size": 32}
PRETRAIN = {"epochs": 1, "warmup_epochs": 0.5, "exchange_background": False, **SMALL}
FINETUNE = {"steps": 2, "warmup_steps": 1, "augmentation": {"background": 0.0}, **SMALL}


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("table")
    return LabelFractionsConfig.smoke(
        output=str(folder / "run"), cache=str(folder / "cache"), methods=("mean_pose", "scratch", "peclr"),
        unlabelled=("synthetic:16?seed=1&size=96",), labelled=("synthetic:16?seed=2&size=96",),
        test=("synthetic:8?seed=3&size=96",), pretrain=PRETRAIN, finetune=FINETUNE,
    )  # fmt: skip


@pytest.fixture(scope="module")
def results(config):
    return label_fractions.run_label_fractions(config)


def test_every_cell_is_filled_once_and_saved(config, results):
    assert load_results(config.output) == json.loads(json.dumps(results))
    found = [(cell["method"], cell["labels"], cell["seed"]) for cell in results["cells"]]
    assert found == [(method, labels, 0) for method in config.methods for labels in (8, 16)]
    assert [probe["method"] for probe in results["probes"]] == ["scratch", "peclr"]
    for cell in results["cells"]:
        assert cell["pa_epe_mm"] > 0 and cell["epe_2d"] > 0
        assert (cell["training_loss"] is None) == (cell["method"] == "mean_pose")


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
    assert len(label_fractions.run_label_fractions(config)["cells"]) == 4 and done == [8]


def test_methods_fine_tune_alike_but_for_the_encoder_and_what_is_said_of_pretrained_ones():
    def configs(**changes):
        config = LabelFractionsConfig(**changes)
        return {method: config.finetune_config(1, method, 128) for method in METHODS}

    plain, other = configs(), configs(finetune_pretrained={"encoder_learning_rate": 1e-5})
    assert len({one.replace(encoder="", output="").to_json() for one in plain.values()}) == 1
    assert {method for method, one in plain.items() if one.encoder} == set(PRETRAINED)
    assert {method for method, one in other.items() if one.encoder_learning_rate == 1e-5} == set(PRETRAINED)


def test_methods_pre_train_alike_but_for_what_they_are():
    config = LabelFractionsConfig()
    peclr, simclr, plain = (config.pretrain_config(1, m) for m in ("peclr", "simclr", "simclr_no_rotation"))
    assert simclr.replace(method="peclr", output=peclr.output) == peclr
    assert plain.replace(rotation_degrees=simclr.rotation_degrees, output=simclr.output) == simclr
    assert plain.rotation_degrees == 0
