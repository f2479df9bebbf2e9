"""Whatever file is given to the command, it ends with a result or one sentence, never a traceback."""

import cv2
import numpy as np
import pytest

from peclr_utils.inference import __main__ as command
from peclr_utils.inference.film import write_film

from .test_film import moving
from .test_finding import DiscNetwork, picture

HAND = (120, 110, 50, "right")
HEADS = {
    ".jpg": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00",
    ".png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
    ".gif": b"GIF89a",
    ".webp": b"RIFF\x10\x00\x00\x00WEBPVP8 ",
    ".bmp": b"BM",
    ".tiff": b"II*\x00",
    ".mp4": b"\x00\x00\x00\x18ftypmp42",
}
"""How files of each kind begin."""


@pytest.fixture
def say(monkeypatch, capfd):
    """Run the command on a file; its exit status, and the lines it says itself."""
    monkeypatch.setattr(command, "load_pose_network", DiscNetwork)

    def run(*arguments):
        status = command.main([str(argument) for argument in arguments])
        said = capfd.readouterr()
        errors = [line for line in said.err.splitlines() if line.startswith(command.PROGRAM)]
        assert "Traceback" not in said.err and len(errors) == (status == 2)
        return status, said.out + "".join(errors)

    return run


@pytest.mark.parametrize("ending", HEADS)
def test_random_bytes_are_refused_in_one_sentence(ending, say, tmp_path):
    rng = np.random.default_rng(len(ending))
    for number in range(30):
        head = HEADS[ending] if number % 2 else b""
        path = tmp_path / f"{number}{ending}"
        path.write_bytes(head + rng.bytes(int(rng.integers(0, 3000))))
        status, said = say(path)
        assert status == 2 and path.name in said


@pytest.mark.parametrize("width, height", [(1, 1), (3, 2), (8000, 20), (20, 8000), (1, 300), (2000, 1500)])
@pytest.mark.parametrize("level", [0, 255])
def test_any_size_of_black_or_white_is_an_image_without_a_hand(width, height, level, say, tmp_path):
    cv2.imwrite(str(tmp_path / "plain.png"), np.full((height, width, 3), level, np.uint8))
    status, said = say(tmp_path / "plain.png")
    assert status == 0 and "no hand found" in said and "0 hands in 1 images" in said


@pytest.mark.parametrize("ending", [".jpg", ".png", ".webp", ".bmp"])
def test_an_image_that_breaks_off_is_refused_or_read(ending, say, tmp_path):
    cv2.imwrite(str(tmp_path / f"whole{ending}"), picture(HAND))
    content = (tmp_path / f"whole{ending}").read_bytes()
    for share in (0.02, 0.3, 0.7, 0.99):
        path = tmp_path / f"broken{ending}"
        path.write_bytes(content[: int(share * len(content))])
        status, said = say(path)
        assert status in (0, 2) and said


@pytest.mark.parametrize(
    "image",
    [
        picture(HAND)[..., 0],
        np.dstack([picture(HAND)[..., ::-1], np.full((300, 400), 128, np.uint8)]),
        picture(HAND)[..., ::-1].astype(np.uint16) * 257,
    ],
    ids=["grey", "transparent", "16 bits"],
)
def test_other_kinds_of_pixels_are_read(image, say, tmp_path):
    cv2.imwrite(str(tmp_path / "kind.png"), image)
    status, said = say(tmp_path / "kind.png")
    assert status == 0 and "in 1 images" in said


def test_films_of_one_frame_and_broken_films(say, tmp_path):
    frames = list(moving())
    write_film(tmp_path / "one.mp4", frames[:1], 24.0)
    status, said = say(tmp_path / "one.mp4")
    assert status == 0 and "in 1 frames" in said
    write_film(tmp_path / "many.mp4", frames, 24.0)
    content = (tmp_path / "many.mp4").read_bytes()
    for share in (0.1, 0.5, 0.95):
        (tmp_path / "broken.mp4").write_bytes(content[: int(share * len(content))])
        assert say(tmp_path / "broken.mp4")[0] in (0, 2)


def test_an_animated_image_is_its_first_frame(say, tmp_path):
    gif = cv2.Animation()
    gif.frames, gif.durations = [picture(HAND)[..., ::-1].copy(), picture()], np.array([100, 100])
    if not cv2.imwriteanimation(str(tmp_path / "moving.gif"), gif):
        pytest.skip("this OpenCV writes no animations")
    status, said = say(tmp_path / "moving.gif")
    assert status == 0 and "in 1 images" in said
