"""Hand-centred square crops of any sample, and crops of a whole data set kept on disk.

Chapter 01 shows a crop and what it does to keypoints and camera.
"""

from peclr_utils.crops.crop_set import CropSet
from peclr_utils.crops.cropping import crop, crop_box, crop_matrix, warp_sample
from peclr_utils.crops.packing import pack
from peclr_utils.crops.warping import Antialias, antialias, shrink, warp

__all__ = [
    "Antialias",
    "CropSet",
    "antialias",
    "crop",
    "crop_box",
    "crop_matrix",
    "pack",
    "shrink",
    "warp",
    "warp_sample",
]
