"""What the metrics accept: arrays or tensors of finite numbers, of one shape, in metres.

Chapter 05 uses it through `evaluate_keypoints`.
"""

import numpy as np
import torch

from peclr_utils.skeleton import ROOT

ArrayLike = np.ndarray | torch.Tensor

LARGEST_HAND = 1.0
"""Metres from the wrist to the farthest keypoint that the typical hand can't exceed; about 0.2 is usual."""


def as_float64(values: ArrayLike, name: str, item: tuple[int, ...] | None = None) -> np.ndarray:
    """Convert arrays, tensors or nested lists to finite float64; `item`: check for (N, *item) with N > 0."""
    kind = type(values).__name__
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().double().numpy()
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name}: expected an array or tensor of numbers, found {kind} ({error})") from error
    if item is not None and (array.shape[1:] != item or not len(array)):
        expected = ", ".join(map(str, ("N", *item)))
        raise ValueError(f"{name}: expected shape ({expected}) with N > 0, found {array.shape}")
    finite = np.isfinite(array)
    if not finite.all():
        bad = np.argwhere(~finite)
        raise ValueError(
            f"{name}: {len(bad)} of {array.size} values are NaN or infinite, the first at index "
            f"{bad[0].tolist()}. Remove hands without a prediction from both arrays"
        )
    return array


def as_pair(
    pred: ArrayLike, gt: ArrayLike, item: tuple[int, int] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Convert both with `as_float64` and check that they have the same shape (..., J, C)."""
    predicted, true = as_float64(pred, "pred", item), as_float64(gt, "gt", item)
    if predicted.shape != true.shape or predicted.ndim < 2 or not predicted.size:
        raise ValueError(f"pred, gt: expected one shape (..., J, C), found {predicted.shape}, {true.shape}")
    return predicted, true


def check_metres(hands: np.ndarray, name: str, limit: float = LARGEST_HAND) -> float:
    """Return how far the typical hand of (N, 21, 3) reaches from the wrist; ValueError beyond the limit."""
    reach = hands - hands[:, ROOT : ROOT + 1]
    size = float(np.sqrt(np.median(np.einsum("njc,njc->nj", reach, reach).max(-1))))
    if size > limit:
        raise ValueError(
            f"{name} doesn't look like metres: the typical hand reaches {size:.3g} from the wrist, expected "
            "about 0.2. Divide millimetres by 1000, multiply bone lengths by the bone's length in metres, or "
            "pass check_units=False"
        )
    return size
