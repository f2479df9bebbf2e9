"""Anyone's own images of hands, without labels: whole, or with boxes around the hands.

Chapter 03 pre-trains on such a folder if you name one.

**Convention.** A box's x and y are its top left pixel, width and height count pixels, in the image as it is
shown (that is, after the rotation its EXIF data may ask for).
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from peclr_utils.datasets.images import find_images, read_image
from peclr_utils.datasets.sample import HandSample

COLUMNS = ("name", "x", "y", "width", "height")


@dataclass(frozen=True)
class Box:
    """One row of a file of boxes: an image's name relative to the folder, and pixels."""

    name: str
    x: float
    y: float
    width: float
    height: float
    line: int

    @property
    def corners(self) -> np.ndarray:
        """(4, 2) float32, the centres of the pixels in the corners."""
        right, bottom = self.x + self.width - 1, self.y + self.height - 1
        return np.float32([[self.x, self.y], [right, self.y], [right, bottom], [self.x, bottom]])


class ImageFolderHands:
    """All images in a folder and below, sorted by name; each hand is an identity of its own.

    Args:
        root: the folder.
        boxes: CSV file with the columns name, x, y, width, height, one row for each hand; a path, or a name
            in the folder. With it, the samples are its rows, and each has the box's corners as outline;
            without, a sample is a whole image.

    Attributes:
        names: images found, relative to the folder.
        boxes: the rows, or None.

    Raises:
        FileNotFoundError: if the folder, the CSV file or an image it names is missing, or no image is there.
        ValueError: if the CSV file is not UTF-8, a column is missing or a row makes no sense; names the line.
    """

    source = "folder"

    def __init__(self, root: Path | str, boxes: Path | str | None = None):
        self.root = Path(root).expanduser()
        self.names = find_images(self.root)
        self.boxes = None if boxes is None else read_boxes(self.root, Path(boxes).expanduser(), self.names)

    def __len__(self) -> int:
        return len(self.names if self.boxes is None else self.boxes)

    @property
    def identities(self) -> np.ndarray:
        return np.arange(len(self))

    def __getitem__(self, index: int) -> HandSample:
        box = None if self.boxes is None else self.boxes[index]
        name = self.names[index] if box is None else box.name
        image = read_image(self.root / name)
        if box is not None:
            _check_inside(box, image, self.root)
        return HandSample(
            image=image,
            identity=range(len(self))[index],
            source=self.source,
            outline=None if box is None else box.corners,
            name=name,
        )


def read_boxes(root: Path, path: Path, names: list[str]) -> list[Box]:
    """Read the boxes of a folder's images.

    Args:
        root: the folder.
        path: the CSV file, or its name in the folder.
        names: the images there.

    Raises:
        FileNotFoundError: if the file, or an image it names, is missing.
        ValueError: if the file is not UTF-8, a column is missing or a row makes no sense; names the line.
    """
    file = next((place for place in (path, root / path) if place.is_file()), None)
    if file is None:
        raise FileNotFoundError(f"{path}: no such file of boxes, here or in {root}")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(
            f"{file}: expected text in UTF-8, found another encoding; save it as UTF-8"
        ) from None
    rows = csv.DictReader(text.splitlines(), skipinitialspace=True)
    columns = rows.fieldnames or []
    missing = [column for column in COLUMNS if column not in columns]
    if missing:
        found = ",".join(columns) or "an empty file"
        raise ValueError(
            f"{file}: no column {', '.join(missing)}; expected {','.join(COLUMNS)}, found {found}"
        )
    boxes = [_box(row, f"{file} line {rows.line_num}", rows.line_num) for row in rows]
    if not boxes:
        raise ValueError(f"{file}: holds no box, only column names")
    known = set(names)
    unknown = next((box for box in boxes if box.name not in known), None)
    if unknown is not None:
        raise FileNotFoundError(
            f"{file} line {unknown.line}: no image {unknown.name!r} in {root}; names are relative to that "
            f"folder, for example {names[0]!r}"
        )
    return boxes


def _box(row: dict, where: str, line: int) -> Box:
    if any(row.get(None, [])):  # where the reader puts what has no column; a comma at the end does no harm
        raise ValueError(
            f"{where}: more values than columns; write numbers with a point, and quote names that have a comma"
        )
    try:
        x, y, width, height = (float(row[column]) for column in COLUMNS[1:])
    except (TypeError, ValueError):
        found = ",".join(str(row[column]) for column in COLUMNS)
        raise ValueError(f"{where}: x, y, width and height must be numbers, found {found}") from None
    if not (np.isfinite([x, y]).all() and 2 <= width < np.inf and 2 <= height < np.inf):
        raise ValueError(f"{where}: expected a box of at least 2 x 2 pixels, found {x},{y},{width},{height}")
    return Box((row["name"] or "").replace("\\", "/"), x, y, width, height, line)


def _check_inside(box: Box, image: np.ndarray, root: Path) -> None:
    """A box may reach beyond the image, as detectors' do, but its centre may not."""
    height, width = image.shape[:2]
    x, y = box.corners.mean(0)
    if not (0 <= x < width and 0 <= y < height):
        found = f"{box.x:g},{box.y:g},{box.width:g},{box.height:g}"
        raise ValueError(
            f"{root / box.name}: the box in line {box.line} ({found}) has its centre outside the image, "
            f"which is {width} x {height} pixels"
        )
