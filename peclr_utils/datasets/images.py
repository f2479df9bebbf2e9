"""Reading and writing pictures: the only place where OpenCV's channel order shows.

Chapter 01 looks at the pictures that come out of here.
"""

from pathlib import Path

import cv2
import numpy as np

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
"""Files taken for pictures, in lower case."""
IMAGE_SUFFIXES = EXTENSIONS

_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"


def read_image(path: Path | str) -> np.ndarray:
    """Read a picture of any usual format; a rotation noted in its EXIF data is applied.

    Args:
        path: the file.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is empty, can't be decoded, or is a JPEG that is cut short.
    """
    return _decoded(Path(path), cv2.IMREAD_COLOR_RGB)


def read_mask(path: Path | str) -> np.ndarray:
    """Read a mask as it is stored.

    One kept as JPEG has grey values around its edge: threshold it where you need to.

    Args:
        path: the file.

    Returns:
        (H, W) uint8, 255 on the hand.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is empty, can't be decoded, or is a JPEG that is cut short.
    """
    return _decoded(Path(path), cv2.IMREAD_GRAYSCALE)


def write_jpeg(path: Path | str, image: np.ndarray, quality: int = 95) -> None:
    """Write a picture or a mask as JPEG.

    Args:
        path: file to write.
        image: (H, W, 3) uint8 RGB, or (H, W) uint8.
        quality: 1 to 100.

    Raises:
        OSError: if the file can't be written.
    """
    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    if not cv2.imwrite(str(path), pixels, [cv2.IMWRITE_JPEG_QUALITY, quality]):
        raise OSError(f"{path}: could not be written; is the folder there, writable and the disk not full?")


def _decoded(path: Path, flags: int) -> np.ndarray:
    if path.is_dir():
        raise ValueError(f"{path}: expected a picture, found a folder")
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such picture") from None
    # OpenCV shows what is missing of a JPEG in grey, and says nothing.
    if content.startswith(_JPEG_START) and _JPEG_END not in content:
        raise ValueError(f"{path}: a JPEG that is cut short after {len(content)} bytes; copy it again")
    image = cv2.imdecode(np.frombuffer(content, np.uint8), flags) if content else None
    if image is None:
        raise ValueError(
            f"{path}: its {len(content)} bytes don't decode as a picture; it is corrupt, copy it again"
        )
    return image
