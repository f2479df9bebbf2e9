"""Results: tables over seeds, and the repository's own files, each of which is a recipe that still runs."""

import json

import pytest

from peclr_utils.experiments import results as table
from peclr_utils.experiments.label_fractions import LabelFractionsConfig
from peclr_utils.experiments.probes import FORMAT, ProbeConfig

ERRORS = {"pa_epe_mm": 10.0, "root_relative_epe_mm": 40.0, "epe_2d": 2.5}


def _cell(method, labels, seed, error, **more):
    return {"method": method, "labels": labels, "seed": seed, **ERRORS, "pa_epe_mm": error, **more}


def test_a_table_has_a_row_per_method_and_labels_with_mean_and_deviation_over_seeds():
    cells = [
        _cell("peclr", 128, 0, 10.0, training_loss=0.5),
        _cell("peclr", 128, 1, 12.0, training_loss=0.7),
        _cell("mean_pose", 128, 0, 20.0, training_loss=None),
        _cell("peclr", 32, 0, 30.0, training_loss=0.25),
    ]
    lines = table.markdown({"cells": cells}).splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    heading = "labels, method, seeds, PA-EPE (mm), root-relative (mm), 2D EPE (px), training loss"
    assert rows[0] == heading.split(", ")  # no cell knows the in-plane error
    assert rows[2] == ["32", "PeCLR", "1", "30.00", "40.00", "2.50", "0.250"]
    assert rows[3][:4] == ["128", "mean pose of the labels", "1", "20.00"] and rows[3][-1] == "–"
    assert rows[4][:4] == ["128", "PeCLR", "2", "11.00 ± 1.41"]


def test_results_are_read_from_their_folder_or_their_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="make table"):
        table.load_results(tmp_path)
    results = table.new_results({"steps": 3}, [_cell("peclr", 8, 0, 1.0)])
    file = table.write_results(tmp_path / "new", results)
    assert table.load_results(file) == table.load_results(tmp_path / "new") == results
    file.write_text('{"format": "other"}')
    with pytest.raises(ValueError, match="expected a file of format"):
        table.load_results(file)


def test_every_kept_result_is_its_own_recipe_and_holds_each_cell_once(repository):
    formats = []
    for path in sorted((repository / "data" / "results").glob("*.json")):
        content = json.loads(path.read_text())
        formats.append(content["format"])
        if content["format"] == table.FORMAT:
            config = LabelFractionsConfig.load(path)
            cells = [(cell["method"], cell["labels"], cell["seed"]) for cell in content["cells"]]
            assert len(set(cells)) == len(cells)
            found = [set(values) for values in zip(*cells, strict=True)]
            assert found == [set(config.methods), set(config.labels), set(config.seeds)]
        elif content["format"] == FORMAT:
            config = ProbeConfig.load(path)
            assert len(content["probes"]) == len(config.encoders) + len(config.untrained_seeds)
        else:
            continue
        config.validate()
        assert config.plain() == content["config"]
    assert formats.count(table.FORMAT) > 5 and formats.count(FORMAT) == 2


def test_the_kept_table_is_the_one_that_make_table_makes(repository):
    kept = LabelFractionsConfig.load(repository / "data" / "results" / "label_fractions.json")
    assert kept == LabelFractionsConfig()
