"""How far predicted keypoints are from the true ones: FreiHAND's official metrics, batched.

Chapter 05 derives them and says what each one hides.

**Convention.** Predictions and truth are (N, 21, 3), metres, camera frame, FreiHAND's keypoint order. What
ends in `_mm` is in millimetres; everything else keeps the input's unit. All sums are in float64.

**Definitions differ between papers.** EPE and PA-EPE (also MPJPE, PA-MPJPE) don't always name the same
number:

- *Alignment.* FreiHAND's evaluator calls SciPy's `orthogonal_procrustes`, which may mirror a hand, and so
  does `evaluate_keypoints`. Most papers describe a rotation, without mirroring: `proper_rotation=True`. The
  two differ only for hands that fit better mirrored (nearly flat ones, or very wrong ones); there the
  official alignment leaves the smaller squared error.
- *Scale.* Both alignments fit a scale. The error after rotation and shift alone is larger; not computed here.
- *What is aligned away is not measured.* PA-EPE doesn't see whether a hand points the right way. A method
  whose gain is just this, as PeCLR's may be, shows it in `root_relative_epe`, `epe_2d` and
  `in_plane_errors`.
- *Unaligned EPE* is absolute in FreiHAND: a wrong distance to the camera counts in full. Papers on STB, RHD
  or InterHand first shift the predicted root onto the true one (`root_relative_epe`). Some take the wrist as
  root, some the middle MCP, some the palm, and some divide by a bone length too. State which.
- *AUC.* FreiHAND integrates PCK from 0 to 50 mm, papers on STB and RHD from 20 to 50 mm. These can't be
  compared. A perfect prediction has an aligned AUC of 0.995, not 1: the 1e-8 in the alignment leaves errors
  of a nanometre, which the first threshold, 0, excludes.
- *Mean.* Here it is the mean over keypoints of each one's mean. Some evaluators print the median.
- *Visibility.* FreiHAND's evaluator counts all 21 keypoints of all hands, hidden ones too.
- *Units.* FreiHAND prints centimetres, and so does `published_table`.
"""

from dataclasses import dataclass, field

import numpy as np

from peclr_utils.evaluation.alignment import align_root, procrustes_align
from peclr_utils.evaluation.checks import LARGEST_HAND, ArrayLike, as_float64, as_pair, check_metres
from peclr_utils.skeleton import FINGERS, NUM_KEYPOINTS, ROOT

THRESHOLDS = np.linspace(0.0, 0.05, 100)
"""Distances of the official PCK curve, in metres."""

