"""Your own images of hands, without labels: whole, or with boxes around the hands.

Chapter 03 pre-trains on such a folder if you name one.
"""

import warnings
from pathlib import Path

import numpy as np

from peclr_utils.boxes import check_box, read_boxes
from peclr_utils.datasets.images import find_images, read_image, unreadable
from peclr_utils.datasets.sample import HandSample


class ImageFolderHands:
    """All images in a folder and below, sorted by name; each hand is an identity of its own.

    Images of kinds that can't be read, such as HEIC, are skipped, with one warning that counts them.

    Args:
        root: the folder.
        boxes: a table with the columns name, x, y, width, height (or x1, y1, x2, y2), and side for left
            hands; one row for each hand. A path, or a name in the folder; `peclr_utils.boxes` says what is
            understood. With it, the samples are its rows, each with its box; without, whole images.
        disc: give whole images a mask: the largest ellipse in them. Views that turn then exchange what lies
            outside; otherwise the image's corners, and the black beyond them, show the angle. Not with boxes.

    Attributes:
        names: images found, relative to the folder.
        skipped: files of kinds that can't be read.
        boxes: the rows, or None.

    Raises:
        FileNotFoundError: if the folder, the table or an image it names is missing, or no image is there.
        ValueError: if the table is not UTF-8, a column is missing or a row is invalid (names the line), or
            both boxes and a disc are asked for.
    """

    source = "folder"

    def __init__(self, root: Path | str, boxes: Path | str | None = None, disc: bool = False):
        self.root = Path(root).expanduser()
        if disc and boxes is not None:
            raise ValueError(f"{self.root}: disc is for whole images; give either disc or boxes")
        self.names, self.skipped = find_images(self.root)
        if self.skipped:
            warnings.warn(f"{self.root}: skipped {unreadable(self.skipped)}", stacklevel=2)
        self.boxes = None if boxes is None else read_boxes(self.root, Path(boxes).expanduser(), self.names)
        self.disc = disc
        self._doubted = False

    def __len__(self) -> int:
        return len(self.names if self.boxes is None else self.boxes)

    @property
    def identities(self) -> np.ndarray:
        return np.arange(len(self))

    def __getitem__(self, index: int) -> HandSample:
        number = range(len(self))[index]
        if self.boxes is None:
            name = self.names[number]
            image = read_image(self.root / name)
            mask = ellipse_mask(*image.shape[:2]) if self.disc else None
            return HandSample(image, number, self.source, mask=mask, name=name)
        name, *box, side, line = self.boxes[number]
        image = read_image(self.root / name)
        doubt = check_box(box, image.shape[1::-1], f"{self.root / name}, line {line} of its boxes")
        if doubt and not self._doubted:
            self._doubted = True
            warnings.warn(doubt, stacklevel=2)
        x1, y1, x2, y2 = box
        corners = np.float32([[x1, y1], [x2 - 1, y1], [x2 - 1, y2 - 1], [x1, y2 - 1]])
        box = np.array(box)
        return HandSample(image, number, self.source, side, outline=corners, box=box, name=name)


def ellipse_mask(height: int, width: int) -> np.ndarray:
    """(height, width) uint8: 255 in the largest ellipse, 0 outside, soft over a tenth of its radius."""
    y, x = (np.abs(np.linspace(-1, 1, 2 * n + 1)[1::2]) for n in (height, width))
    radius = np.hypot(y[:, None], x)
    return (255 * np.clip((1 - radius) / 0.1, 0, 1)).astype(np.uint8)
