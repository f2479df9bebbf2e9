"""Hands in images and films: searched, or in a given box; the result is in the original image's pixels.

Chapter 05 predicts with it. In a box, a hand is predicted by two crops, as the PeCLR authors do it. Published
networks get the authors' crops, networks trained here get crops as in their training; `cutting` has both. A
network that was trained to say whether a hand is in its place finds hands itself; `finding` says how. On the
command line::

    python -m peclr_utils.inference photo.jpg
"""

from peclr_utils.inference.finding import crop_again, find_hands
from peclr_utils.inference.inputs import AVERAGE_BONE
from peclr_utils.inference.prediction import HandPrediction
from peclr_utils.inference.sliding import windows
from peclr_utils.inference.two_crops import predict

__all__ = ["AVERAGE_BONE", "HandPrediction", "crop_again", "find_hands", "predict", "windows"]
