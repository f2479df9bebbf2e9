"""Backgrounds to put a rendered hand in front of: painted images, or crops of a folder of photographs.

Chapter 01 shows a row of them, without people. `painting` and `people` paint them.

**Convention.** RGB uint8; `size` is (height, width).
"""

import functools
from pathlib import Path

import cv2
import numpy as np

from peclr_utils.files import IMAGE_SUFFIXES
from peclr_utils.hands.painting import PAINTERS, SHARES, soften
from peclr_utils.hands.people import paint_person


def sample_background(rng: np.random.Generator, size: tuple[int, int], people: float = 0.0) -> np.ndarray:
    """Paint one background, (H, W, 3) uint8 RGB, of a size (H, W); a person is in it with chance `people`."""
    if people and rng.random() < people:
        image = paint_person(rng, size)
    else:
        image = PAINTERS[rng.choice(len(PAINTERS), p=SHARES / SHARES.sum())](rng, size)
    # One light, itself coloured a little, falls unevenly on any scene.
    lamps = 96 + 64 * rng.random((3, 3, 1), dtype=np.float32)
    lamps = lamps + 5 * rng.standard_normal((3, 3, 3), dtype=np.float32)
    light = cv2.resize(lamps.astype(np.uint8), size[::-1], interpolation=cv2.INTER_CUBIC)
    image = cv2.multiply(image, light, scale=1 / 128)
    blur = (0.0, rng.uniform(0.5, 1.5), rng.uniform(1.5, 5.0))[rng.integers(3)]
    return soften(image, blur * size[0] / 224)


def photo_background(rng: np.random.Generator, folder: str | Path, size: tuple[int, int]) -> np.ndarray:
    """Cut a random piece of (H, W, 3) uint8 RGB out of a random photograph, one of `list_photos(folder)`."""
    files = list_photos(folder)
    path = files[int(rng.integers(len(files)))]
    photo = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if photo is None:
        raise ValueError(f"background photograph {path}: can't be read as an image; repair or remove it")
    height, width = photo.shape[:2]
    scale = min(height / size[0], width / size[1]) * rng.uniform(0.4, 1.0)
    box_height, box_width = (max(1, int(side * scale)) for side in size)
    top = int(rng.integers(height - box_height + 1))
    left = int(rng.integers(width - box_width + 1))
    piece = photo[top : top + box_height, left : left + box_width]
    if rng.random() < 0.5:
        piece = piece[:, ::-1]
    return cv2.resize(piece, size[::-1], interpolation=cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR)


@functools.cache
def list_photos(folder: str | Path) -> tuple[Path, ...]:
    """The images under a folder and its sub-folders, sorted; the folder is searched once per process.

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if it holds no images.
    """
    root = Path(folder)
    if not root.is_dir():
        raise FileNotFoundError(f"background folder {root}: expected a folder of photographs")
    files = tuple(sorted(path for path in root.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES))
    if not files:
        raise ValueError(f"background folder {root}: no images found; expected {', '.join(IMAGE_SUFFIXES)}")
    return files


def composite(foreground: np.ndarray, alpha: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Put a foreground in front of a background.

    Args:
        foreground: (H, W, 3) uint8, colours that are not premultiplied by alpha.
        alpha: (H, W) uint8, 255 where the foreground covers the pixel.
        background: (H, W, 3) uint8.

    Returns:
        (H, W, 3) uint8, a new array.
    """
    rows = np.flatnonzero(alpha.any(axis=1))
    image = background.copy()
    if len(rows):
        part = slice(rows[0], rows[-1] + 1)
        weight = alpha[part].astype(np.float32) * np.float32(1 / 255)
        image[part] = cv2.blendLinear(foreground[part], background[part], weight, 1.0 - weight)
    return image
