"""Reading and writing pictures: the only place where OpenCV's channel order shows.

Chapter 01 looks at the pictures that come out of here.
"""

from pathlib import Path

import cv2
import numpy as np

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
"""Files taken for pictures, in lower case."""


def read_image(path: Path | str) -> np.ndarray:
    """Read a picture of any usual format; a rotation noted in its EXIF data is applied.

    Args:
        path: the file.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is empty or can't be decoded.
    """
    return _decoded(cv2.imread(str(path), cv2.IMREAD_COLOR_RGB), Path(path))


def read_mask(path: Path | str) -> np.ndarray:
    """Read a mask as it is stored.

    One kept as JPEG has grey values around its edge: threshold it where you need to.

    Args:
        path: the file.

    Returns:
        (H, W) uint8, 255 on the hand.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is empty or can't be decoded.
    """
    return _decoded(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), Path(path))


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


def _decoded(image: np.ndarray | None, path: Path) -> np.ndarray:
    if image is not None:
        return image
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such picture")
    if not path.is_file():
        raise ValueError(f"{path}: expected a picture, found a folder")
    raise ValueError(
        f"{path}: its {path.stat().st_size} bytes don't decode as a picture; it is corrupt, copy it again"
    )
