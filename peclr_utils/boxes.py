"""Boxes around hands: the tables that people and tools write them into, and what makes a box wrong.

**Convention.** A box is (x1, y1, x2, y2) in pixels of the image as it is shown (that is, after the rotation
its EXIF data may ask for); its width is x2 - x1.
"""

import csv
import posixpath
import re
import unicodedata
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

COLUMNS = {
    "name": "name file filename image imagename imagefile img path filepath imagepath",
    "x1": "x0 x1 x xmin left",
    "y1": "y0 y1 y ymin top",
    "x2": "x2 x1 xmax right",  # x1 if there is x0
    "y2": "y2 y1 ymax bottom",
    "width": "w width",  # beside w, it is the image's
    "height": "h height",
    "side": "side hand handedness handside handtype",
    "label": "label class category",
    "is_left": "isleft lefthand islefthand",
    "is_right": "isright righthand isrighthand",
}
"""Accepted column names. Case, blanks, punctuation, text in brackets, "box" and "bbox" are ignored."""

EXPECTED = "name,x,y,width,height or name,x1,y1,x2,y2, and side if some hands are left"
_NAMED = {"right": "right", "r": "right", "left": "left", "l": "left"}
_NO, _YES = "0 0.0 false no n f".split(), "1 1.0 true yes y t".split()
_SIDES = {
    "side": _NAMED,
    "label": _NAMED,
    "is_left": dict.fromkeys(_NO, "right") | dict.fromkeys(_YES, "left"),
    "is_right": dict.fromkeys(_NO, "left") | dict.fromkeys(_YES, "right"),
}
_NO_BOX = set("nan none null 0 0.0 -1 -1.0".split()) | {""}
_NO_TABLE = {b"PK": "a spreadsheet (.xlsx)", b"{": "JSON", b"[": "JSON", b"<": "XML"}


class Box(NamedTuple):
    """One row of a table: an image's name relative to the folder, pixels, the hand's side, the row's line."""

    name: str
    x1: float
    y1: float
    x2: float
    y2: float
    side: str
    line: int


def check_box(box: Sequence[float] | np.ndarray, size: tuple[int, int] | None, where: str) -> str:
    """Raise ValueError if numbers are not a box, or its centre lies outside the image.

    Args:
        box: (4,) x1, y1, x2, y2.
        size: (width, height) of the image in pixels; None if not known yet.
        where: the image or the line, for the message.

    Returns:
        A doubt to warn of, if most of the box lies outside the image, otherwise "".
    """
    x1, y1, x2, y2 = found = [round(float(value), 4) for value in box]
    expected = f"{where}: expected a box x1, y1, x2, y2 in pixels"
    if not np.isfinite(found).all() or x2 < x1 or y2 < y1:
        other = f"if they are x, y, width, height, give {x1:g}, {y1:g}, {x1 + x2:g}, {y1 + y2:g}"
        raise ValueError(f"{expected} with x1 < x2 and y1 < y2, found {found}; {other}")
    if min(x2 - x1, y2 - y1) < 2:
        fractions = max(map(abs, found)) < 2
        remedy = "multiply fractions by the image's width and height" if fractions else "is this a point?"
        raise ValueError(f"{expected}, at least 2 x 2, found {found}; {remedy}")
    x, y = (x1 + x2 - 1) / 2, (y1 + y2 - 1) / 2
    if size is not None and not (0 <= x < size[0] and 0 <= y < size[1]):
        raise ValueError(
            f"{where}: the box {found} has its centre ({x:g}, {y:g}) outside the image, which is {size[0]} x "
            f"{size[1]} pixels; was the image resized or turned after it was labelled?"
        )
    if size is not None:
        seen = (min(x2, size[0]) - max(x1, 0)) * (min(y2, size[1]) - max(y1, 0)) / ((x2 - x1) * (y2 - y1))
        if seen < 0.5:
            beyond = (
                f"{1 - seen:.0%} of the box {found} lies outside the image of {size[0]} x {size[1]} pixels"
            )
            return f"{where}: {beyond}; was the image resized after it was labelled?"
    return ""


