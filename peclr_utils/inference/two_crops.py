"""Predict the hand in an image by two crops, as the authors' evaluation does.

Chapter 05 predicts with it. The first crop is made around the given box, or the middle of the image; the
second around the prediction of the first; its prediction is the result. `cutting` says how large they are.
"""

import itertools
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from peclr_utils.inference.cutting import AuthorsCuts, TrainingCuts
from peclr_utils.inference.finding import SMALLEST, find_in
from peclr_utils.inference.inputs import CROP_SIZE, HandImage, Source, hand_images, is_single, other_side
from peclr_utils.inference.prediction import HandPrediction, Model, evaluating, make_prediction, run


def predict(
    model: Model,
    image: Source,
    K: Any = None,
    scale: Any = None,
    box: Any = None,
    is_left: Any = None,
    *,
    size: int | None = None,
    view_factor: float | None = None,
    batch_size: int = 32,
) -> HandPrediction | list[HandPrediction]:
    """Predict the hand in one image, or the hands in many images or boxes.

    Without a box, a network that knows whether a hand is in its place searches the image, and the most likely
    hand is returned with its `presence` (`find_hands` returns all). Others expect it in the middle of the
    image, as in FreiHAND: for a hand elsewhere, or one that fills the image, give the box. Crops are
    interpolated bilinearly, smoothed first where they shrink the image by more than 1.5, and black outside
    the image.

    *As the authors do it.* A crop shows its box's larger side as 0.7 of its own. Without a box, the largest
    central square, shrunk to 0.33 of its side, takes its place: 73.92 pixels of a 224 x 224 image, of which
    the first crop shows 105.6.

    *As this project trains*, if a `view_factor` is known: the second crop is what training would have cut if
    the first prediction were the label; `inference.cutting` has the numbers.

    Args:
        model: a `PoseNetwork25D`, left in the mode it was in; or any function of (B, 3, size, size)
            normalised crops and (B, 3, 3) intrinsics that returns a `PoseOutput`. Its `keypoint_order` is
            used if it has one; otherwise the order is FreiHAND's.
        image: an image: RGB (H, W, 3) or a tensor (3, H, W), uint8 or float from 0 to 1, a Pillow image, a
            file, or a `HandSample`; or many: a batch of four dimensions, a folder, a list of images of any
            sizes, or a data set.
        K: (3, 3) intrinsics of the image in pixels, or (N, 3, 3). None takes a sample's own, or otherwise
            the authors' default; the result says which.
        scale: length of the middle proximal phalanx in metres (FreiHAND's `scale`), or (N,); then the result
            is in metres. "average" takes `AVERAGE_BONE`. None takes a sample's own, or otherwise leaves the
            result in bone lengths.
        box: (4,) x1, y1, x2, y2 in pixels around the hand; (n, 4) for n hands in one image; for N images one
            or several each. None takes a sample's own (`ImageFolderHands` has its table's), or otherwise the
            middle of the image. A sample's keypoints or outline never replace it: that would be looking
            at the labels.
        is_left: whether it is a left hand, or one for each: it is mirrored, and the result mirrored back. A
            sample that says it is a left hand is treated as one. None takes a right hand; where hands are
            searched, the more likely side.
        size: side of the crops in pixels. None takes the model's `image_size` if it has one, otherwise 224.
        view_factor: half a crop's side over the distance of the farthest keypoint from the mean one, as in
            training. None takes the model's own, which networks of this project have; the published ones have
            none and get the authors' crops.
        batch_size: images at once; a network for any angle sees each in four copies.

    Returns:
        A `HandPrediction`; a list of them if there were many images or boxes. Of many images, those that
        can't be used are skipped with one warning; `index` says which of them a prediction is of.

    Raises:
        FileNotFoundError: if the file is missing, or a folder holds no image.
        ValueError: if no image can be used; or K, scale or box don't fit.
        TypeError: if `image` is none of the above.
    """
    each = list(
        predict_each(
            model, image, K, scale, box, is_left, size=size, view_factor=view_factor, batch_size=batch_size
        )
    )
    found = [one for one in each if isinstance(one, HandPrediction)]
    skipped = [one for one in each if isinstance(one, Exception)]
    if skipped and not found:
        raise skipped[0]
    if skipped:
        reasons = "; ".join(map(str, skipped[:5])) + "; ..." * (len(skipped) > 5)
        warnings.warn(f"Skipped {len(skipped)} of {len(skipped) + len(found)}: {reasons}", stacklevel=2)
    return found[0] if is_single(image) and np.ndim(box) < 2 else found


def predict_each(
    model: Model,
    image: Source,
    K: Any = None,
    scale: Any = None,
    box: Any = None,
    is_left: Any = None,
    *,
    size: int | None,
    view_factor: float | None,
    batch_size: int = 32,
) -> Iterator[HandPrediction | Exception]:
    """Do what `predict` does: yields a prediction for each hand in order, or why it can't be made."""
    if not callable(model):
        raise TypeError(f"predict: expected a network, found {type(model).__name__}; see load_pose_network")
    size = size if size is not None else getattr(model, "image_size", None) or CROP_SIZE
    if size < 1:
        raise ValueError(f"predict: size must be positive, found {size}")
    view_factor = view_factor if view_factor is not None else getattr(model, "view_factor", None)
    if view_factor is not None and not 0 < view_factor < float("inf"):
        raise ValueError(f"predict: view_factor must be positive, found {view_factor}")
    cuts = AuthorsCuts(size) if view_factor is None else TrainingCuts(size, view_factor)
    own = (getattr(model, name, None) for name in ("image_size", "view_factor"))
    finds = getattr(model, "knows_presence", False) and (size, view_factor) == tuple(own)
    images = hand_images(image, K, scale, box, is_left)
    while chunk := list(itertools.islice(images, batch_size)):
        usable = [given for given in chunk if isinstance(given, HandImage)]
        batch = [given for given in usable if not (finds and given.box is None)]
        with evaluating(model), torch.inference_mode():
            cropped = iter(_predict_batch(model, batch, cuts) if batch else [])
        for given in chunk:
            if isinstance(given, Exception):
                yield given
            elif given.box is not None or not finds:
                yield next(cropped)
            else:
                told = given.is_left or is_left is not None
                sides = [given] if told else [given, other_side(given)]
                with evaluating(model), torch.inference_mode():
                    (likeliest,) = find_in(model, sides, SMALLEST, 1, 2 * batch_size, 0.0)
                yield likeliest


def _predict_batch(
    model: Model, batch: list[HandImage], cuts: AuthorsCuts | TrainingCuts
) -> list[HandPrediction]:
    first = [cuts.first(given) for given in batch]
    guess = [seen.keypoints_2d for seen in run(model, batch, first, cuts.size)]
    second = [cuts.second(*each) for each in zip(batch, guess, first, strict=True)]
    final = [again or cut for again, cut in zip(second, first, strict=True)]
    seen = run(model, batch, final, cuts.size)
    order = getattr(model, "keypoint_order", "freihand")
    return [
        make_prediction(given, one, order, cut, fell_back=again is None)
        for given, one, cut, again in zip(batch, seen, final, second, strict=True)
    ]
