"""Tables in Markdown pages are what the files of results hold; every kept result can be made again."""

import json
import re

import cv2
import pytest
from peclr_utils.course.pages import fill_tables, main
from peclr_utils.experiments.label_fractions import LabelFractionsConfig
from peclr_utils.experiments.probes import ProbeConfig

PAGES = ("README.md", "data/results/README.md")


@pytest.mark.parametrize("page", PAGES)
def test_every_table_of_results_is_what_its_file_holds(repository, page):
    text = (repository / page).read_text(encoding="utf-8")
    assert "<!-- " in text
    assert fill_tables(repository / page) == text


def test_every_kept_result_is_its_own_recipe(repository):
    for path in sorted((repository / "data" / "results").glob("*.json")):
        content = json.loads(path.read_text())
        if "cells" in content and "config" in content:
            config = LabelFractionsConfig.load(path)
            cells = [(cell["method"], cell["labels"], cell["seed"]) for cell in content["cells"]]
            assert len(set(cells)) == len(cells)
            wanted = (config.methods, config.labels, config.seeds)
            assert [set(column) for column in zip(*cells, strict=True)] == list(map(set, wanted))
        elif "config" in content:
            config = ProbeConfig.load(path)
            assert len(content["probes"]) == len(config.encoders) + len(config.untrained_seeds)
        else:
            continue
        config.validate()


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


def test_the_cover_is_drawn(tmp_path):
    assert main([str(tmp_path / "cover.png")]) == 0
    assert cv2.imread(str(tmp_path / "cover.png")).std() > 20