def read_boxes(root: Path, path: Path, names: Sequence[str]) -> list[Box]:
    """Read the boxes of a folder's images from a table, as spreadsheets and labelling tools write it.

    Commas, semicolons or tabs; columns in any order, under the names of `COLUMNS`; UTF-8, or UTF-16 with a
    byte order mark. Columns that mean nothing here are ignored with a warning.

    Args:
        root: the folder.
        path: the table, in the folder; if it isn't there, in the working folder.
        names: the folder's images.

    Raises:
        FileNotFoundError: if there is no such table, or no such image; names the line.
        ValueError: if a column is missing or a row is invalid; names the line.
    """
    file = next((place for place in (root / path, path) if place.is_file()), None)
    if file is None:
        raise FileNotFoundError(f"{path}: no such file of boxes, here or in {root}")
    lines, delimiter = _lines(file)
    table = csv.DictReader(lines, delimiter=delimiter, skipinitialspace=True)
    try:
        columns, ignored = _columns(table.fieldnames or [])
        rows = [(row, table.line_num) for row in table if any(row.values())]
    except csv.Error as error:
        raise ValueError(f"{file}: expected a table of boxes as CSV, {error}") from None
    corners = ["x1", "y1", *(("x2", "y2") if {"x2", "y2"} <= set(columns) else ("width", "height"))]
    if not {"name", *corners} <= set(columns):
        found = delimiter.join(table.fieldnames or []) or "an empty file"
        raise ValueError(f"{file}: expected the columns {EXPECTED}, found {found}")
    if any(column.lower() == "original_width" for column in ignored):
        raise ValueError(f"{file}: expected pixels, found percentages of original_width and original_height")
    if not rows:
        raise ValueError(f"{file}: holds no box, only column names")
    # A label may say which hand it is, or only that it is one.
    if "label" in columns and not any(_side("label", row[columns["label"]]) for row, _ in rows):
        ignored.append(columns.pop("label"))
    if ignored:
        warnings.warn(f"{file}: ignored the columns {', '.join(ignored)}", stacklevel=3)
    images = {unicodedata.normalize("NFC", name): name for name in names}
    boxes = []
    for row, line in rows:
        where = f"{file} line {line}"
        if any(row.get(None, [])):  # where the reader puts what has no column; a trailing comma is harmless
            remedy = "quote names with a comma, write 0.5, not 0,5"
            raise ValueError(f"{where}: more values than columns; {remedy}")
        values = {key: (row[column] or "").strip() for key, column in columns.items()}
        found = ",".join(values[key] for key in ("name", *corners))
        if {values[key].lower() for key in corners} <= _NO_BOX:
            raise ValueError(f"{where}: no box, found {found}; delete rows of images without a hand")
        try:
            decimal = "." if delimiter == "," else ","
            x1, y1, x2, y2 = (float(values[key].replace(decimal, ".")) for key in corners)
        except ValueError:
            expected = f"{', '.join(columns[key] for key in corners)} must be numbers"
            raise ValueError(f"{where}: {expected}, found {found}") from None
        if "width" in corners:
            x2, y2 = x1 + x2, y1 + y2
        check_box((x1, y1, x2, y2), None, where)
        sides = {_side(key, values[key]) for key in _SIDES if key in columns} or {"right"}
        if None in sides or len(sides) > 1:
            found = ", ".join(values[key] for key in _SIDES if key in columns)
            raise ValueError(f"{where}: expected left or right as its side, found {found!r}")
        boxes.append(Box(_name(values["name"], root, images, where), x1, y1, x2, y2, sides.pop(), line))
    return boxes


def _side(key: str, text: str | None) -> str | None:
    """The side that a column says, "left" or "right"; None if it is not understood."""
    text = (text or "").strip().lower()
    return _SIDES[key].get(text if key.startswith("is_") else re.sub(r"hand|[\W_]", "", text))


def _lines(file: Path) -> tuple[list[str], str]:
    """A table's lines, and what separates its columns."""
    content = file.read_bytes()
    if other := next((name for sign, name in _NO_TABLE.items() if content.lstrip().startswith(sign)), None):
        raise ValueError(f"{file}: expected a table of boxes, found {other}; save or write it as CSV")
    utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))  # "Unicode text" of spreadsheets
    try:
        lines = content.decode("utf-16" if utf16 else "utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ValueError(
            f"{file}: expected text in UTF-8, found another encoding; save it as UTF-8"
        ) from None
    if lines and lines[0].startswith("sep="):  # a spreadsheet's own note
        return lines[1:], lines[0][4:5]
    return lines, max(",;\t", key=(lines or [""])[0].count)


def _columns(found: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """A table's own name for each key of `COLUMNS`, and its other columns."""
    plain = {column: re.sub(r"\(.*\)|b?box|[\W_]", "", column.lower()) for column in found}
    columns: dict[str, str] = {}
    for key, names in COLUMNS.items():
        free = [column for column in found if column not in columns.values()]
        match = [column for name in names.split() for column in free if plain[column] == name]
        if match:
            columns[key] = match[0]
    return columns, [column for column in found if column and column not in columns.values()]


def _name(text: str, root: Path, known: dict[str, str], where: str) -> str:
    """The image that a table's text means; paths may be Windows', absolute, or begin with ./."""
    path = unicodedata.normalize("NFC", posixpath.normpath(text.replace("\\", "/")))
    for base in (root, root.resolve()):
        path = path.removeprefix(f"{base.as_posix()}/")
    if path in known:
        return known[path]
    last = posixpath.basename(path).lower()
    similar = next((name for name in known if posixpath.basename(name).lower() == last), None)
    hint = (
        f"is it {similar!r}?" if similar else f"names are relative to it, for example {next(iter(known))!r}"
    )
    raise FileNotFoundError(f"{where}: no image {text!r} in {root}; {hint}")
