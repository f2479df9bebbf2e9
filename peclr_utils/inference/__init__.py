"""Inference as the PeCLR authors do it: two crops, and the result in the original image's pixels.

Chapter 05 predicts with it. Published networks get the authors' crops, networks trained here get crops as in
their training; `cutting` has both. On the command line::

    python -m peclr_utils.inference hand.jpg --weights rn50_peclr_yt3d-fh_pt_fh_ft.pth --output out.png
"""

from peclr_utils.inference.finding import crop_again, find_hands, windows
from peclr_utils.inference.inputs import AVERAGE_BONE
from peclr_utils.inference.prediction import HandPrediction
from peclr_utils.inference.two_crops import predict

__all__ = ["AVERAGE_BONE", "HandPrediction", "crop_again", "find_hands", "predict", "windows"]