_MM = 1000.0


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What `evaluate_keypoints` finds; `print` shows what the official evaluator prints, and a little more.

    Attributes:
        epe_mm: mean distance in mm, unaligned (official).
        pa_epe_mm: mean distance in mm, aligned (official).
        root_relative_epe_mm: mean distance in mm after `align_root` (not official).
        auc: area under `pck`, 0 to 1 (official).
        pa_auc: area under `pa_pck`, 0 to 1 (official).
        thresholds: (100,) metres.
        pck: (100,) share of keypoints within each threshold.
        pa_pck: (100,) likewise, aligned.
        per_joint_epe_mm: (21,) mean over hands.
        per_joint_pa_epe_mm: (21,) likewise, aligned.
        per_hand_epe_mm: (N,) mean over keypoints.
        per_hand_pa_epe_mm: (N,) likewise, aligned; sorts the best hands from the worst.
        per_finger_pa_epe_mm: mean over each finger's four keypoints, aligned; the wrist belongs to none.
        epe_2d: mean distance in pixels, or None if no 2D keypoints were given.
        in_plane_error_degrees: mean of `in_plane_errors` (not official), or None likewise.
        proper_rotation: whether the alignment was kept from mirroring (not official).
    """

    epe_mm: float
    pa_epe_mm: float
    root_relative_epe_mm: float
    auc: float
    pa_auc: float
    thresholds: np.ndarray = field(repr=False)
    pck: np.ndarray = field(repr=False)
    pa_pck: np.ndarray = field(repr=False)
    per_joint_epe_mm: np.ndarray = field(repr=False)
    per_joint_pa_epe_mm: np.ndarray = field(repr=False)
    per_hand_epe_mm: np.ndarray = field(repr=False)
    per_hand_pa_epe_mm: np.ndarray = field(repr=False)
    per_finger_pa_epe_mm: dict[str, float] = field(repr=False)
    epe_2d: float | None = None
    in_plane_error_degrees: float | None = None
    proper_rotation: bool = False

    def __str__(self) -> str:
        alignment = "without mirroring" if self.proper_rotation else "official"
        lines = [
            f"{len(self.per_hand_epe_mm)} hands",
            f"unaligned      EPE {self.epe_mm:7.2f} mm   AUC {self.auc:.3f}",
            f"root-relative  EPE {self.root_relative_epe_mm:7.2f} mm",
            f"aligned        EPE {self.pa_epe_mm:7.2f} mm   AUC {self.pa_auc:.3f}   ({alignment})",
        ]
        if self.epe_2d is not None:
            turn = f"turned by {self.in_plane_error_degrees:.1f} degrees"
            lines.append(f"in the image   EPE {self.epe_2d:7.2f} px   {turn}")
        return "\n".join(lines)


def evaluate_keypoints(
    pred: ArrayLike,
    gt: ArrayLike,
    *,
    proper_rotation: bool = False,
    pred_2d: ArrayLike | None = None,
    gt_2d: ArrayLike | None = None,
    check_units: bool = True,
) -> Evaluation:
    """Score predicted 3D keypoints exactly as FreiHAND's official evaluation does.

    Args:
        pred, gt: (N, 21, 3) metres, camera frame; arrays, or tensors of any float type on any device.
        proper_rotation: align without mirroring, as most papers describe it. Not official; see the module's
            text.
        pred_2d, gt_2d: (N, 21, 2) pixels; with them, `epe_2d` and `in_plane_error_degrees` are found too.
        check_units: refuse hands that are far too large for metres. Turn it off for toy data.

    Raises:
        ValueError: on a wrong shape, different lengths, no hands, NaN or infinity, values that aren't
            metres, or only one of `pred_2d` and `gt_2d`.
    """
    predicted, true = as_pair(pred, gt, (NUM_KEYPOINTS, 3))
    if check_units:  # a bad prediction may be large, but not 20 times the hand
        size = check_metres(true, "gt")
        check_metres(predicted, "pred", max(LARGEST_HAND, 20 * size))
    if (pred_2d is None) != (gt_2d is None):
        raise ValueError("evaluate_keypoints: pass both pred_2d and gt_2d, or neither")

    raw = joint_errors(predicted, true)
    aligned = joint_errors(procrustes_align(predicted, true, proper_rotation), true)
    raw_pck, aligned_pck = pck(raw, THRESHOLDS), pck(aligned, THRESHOLDS)
    return Evaluation(
        epe_mm=_mean(raw) * _MM,
        pa_epe_mm=_mean(aligned) * _MM,
        root_relative_epe_mm=root_relative_epe(predicted, true) * _MM,
        auc=auc(raw_pck, THRESHOLDS),
        pa_auc=auc(aligned_pck, THRESHOLDS),
        thresholds=THRESHOLDS.copy(),
        pck=raw_pck,
        pa_pck=aligned_pck,
        per_joint_epe_mm=raw.mean(0) * _MM,
        per_joint_pa_epe_mm=aligned.mean(0) * _MM,
        per_hand_epe_mm=raw.mean(1) * _MM,
        per_hand_pa_epe_mm=aligned.mean(1) * _MM,
        per_finger_pa_epe_mm={name: float(aligned[:, ks].mean() * _MM) for name, ks in FINGERS.items()},
        epe_2d=None if pred_2d is None else epe_2d(pred_2d, gt_2d),
        in_plane_error_degrees=None if pred_2d is None else float(in_plane_errors(pred_2d, gt_2d).mean()),
        proper_rotation=proper_rotation,
    )


def joint_errors(pred: ArrayLike, gt: ArrayLike) -> np.ndarray:
    """Distance of each keypoint (..., J, C), 2D or 3D, from the true one: (..., J) float64 in their unit."""
    predicted, true = as_pair(pred, gt)
    difference = predicted - true
    # Coordinate by coordinate is as fast as einsum, and rounds as a sum over the axis does: an error that
    # equals a threshold of the PCK curve must fall on the official side of it.
    squared = np.square(difference[..., 0])
    for coordinate in range(1, difference.shape[-1]):
        squared += np.square(difference[..., coordinate])
    return np.sqrt(squared)


def epe(pred: ArrayLike, gt: ArrayLike) -> float:
    """End-point error: the mean over keypoints of each one's mean distance, in the input's unit."""
    return _mean(joint_errors(pred, gt))


def pa_epe(pred: ArrayLike, gt: ArrayLike, proper_rotation: bool = False) -> float:
    """End-point error after `procrustes_align`, in the input's unit."""
    return epe(procrustes_align(pred, gt, proper_rotation), gt)


