import cv2
import numpy as np
import pytest

from peclr_utils.crops import crop_box
from peclr_utils.datasets import ImageFolderHands, find_data, open_source
from peclr_utils.datasets.image_folder import ellipse_mask

HEADER = "name,x,y,width,height\n"


@pytest.fixture
def folder(tmp_path, write_image):
    root = tmp_path / "images"
    for seed, name in enumerate(["b.jpg", "a.PNG", "deep/er/c.jpeg"]):
        write_image(root / name, seed)
    for hidden in (".thumb/b.png", "deep/.thumb/er/b.png"):
        write_image(root / hidden)
    (root / "notes.txt").write_text("not an image")
    (root / "._b.jpg").write_bytes(b"what macOS leaves behind")
    return root


@pytest.fixture
def boxes(folder):
    def write(rows: str, header: str = HEADER):
        path = folder / "boxes.csv"
        path.write_text(header + rows, encoding="utf-8")
        return path

    return write


def test_images_are_found_below_sorted_and_read_whole_hidden_ones_are_skipped(folder):
    dataset = ImageFolderHands(folder)
    assert [sample.name for sample in dataset] == dataset.names == ["a.PNG", "b.jpg", "deep/er/c.jpeg"]
    assert dataset.identities.tolist() == [0, 1, 2]
    sample = dataset[0]
    assert sample.image.shape == (24, 32, 3)
    assert (sample.outline, sample.source, sample.identity) == (None, "folder", 0)
    np.testing.assert_allclose(crop_box(sample)[0], [15.5, 11.5])
    assert ImageFolderHands(folder / ".thumb").names == ["b.png"]  # unless the folder itself is named


def test_each_box_is_a_sample_with_its_corners_as_outline(folder, boxes):
    dataset = ImageFolderHands(folder, boxes("b.jpg,2,3,10,8\nb.jpg,20,4,6,6\ndeep/er/c.jpeg,0,0,32,24\n"))
    assert dataset.identities.tolist() == [0, 1, 2]
    assert [sample.name for sample in dataset] == ["b.jpg", "b.jpg", "deep/er/c.jpeg"]
    assert dataset[0].outline.tolist() == [[2, 3], [11, 3], [11, 10], [2, 10]]
    centre, side = crop_box(dataset[1])
    np.testing.assert_allclose(centre, [22.5, 6.5])
    assert side == pytest.approx(2 * np.hypot(2.5, 2.5))


TABLES = {
    "other columns, a byte order mark": "\ufeffscore, name,x,y,width,height\n0.9, deep/er/c.jpeg,1.5,2,10,8",
    "Windows": "name,x,y,width,height\r\ndeep\\er\\c.jpeg,1.5,2,10,8\r\n,,,,\r\n",
    "a comma at the end": "name,x,y,width,height\n./deep/er/c.jpeg,1.5,2,10,8,",
    "a spreadsheet": "sep=;\nName;X;Y;Width;Height\ndeep/er/c.jpeg;1,5;2;10;8\n",
    "tabs": "File Name\tx\ty\tw\th\ndeep/er/c.jpeg\t1.5\t2\t10\t8\n",
    "corners": "x1,y1,x2,y2,image_path\n1.5,2,11.5,10,deep/er/c.jpeg",
    "corners beside the image's size": "filename,width,height,class,xmin,ymin,xmax,ymax\n"
    "deep/er/c.jpeg,32,24,hand,1.5,2,11.5,10",
    "the image's size beside w and h": "file_name,width,height,x,y,w,h\ndeep/er/c.jpeg,32,24,1.5,2,10,8",
    "counting from 0": "image,x0 (px),y0,x1,y1\ndeep/er/c.jpeg,1.5,2,11.5,10",
    "absolute": "name,bbox_left,bbox_top,bbox_width,bbox_height\n{folder}/deep/er/c.jpeg,1.5,2,10,8",
}


