"""Draw the skeletons of hands over an image from disk, or over all images of a folder.

`python -m peclr_utils.inference hand.jpg --weights network.pt --output out.png`; `--help` lists the rest.
"""

import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import tyro

from peclr_utils.datasets import ImageFolderHands
from peclr_utils.datasets.images import read_image
from peclr_utils.files import atomic, write_json
from peclr_utils.inference.prediction import HandPrediction
from peclr_utils.inference.two_crops import predict_all
from peclr_utils.settings import run_and_exit
from peclr_utils.weights import load_pose_network

PROGRAM = "python -m peclr_utils.inference"
WRITABLE = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


@dataclass(frozen=True)
class Options:
    """Predict the hands in an image, or in a folder of images, and draw their skeletons.

    Attributes:
        image: The image, in any usual format; or a folder.
        weights: A fine-tuned network, this project's or the authors'.
        output: The image to write, for example out.png; for a folder, a folder.
        json: Also write the keypoints to this file.
        box: Pixels around the hand, x1 y1 x2 y2; again for each further hand. Without it, the hand is
            expected in the middle of the image.
        boxes: For a folder, a table of boxes (name, x, y, width, height, and side for left hands).
        intrinsics: The camera's fx fy cx cy in pixels. Without them, the distance is a guess.
        scale: Length of the middle finger's proximal phalanx in metres, for a result in metres; "average"
            takes an adult's, 0.0446 m (Buryanov and Kotiuk 2010).
        left: The hand is a left hand.
        size: Side of the network's crops in pixels. Default: as trained, or 224.
        view_factor: Half a crop's side over the farthest keypoint's distance from the mean one. Default: as
            trained, or the authors' crops.
    """

    image: tyro.conf.Positional[Path]
    weights: Path
    output: Path
    json: Path | None = None
    box: tyro.conf.UseAppendAction[tuple[tuple[float, float, float, float], ...]] = ()
    boxes: Path | None = None
    intrinsics: tuple[float, float, float, float] | None = None
    scale: float | Literal["average"] | None = None
    left: bool = False
    size: int | None = None
    view_factor: float | None = None


def check_outputs(options: Options) -> None:
    """Refuse outputs that can't be written or are an input by another name, before anything is predicted.

    Raises:
        ValueError: if an output is an input, the other output or a folder, or has an unknown ending.
        FileNotFoundError: if its folder is missing.
    """
    image, output = options.image, options.output
    if image.is_dir():
        if len(options.box) > 1:
            raise ValueError("--box: expected one box for a folder; several go into a table for --boxes")
        if output.is_file() or output.resolve().is_relative_to(image.resolve()):
            raise ValueError(f"{output}: expected another folder, outside of {image}, for the images")
    elif options.boxes is not None:
        raise ValueError(f"--boxes: expected a folder as image, found {image}; for one image use --box")
    elif output.suffix.lower() not in WRITABLE:
        raise ValueError(f"{output}: expected an ending from {', '.join(WRITABLE)}")
    if options.box and options.boxes is not None:
        raise ValueError("--box: expected no box beside --boxes; add it to the table")
    for path in filter(None, (None if image.is_dir() else output, options.json)):
        if path.is_dir():
            raise ValueError(f"{path}: expected a file to write, found a folder; name a file in it")
        if not path.absolute().parent.is_dir() and path.parent != output:
            raise FileNotFoundError(f"{path}: there is no folder {path.parent} to write it into")
        for given in (image, options.weights):
            if path.exists() and given.exists() and path.samefile(given):
                raise ValueError(f"{path}: would overwrite the input {given}; write to another file")
    if options.json is not None and options.json.resolve() == output.resolve():
        raise ValueError(f"{options.json}: --output and --json must be different files")