def root_relative_epe(pred: ArrayLike, gt: ArrayLike, root: int = ROOT) -> float:
    """End-point error after `align_root`, in the input's unit; not FreiHAND's, but many papers'."""
    return epe(align_root(pred, gt, root), gt)


def epe_2d(pred: ArrayLike, gt: ArrayLike) -> float:
    """End-point error of (N, 21, 2) keypoints in the image, in pixels."""
    return epe(*as_pair(pred, gt, (NUM_KEYPOINTS, 2)))


def in_plane_errors(pred: ArrayLike, gt: ArrayLike) -> np.ndarray:
    """Angle by which each predicted hand is turned in the image, apart from its place, size and shape.

    It is the angle of the least-squares similarity from prediction to truth. Written as complex numbers p
    and q about their means, the squared distance of a e^{iθ} p from q is smallest at θ = arg Σ p̄ q. A hand
    without extent has no direction: its error is 0.

    Args:
        pred, gt: (N, 21, 2) pixels of the same image.

    Returns:
        (N,) float64, degrees from 0 to 180, whichever way it is turned.
    """
    predicted, true = as_pair(pred, gt, (NUM_KEYPOINTS, 2))
    p, q = (points - points.mean(1, keepdims=True) for points in (predicted, true))
    along = (p * q).sum((1, 2))
    across = (p[..., 0] * q[..., 1] - p[..., 1] * q[..., 0]).sum(1)
    return np.degrees(np.abs(np.arctan2(across, along)))


def pck(errors: ArrayLike, thresholds: np.ndarray) -> np.ndarray:
    """Share of keypoints whose error is at most each threshold.

    All keypoints have the same number of hands, so the mean over keypoints of their own shares, the official
    definition, is the share among all.

    Args:
        errors: (N, J) distances.
        thresholds: (T,) ascending, the same unit.

    Returns:
        (T,) between 0 and 1, never falling.
    """
    distances = as_float64(errors, "errors").ravel()
    first_reached = np.searchsorted(thresholds, distances, side="left")
    counts = np.bincount(first_reached, minlength=len(thresholds) + 1)
    return np.cumsum(counts[:-1]) / distances.size


def auc(curve: np.ndarray, thresholds: np.ndarray) -> float:
    """Area under a PCK curve by the trapezoid rule, divided by the area under the constant one.

    Between 0 and 1, from the PCK (T,) at ascending thresholds (T,), T > 1.
    """
    return float(np.trapezoid(curve, thresholds) / (thresholds[-1] - thresholds[0]))


def _mean(errors: np.ndarray) -> float:
    return float(errors.reshape(-1, errors.shape[-1]).mean(0).mean())
