import cv2
import numpy as np
import pytest

from peclr_utils.crops import crop_box
from peclr_utils.datasets import ImageFolderHands

HEADER = "name,x,y,width,height\n"


@pytest.fixture
def folder(tmp_path, write_picture):
    root = tmp_path / "pictures"
    for seed, name in enumerate(["b.jpg", "a.PNG", "deep/er/c.jpeg"]):
        write_picture(root / name, seed)
    (root / "notes.txt").write_text("not a picture")
    (root / "._b.jpg").write_bytes(b"what macOS leaves behind")
    return root


@pytest.fixture
def boxes(folder):
    def write(rows: str, header: str = HEADER):
        path = folder / "boxes.csv"
        path.write_text(header + rows, encoding="utf-8")
        return path

    return write


def test_pictures_are_found_below_sorted_and_read_whole(folder):
    dataset = ImageFolderHands(folder)
    assert [sample.name for sample in dataset] == ["a.PNG", "b.jpg", "deep/er/c.jpeg"]
    assert dataset.identities.tolist() == [0, 1, 2]
    sample = dataset[0]
    assert sample.image.shape == (24, 32, 3)
    assert sample.outline is None
    assert sample.source == "folder"
    assert sample.identity == 0
    np.testing.assert_allclose(crop_box(sample)[0], [15.5, 11.5])


def test_hidden_folders_are_left_out_unless_named_themselves(folder, write_picture):
    write_picture(folder / ".thumb" / "b.png")
    write_picture(folder / "deep" / ".thumb" / "er" / "b.png")
    assert ImageFolderHands(folder).names == ["a.PNG", "b.jpg", "deep/er/c.jpeg"]
    assert ImageFolderHands(folder / ".thumb").names == ["b.png"]


def test_pictures_are_rgb(folder, write_picture, tmp_path):
    np.testing.assert_array_equal(ImageFolderHands(folder)[0].image, write_picture(tmp_path / "x.png", 1))


def test_grey_pictures_and_ones_with_alpha_become_rgb(tmp_path):
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((5, 6), 70, np.uint8))
    cv2.imwrite(str(tmp_path / "alpha.png"), np.full((5, 6, 4), 80, np.uint8))
    cv2.imwrite(str(tmp_path / "deep.png"), np.full((5, 6, 3), 90 * 257, np.uint16))
    assert [int(sample.image.mean()) for sample in ImageFolderHands(tmp_path)] == [80, 90, 70]


def test_each_box_is_a_sample_with_its_corners_as_outline(folder, boxes):
    path = boxes("b.jpg,2,3,10,8\nb.jpg,20,4,6,6\ndeep/er/c.jpeg,0,0,32,24\n")
    dataset = ImageFolderHands(folder, path)
    assert len(dataset) == 3
    assert dataset.identities.tolist() == [0, 1, 2]
    assert [sample.name for sample in dataset] == ["b.jpg", "b.jpg", "deep/er/c.jpeg"]
    assert dataset[0].outline.tolist() == [[2, 3], [11, 3], [11, 10], [2, 10]]
    centre, side = crop_box(dataset[1])
    np.testing.assert_allclose(centre, [22.5, 6.5])
    assert side == pytest.approx(2 * np.hypot(2.5, 2.5))


def test_boxes_may_be_named_relative_to_the_folder_and_have_other_columns(folder, boxes):
    boxes("0.9, b.jpg,1.5,2,10,8\n", header="\ufeffscore, name,x,y,width,height\n")
    assert ImageFolderHands(folder, "boxes.csv")[0].outline[0].tolist() == [1.5, 2]


def test_backslashes_in_names_are_understood(folder, boxes):
    assert ImageFolderHands(folder, boxes("deep\\er\\c.jpeg,0,0,9,9\n"))[0].name == "deep/er/c.jpeg"


def test_a_comma_at_the_end_of_a_row_does_no_harm(folder, boxes):
    assert ImageFolderHands(folder, boxes("b.jpg,2,3,10,8,\n"))[0].outline[0].tolist() == [2, 3]