@pytest.mark.filterwarnings("ignore:.*ignored the columns")
@pytest.mark.parametrize("tool", TABLES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_files_of_boxes_are_read_as_tools_write_them(folder, tool, encoding):
    text = TABLES[tool].replace("{folder}", folder.as_posix())
    (folder / "boxes.csv").write_bytes(text.encode(encoding))
    (sample,) = ImageFolderHands(folder, "boxes.csv")  # named relative to the folder
    assert (sample.name, sample.handedness) == ("deep/er/c.jpeg", "right")
    assert sample.box.tolist() == [1.5, 2, 11.5, 10]
    assert sample.outline.tolist() == [[1.5, 2], [10.5, 2], [10.5, 9], [1.5, 9]]


def test_a_table_in_the_folder_comes_before_one_in_the_working_folder(folder, boxes, tmp_path, monkeypatch):
    boxes("b.jpg,2,3,10,8\n")
    (tmp_path / "boxes.csv").write_text(f"{HEADER}a.PNG,1,1,9,9\nb.jpg,1,1,9,9\n")
    monkeypatch.chdir(tmp_path)
    (found,) = find_data(f"folder:{folder}?boxes=boxes.csv")
    for hands in (ImageFolderHands(folder, "boxes.csv"), open_source(found)):
        assert [(sample.name, *sample.box) for sample in hands] == [("b.jpg", 2, 3, 12, 11)]
    assert len(ImageFolderHands(folder, tmp_path / "boxes.csv")) == 2


@pytest.mark.parametrize(
    ("heading", "left", "right"),
    [
        ("Hand", "Left", "R"),
        ("label", "left_hand", "Right Hand"),
        ("is_left", "1.0", "no"),
        ("is_right", "f", "1"),
    ],
)
def test_a_column_may_say_which_hand_it_is(folder, boxes, heading, left, right):
    table = boxes(f"b.jpg,1,1,9,9,{left}\nb.jpg,1,1,9,9,{right}\n", f"{HEADER.strip()},{heading}\n")
    assert [sample.handedness for sample in ImageFolderHands(folder, table)] == ["left", "right"]
    table.write_text(table.read_text() + "b.jpg,1,1,9,9,both\n")
    with pytest.raises(ValueError, match="line 4: expected left or right as its side, found 'both'"):
        ImageFolderHands(folder, table)


def test_columns_that_mean_nothing_here_are_named(folder, boxes):
    table = boxes("b.jpg,1,1,9,9,hand,0.5\n", "name,x,y,width,height,label,score\n")
    with pytest.warns(UserWarning, match="boxes.csv: ignored the columns score, label"):
        ImageFolderHands(folder, table)


def test_names_in_a_table_match_composed_and_decomposed_letters(folder, boxes, write_image):
    write_image(folder / "u\u0308ber.png")
    assert ImageFolderHands(folder, boxes("\u00fcber.png,1,1,9,9\n"))[0].name == "u\u0308ber.png"
    with pytest.raises(FileNotFoundError, match="no image 'c.JPEG' .* is it 'deep/er/c.jpeg'?"):
        ImageFolderHands(folder, boxes("c.JPEG,1,1,9,9\n"))


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        ("b.jpg,1,2,3\n", "name,x,y,w\n", "the columns name,x,y,width,height or .* found name,x,y,w$"),
        ("", HEADER, "holds no box, only column names"),
        ("b.jpg,1,2,ten,5", HEADER, "line 2: x, y, width, height must be numbers, found b.jpg,1,2,ten,5"),
        ("b.jpg,1,2,0,5", HEADER, "line 2: expected a box .* at least 2 x 2"),
        ("b.jpg,0.1,0.2,0.5,0.6", HEADER, "line 2: .* multiply fractions by the image's width and height"),
        ("b.jpg,9,8,2,1", "name,x1,y1,x2,y2\n", "line 2: .* x, y, width, height, give 9, 8, 11, 9"),
        ("b.jpg,-1,-1,-1,-1", HEADER, "line 2: no box, .* delete rows of images without a hand"),
        ("b.jpg,1,2,30,40,32,24", HEADER.strip() + ",original_width,original_height\n", "found percentages"),
        ("b.jpg,9,9,9,9\nc.jpg,1,2,ten,5", HEADER, "line 3: .* must be numbers"),  # a square is a box
        ('{"images": []}', "", "expected a table of boxes, found JSON"),
        ("b.jpg,1,5,2,10,8", HEADER, "line 2: more values than columns; .* write 0.5, not 0,5"),
    ],
)
def test_a_file_of_boxes_that_makes_no_sense_is_refused_and_the_line_named(
    folder, boxes, rows, header, message
):
    with pytest.raises(ValueError, match=rf"boxes.csv.*{message}"):
        ImageFolderHands(folder, boxes(rows, header))


def test_boxes_in_another_encoding_or_of_missing_images_are_refused(folder, boxes):
    path = boxes("b.jpg,1,2,5,5\nd.jpeg,1,2,5,5\n")
    with pytest.raises(FileNotFoundError, match=r"line 3: no image 'd.jpeg' .* for example 'a.PNG'"):
        ImageFolderHands(folder, path)
    path.write_bytes((HEADER + "übung.jpg,2,3,10,8\n").encode("latin-1"))
    with pytest.raises(ValueError, match=r"boxes.csv: expected text in UTF-8"):
        ImageFolderHands(folder, path)
    with pytest.raises(FileNotFoundError, match=r"nowhere.csv: no such file of boxes"):
        ImageFolderHands(folder, "nowhere.csv")


def test_a_box_may_reach_beyond_the_image_but_its_centre_may_not(folder, boxes):
    dataset = ImageFolderHands(folder, boxes("b.jpg,-2,4,8,40\nb.jpg,40,4,6,6\n"))
    with pytest.warns(UserWarning, match="line 2 .*: 62% of the box .* outside the image of 32 x 24"):
        assert dataset[0].outline is not None
    with pytest.raises(ValueError, match=r"b.jpg, line 3 .* has its centre \(42.5, 6.5\) .* 32 x 24"):
        dataset[1]


def test_a_disc_masks_whole_images_alone(folder, boxes):
    hands = open_source(f"folder:{folder}?disc=1")
    sample = hands[0]
    height, width = sample.image.shape[:2]
    assert sample.mask.shape == (height, width) and sample.mask[height // 2, width // 2] == 255
    assert not sample.mask[[0, 0, -1, -1], [0, -1, 0, -1]].any()
    np.testing.assert_array_equal(sample.mask, sample.mask[::-1, ::-1])
    assert ImageFolderHands(folder)[0].mask is None
    with pytest.raises(ValueError, match="give either disc or boxes"):
        ImageFolderHands(folder, boxes("b.jpg,2,3,10,8\n"), disc=True)
    # An ellipse covers a quarter of pi of its box; a little less with its soft edge.
    assert 0.7 < sample.mask.mean() / 255 < np.pi / 4


def test_turning_a_disc_changes_nothing_that_would_tell_the_angle():
    disc = ellipse_mask(64, 64)
    turn = cv2.getRotationMatrix2D((31.5, 31.5), 37, 1)
    turned = cv2.warpAffine(disc, turn, (64, 64))
    assert np.abs(turned.astype(int) - disc).max() <= 30
