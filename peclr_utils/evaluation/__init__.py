"""Metrics, the official FreiHAND protocol, probes, direct measures of equivariance, and result tables.

Chapter 05 derives the metrics; chapter 03 uses the probe.
"""

from peclr_utils.evaluation.alignment import align_root, procrustes_align
from peclr_utils.evaluation.in_image import ImageEvaluation, evaluate_in_image
from peclr_utils.evaluation.metrics import (
    Evaluation,
    auc,
    epe,
    epe_2d,
    evaluate_keypoints,
    in_plane_errors,
    joint_errors,
    pa_epe,
    pck,
    root_relative_epe,
)
from peclr_utils.evaluation.probe import mean_pose, ridge_probe
from peclr_utils.evaluation.published import EVALUATION_HANDS, PUBLISHED, ZERO_PREDICTOR, published_table
from peclr_utils.evaluation.report import format_table, mean_and_spread, paired_interval
from peclr_utils.evaluation.submission import load_truth, read_submission, write_submission
from peclr_utils.evaluation.turning import Turn, equivariant_read_out, turn_of_points

__all__ = [
    "EVALUATION_HANDS",
    "PUBLISHED",
    "ZERO_PREDICTOR",
    "Evaluation",
    "ImageEvaluation",
    "Turn",
    "align_root",
    "auc",
    "epe",
    "epe_2d",
    "equivariant_read_out",
    "evaluate_in_image",
    "evaluate_keypoints",
    "format_table",
    "in_plane_errors",
    "joint_errors",
    "load_truth",
    "mean_and_spread",
    "mean_pose",
    "pa_epe",
    "paired_interval",
    "pck",
    "procrustes_align",
    "published_table",
    "read_submission",
    "ridge_probe",
    "root_relative_epe",
    "turn_of_points",
    "write_submission",
]
