"""Draw the skeleton over an image from disk.

`python -m peclr_utils.inference hand.jpg --weights network.pt --output out.png`; `--help` lists the rest.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import tyro

from peclr_utils.commands import run_and_exit
from peclr_utils.datasets.images import read_image
from peclr_utils.files import IMAGE_SUFFIXES, atomic, write_json
from peclr_utils.inference.prediction import HandPrediction
from peclr_utils.inference.two_crops import predict
from peclr_utils.weights import load_pose_network

PROGRAM = "python -m peclr_utils.inference"


@dataclass(frozen=True)
class Options:
    """Predict the hand in an image and draw its skeleton.

    Attributes:
        image: The image, in any usual format.
        weights: A fine-tuned network, this project's or the authors'.
        output: The image to write, for example out.png.
        json: Also write the keypoints to this file.
        box: Pixels around the hand, x1 y1 x2 y2. Without it, the hand is expected in the middle of the image.
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
    box: tuple[float, float, float, float] | None = None
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
    if options.output.suffix.lower() not in IMAGE_SUFFIXES:
        raise ValueError(f"{options.output}: expected an ending from {', '.join(IMAGE_SUFFIXES)}")
    for path in filter(None, (options.output, options.json)):
        if path.is_dir():
            raise ValueError(f"{path}: expected a file to write, found a folder; name a file in it")
        if not path.absolute().parent.is_dir():
            raise FileNotFoundError(f"{path}: there is no folder {path.parent} to write it into")
        for given in (options.image, options.weights):
            if path.exists() and given.exists() and path.samefile(given):
                raise ValueError(f"{path}: would overwrite the input {given}; write to another file")
    if options.json is not None and options.json.resolve() == options.output.resolve():
        raise ValueError(f"{options.json}: --output and --json must be different files")


def run(options: Options) -> HandPrediction:
    """Predict, draw and write."""
    from peclr_utils.plotting import draw_skeleton_on_image

    check_outputs(options)
    image = read_image(options.image)
    network = load_pose_network(options.weights)
    K = None
    if options.intrinsics is not None:
        fx, fy, cx, cy = options.intrinsics
        K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    crops = {"size": options.size, "view_factor": options.view_factor}
    hand = predict(network, options.image, K, options.scale, options.box, options.left, **crops)
    drawn = draw_skeleton_on_image(image, hand.keypoints_2d)
    with atomic(options.output) as temporary:
        if not cv2.imwrite(str(temporary), cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR)):
            raise OSError(f"{options.output}: could not be written; is the disk full?")
    if options.json is not None:
        write_json(options.json, numbers(hand))
    return hand


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
    doubts += ["the bone is an average adult's"] * hand.bone_is_average
    guess = f" (a guess: {' and '.join(doubts)})" if doubts else ""
    lost = "; no hand was found in the first crop, give --box" if hand.fell_back else ""
    depth = f"{hand.keypoints_3d[0, 2]:.2f} {hand.unit}"
    return f"{hand.name}: hand within x {x1}..{x2}, y {y1}..{y2}, wrist at a depth of {depth}{guess}{lost}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; what the user can correct is one line, not a traceback.

    Returns:
        The process's exit code: 0, or 2 for a wrong option or a missing file.
    """
    options = tyro.cli(Options, prog=PROGRAM, args=argv, config=(tyro.conf.FlagCreatePairsOff,))
    try:
        hand = run(options)
    except (ValueError, OSError) as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 2
    print(describe(hand))
    print(f"wrote {options.output}")
    return 0


if __name__ == "__main__":
    run_and_exit(main)
