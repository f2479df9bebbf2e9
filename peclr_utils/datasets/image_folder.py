"""Anyone's own pictures of hands, without labels: whole, or with boxes around the hands.

Chapter 03 pre-trains on such a folder if you name one.

**Convention.** A box's x and y are its top left pixel, width and height count pixels, in the picture as it is
shown (that is, after the rotation its EXIF data may ask for).
"""

import csv
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from peclr_utils.datasets.images import EXTENSIONS, read_image
from peclr_utils.datasets.sample import HandSample

COLUMNS = ("name", "x", "y", "width", "height")


@dataclass(frozen=True)
class Box:
    """One row of a file of boxes: a picture's name relative to the folder, and pixels."""

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
    """All pictures in a folder and the folders in it, sorted by name; each hand is an identity of its own.

    Args:
        root: the folder.
        boxes: CSV file with the columns name, x, y, width, height, one row for each hand; a path, or a name
            in the folder. With it, the samples are its rows, and each has the box's corners as outline;
            without, a sample is a whole picture.

    Attributes:
        names: pictures found, relative to the folder.
        boxes: the rows, or None.

    Raises:
        FileNotFoundError: if the folder, the CSV file or a picture it names is missing, or no picture is
            there.
        ValueError: if the CSV file is not UTF-8, a column is missing or a row makes no sense; names the line.
    """

    source = "folder"

    def __init__(self, root: Path | str, boxes: Path | str | None = None):
        self.root = Path(root).expanduser()
        self.names = find_pictures(self.root)
        self.boxes = None if boxes is None else read_boxes(self.root, Path(boxes).expanduser(), self.names)

    def __len__(self) -> int:
        return len(self.names if self.boxes is None else self.boxes)

    @property
    def identities(self) -> np.ndarray:
        return np.arange(len(self))

    def __getitem__(self, index: int) -> HandSample:
        entry = (self.names if self.boxes is None else self.boxes)[index]
        name = entry if isinstance(entry, str) else entry.name
        image = read_image(self.root / name)
        if isinstance(entry, Box):
            _check_inside(entry, image, self.root)
        return HandSample(
            image=image,
            identity=range(len(self))[index],
            source=self.source,
            outline=entry.corners if isinstance(entry, Box) else None,
            name=name,
        )


def find_pictures(root: Path) -> list[str]:
    """List the pictures in a folder and the folders in it, relative to it, sorted.

    Hidden files and folders, whose names begin with a dot, are left out.

    Raises:
        FileNotFoundError: if the folder is missing, is a file or holds no picture.
    """
    if not root.is_dir():
        reason = "this is a file; name the folder it is in" if root.exists() else "there is no such folder"
        raise FileNotFoundError(f"{root}: {reason}")
    names = []
    for folder, below, files in os.walk(root):
        below[:] = [name for name in below if not name.startswith(".")]  # what stays is walked into
        # Once a folder, for a `Path` takes ten times as long as the rest of a file.
        place = "" if Path(folder) == root else f"{Path(folder).relative_to(root).as_posix()}/"
        names += [
            place + name for name in files if name.lower().endswith(EXTENSIONS) and not name.startswith(".")
        ]
    if not names:
        raise FileNotFoundError(
            f"{root}: holds no picture; looked for {', '.join(EXTENSIONS)} in it and below"
        )
    return sorted(names)


def read_boxes(root: Path, path: Path, names: list[str]) -> list[Box]:
    """Read the boxes of a folder's pictures.

    Args:
        root: the folder.
        path: the CSV file, or its name in the folder.
        names: the pictures there.

    Raises:
        FileNotFoundError: if the file, or a picture it names, is missing.
        ValueError: if the file is not UTF-8, a column is missing or a row makes no sense; names the line.
    """
    file_path = next((place for place in (path, root / path) if place.is_file()), None)
    if file_path is None:
        raise FileNotFoundError(f"{path}: no such file of boxes, here or in {root}")
    known = set(names)
    try:
        boxes = _read_rows(file_path)
    except UnicodeDecodeError:
        raise ValueError(
            f"{file_path}: expected text in UTF-8, found another encoding; save it as UTF-8"
        ) from None
    for box in boxes:
        if box.name not in known:
            raise FileNotFoundError(
                f"{file_path} line {box.line}: no picture {box.name!r} in {root}; names are relative to that "
                f"folder, for example {names[0]!r}"
            )
    if not boxes:
        raise ValueError(f"{file_path}: holds no box, only column names")
    return boxes


def _read_rows(path: Path) -> list[Box]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file, skipinitialspace=True)
        try:
            columns = rows.fieldnames or []
            missing = [column for column in COLUMNS if column not in columns]
            if missing:
                raise ValueError(
                    f"{path}: column {', '.join(missing)} missing; expected {','.join(COLUMNS)}, "
                    f"found {','.join(columns) or 'an empty file'}"
                )
            return [_box(row, f"{path} line {rows.line_num}", rows.line_num) for row in rows]
        except csv.Error as error:
            raise ValueError(f"{path} after line {rows.line_num}: not valid CSV ({error})") from None


def _box(row: dict[str | None, str | list[str]], where: str, line: int) -> Box:
    extra = row.get(None, [])  # where the reader puts what has no column; a comma at the end does no harm
    if any(text.strip() for text in extra):
        columns = len(row) - 1
        raise ValueError(
            f"{where}: expected {columns} columns, as in the first line, found {columns + len(extra)}; write "
            "numbers with a point, and names that have a comma in quotes"
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
    """A box may reach beyond the picture, as detectors' do, but its centre may not."""
    height, width = image.shape[:2]
    x, y = box.corners.mean(0)
    if not (0 <= x < width and 0 <= y < height):
        found = f"{box.x:g},{box.y:g},{box.width:g},{box.height:g}"
        raise ValueError(
            f"{root / box.name}: the box in line {box.line} ({found}) has its centre outside the picture, "
            f"which is {width} x {height} pixels"
        )
