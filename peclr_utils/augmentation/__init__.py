"""Views of a crop: parameters sampled as a value, applied by OpenCV or, for a whole batch, by torch.

Chapter 02 shows each augmentation, and the same parameters moving picture, keypoints and camera.
"""

from peclr_utils.augmentation.batch import apply_batch, normalise, sampling_grid, theta, to_batch
from peclr_utils.augmentation.config import PRESETS, AugmentationConfig
from peclr_utils.augmentation.opencv import apply_opencv, apply_opencv_batch, augment_sample
from peclr_utils.augmentation.parameters import ViewParameters, affine, sample_parameters, transform_keypoints
from peclr_utils.augmentation.photometry import colour_matrix, gaussian_taps, noise_field

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
    "gaussian_taps",
    "noise_field",
    "normalise",
    "sample_parameters",
    "sampling_grid",
    "theta",
    "to_batch",
    "transform_keypoints",
]
