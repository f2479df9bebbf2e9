"""Find the hands in an image, a folder of images, a film or a camera, and draw their skeletons.

`python -m peclr_utils.inference photo.jpg` writes `photo_hand.png`; `--help` lists the rest.
"""

import itertools
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import tyro
from tqdm import tqdm

from peclr_utils.datasets import ImageFolderHands
from peclr_utils.datasets.images import read_image
from peclr_utils.files import write_json, write_text
from peclr_utils.inference.film import FILMS, Film, follow, write_film
from peclr_utils.inference.finding import search
from peclr_utils.inference.output import WRITABLE, describe, numbers, printable, table, write_image
from peclr_utils.inference.prediction import HandPrediction
from peclr_utils.inference.two_crops import predict_each
from peclr_utils.interrupts import HeldInterrupt
from peclr_utils.models import PoseNetwork25D
from peclr_utils.settings import run_and_exit
from peclr_utils.weights import load_pose_network

PROGRAM = "python -m peclr_utils.inference"


@dataclass(frozen=True)
class Options:
    """Find the hands in an image, a folder of images, a film or a camera, and draw their skeletons.

    Attributes:
        image: The image, in any usual format; or a folder; or a film.
        weights: A fine-tuned network, this project's or the authors'. Default: "hand", which comes with the
            repository.
        output: The image to write, for example out.png; for a folder a folder, for a film an .mp4. Default:
            IMAGE_hand.png, FOLDER_hands, FILM_hand.mp4.
        json: Also write the keypoints to this file.
        csv: Also write the keypoints to this table, a row for each keypoint. In films, a hand keeps its
            number while it is followed.
        box: Pixels around the hand, x1 y1 x2 y2; again for each further hand. Without it hands are searched,
            right and left ones; with a network that can't search, one is expected in the middle.
        boxes: For a folder, a table of boxes (name, x, y, width, height, and side for left hands).
        intrinsics: The camera's fx fy cx cy in pixels. Without them, the distance is a guess.
        scale: Length of the middle finger's proximal phalanx in metres, for a result in metres; "average"
            takes an adult's, 0.0446 m (Buryanov and Kotiuk 2010).
        left: The hand in the box is a left hand.
        size: Side of the network's crops in pixels, unless hands are searched. Default: as trained, or 224.
        view_factor: Half a crop's side over the farthest keypoint's distance from the mean one, unless hands
            are searched. Default: as trained, or the authors' crops.
        smallest: The smallest hand to search, as a share of an image's shorter side. Default: 0.2.
        most: Hands to find in an image at most. Default: 4.
        camera: The number of a camera to show live, usually 0, instead of an image; q ends it.
        smooth: Smooth the 2D keypoints of a film or a camera over time (One Euro filter); the 3D ones stay.
    """

    image: tyro.conf.Positional[Path | None] = None
    weights: str | None = None
    output: Path | None = None
    json: Path | None = None
    csv: Path | None = None
    box: tyro.conf.UseAppendAction[tuple[tuple[float, float, float, float], ...]] = ()
    boxes: Path | None = None
    intrinsics: tuple[float, float, float, float] | None = None
    scale: float | Literal["average"] | None = None
    left: bool = False
    size: int | None = None
    view_factor: float | None = None
    smallest: float | None = None
    most: int | None = None
    camera: int | None = None
    smooth: bool = False

    @property
    def is_film(self) -> bool:
        """Whether the input is a film or a camera."""
        return self.camera is not None or (self.image is not None and self.image.suffix.lower() in FILMS)

    @property
    def target(self) -> Path | None:
        """Where the output goes; None for a camera that is only shown."""
        if self.output is not None or self.image is None:
            return self.output
        plain = self.image.resolve()
        if self.image.is_dir():
            return plain.with_name(f"{plain.name}_hands")
        return self.image.with_name(f"{self.image.stem}_hand{'.mp4' if self.is_film else '.png'}")

    @property
    def about(self) -> dict[str, Any]:
        """What is given of K, scale and the limits of a search, by name."""
        given = {"scale": self.scale, "smallest": self.smallest, "most": self.most}
        if self.intrinsics is not None:
            fx, fy, cx, cy = self.intrinsics
            given["K"] = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
        return {name: value for name, value in given.items() if value is not None}


