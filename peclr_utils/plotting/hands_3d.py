"""A hand in space: one view from any direction, and three fixed views for print.

Chapter 01 shows a rotating hand, with `plot_hand_views` beside it.

**Convention.** Keypoints are (21, 3) metres in the camera's frame: x right, y down, z away from the camera.
Figures show centimetres from the wrist, with y down on screen as the camera sees it: matplotlib's vertical
axis is -y and its depth axis is z, so that azimuth -90°, elevation 0° looks through the camera.
"""

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.mplot3d.art3d import Line3DCollection, Poly3DCollection

from peclr_utils.plotting.skeletons import check_keypoints
from peclr_utils.plotting.style import (
    BONE_COLOURS,
    KEYPOINT_COLOURS,
    SMALL,
    TEXT,
    WIDTH,
    label_axes,
    new_figure,
)
from peclr_utils.skeleton import BONES, ROOT

Mesh = tuple[np.ndarray, np.ndarray]
"""Vertices (V, 3) in metres, in the keypoints' frame, and faces (F, 3)."""

_SKIN = np.array([0.86, 0.72, 0.62])


def plot_hand_3d(
    keypoints_3d: np.ndarray | torch.Tensor,
    azimuth: float = -65.0,
    elevation: float = 12.0,
    mesh: Mesh | None = None,
) -> Figure:
    """Draw one hand in space, at one scale in all directions.

    Args:
        keypoints_3d: (21, 3) metres, camera frame.
        azimuth: degrees about the vertical; -90 with elevation 0 is the camera's own view.
        elevation: degrees of the viewer above the hand.
        mesh: the hand's surface, drawn transparent, or None.
    """
    hand, triangles = (part[..., [0, 2, 1]] * [1, 1, -1] for part in _from_wrist(keypoints_3d, mesh))
    figure = new_figure(5.5, 5.0)
    ax = figure.add_subplot(projection="3d")
    lines = [hand[list(bone)] for bone in BONES]
    ax.add_collection3d(Line3DCollection(lines, colors=BONE_COLOURS, linewidths=3))
    ax.scatter(*hand.T, c=list(KEYPOINT_COLOURS), s=22, depthshade=False)
    if mesh is not None:
        colours = np.column_stack([_shade(triangles, (0.3, -0.8, 0.5)), np.full(len(triangles), 0.25)])
        ax.add_collection3d(Poly3DCollection(triangles, facecolors=colours, linewidths=0))
    centre, half = _cube(hand, triangles)
    half = max(half, 0.5)
    for middle, set_limits in zip(centre, (ax.set_xlim, ax.set_ylim, ax.set_zlim), strict=True):
        set_limits(middle - half, middle + half)
    ax.set_box_aspect((1, 1, 1), zoom=0.84)  # room for the labels
    ax.view_init(elevation, azimuth)
    ax.set_xlabel("x, right (cm)", fontsize=SMALL)
    ax.set_ylabel("z, away from camera (cm)", fontsize=SMALL)
    ax.set_zlabel("y, down (cm)", fontsize=SMALL)
    ax.zaxis.set_major_formatter(lambda value, _: f"{0 - value:g}".replace("-", "\N{MINUS SIGN}"))
    ax.tick_params(labelsize=SMALL - 1, pad=0)
    e, a = np.radians([elevation, azimuth])
    along_view = np.abs([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])
    for axis, share in zip((ax.xaxis, ax.yaxis, ax.zaxis), along_view, strict=True):
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        if share > 0.97:  # seen end on, its labels would lie on top of each other
            axis.set_ticklabels([])
            axis.set_label_text("")
    return figure


