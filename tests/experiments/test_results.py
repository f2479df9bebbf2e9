"""Results: tables over seeds, and the repository's own files, each of which is a recipe that still runs."""

import itertools
import json

import pytest

from peclr_utils.experiments import results as table
from peclr_utils.experiments.label_fractions import Cell, LabelFractionsConfig

ERRORS = {"pa_epe_mm": 10.0, "epe_2d": 2.5, "in_plane_error_degrees": 7.0}


def _cell(method, seed, error, tuning="probe", **more):
    labels = {"labelled": "upright", "tuning": tuning, "labels": 64}
    return {"method": method, **labels, "seed": seed, **ERRORS, "root_relative_epe_mm": error, **more}


def _rows(text):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]


def test_a_table_has_a_row_per_method_and_peclrs_paired_differences():
    cells = [_cell("peclr", seed, error) for seed, error in enumerate((10.0, 12.0, 14.0))]
    cells += [_cell("simclr", seed, error) for seed, error in enumerate((12.0, 15.0, 16.0))]
    cells += [_cell("mean_pose", 0, 40.0, "none"), _cell("peclr", 0, 30.0, "full")]
    rows = _rows(table.markdown({"cells": cells}))
    assert rows[
        0
    ] == "labels, use, method, seeds, root-relative (mm), 2D EPE (px), in-plane (°), PA-EPE (mm)".split(", ")
    first = [row[:5] for row in rows[2:]]
    probe = ["64, upright", "probe"]
    assert first[0] == [*probe, "mean pose of the labels", "1", "40.00"]
    assert first[1] == [*probe, "SimCLR, rotation as invariance", "3", "14.33 ± 2.08"]
    assert first[2] == [*probe, "PeCLR", "3", "12.00 ± 2.00"]
    # -2, -3, -2: mean -2.33, deviation 0.577, and Student's t for two degrees of freedom is 4.303.
    assert first[4] == [*probe, "PeCLR minus SimCLR, rotation as invariance", "3", "-2.33 ± 1.43*"]
    assert first[3] == [*probe, "PeCLR minus mean pose of the labels", "1", "-30.00"]
    assert first[5][:3] == ["64, upright", "full", "mean pose of the labels"] and first[6][1] == "full"


def test_an_asterisk_says_that_the_interval_excludes_zero():
    assert table.interval_text([(1.0, 2.0), (2.0, 3.1), (3.0, 3.9)], 2).endswith("*")
    assert table.interval_text([(1.0, 2.0), (2.0, 3.0), (3.0, 3.9), (4.0, 1.0)], 2)[-1] != "*"
    assert table.interval_text([(1.0, 2.0)], 1) == "-1.0" and table.interval_text([], 1) == "–"


def test_words_about_a_method_stand_only_where_the_interval_excludes_zero():
    cells = [_cell("peclr", seed, error) for seed, error in enumerate((10.0, 12.0, 14.0))]
    cells += [_cell("simclr", seed, error) for seed, error in enumerate((12.0, 15.0, 16.0))]  # -2.33 ± 1.43
    cells += [_cell("scratch", seed, error) for seed, error in enumerate((12.0, 11.0, 16.0))]  # -1.00 ± 4.30
    cells += [_cell(one["method"], one["seed"], -one["root_relative_epe_mm"], "full") for one in cells]
    rows = {row[1]: row for row in _rows(table.clear_differences({"cells": cells}))[2:]}
    assert rows["SimCLR, rotation as invariance"][2] == "lower: probe 64; higher: full 64"
    assert rows["from scratch"][2] == "–"
    assert {one for row in rows.values() for one in row[3:]} == {"–"}  # equal for all methods
    assert table.clear_differences({"cells": [_cell("peclr", 0, 1.0)]}) == "no cells to compare"


def test_runs_are_paired_by_their_seed():
    cells = [_cell("peclr", 1, 5.0), _cell("simclr", 0, 1.0), _cell("peclr", 0, 2.0), _cell("simclr", 2, 9.0)]
    assert table.paired_values(cells, "peclr", "simclr", "root_relative_epe_mm") == [(2.0, 1.0)]


def test_the_turns_have_a_row_per_method():
    turns = [
        {"method": method, "seed": seed, "slope": slope, "low": 0.0, "high": 1.0, "read_out_px": 9.0}
        for method, seed, slope in (("scratch", 0, 0.0), ("peclr", 0, 0.9), ("peclr", 1, 1.0))
    ]
    rows = _rows(table.turns_markdown(turns))
    assert rows[2][:3] == ["untrained", "1", "0.00"] and rows[3][:3] == ["PeCLR", "2", "0.95 ± 0.07"]


def test_results_are_read_from_their_folder_or_their_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="make table"):
        table.load_results(tmp_path)
    results = table.new_results({"steps": 3}, [_cell("peclr", 0, 1.0)])
    file = table.write_results(tmp_path / "new", results)
    assert table.load_results(file) == table.load_results(tmp_path / "new") == results
    file.write_text('{"format": "other"}')
    with pytest.raises(ValueError, match="expected a file of format"):
        table.load_results(file)


def test_a_table_grows_with_its_own_settings_alone(tmp_path):
    config, new = LabelFractionsConfig(output=str(tmp_path)), table.new_results({})
    assert table.open_results(config, new) == {**new, "config": config.plain()}
    table.write_results(tmp_path, {**new, "config": config.plain(), "cells": [_cell("peclr", 0, 1.0)]})
    more = table.open_results(config.replace(seeds=(7,), methods=("peclr",)), new)
    assert len(more["cells"]) == 1 and more["config"]["seeds"] == [7]
    with pytest.raises(ValueError, match=r"made with other settings \(pretrain, test\)"):
        table.open_results(config.replace(pretrain={}, test=("synthetic:9",)), new)
    with pytest.raises(ValueError, match="expected a file of format 'other'"):
        table.open_results(config, {**new, "format": "other"})


def test_every_kept_result_is_its_own_recipe_and_holds_each_cell_once(repository):
    tables = 0
    for path in sorted((repository / "data" / "results").glob("*.json")):
        content = json.loads(path.read_text())
        if content.get("format") == table.FORMAT:
            config = LabelFractionsConfig.load(path)
            config.validate()
            cells = [tuple(cell[name] for name in Cell._fields) for cell in content["cells"]]
            wanted = itertools.product(config.seeds, config.methods)
            assert sorted(cells) == sorted(cell for seed, one in wanted for cell in config.cells(seed, one))
            tables += 1
    assert tables > 0


def test_the_kept_table_is_the_one_that_make_table_makes(repository):
    kept = LabelFractionsConfig.load(repository / "data" / "results" / "label_fractions.json")
    assert kept == LabelFractionsConfig()


def test_a_thinned_log_keeps_the_first_steps_and_the_mean_of_the_rest():
    rows = [{"step": k, "loss": float(k), "alignment": 0.5} for k in range(500)]
    thin = table.thin_log([*rows, rows[3], {"step": 499, "note": "no loss"}])
    assert [row["step"] for row in thin[:15]] == list(range(15)) and len(thin) <= 75
    assert all(row["loss"] == row["step"] and row["alignment"] == 0.5 for row in thin)
