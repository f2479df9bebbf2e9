"""Your own images of hands, without labels: whole, or with boxes around the hands.

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
        ValueError: if the CSV file is not UTF-8, a column is missing or a row is invalid; names the line.
    """

    source = "folder"

    def __init__(self, root: Path | str, boxes: Path | str | None = None):
        self.root = Path(root).expanduser()
        self.names = find_images(self.root)
        self.boxes = None if boxes is None else _read_boxes(self.root, Path(boxes).expanduser(), self.names)

    def __len__(self) -> int:
        return len(self.names if self.boxes is None else self.boxes)

    @property
    def identities(self) -> np.ndarray:
        return np.arange(len(self))

    def __getitem__(self, index: int) -> HandSample:
        box = None if self.boxes is None else self.boxes[index]
        name = self.names[index] if box is None else box.name
        image = read_image(self.root / name)
        height, width = image.shape[:2]
        x, y = (0, 0) if box is None else box.corners.mean(0)
        if not (0 <= x < width and 0 <= y < height):  # it may reach beyond the image, as detectors' boxes do
            where = f"{self.root / name}: the box in line {box.line} has its centre ({x:g}, {y:g})"
            raise ValueError(f"{where} outside the image, which is {width} x {height} pixels")
        outline = None if box is None else box.corners
        return HandSample(image, range(len(self))[index], self.source, outline=outline, name=name)


def _read_boxes(root: Path, path: Path, names: list[str]) -> list[Box]:
    """Read the boxes of these images from a CSV file, here or in the folder."""
    file = next((place for place in (path, root / path) if place.is_file()), None)
    if file is None:
        raise FileNotFoundError(f"{path}: no such file of boxes, here or in {root}")
    try:
        rows = csv.DictReader(file.read_text("utf-8-sig").splitlines(), skipinitialspace=True)
    except UnicodeDecodeError:
        raise ValueError(f"{file}: expected text in UTF-8, found another encoding") from None
    columns = rows.fieldnames or []
    if not set(COLUMNS) <= set(columns):
        found = ",".join(columns) or "an empty file"
        raise ValueError(f"{file}: expected the columns {','.join(COLUMNS)}, found {found}")
    boxes = [_box(row, f"{file} line {rows.line_num}", rows.line_num) for row in rows]
    if not boxes:
        raise ValueError(f"{file}: holds no box, only column names")
    known = set(names)
    for box in boxes:
        if box.name not in known:
            where = f"{file} line {box.line}: no image {box.name!r} in {root}"
            raise FileNotFoundError(f"{where}; names are relative to that folder, for example {names[0]!r}")
    return boxes


def _box(row: dict, where: str, line: int) -> Box:
    if any(row.get(None, [])):  # where the reader puts what has no column; a trailing comma is harmless
        raise ValueError(f"{where}: more values than columns; quote names with a comma, write 0.5, not 0,5")
    found = ",".join(str(row[column]) for column in COLUMNS)
    try:
        x, y, width, height = (float(row[column]) for column in COLUMNS[1:])
    except (TypeError, ValueError):
        raise ValueError(f"{where}: x, y, width and height must be numbers, found {found}") from None
    if not (np.isfinite([x, y, width, height]).all() and min(width, height) >= 2):
        raise ValueError(f"{where}: expected a box of at least 2 x 2 pixels, found {found}")
    return Box((row["name"] or "").replace("\\", "/"), x, y, width, height, line)
