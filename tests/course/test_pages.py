"""Tables in Markdown pages are what the files of results hold; the cover can be drawn again."""

import re

import cv2

from peclr_utils.course.pages import fill_tables, main


def test_every_table_of_results_is_what_its_file_holds(repository):
    page = repository / "data" / "results" / "README.md"
    text = page.read_text(encoding="utf-8")
    assert "<!-- " in text
    assert fill_tables(page) == text


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
