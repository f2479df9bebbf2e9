"""Tables in Markdown pages are what the files of results hold; every kept result can be made anew."""

import json
import re

import pytest

from peclr_utils.course.tables import fill_tables, main
from peclr_utils.training import LabelFractionsConfig, ProbeConfig

PAGES = ("README.md", "data/results/README.md")


@pytest.mark.parametrize("page", PAGES)
def test_every_table_of_results_is_what_its_file_holds(repository, page):
    text = (repository / page).read_text(encoding="utf-8")
    assert "<!-- " in text
    assert fill_tables(repository / page) == text


def test_every_kept_result_is_shown_or_told_of(repository):
    told = "".join((repository / page).read_text(encoding="utf-8") for page in PAGES)
    kept = {path.name for path in (repository / "data" / "results").glob("*.json")}
    assert kept and [name for name in kept if name not in told] == []


def results(repository, label_fractions):
    for path in sorted((repository / "data" / "results").glob("*.json")):
        content = json.loads(path.read_text())
        if ("label fractions" in content["format"]) == label_fractions and "config" in content:
            yield path, content


def test_every_label_fraction_file_is_its_own_recipe_and_holds_each_cell_once(repository):
    found = list(results(repository, label_fractions=True))
    assert len(found) > 5
    for path, content in found:
        config = LabelFractionsConfig.load(path)
        config.validate()
        cells = [(cell["method"], cell["labels"], cell["seed"]) for cell in content["cells"]]
        assert len(set(cells)) == len(cells)
        assert {cell[0] for cell in cells} == set(config.methods)
        assert {cell[1] for cell in cells} == set(config.labels)
        assert {cell[2] for cell in cells} == set(config.seeds)


def test_every_file_of_probes_is_its_own_recipe(repository):
    found = list(results(repository, label_fractions=False))
    assert found
    for path, content in found:
        config = ProbeConfig.load(path)
        config.validate()
        assert len(content["probes"]) == len(config.encoders) + len(config.untrained_seeds)


def test_the_commands_beside_the_tables_name_files_that_are_there(repository):
    text = (repository / "data" / "results" / "README.md").read_text(encoding="utf-8")
    (ways,) = re.findall(r"for way in ([^;]+); do", text)
    told = {
        name.replace("$way", way)
        for name in re.findall(r"data/results/[\w$.-]+\.json", text)
        for way in ways.split()
    }
    assert len(told) > 4
    assert [name for name in told if not (repository / name).is_file()] == []


def test_the_kept_table_is_the_one_that_make_table_makes(repository):
    kept = LabelFractionsConfig.load(repository / "data" / "results" / "label_fractions.json")
    assert kept == LabelFractionsConfig.laptop()


def test_a_changed_number_is_put_right_and_the_rest_is_left(repository, tmp_path):
    text = (repository / "data" / "results" / "README.md").read_text(encoding="utf-8")
    for path in (repository / "data" / "results").glob("*.json"):
        (tmp_path / path.name).write_text(path.read_text())
    page = tmp_path / "README.md"
    wrong = re.sub(r"(?m)^(\|.*)\d\.\d\d", r"\g<1>9.99", text)
    assert wrong != text
    page.write_text(wrong, encoding="utf-8")
    assert main([str(page)]) == 0
    assert page.read_text(encoding="utf-8") == text


def test_a_missing_file_and_no_page_are_clear_errors_and_change_nothing(tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text("<!-- nowhere.json -->\n| a |\n")
    assert main([str(page)]) == 2 and "nowhere.json" in capsys.readouterr().err
    assert page.read_text() == "<!-- nowhere.json -->\n| a |\n"
    assert main([]) == 2 and "PAGE.md" in capsys.readouterr().err


def test_a_file_cut_short_is_named_and_the_page_left(tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text("<!-- cut.json -->\n| a |\n")
    (tmp_path / "cut.json").write_text('{"cells": [')
    assert main([str(page)]) == 2 and "cut.json: expected" in capsys.readouterr().err
    assert page.read_text() == "<!-- cut.json -->\n| a |\n"
