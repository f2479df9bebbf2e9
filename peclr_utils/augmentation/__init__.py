"""Views of a crop: parameters sampled as a value, applied by OpenCV or, for a whole batch, by torch.

Chapter 02 shows each augmentation, and the same parameters moving image, keypoints and camera.
"""

from peclr_utils.augmentation.batch import apply_batch, normalise, to_batch
from peclr_utils.augmentation.config import PRESETS, AugmentationConfig
from peclr_utils.augmentation.opencv import apply_opencv, apply_opencv_batch, augment_sample
from peclr_utils.augmentation.parameters import ViewParameters, affine, sample_parameters, transform_keypoints
from peclr_utils.augmentation.photometry import colour_matrix

__all__ = [
    "PRESETS",
    "AugmentationConfig",
    "ViewParameters",
    "affine",
    "apply_batch",
    "apply_opencv",
    "apply_opencv_batch",
    "augment_sample",
    "colour_matrix",
    "normalise",
    "sample_parameters",
    "to_batch",
    "transform_keypoints",
]
