"""Static figures: hands, sheets of images, curves.

Every `plot_…` and `show_…` returns a matplotlib figure that isn't registered with pyplot: it shows where it
is a cell's last value or is given to `display`, and `figure.savefig(path)` saves it. `draw_…` draws into
axes or into a copy of an image. Nothing changes matplotlib's settings.
"""

from peclr_utils.plotting.curves import (
    plot_intervals,
    plot_label_fractions,
    plot_learning_curves,
    plot_pck,
    plot_per_joint_error,
    plot_turns,
)
from peclr_utils.plotting.depth import plot_bone_lengths, plot_hands_on_rays, plot_root_depth_errors
from peclr_utils.plotting.finding import plot_crops, plot_found, plot_windows
from peclr_utils.plotting.hands_3d import plot_hand_3d, plot_hand_views
from peclr_utils.plotting.method import plot_method
from peclr_utils.plotting.sheets import plot_neighbours, plot_predictions, plot_view_pairs, show_samples
from peclr_utils.plotting.skeletons import draw_skeleton, draw_skeleton_on_image, plot_keypoint_names
from peclr_utils.plotting.style import WIDTH, new_figure

__all__ = [
    "WIDTH",
    "draw_skeleton",
    "draw_skeleton_on_image",
    "new_figure",
    "plot_bone_lengths",
    "plot_crops",
    "plot_found",
    "plot_hand_3d",
    "plot_hand_views",
    "plot_hands_on_rays",
    "plot_keypoint_names",
    "plot_intervals",
    "plot_label_fractions",
    "plot_learning_curves",
    "plot_method",
    "plot_neighbours",
    "plot_pck",
    "plot_per_joint_error",
    "plot_predictions",
    "plot_root_depth_errors",
    "plot_turns",
    "plot_view_pairs",
    "plot_windows",
    "show_samples",
]
