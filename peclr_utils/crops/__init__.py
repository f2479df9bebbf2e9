"""Hand-centred square crops of any sample, and crops of a whole data set kept on disk.

Chapter 01 shows a crop and what it does to keypoints and camera.
"""

from peclr_utils.crops.cropping import (
    antialias,
    crop,
    crop_box,
    crop_matrix,
    shrink,
    warp,
    warp_sample,
)
from peclr_utils.crops.pack import open_crops, pack
from peclr_utils.crops.store import CropSet

__all__ = [
    "CropSet",
    "antialias",
    "crop",
    "crop_box",
    "crop_matrix",
    "open_crops",
    "pack",
    "shrink",
    "warp",
    "warp_sample",
]
