"""Backgrounds to put a rendered hand in front of: procedural pictures, or crops of a folder of photographs.

Chapter 01 shows a row of them. They need not fool anybody: they must vary in colour, scale, sharpness and
layout, so that nothing but the hand is common to two pictures of one pose.

**Convention.** RGB uint8; `size` is (height, width).
"""

import functools
from pathlib import Path

import cv2
import numpy as np

from peclr_utils.hands.background_kinds import KINDS, SHARES, soften

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


def sample_background(rng: np.random.Generator, size: tuple[int, int], kind: str | None = None) -> np.ndarray:
    """Paint one procedural background.

    Args:
        rng: source of all randomness.
        size: (H, W).
        kind: one of `KINDS`, or None for a random one.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ValueError: if `kind` is unknown.
    """
    if kind is None:
        shares = np.array(list(SHARES.values()), dtype=np.float64)
        kind = list(SHARES)[rng.choice(len(shares), p=shares / shares.sum())]
    if kind not in KINDS:
        raise ValueError(f"unknown background {kind!r}; expected one of {', '.join(KINDS)}")
    picture = KINDS[kind](rng, size)
    # One light, itself coloured a little, falls unevenly on any scene.
    lamps = (
        96
        + 64 * rng.random((3, 3, 1), dtype=np.float32)
        + 5 * rng.standard_normal((3, 3, 3), dtype=np.float32)
    )
    light = cv2.resize(lamps.astype(np.uint8), size[::-1], interpolation=cv2.INTER_CUBIC)
    picture = cv2.multiply(picture, light, scale=1 / 128)
    blur = (0.0, rng.uniform(0.5, 1.5), rng.uniform(1.5, 5.0))[rng.integers(3)]
    return soften(picture, blur * size[0] / 224)


def photo_background(rng: np.random.Generator, folder: str | Path, size: tuple[int, int]) -> np.ndarray:
    """Cut a random piece out of a random photograph.

    Args:
        rng: source of all randomness.
        folder: directory of pictures; looked through once per process, sub-folders included.
        size: (H, W).

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if it holds no pictures, or the drawn one cannot be read.
    """
    files = list_photos(folder)
    path = files[int(rng.integers(len(files)))]
    photo = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if photo is None:
        raise ValueError(f"background photograph {path}: cannot be read as a picture; repair or remove it")
    height, width = photo.shape[:2]
    largest = min(height / size[0], width / size[1])
    scale = largest * rng.uniform(0.4, 1.0)
    box_height, box_width = max(1, int(size[0] * scale)), max(1, int(size[1] * scale))
    top = int(rng.integers(height - box_height + 1))
    left = int(rng.integers(width - box_width + 1))
    piece = photo[top : top + box_height, left : left + box_width]
    if rng.random() < 0.5:
        piece = piece[:, ::-1]
    shrinks = scale > 1
    return cv2.resize(piece, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


@functools.lru_cache(maxsize=16)
def _photos(folder: str) -> tuple[Path, ...]:
    root = Path(folder)
    if not root.is_dir():
        raise FileNotFoundError(
            f"background folder {root}: not a directory; expected a folder of photographs"
        )
    files = tuple(sorted(p for p in root.rglob("*") if p.suffix.lower() in PHOTO_SUFFIXES))
    if not files:
        raise ValueError(
            f"background folder {root}: no pictures found; expected files ending in {PHOTO_SUFFIXES}"
        )
    return files


def list_photos(folder: str | Path) -> tuple[Path, ...]:
    """The pictures under a folder, sorted, so that the same draw picks the same file everywhere.

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if it holds no pictures.
    """
    return _photos(str(folder))


def composite(foreground: np.ndarray, alpha: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Put a foreground in front of a background.

    Args:
        foreground: (H, W, 3) uint8 colours that are not yet mixed with anything.
        alpha: (H, W) uint8, 255 where the foreground covers the pixel.
        background: (H, W, 3) uint8.

    Returns:
        (H, W, 3) uint8, a new array.

    Raises:
        ValueError: if the shapes differ.
    """
    if foreground.shape != background.shape or alpha.shape != foreground.shape[:2]:
        raise ValueError(
            f"composite: expected one size, found foreground {foreground.shape}, alpha {alpha.shape}, "
            f"background {background.shape}"
        )
    rows = np.flatnonzero(alpha.any(axis=1))
    picture = background.copy()
    if len(rows):
        part = slice(rows[0], rows[-1] + 1)
        weight = alpha[part].astype(np.float32) * np.float32(1 / 255)
        picture[part] = cv2.blendLinear(foreground[part], background[part], weight, 1.0 - weight)
    return picture
