"""Image files as phones, cameras and tools make them: read right, or named with their reason and remedy."""

import os
import re
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from peclr_utils.datasets.images import find_images, read_image

HEIC = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


HUGE = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0))
HUGE += png_chunk(b"IDAT", zlib.compress(bytes(99))) + png_chunk(b"IEND", b"")
NO_IMAGES = {
    "empty": (b"", "an empty file"),
    "a phone's": (HEIC, "a HEIC photograph, which OpenCV can't read; convert it to JPEG"),
    "a film": (b"\x00\x00\x00\x18ftypisom\x00\x00", "a film; extract its frames"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer"),
    "a page": (b"<!DOCTYPE html><html></html>", "a web page or drawing, not an image"),
    "text": (b"A letter to a reader, no image.", "a text file, not an image"),
    "noise": (bytes(range(200, 240)), "its 40 bytes can't be decoded as an image"),
    "a huge header": (HUGE, "more pixels than OpenCV reads"),
}


@pytest.fixture
def picture() -> Image.Image:
    y, x = np.mgrid[:24, :32]
    return Image.fromarray(np.stack([x * 7, y * 9, (x + y) * 4], -1).astype(np.uint8))


@pytest.mark.parametrize("kind", NO_IMAGES)
def test_what_cannot_be_read_is_named_with_its_reason(tmp_path, kind):
    content, reason = NO_IMAGES[kind]
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(ValueError, match=f"a.jpg: .*{re.escape(reason)}"):
        read_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_a_file_that_is_cut_short_is_not_shown_half_grey(tmp_path, picture, suffix):
    path = tmp_path / f"a{suffix}"
    thumbnail = picture.getexif()
    thumbnail[0x9286] = b"\xff\xd8 a small image in the header \xff\xd9"
    picture.resize((300, 200)).save(path, exif=thumbnail)
    read_image(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(ValueError, match=r"cut short after \d+ bytes; copy it again"):
        read_image(path)


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_turned_cameras_are_turned_back(tmp_path, picture, turn, suffix):
    from PIL import ImageOps

    exif = picture.getexif()
    exif[0x0112] = turn
    options = {"quality": 98} if suffix in (".jpg", ".webp") else {}
    picture.save(tmp_path / f"a{suffix}", exif=exif, **options)
    shown = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / f"a{suffix}")).convert("RGB"))
    np.testing.assert_allclose(read_image(tmp_path / f"a{suffix}"), shown, atol=12)


MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK")


@pytest.mark.parametrize(("mode", "suffix"), [(m, s) for m in MODES for s in (".png", ".tif", ".jpg")])
def test_all_depths_and_channels_are_read_as_pillow_reads_them(tmp_path, picture, mode, suffix):
    if mode == "I;16":
        image = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
    else:
        image = picture.convert(mode)
    path = tmp_path / f"a{suffix}"
    try:
        image.save(path)
    except OSError:
        pytest.skip("Pillow can't write this")
    expected = picture.convert("L").convert("RGB") if mode == "I;16" else Image.open(path).convert("RGB")
    np.testing.assert_allclose(read_image(path), np.asarray(expected), atol=3)


def test_links_are_followed_and_kinds_that_cannot_be_read_are_listed(tmp_path, write_image):
    root = tmp_path / "images"
    write_image(tmp_path / "elsewhere" / "a.jpg")
    write_image(root / "what? 100% #1" / "b[1].JFIF.jpg")
    (root / "phone.HEIC").write_bytes(HEIC)
    (root / "notes.txt").write_text("nothing")
    (root / "renamed.heic").write_bytes((tmp_path / "elsewhere" / "a.jpg").read_bytes())
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "round").symlink_to(root)  # must end
    (root / "gone.png").symlink_to(root / "nowhere.png")
    names = ["gone.png", "linked/a.jpg", "renamed.heic", "what? 100% #1/b[1].JFIF.jpg"]
    assert find_images(root) == (names, ["phone.HEIC"])
    assert (
        read_image(root / names[1]).shape
        == read_image(root / names[2]).shape
        == read_image(root / names[3]).shape
        == (24, 32, 3)
    )
    (tmp_path / "phone").mkdir()
    (tmp_path / "phone" / "b.heic").write_bytes(HEIC)
    with pytest.raises(FileNotFoundError, match="found 1 .heic .* convert them to JPEG"):
        find_images(tmp_path / "phone")


def test_a_folder_that_cannot_be_listed_is_an_error_and_not_an_empty_one(tmp_path, write_image, monkeypatch):
    (tmp_path / "secret").mkdir()
    write_image(tmp_path / "a.png")
    original = os.scandir

    def scandir(path):
        if os.fspath(path).endswith("secret"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return original(path)

    with monkeypatch.context() as patched, pytest.raises(PermissionError, match="secret"):
        patched.setattr(os, "scandir", scandir)
        find_images(tmp_path)


def test_floats_are_named(tmp_path):
    cv2.imwrite(str(tmp_path / "a.tif"), np.full((9, 7, 3), 0.5, np.float32))
    with pytest.raises(ValueError, match="a.tif: its pixels are float32; save it with 8 or 16 bits"):
        read_image(tmp_path / "a.tif")


def test_a_png_that_opencv_writes_is_read_exactly(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image[..., ::-1])
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), image)
