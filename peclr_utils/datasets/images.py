"""Image files: the only place where OpenCV's channel order shows, and the folders that hold them.

Chapter 01 looks at the images that come out of here.
"""

import os
from pathlib import Path

import cv2
import numpy as np

from peclr_utils.files import IMAGE_SUFFIXES


def read_image(path: Path | str) -> np.ndarray:
    """Read an image of any common format; a rotation stated in its EXIF data is applied.

    Args:
        path: the file.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        OSError: if the file is missing or can't be read.
        ValueError: if the file is empty, can't be decoded, or is a JPEG that is cut short.
    """
    return _decoded(Path(path), cv2.IMREAD_COLOR_RGB)


def read_mask(path: Path | str) -> np.ndarray:
    """Read a mask as stored: (H, W) uint8, 255 on the hand; JPEG leaves grey values around its edge."""
    return _decoded(Path(path), cv2.IMREAD_GRAYSCALE)


def write_jpeg(path: Path | str, image: np.ndarray, quality: int = 95) -> None:
    """Write an image or a mask as JPEG.

    Args:
        path: file to write.
        image: (H, W, 3) uint8 RGB, or (H, W) uint8.
        quality: 1 to 100.

    Raises:
        OSError: if the file can't be written.
    """
    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    if not cv2.imwrite(str(path), pixels, [cv2.IMWRITE_JPEG_QUALITY, quality]):
        raise OSError(f"{path}: could not be written; check the folder, its permissions and the disk's space")


def find_images(root: Path) -> list[str]:
    """List the images in a folder and below, relative to it, sorted; hidden files and folders are skipped."""
    require_folder(root)
    names = []
    for folder, below, files in os.walk(root):
        below[:] = [name for name in below if not name.startswith(".")]
        place = Path(folder).relative_to(root).as_posix()
        images = (name for name in files if name.lower().endswith(IMAGE_SUFFIXES))
        names += [name if place == "." else f"{place}/{name}" for name in images if not name.startswith(".")]
    if not names:
        looked = f"looked for {', '.join(IMAGE_SUFFIXES)} in and below"
        raise FileNotFoundError(f"{root}: holds no image; {looked}. data/README.md says how to add data")
    return sorted(names)


def require_folder(root: Path) -> None:
    """Raise FileNotFoundError if a path is not a folder."""
    if not root.is_dir():
        reason = "this is a file; name the folder it is in" if root.exists() else "there is no such folder"
        raise FileNotFoundError(f"{root}: {reason}")


def require_file(path: Path, data: str) -> None:
    """Raise FileNotFoundError if a data set's file is missing; names a nearby folder that has it."""
    root = path.parent
    require_folder(root)
    if not path.is_file():
        places = [place for place in root.resolve().parents if (place / path.name).is_file()]
        places += [found.parent for level in ("*", "*/*") for found in root.glob(f"{level}/{path.name}")]
        hint = f"found it in {places[0]}" if places else f"data/README.md says where to get {data}"
        raise FileNotFoundError(f"{path}: no such file; {hint}")


def _decoded(path: Path, flags: int) -> np.ndarray:
    content = path.read_bytes()
    # OpenCV fills what is missing of a JPEG, which begins with FFD8 and ends with FFD9, with grey.
    if content.startswith(b"\xff\xd8") and b"\xff\xd9" not in content:
        raise ValueError(f"{path}: a JPEG that is cut short after {len(content)} bytes; copy it again")
    image = cv2.imdecode(np.frombuffer(content, np.uint8), flags) if content else None
    if image is None:
        raise ValueError(f"{path}: its {len(content)} bytes can't be decoded as an image; copy it again")
    return image
