"""Sliders: turn a hand, bend its fingers, and move an image together with an ideal network's projection.

Each is two things: a function from plain numbers to an image, and an `Explorer` that puts sliders above that
image. Chapter 01 shows `rotating_hand` and `pose_explorer`, chapter 02 `augmentation_explorer`.
"""

from peclr_utils.widgets.drawing import draw_posed_hand, draw_view, toy_projection, view_parameters
from peclr_utils.widgets.explorers import Explorer, augmentation_explorer, pose_explorer, rotating_hand

__all__ = [
    "Explorer",
    "augmentation_explorer",
    "draw_posed_hand",
    "draw_view",
    "pose_explorer",
    "rotating_hand",
    "toy_projection",
    "view_parameters",
]
