"""Inference as the PeCLR authors do it: two crops, and the result in the original image's pixels.

Chapter 05 predicts with it. Published networks see the authors' crops, networks trained here those that they
were trained on; `cutting` has both. On the command line::

    python -m peclr_utils.inference image.jpg --weights rn50_peclr_yt3d-fh_pt_fh_ft.pth --output out.png
"""

from peclr_utils.inference.cutting import AuthorsCuts, TrainingCuts
from peclr_utils.inference.geometry import crop_affine, default_intrinsics, first_box, predicted_box
from peclr_utils.inference.inputs import AVERAGE_BONE
from peclr_utils.inference.prediction import HandPrediction
from peclr_utils.inference.two_crops import predict

__all__ = [
    "AVERAGE_BONE",
    "AuthorsCuts",
    "HandPrediction",
    "TrainingCuts",
    "crop_affine",
    "default_intrinsics",
    "first_box",
    "predict",
    "predicted_box",
]
