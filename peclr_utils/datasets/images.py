"""Image files: the only place where OpenCV's channel order shows, and the folders that hold them.

Appendix A1 opens a folder of images with it.
"""

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from peclr_utils.files import IMAGE_SUFFIXES

UNREADABLE = tuple(
    ".heic .heif .hif .jxl .dng .cr2 .cr3 .nef .arw .raf .orf .rw2 .psd .xcf .tga .svg .pdf "
    ".mp4 .mov .avi .mkv .webm".split()
)
"""Files of images and films that OpenCV doesn't read, in lower case."""

_REASONS = {
    rb"$": "an empty file; copy it again",
    rb"....ftyp(hei|hev|mif|msf)": "a HEIC photograph, which OpenCV can't read; convert it to JPEG",
    rb"....ftypavif": "an AVIF image, which OpenCV can't read here; convert it to JPEG",
    rb"....ftyp|\x1a\x45\xdf\xa3|RIFF....AVI": "a film; extract its frames as images",
    rb"version https://git-lfs": "a Git LFS pointer, not the image itself; run git lfs pull",
    rb"\s*<": "a web page or drawing, not an image; download the image itself",
    rb"%PDF": "a PDF; export its page as an image",
    rb"[\t\n\r -~]{16}": "a text file, not an image",
}
"""What to say about a file that can't be decoded, by how it begins."""


def read_image(path: Path | str) -> np.ndarray:
    """Read an image of any common format as (H, W, 3) uint8 RGB, turned as its EXIF data say.

    Grey becomes RGB, 16 bits become 8, and transparency is ignored.

    Raises:
        OSError: if the file is missing or can't be read.
        ValueError: if it can't be decoded or is cut short; says what it is, and what to do.
    """
    return _decoded(Path(path), cv2.IMREAD_COLOR_RGB)


def read_mask(path: Path | str) -> np.ndarray:
    """Read a mask as stored: (H, W) uint8, 255 on the hand; JPEG leaves grey values around its edge."""
    return _decoded(Path(path), cv2.IMREAD_GRAYSCALE)


def write_jpeg(path: Path | str, image: np.ndarray, quality: int = 95) -> None:
    """Write (H, W, 3) uint8 RGB or (H, W) uint8 as JPEG, quality 1 to 100; OSError if that fails."""
    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    if not cv2.imwrite(str(path), pixels, [cv2.IMWRITE_JPEG_QUALITY, quality]):
        raise OSError(f"{path}: could not be written; check the folder, its permissions and the disk's space")


def find_images(root: Path) -> tuple[list[str], list[str]]:
    """List a folder's images in it and below, and its files of kinds that can't be read, such as HEIC.

    Both sorted and relative to the folder; links are followed, what is hidden is skipped. FileNotFoundError
    if there is no such folder, or no image in it; OSError if a folder can't be listed.
    """
    require_folder(root)
    found, visited = [], set()
    for folder, below, files in os.walk(root, onerror=_raise, followlinks=True):
        # A link may lead to a folder above it.
        new = os.path.realpath(folder) not in visited
        visited.add(os.path.realpath(folder))
        below[:] = [name for name in below if new and not name.startswith(".")]
        place = Path(folder).relative_to(root)
        found += [(place / name).as_posix() for name in files if new and not name.startswith(".")]
    names = sorted(name for name in found if name.lower().endswith(IMAGE_SUFFIXES))
    others = sorted(name for name in found if name.lower().endswith(UNREADABLE))
    renamed = [name for name in others if _begins(root / name, b"\xff\xd8")]  # JPEGs that phones name .heic
    names, others = sorted(names + renamed), [name for name in others if name not in renamed]
    if not names:
        looked = f"holds no image; looked for {', '.join(IMAGE_SUFFIXES)} in it and its subfolders"
        looked += f", found {unreadable(others)}" if others else ""
        raise FileNotFoundError(f"{root}: {looked}. data/README.md says how to add data")
    return names, others


def _raise(error: OSError) -> None:
    raise error


def _begins(path: Path, sign: bytes) -> bool:
    """Whether a file begins so; False if it can't be read."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(len(sign)) == sign
    except OSError:
        return False


def unreadable(names: Sequence[str]) -> str:
    """Count files of kinds that can't be read, and say what to do about them."""
    kinds = Counter(Path(name).suffix.lower() for name in names)
    counted = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())
    return f"{counted} (such as {names[0]}), which OpenCV can't read; convert them to JPEG or PNG"


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
    # OpenCV fills what is missing with grey or black.
    image, reason = None, _cut_short(content)
    if content and not reason:
        try:
            image = cv2.imdecode(data := np.frombuffer(content, np.uint8), flags)
            if image is None and (other := cv2.imdecode(data, cv2.IMREAD_UNCHANGED)) is not None:
                reason = f"its pixels are {other.dtype}; save it with 8 or 16 bits"
        except cv2.error:
            reason = "has more pixels than OpenCV reads (2^30), or a damaged header; make it smaller"
    if image is None:
        reason = reason or next((text for sign, text in _REASONS.items() if re.match(sign, content)), "")
        reason = reason or f"its {len(content)} bytes can't be decoded as an image; copy it again"
        raise ValueError(f"{path}: {reason}")
    return image


def _cut_short(content: bytes) -> str:
    """Say so if the end of a JPEG, PNG or WebP is missing."""
    kind = ""
    if content.startswith(b"\xff\xd8"):
        # Skip the header, whose EXIF data may hold a whole small JPEG with an end of its own.
        at = 2
        while re.match(rb"\xff[^\xda\xff]", content[at : at + 2], re.DOTALL):
            at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        kind = "" if b"\xff\xd9" in content[at:] else "JPEG"
    elif content.startswith(b"\x89PNG"):
        kind = "" if b"IEND" in content else "PNG"
    elif content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        kind = "" if len(content) >= int.from_bytes(content[4:8], "little") else "WebP"
    return f"a {kind} that is cut short after {len(content)} bytes; copy it again" if kind else ""
