"""What the measures accept: arrays or tensors of finite numbers, of one shape, in metres.

Chapter 05 uses it through `evaluate_keypoints`.
"""

import numpy as np
import torch

from peclr_utils.skeleton import ROOT

ArrayLike = np.ndarray | torch.Tensor

TYPICAL_HAND = 0.2
"""Metres from the wrist to the farthest keypoint, roughly."""

UNITS = (
    (1 / 0.03, "bone lengths", "times the bone's length in metres"),
    (100.0, "centimetres", "/ 100"),
    (1000.0, "millimetres", "/ 1000"),
)
"""What is passed by mistake for metres: how many times too large, its name, and the remedy."""

LARGEST_HAND = 1.0
"""Metres from the wrist beyond which the typical true hand can't be in metres."""

LARGEST_BLOW_UP = 20.0
"""Times the typical true hand's size beyond which a predicted hand is taken for a mix-up of units."""


def as_float64(values: ArrayLike, name: str) -> np.ndarray:
    """Bring an array, a tensor of any device and float type, or nested lists to a finite float64 array.

    Args:
        values: what the caller passed.
        name: what the message calls it.

    Returns:
        float64 array of the same shape; may share memory with a float64 input.

    Raises:
        TypeError: if these aren't numbers.
        ValueError: if one is NaN or infinite.
    """
    kind = type(values).__name__
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().double().numpy()
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name}: expected an array or tensor of numbers, found {kind} ({error})") from error
    finite = np.isfinite(array)
    if not finite.all():
        bad = np.argwhere(~finite)
        raise ValueError(
            f"{name}: {len(bad)} of {array.size} values are NaN or infinite, the first at index "
            f"{bad[0].tolist()}; leave hands without a prediction out of both arrays"
        )
    return array


def as_pair(
    pred: ArrayLike, gt: ArrayLike, item: tuple[int, int] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Check that prediction and truth fit each other, and bring both to float64.

    Args:
        pred: (..., J, C).
        gt: (..., J, C).
        item: the shape (J, C) of one hand; then there must be exactly one batch dimension.

    Returns:
        Both as float64.

    Raises:
        TypeError, ValueError: if they don't fit.
    """
    predicted, true = as_float64(pred, "pred"), as_float64(gt, "gt")
    for name, array in (("pred", predicted), ("gt", true)):
        if item is not None and (array.ndim != 3 or array.shape[1:] != item):
            raise ValueError(f"{name}: expected shape (N, {item[0]}, {item[1]}), found {array.shape}")
        if array.ndim < 2 or not array.size:
            raise ValueError(
                f"{name}: expected shape (..., J, C) with at least one hand, found {array.shape}"
            )
    if predicted.shape != true.shape:
        raise ValueError(f"pred and gt must have the same shape, found {predicted.shape} and {true.shape}")
    return predicted, true


def check_metres(predicted: np.ndarray, true: np.ndarray) -> None:
    """Refuse hands that are far too large for metres.

    Args:
        predicted: (N, 21, 3).
        true: (N, 21, 3).

    Raises:
        ValueError: if the typical true hand reaches over 1 m, or the typical predicted one over 20 times as
            far as the true one.
    """
    check_hand_size(true, "gt")
    true_size, predicted_size = _typical_size(true), _typical_size(predicted)
    if true_size > 0 and predicted_size > LARGEST_BLOW_UP * true_size:
        raise ValueError(
            f"pred doesn't look like metres: the typical hand reaches {predicted_size:.3g} from the wrist, "
            f"the true one {true_size:.3g}; {_unit_hint(predicted_size / true_size)}, "
            "or check_units=False if the predictor really is that far off"
        )


def check_hand_size(hands: np.ndarray, name: str) -> None:
    """Refuse hands that are too large for metres, whatever they are compared with.

    Args:
        hands: (N, 21, 3).
        name: what the message calls them.

    Raises:
        ValueError: if the typical hand reaches over 1 m.
    """
    size = _typical_size(hands)
    if size > LARGEST_HAND:
        raise ValueError(
            f"{name} doesn't look like metres: the typical hand reaches {size:.3g} from the wrist, "
            f"expected about {TYPICAL_HAND}; {_unit_hint(size / TYPICAL_HAND)}"
        )


def _unit_hint(times_too_large: float) -> str:
    ratio, unit, remedy = min(UNITS, key=lambda unit: abs(np.log(times_too_large / unit[0])))
    if not 1 / 3 < times_too_large / ratio < 3:
        return "pass metres (millimetres / 1000, or bone lengths times the bone's length in metres)"
    return f"these may be {unit}: pass metres ({unit} {remedy})"


def _typical_size(hands: np.ndarray) -> float:
    reach = hands - hands[:, ROOT : ROOT + 1]
    size = np.sqrt(np.einsum("njc,njc->nj", reach, reach).max(-1))
    return float(np.median(size[size > 0])) if (size > 0).any() else 0.0