def plot_hand_views(
    keypoints_3d: np.ndarray | torch.Tensor,
    *,
    mesh: Mesh | None = None,
    true: np.ndarray | torch.Tensor | None = None,
    title: str | None = None,
) -> Figure:
    """Draw one hand from the camera, from its right and from above, without perspective, all at one scale.

    Args:
        keypoints_3d: (21, 3) metres, camera frame.
        mesh: the hand's surface, or None.
        true: (21, 3) metres, drawn in grey, to compare with; or None.
        title: of the figure; None explains the grey hand, if there is one.
    """
    hand, triangles = _from_wrist(keypoints_3d, mesh)
    hands = [(hand, BONE_COLOURS, KEYPOINT_COLOURS, 3)]
    if true is not None:
        grey = ["#888888"] * len(hand)
        true_hand = (check_keypoints(true, 3) - check_keypoints(keypoints_3d, 3)[ROOT]) * 100
        hands.insert(0, (true_hand, grey, grey, 2))
    centre, half = _cube(*(points for points, *_ in hands), triangles)
    half *= 1.08
    names = ("x, right (cm)", "y, down (cm)", "z, away from camera (cm)")
    # Which axis each view shows across, up or down, and away from the viewer, and the sign of the last.
    views = {"from the camera": (0, 1, 2, 1), "from its right": (2, 1, 0, -1), "from above": (0, 2, 1, 1)}
    figure = new_figure(WIDTH, 3.6)
    for ax, (name, (across, up, away, sign)) in zip(figure.subplots(1, 3), views.items(), strict=True):
        frame = np.eye(3)[[across, up, away]] * [[1], [1], [sign]]
        if mesh is not None:
            seen = triangles @ frame.T
            order = np.argsort(-seen[..., 2].mean(1))
            skin = _shade(seen, (-0.3, -0.4, -0.8))[order]
            flat = seen[order, :, :2]
            ax.add_collection(PolyCollection(flat, facecolors=skin, edgecolors=skin, linewidths=0.3))
        for points, *look in hands:
            _add_flat_bones(ax, points @ frame.T, *look)
        x, y, _ = frame @ centre
        ax.set(xlim=(x - half, x + half), ylim=(y - half, y + half), aspect="equal")
        if up == 1:
            ax.invert_yaxis()
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        label_axes(ax, names[across], names[up], name)
    if title or true is not None:
        figure.suptitle(title or "The truth in grey", fontsize=TEXT + 1)
    return figure


def _from_wrist(keypoints_3d: np.ndarray | torch.Tensor, mesh: Mesh | None) -> tuple[np.ndarray, np.ndarray]:
    """(21, 3) keypoints and (F, 3, 3) triangles, in centimetres from the wrist."""
    points = check_keypoints(keypoints_3d, 3)
    triangles = np.zeros((0, 3, 3)) if mesh is None else np.asarray(mesh[0])[np.asarray(mesh[1])]
    return (points - points[ROOT]) * 100, (triangles - points[ROOT]) * 100


def _cube(*parts: np.ndarray) -> tuple[np.ndarray, float]:
    """Centre and half the side of the cube around all points."""
    points = np.concatenate([part.reshape(-1, 3) for part in parts])
    return (points.max(0) + points.min(0)) / 2, np.ptp(points, axis=0).max() / 2


def _add_flat_bones(ax: Axes, points: np.ndarray, bone_colours, joint_colours, width: float) -> None:
    """Draw bones from the farthest to the nearest."""
    order = np.argsort([-points[list(bone), 2].mean() for bone in BONES], kind="stable")
    for rank, k in enumerate(order):
        parent, child = BONES[k]
        height = 3 + rank / len(BONES)
        ax.plot(*points[[parent, child], :2].T, color=bone_colours[k], linewidth=width, zorder=height)
        ax.plot(*points[child, :2], "o", color=joint_colours[child], markersize=width + 2, zorder=height)
    ax.plot(*points[ROOT, :2], "o", color=joint_colours[ROOT], markersize=width + 3, zorder=5)


def _shade(triangles: np.ndarray, direction: tuple[float, float, float]) -> np.ndarray:
    """(F, 3) colours of skin in light along a direction."""
    normal = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-12
    light = 0.75 + 0.25 * np.abs(normal @ (np.array(direction) / np.linalg.norm(direction)))
    return _SKIN * light[:, None]
