import cv2

from peclr_utils.course.cover import main


def test_the_cover_is_written_where_it_is_asked_for(tmp_path):
    path = tmp_path / "figures" / "cover.png"
    assert main([str(path)]) == 0
    assert cv2.imread(str(path)).std() > 20


def test_the_cover_asks_for_a_path(capsys):
    assert main([]) == 2
    assert "PICTURE.png" in capsys.readouterr().err