def check_outputs(options: Options) -> None:
    """Refuse outputs that can't be written or are an input by another name, before anything is predicted.

    Raises:
        ValueError: if an output is an input, the other output or a folder, or has an unknown ending.
        FileNotFoundError: if its folder is missing.
    """
    image, output = options.image, options.target
    if (image is None) == (options.camera is None):
        raise ValueError("expected an image, a folder or a film; or --camera NUMBER without one")
    if options.is_film:
        if options.box or options.boxes is not None or options.left:
            raise ValueError("--box, --boxes, --left: expected none of them; in a film hands are searched")
        if output is not None and output.suffix.lower() != ".mp4":
            raise ValueError(f"{output}: expected a name that ends in .mp4 for a film")
    elif options.smooth:
        raise ValueError("--smooth: expected a film or a camera")
    elif image.is_dir():
        if len(options.box) > 1:
            raise ValueError("--box: expected one box for a folder; several go into a table for --boxes")
        ends = output.resolve(), image.resolve()
        if output.is_file() or ends[0].is_relative_to(ends[1]) or ends[1].is_relative_to(ends[0]):
            raise ValueError(f"{output}: expected a folder of its own, outside of {image}, for the images")
    elif options.boxes is not None:
        raise ValueError(f"--boxes: expected a folder as image, found {image}; for one image use --box")
    elif output.suffix.lower() not in WRITABLE:
        raise ValueError(f"{output}: expected an ending from {', '.join(WRITABLE)}")
    if options.box and options.boxes is not None:
        raise ValueError("--box: expected no box beside --boxes; add it to the table")
    if options.left and options.boxes is not None:
        raise ValueError("--left: expected none beside --boxes; its table has a column for the side")
    folder = image is not None and image.is_dir()
    for path in filter(None, (None if folder else output, options.json, options.csv)):
        if path.is_dir():
            raise ValueError(f"{path}: expected a file to write, found a folder; name a file in it")
        if not path.absolute().parent.is_dir() and path.parent != output:
            raise FileNotFoundError(f"{path}: there is no folder {path.parent} to write it into")
        inputs = [image, options.weights and Path(options.weights), options.boxes]
        inputs += [image / options.boxes] if options.boxes is not None else []
        for given in filter(None, inputs):
            if path.exists() and given.exists() and path.samefile(given):
                raise ValueError(f"{path}: would overwrite the input {given}; write to another file")
    named = [path.resolve() for path in (output, options.json, options.csv) if path is not None]
    if len(set(named)) < len(named):
        raise ValueError(f"{named[0]}: --output, --json and --csv must be different files")


def run(options: Options) -> tuple[list[HandPrediction], list[Exception], int, int]:
    """Predict, draw and write; returns the hands, why files were skipped, images looked at, and files.

    Raises KeyboardInterrupt after Ctrl-C in a film or a folder, once what was found until then is written.
    """
    check_outputs(options)
    network = load_pose_network(options.weights) if options.weights else load_pose_network()
    searched = options.is_film or (network.knows_presence and not options.box and options.boxes is None)
    for name in ("size", "view_factor") if searched else ("smallest", "most"):
        if getattr(options, name) is not None:
            never = "where hands are searched, crops are those of the network's training"
            only = "hands are searched only without a box, by a network that knows presence"
            raise ValueError(f"--{name.replace('_', '-')}: expected none; {never if searched else only}")
    if searched and options.left:
        raise ValueError("--left: expected --box with it; without a box left and right hands are searched")
    if options.is_film:
        hands, frames, count, stopped = _run_film(options, network)
        skipped, total = [], count
    else:
        hands, skipped, count, total, stopped = _run_images(options, network, searched)
        frames = []
    if options.json is not None:
        found = [numbers(*each) for each in itertools.zip_longest(hands, frames)]
        several = options.is_film or options.image.is_dir() or len(options.box) > 1 or not options.box
        several = several and (network.knows_presence or len(found) != 1 or options.image.is_dir())
        write_json(options.json, found if several else found[0])
    if options.csv is not None:
        write_text(options.csv, table(hands, frames))
    if stopped:
        what = "frames" if options.is_film else "images"
        raise KeyboardInterrupt(f"stopped after {count} {what}; what was found in them is written")
    return hands, skipped, count, total


def _run_images(
    options: Options, network: PoseNetwork25D, searched: bool
) -> tuple[list[HandPrediction], list[Exception], int, int, bool]:
    """The hands, why files were skipped, images looked at, files, and whether Ctrl-C ended it."""
    many = options.image.is_dir()
    source = ImageFolderHands(options.image, options.boxes) if many else options.image
    names = source.names if many else [str(options.image)]
    seen: Iterable[list[HandPrediction] | Exception]
    if searched:
        seen = search(network, source, **options.about)
    else:
        box = options.box if len(options.box) > 1 else options.box[0] if options.box else None
        crops = {"size": options.size, "view_factor": options.view_factor}
        each = predict_each(network, source, box=box, is_left=options.left, **options.about, **crops)
        seen = (one if isinstance(one, Exception) else [one] for one in each)
    unit = "image" if options.boxes is None else "hand"
    seen = tqdm(seen, total=len(source) if many else 1, unit=unit, disable=not many)
    if options.boxes is not None or len(options.box) > 1:
        names, seen = _by_image(seen)
    hands: list[HandPrediction] = []
    skipped: list[Exception] = []
    count = 0
    with HeldInterrupt() if many else nullcontext() as interrupt:
        for name, found in zip(names, seen, strict=True):
            try:
                if isinstance(found, Exception):
                    raise found
                hands += found
                _write_hands(options, name, found)
                count += 1
            except (ValueError, TypeError, OSError) as error:
                # An output that can't be written ends the run while nothing is lost.
                if not many or (found is not error and isinstance(error, OSError) and not count):
                    raise
                skipped.append(error)
            if many and interrupt.came:
                break
    for name in source.skipped if many else ():
        kind = Path(name).suffix.lower()
        reason = f"a {kind} file, which OpenCV can't read; convert it to JPEG or PNG"
        reason = "a film; give it by its own name" if kind in FILMS else reason
        skipped.append(ValueError(f"{options.image / name}: {reason}"))
    total = len(source) + len(source.skipped) if many else 1
    return hands, skipped, count, total, many and interrupt.came