def run(options: Options) -> tuple[list[HandPrediction], list[Exception]]:
    """Predict, draw and write; returns the hands, and why images were skipped."""
    from peclr_utils.plotting import draw_skeleton_on_image

    check_outputs(options)
    many = options.image.is_dir()
    source = ImageFolderHands(options.image, options.boxes) if many else options.image
    network = load_pose_network(options.weights)
    K = None
    if options.intrinsics is not None:
        fx, fy, cx, cy = options.intrinsics
        K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    box = options.box if len(options.box) > 1 else options.box[0] if options.box else None
    crops = {"size": options.size, "view_factor": options.view_factor}
    hands, skipped = predict_all(network, source, K, options.scale, box, options.left, **crops)
    for name in source.skipped if many else ():
        kind = Path(name).suffix.lower()
        reason = f"a {kind} file, which OpenCV can't read; convert it to JPEG or PNG"
        skipped.append(ValueError(f"{options.image / name}: {reason}"))
    if not hands:
        raise skipped[0]
    by_image: dict[str, list[HandPrediction]] = {}
    for hand in hands:
        by_image.setdefault(hand.name, []).append(hand)
    for name, shown in by_image.items():
        drawn = read_image(options.image / name if many else options.image)
        for hand in shown:
            drawn = draw_skeleton_on_image(drawn, hand.keypoints_2d)
        written = name if name.lower().endswith(WRITABLE) else f"{name}.png"
        _write(options.output / written if many else options.output, drawn)
    if options.json is not None:
        found = [numbers(hand) for hand in hands]
        write_json(options.json, found if many or len(options.box) > 1 else found[0])
    return hands, skipped


def _write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        _, encoded = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    except cv2.error:
        raise ValueError(f"{path}: OpenCV can't write an image of {image.shape} like this") from None
    with atomic(path) as temporary:
        temporary.write_bytes(encoded)


def numbers(hand: HandPrediction) -> dict[str, object]:
    """A prediction as plain values; what is not known is None."""
    return {
        "image": hand.name,
        "keypoints_2d": [[float(v) if np.isfinite(v) else None for v in xy] for xy in hand.keypoints_2d],
        "keypoints_3d": hand.keypoints_3d.tolist(),
        "unit": hand.unit,
        "bone_length": hand.bone_length,
        "K": hand.K.tolist(),
        "metric_depth_is_a_guess": hand.metric_depth_is_a_guess,
        "is_left": hand.is_left,
    }


def describe(hand: HandPrediction) -> str:
    """Say in one line where the hand is, and what that rests on."""
    x1, y1, x2, y2 = hand.box.round().astype(int)
    doubts = ["the camera is unknown, so it is the authors' default"] * hand.K_is_default
    doubts += ["the intrinsics don't fit the image"] * hand.K_is_doubtful
    doubts += ["the bone is an average adult's"] * hand.bone_is_average
    guess = f" (a guess: {' and '.join(doubts)})" if doubts else ""
    lost = "; no hand was found in the first crop, give --box" if hand.fell_back else ""
    depth = f"{hand.keypoints_3d[0, 2]:.2f} {hand.unit}"
    return f"{hand.name}: hand within x {x1}..{x2}, y {y1}..{y2}, wrist at a depth of {depth}{guess}{lost}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; what the user can correct is one line, not a traceback.

    Returns:
        The process's exit code: 0; 1 if an image was skipped; 2 for a wrong option or a missing file.
    """
    options = tyro.cli(Options, prog=PROGRAM, args=argv, config=(tyro.conf.FlagCreatePairsOff,))
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*: skipped")  # printed below, file by file
            warnings.showwarning = lambda text, *_, **__: print(f"warning: {text}", file=sys.stderr)
            hands, skipped = run(options)
    except (ValueError, OSError) as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 2
    for hand in hands:
        print(describe(hand))
    for error in skipped:
        print(f"skipped {error}", file=sys.stderr)
    done = f"wrote {options.output}"
    print(f"{done}; skipped {len(skipped)} of {len(hands) + len(skipped)}" if skipped else done)
    return 1 if skipped else 0


if __name__ == "__main__":
    run_and_exit(main)
