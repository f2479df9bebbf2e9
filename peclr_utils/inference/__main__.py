"""Draw the skeleton over any image from disk.

`python -m peclr_utils.inference image.jpg --weights network.pt --output out.png`; `--help` lists the rest.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from peclr_utils.datasets.images import read_image
from peclr_utils.inference.geometry import CROP_SIZE
from peclr_utils.inference.inputs import AVERAGE, AVERAGE_BONE
from peclr_utils.inference.prediction import HandPrediction
from peclr_utils.inference.two_crops import predict
from peclr_utils.weights import load_pose_network

PROGRAM = "python -m peclr_utils.inference"


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description="Predict the hand in a image and draw its skeleton."
    )
    parser.add_argument("image", type=Path, help="any usual format")
    parser.add_argument(
        "--weights", type=Path, required=True, help="a fine-tuned network: this project's or the authors'"
    )
    parser.add_argument("--output", type=Path, required=True, help="image to write, for example out.png")
    parser.add_argument("--json", type=Path, help="write the keypoints there, too")
    parser.add_argument(
        "--box", type=float, nargs=4, metavar=("X1", "Y1", "X2", "Y2"),
        help="pixels around the hand; without it, the hand is expected in the middle of the image",
    )  # fmt: skip
    parser.add_argument(
        "--intrinsics", type=float, nargs=4, metavar=("FX", "FY", "CX", "CY"),
        help="of the camera, in pixels; without them, the distance is a guess",
    )  # fmt: skip
    parser.add_argument(
        "--scale", type=_scale, metavar="METRES",
        help="length of the middle finger's proximal phalanx, for a result in metres; "
        f"'{AVERAGE}': an adult's, {AVERAGE_BONE:g} m (Buryanov and Kotiuk 2010)",
    )  # fmt: skip
    parser.add_argument("--left", action="store_true", help="it is a left hand")
    parser.add_argument(
        "--size", type=int, help=f"side of the network's crops; default: as trained, or {CROP_SIZE}"
    )
    parser.add_argument(
        "--view-factor", type=float, metavar="FACTOR",
        help="half a crop's side over the farthest keypoint's distance from the mean one; default: as "
        "trained, or the authors' crops",
    )  # fmt: skip
    return parser.parse_args(argv)


def _scale(text: str) -> float | str:
    try:
        return text if text == AVERAGE else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected metres or '{AVERAGE}', found {text!r}") from None


def describe(hand: HandPrediction) -> str:
    """Say in one line where the hand is, and what that rests on."""
    x1, y1, x2, y2 = hand.box.round().astype(int)
    depth = f"{hand.keypoints_3d[0, 2]:.2f} {hand.unit}"
    doubts = [
        *(["its camera is unknown, so the authors' default is used"] if hand.K_is_default else []),
        *(["the bone is an average adult's"] if hand.bone_is_average else []),
    ]
    guess = f" (a guess: {' and '.join(doubts)})" if doubts else ""
    lost = "; no hand was found in the first crop, give --box" if hand.fell_back else ""
    return f"{hand.name}: hand within x {x1}..{x2}, y {y1}..{y2}, wrist at a depth of {depth}{guess}{lost}"


def write_json(path: Path, hand: HandPrediction) -> None:
    """Write a prediction's numbers; what is not known is null."""
    values = {
        "image": hand.name,
        "keypoints_2d": [[float(v) if np.isfinite(v) else None for v in xy] for xy in hand.keypoints_2d],
        "keypoints_3d": hand.keypoints_3d.tolist(),
        "unit": hand.unit,
        "bone_length": hand.bone_length,
        "K": hand.K.tolist(),
        "metric_depth_is_a_guess": hand.metric_depth_is_a_guess,
        "is_left": hand.is_left,
    }
    path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def check_outputs(image: Path, output: Path, numbers: Path | None) -> None:
    """Find out that a file can't or must not be written, before anything is computed.

    Raises:
        ValueError: if an output is the input image, by whatever name, or the output's ending is unknown.
        FileNotFoundError: if a folder is missing.
    """
    if not cv2.haveImageWriter(str(output)):
        raise ValueError(f"{output}: unknown ending {output.suffix!r} for an image; use .png or .jpg")
    for path in filter(None, (output, numbers)):
        if not path.absolute().parent.is_dir():
            raise FileNotFoundError(f"{path}: there is no folder {path.parent} to write it into")
        if path.exists() and image.exists() and path.samefile(image):
            raise ValueError(f"{path}: this is the input image, which would be lost; choose another output")
    if numbers is not None and numbers.resolve() == output.resolve():
        raise ValueError(f"{numbers}: --output and --json name the same file")


def write_image(path: Path, image: np.ndarray) -> None:
    """Write an RGB image in the format that the file's ending names; OSError if that fails."""
    if not cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR)):
        raise OSError(f"{path}: could not be written; is the folder writable and the disk not full?")


def run(options: argparse.Namespace) -> HandPrediction:
    """Predict, draw and write."""
    from peclr_utils.plotting import draw_skeleton_on_image

    check_outputs(options.image, options.output, options.json)
    image = read_image(options.image)
    network = load_pose_network(options.weights)
    K = None
    if options.intrinsics is not None:
        fx, fy, cx, cy = options.intrinsics
        K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    hand = predict(
        network, options.image, K, options.scale, options.box, options.left,
        size=options.size, view_factor=options.view_factor,
    )  # fmt: skip
    write_image(options.output, draw_skeleton_on_image(image, hand.keypoints_2d))
    if options.json is not None:
        write_json(options.json, hand)
    return hand


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; what the user can fix is one line, not a traceback.

    Returns:
        The process's exit code: 0, or 2 for a wrong option or a missing file.
    """
    options = arguments(argv)
    try:
        hand = run(options)
    except (ValueError, OSError) as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 2
    print(describe(hand))
    print(f"wrote {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