def _by_image(
    seen: Iterable[list[HandPrediction] | Exception],
) -> tuple[list[str], list[list[HandPrediction] | Exception]]:
    """Bring the hands of each image together, whose boxes may lie anywhere in a table."""
    images: dict[str, list[HandPrediction]] = {}
    skipped: list[Exception] = []
    for found in seen:
        if isinstance(found, Exception):
            skipped.append(found)
        else:
            for hand in found:
                images.setdefault(hand.name, []).append(hand)
    return [*images, *("" for _ in skipped)], [*images.values(), *skipped]


def _write_hands(options: Options, name: str, hands: Sequence[HandPrediction]) -> None:
    """Draw the hands of one image, and say where they are."""
    path, output = options.image, options.target
    if options.image.is_dir():
        path, output = path / name, output / (name if name.lower().endswith(WRITABLE) else f"{name}.png")
    image = read_image(path)
    write_image(output, _draw(image, hands))
    for hand in hands:
        tqdm.write(describe(hand, *image.shape[:2]))
    if not hands:
        tqdm.write(f"{printable(name)}: no hand found")


def _run_film(options: Options, network: PoseNetwork25D) -> tuple[list[HandPrediction], list[int], int, bool]:
    """The hands, the frame of each, how many frames there were, and whether Ctrl-C ended it."""
    film = Film(options.image if options.camera is None else options.camera)
    name = str(options.image or f"camera {options.camera}")
    hands: list[HandPrediction] = []
    frames: list[int] = []
    seen = follow(network, film, **options.about, rate=film.rate, smooth=options.smooth)

    def drawn() -> Iterator[np.ndarray]:
        for number, (frame, found) in enumerate(tqdm(seen, total=film.frames, unit="frame", desc=name)):
            image = _draw(frame, found)
            if options.camera is not None and not _show(image):
                return
            hands.extend(replace(hand, name=f"{name}, frame {number}") for hand in found)
            frames.extend([number] * len(found))
            yield image
            if interrupt.came:
                return

    with HeldInterrupt() as interrupt:
        count = write_film(options.target, drawn(), film.rate) if options.target else sum(1 for _ in drawn())
    return hands, frames, count, interrupt.came


def _draw(image: np.ndarray, hands: Sequence[HandPrediction]) -> np.ndarray:
    from peclr_utils.plotting import draw_skeleton_on_image

    for hand in hands:
        image = draw_skeleton_on_image(image, hand.keypoints_2d)
    return image


def _show(image: np.ndarray) -> bool:
    """Show a frame in a window; False once q or Esc was pressed."""
    try:
        cv2.imshow(PROGRAM, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        return cv2.waitKey(1) & 0xFF not in (ord("q"), 27)
    except cv2.error:
        raise ValueError("--camera: OpenCV can't open a window here; it needs a screen") from None


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; what the user can correct is one line, not a traceback.

    Returns:
        The process's exit code: 0; 1 if an image was skipped; 2 for a wrong option or a missing file; 130
        after Ctrl-C.
    """
    options = tyro.cli(Options, prog=PROGRAM, args=argv, config=(tyro.conf.FlagCreatePairsOff,))
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*: skipped")  # printed below, file by file
            warnings.showwarning = lambda text, *_, **__: print(f"warning: {text}", file=sys.stderr)
            start = time.perf_counter()
            hands, skipped, count, total = run(options)
            seconds = time.perf_counter() - start
    except (ValueError, OSError) as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(f"{PROGRAM}: {stop if stop.args else 'stopped'}", file=sys.stderr)
        return 130
    for error in skipped:
        print(f"skipped {error}", file=sys.stderr)
    done = f"wrote {options.target}" if options.target is not None and count else "done"
    done += f"; skipped {len(skipped)} of {total}" if skipped else ""
    what = "frames" if options.is_film else "images"
    print(f"{done}; {len(hands)} hands in {count} {what}, {count / max(seconds, 1e-9):.1f} {what} per second")
    return 1 if skipped else 0


if __name__ == "__main__":
    run_and_exit(main)
