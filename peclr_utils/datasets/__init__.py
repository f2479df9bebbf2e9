"""Hands from four sources as one sample type: rendered, FreiHAND, YouTube3DHands, and your own images.

Chapter 01 shows them side by side.
"""

from peclr_utils.datasets.export import export_freihand
from peclr_utils.datasets.freihand import FreiHAND
from peclr_utils.datasets.image_folder import ImageFolderHands
from peclr_utils.datasets.sample import (
    EvenMixture,
    HandDataset,
    HandSample,
    Subset,
    even_indices,
    mirror,
)
from peclr_utils.datasets.source import Source, find_data, find_set, open_source
from peclr_utils.datasets.synthetic import TURNED, UPRIGHT, SyntheticHands
from peclr_utils.datasets.youtube3d import YouTube3DHands

__all__ = [
    "TURNED",
    "UPRIGHT",
    "EvenMixture",
    "FreiHAND",
    "HandDataset",
    "HandSample",
    "ImageFolderHands",
    "Source",
    "Subset",
    "SyntheticHands",
    "YouTube3DHands",
    "even_indices",
    "export_freihand",
    "find_data",
    "find_set",
    "mirror",
    "open_source",
]