def test_a_file_of_boxes_in_another_encoding_is_named(folder, boxes):
    path = boxes("")
    path.write_bytes((HEADER + "b.jpg,2,3,10,8\nübung.jpg,2,3,10,8\n").encode("latin-1"))
    with pytest.raises(ValueError, match=r"boxes.csv: expected text in UTF-8, found another encoding"):
        ImageFolderHands(folder, path)


def test_a_missing_column_is_named(folder, boxes):
    path = boxes("b.jpg,1,2,3\n", header="name,x,y,w\n")
    with pytest.raises(ValueError, match=r"column width, height missing; expected .*, found name,x,y,w"):
        ImageFolderHands(folder, path)


def test_an_empty_file_of_boxes_is_refused(folder, boxes):
    with pytest.raises(ValueError, match="found an empty file"):
        ImageFolderHands(folder, boxes("", header=""))
    with pytest.raises(ValueError, match="holds no box, only column names"):
        ImageFolderHands(folder, boxes(""))


def test_an_unknown_name_is_named_with_its_line(folder, boxes):
    path = boxes("b.jpg,1,2,5,5\nc.jpeg,1,2,5,5\n")
    with pytest.raises(FileNotFoundError, match=r"line 3: no picture 'c.jpeg' .* for example 'a.PNG'"):
        ImageFolderHands(folder, path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("b.jpg,1,2,ten,5", "line 2: x, y, width and height must be numbers, found b.jpg,1,2,ten,5"),
        ("b.jpg,1,2,5", "line 2: x, y, width and height must be numbers"),
        ("b.jpg,1,2,0,5", "line 2: expected a box of at least 2 x 2 pixels"),
        ("b.jpg,nan,2,5,5", "line 2: expected a box of at least 2 x 2 pixels"),
        (
            "b.jpg,1,5,2,10,8",
            "line 2: expected 5 columns, as in the first line, found 6; write numbers with a",
        ),
    ],
)
def test_a_row_that_makes_no_sense_is_named(folder, boxes, row, message):
    with pytest.raises(ValueError, match=message):
        ImageFolderHands(folder, boxes(row + "\n"))


def test_what_is_no_csv_is_named_with_its_line(folder, boxes):
    path = boxes("b.jpg,1,2,5,5\n" + 200_000 * "x")
    with pytest.raises(ValueError, match=r"boxes.csv after line 2: not valid CSV \(field larger than"):
        ImageFolderHands(folder, path)


def test_a_box_outside_the_picture_is_named(folder, boxes):
    dataset = ImageFolderHands(folder, boxes("b.jpg,28,4,6,6\nb.jpg,40,4,6,6\n"))
    assert dataset[0].outline is not None  # reaching beyond the edge is fine
    with pytest.raises(ValueError, match=r"b.jpg: the box in line 3 \(40,4,6,6\) .* 32 x 24 pixels"):
        dataset[1]


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no picture; looked for .jpg"):
        ImageFolderHands(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no such folder"):
        ImageFolderHands(tmp_path / "nowhere")


def test_a_picture_instead_of_its_folder_is_said_to_be_a_file(folder):
    with pytest.raises(FileNotFoundError, match=r"b.jpg: this is a file; name the folder it is in"):
        ImageFolderHands(folder / "b.jpg")


def test_a_missing_file_of_boxes_is_named(folder):
    with pytest.raises(FileNotFoundError, match=r"nowhere.csv: no such file of boxes"):
        ImageFolderHands(folder, "nowhere.csv")


def test_a_corrupt_picture_is_named(folder):
    (folder / "b.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match=r"b.jpg: its 0 bytes don't decode as a picture; it is corrupt"):
        ImageFolderHands(folder)[1]


def test_index_past_the_end_is_refused(folder, boxes):
    for dataset in (ImageFolderHands(folder), ImageFolderHands(folder, boxes("b.jpg,2,3,10,8\n"))):
        with pytest.raises(IndexError):
            dataset[len(dataset)]
