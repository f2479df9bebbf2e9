"""Sliders: turn a hand, bend its fingers, move an image, and see what a network's projection does.

Each is two things: a function from plain numbers to an image, and an `Explorer` that puts sliders beside that
image. Chapter 01 shows `rotating_hand` and `pose_explorer`, chapter 02 `augmentation_explorer` with an ideal
network, chapter 03 `turn_explorer` with trained ones.
"""

from peclr_utils.widgets.drawing import (
    draw_posed_hand,
    draw_turns,
    draw_view,
    toy_projection,
    view_parameters,
)
from peclr_utils.widgets.explorers import (
    Explorer,
    augmentation_explorer,
    pose_explorer,
    rotating_hand,
    turn_explorer,
)

__all__ = [
    "Explorer",
    "augmentation_explorer",
    "draw_posed_hand",
    "draw_turns",
    "draw_view",
    "pose_explorer",
    "rotating_hand",
    "toy_projection",
    "turn_explorer",
    "view_parameters",
]
