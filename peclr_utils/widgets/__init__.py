"""Sliders: turn a hand, bend its fingers, and move a picture together with what a network would make of it.

Each is two things: a function `draw_…` from plain numbers to a picture, and an `Explorer` that puts sliders
above that picture. Chapter 01 shows `rotating_hand` and `pose_explorer`, chapter 02 `augmentation_explorer`.
"""

from peclr_utils.widgets.drawing import (
    draw_posed_hand,
    draw_turned_hand,
    draw_view,
    toy_projection,
    view_parameters,
)
from peclr_utils.widgets.explorers import (
    STATIC_NOTE,
    Explorer,
    as_png,
    augmentation_explorer,
    pose_explorer,
    rotating_hand,
)

__all__ = [
    "STATIC_NOTE",
    "Explorer",
    "as_png",
    "augmentation_explorer",
    "draw_posed_hand",
    "draw_turned_hand",
    "draw_view",
    "pose_explorer",
    "rotating_hand",
    "toy_projection",
    "view_parameters",
]
