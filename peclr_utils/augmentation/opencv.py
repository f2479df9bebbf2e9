"""Apply view parameters with OpenCV, on uint8: the CPU backend, run by the data loader.

Chapter 02 shows the result of each parameter; `photometry` says in which order they apply.

**Convention.** RGB uint8 (H, W, 3). A view is one warp by `parameters.affine` and one colour matrix; every
other step costs only where a view asks for it.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from peclr_utils.augmentation.parameters import ViewParameters, affine
from peclr_utils.augmentation.photometry import CUTOUT_GREY, changes_colour, gaussian_taps, noise_field
from peclr_utils.crops.cropping import warp, warp_sample
from peclr_utils.datasets.sample import HandSample


def apply_opencv(
    image: np.ndarray,
    params: ViewParameters,
    out_size: int,
    mask: np.ndarray | None = None,
    backgrounds: np.ndarray | None = None,
) -> np.ndarray:
    """Make one view of a crop.

    Args:
        image: (S, S, 3) uint8 crop.
        params: one view, such as `params[i]`.
        out_size: side of the view.
        mask, backgrounds: one mask, and backgrounds, as in `apply_opencv_batch`.

    Returns:
        (out_size, out_size, 3) uint8.
    """
    return apply_opencv_batch([image], params, out_size, None if mask is None else [mask], backgrounds)[0]


def apply_opencv_batch(
    images: Sequence[np.ndarray] | np.ndarray,
    params: ViewParameters,
    out_size: int,
    masks: Sequence[np.ndarray | None] | np.ndarray | None = None,
    backgrounds: np.ndarray | None = None,
) -> np.ndarray:
    """Make one view of each of B crops.

    Args:
        images: B crops, each square uint8 (S, S, 3), all of one size.
        params: B views.
        out_size: side of the views.
        masks: B masks (S, S) uint8, 255 on the hand, or None for all or some: their backgrounds stay.
        backgrounds: (N, T, T, 3) uint8 images to put behind the hands; resized if T is not `out_size`.

    Returns:
        (B, out_size, out_size, 3) uint8.
    """
    masks = [None] * len(images) if masks is None else masks
    if not len(images) == len(masks) == len(params):
        found = f"{len(images)} images and {len(masks)} masks"
        raise ValueError(f"apply_opencv: found {found} for {len(params)} views")
    views = np.empty((len(params), out_size, out_size, 3), dtype=np.uint8)
    if not len(params):
        return views
    in_size = images[0].shape[0]
    matrices = affine(params, in_size, out_size)
    coloured = changes_colour(params.colour)
    colours = params.colour * [1, 1, 1, 255]
    for index, (image, mask) in enumerate(zip(images, masks, strict=True)):
        if image.shape != (in_size, in_size, 3):
            expected = (in_size, in_size, 3)
            raise ValueError(f"apply_opencv: expected {expected} crops, found {image.shape} at {index}")
        number = params.background[index]
        if mask is not None and backgrounds is not None and number >= 0:
            background = backgrounds[int(number) % len(backgrounds)]
            view = _on_background(image, mask, matrices[index], background, out_size)
        else:
            view = warp(image, matrices[index], out_size)
        if coloured[index]:
            view = cv2.transform(view, colours[index])
        views[index] = _degrade(view, params, index)
    return views


def augment_sample(
    sample: HandSample,
    params: ViewParameters,
    out_size: int,
    backgrounds: np.ndarray | None = None,
) -> HandSample:
    """Make one view of a labelled crop; its labels move as in `transform_keypoints`, outline and mask too.

    Args:
        sample: a square crop.
        params: one view.
        out_size: side of the view.
        backgrounds: see `apply_opencv_batch`.
    """
    image = apply_opencv(sample.image, params, out_size, sample.mask, backgrounds)
    matrix = affine(params, len(sample.image), out_size)[0]
    return warp_sample(sample, matrix, out_size, image)


def _on_background(
    image: np.ndarray, mask: np.ndarray, matrix: np.ndarray, background: np.ndarray, size: int
) -> np.ndarray:
    """Warp image and mask together as four channels, and put another background behind the hand."""
    if background.shape[:2] != (size, size):
        background = cv2.resize(background, (size, size), interpolation=cv2.INTER_LINEAR)
    with_mask = cv2.cvtColor(image, cv2.COLOR_RGB2RGBA)
    with_mask[..., 3] = mask
    warped = warp(with_mask, matrix, size)
    hand = cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB)
    # Three channels like the image: products of equal shapes take a quarter of the time.
    alpha = cv2.cvtColor(cv2.extractChannel(warped, 3), cv2.COLOR_GRAY2RGB)
    over = cv2.multiply(hand, alpha, scale=1 / 255, dtype=cv2.CV_32F)
    under = cv2.multiply(background, cv2.bitwise_not(alpha), scale=1 / 255, dtype=cv2.CV_32F)
    return cv2.add(over, under, dtype=cv2.CV_8U)


def _degrade(view: np.ndarray, params: ViewParameters, index: int) -> np.ndarray:
    """Blur, noise, cut-out and Sobel, each where the view asks for it."""
    size = len(view)
    if params.blur[index] > 0:
        taps = gaussian_taps(params.blur[index], size)
        view = cv2.sepFilter2D(view, -1, taps, taps, borderType=cv2.BORDER_REFLECT_101)
    if params.noise[index] > 0:
        field = noise_field(params.noise_seed[index], size) * np.float32(255 * params.noise[index])
        view = cv2.add(view, np.rint(field).astype(np.int16), dtype=cv2.CV_8U)
    if not np.isnan(params.cutout[index, 0]):
        left, top, right, bottom = np.rint(params.cutout[index] * size).astype(int)
        view[top:bottom, left:right] = CUTOUT_GREY
    if params.sobel[index]:
        # A quarter: a step from black to white gives white. Not cv2.magnitude, whose rounding depends on
        # where its memory is.
        x, y = (cv2.Sobel(view, cv2.CV_32F, *axis, scale=0.25) for axis in ((1, 0), (0, 1)))
        view = cv2.convertScaleAbs(np.sqrt(x * x + y * y))
    return view
