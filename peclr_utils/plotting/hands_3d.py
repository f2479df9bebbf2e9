"""A hand in space: one view from any direction, and three fixed views for paper.

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
from mpl_toolkits.mplot3d import Axes3D
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
from peclr_utils.skeleton import BONES, NUM_KEYPOINTS, ROOT

Mesh = tuple[np.ndarray, np.ndarray]
"""Vertices (V, 3) in metres, in the keypoints' frame, and faces (F, 3)."""

_SKIN = np.array([0.86, 0.72, 0.62])
_LOOK = (BONE_COLOURS, KEYPOINT_COLOURS, 3.0)
_TRUE_LOOK = (["#888888"] * len(BONES), ["#888888"] * NUM_KEYPOINTS, 2.0)
_TRUE_TITLE = "The truth in grey"


def plot_hand_3d(
    keypoints_3d: np.ndarray | torch.Tensor,
    ax: Axes3D | None = None,
    *,
    elev: float = 12.0,
    azim: float = -65.0,
    mesh: Mesh | None = None,
    true: np.ndarray | torch.Tensor | None = None,
    title: str | None = None,
) -> Figure:
    """Draw one hand in space, at one scale in all directions.

    Args:
        keypoints_3d: (21, 3) metres, camera frame.
        ax: 3D axes to draw into; None makes a figure.
        elev: degrees of the viewer above the hand.
        azim: degrees about the vertical; -90 with elev 0 is the camera's own view.
        mesh: the hand's surface, drawn transparent, or None.
        true: (21, 3) metres, drawn in grey in the same frame, to compare with; or None.
        title: of the axes; None explains the grey hand, if there is one.

    Returns:
        The figure.

    Raises:
        ValueError: on a wrong shape.
    """
    ax = new_figure(5.5, 5.0).add_subplot(projection="3d") if ax is None else ax
    hands, triangles = _from_wrist(keypoints_3d, true, mesh)
    everything = []
    for points, (bone_colours, joint_colours, _) in hands:
        points = points[:, [0, 2, 1]] * [1, 1, -1]
        lines = [points[list(bone)] for bone in BONES]
        ax.add_collection3d(Line3DCollection(lines, colors=bone_colours, linewidths=3))
        ax.scatter(*points.T, c=list(joint_colours), s=22, depthshade=False)
        everything.append(points)
    if triangles is not None:
        triangles = triangles[..., [0, 2, 1]] * [1, 1, -1]
        colours = np.column_stack([_shade(triangles, (0.3, -0.8, 0.5)), np.full(len(triangles), 0.25)])
        ax.add_collection3d(Poly3DCollection(triangles, facecolors=colours, linewidths=0))
        everything.append(triangles.reshape(-1, 3))
    centre, half = _cube(np.concatenate(everything))
    half = max(half, 0.5)
    for middle, set_limits in zip(centre, (ax.set_xlim, ax.set_ylim, ax.set_zlim), strict=True):
        set_limits(middle - half, middle + half)
    ax.set_box_aspect((1, 1, 1), zoom=0.92)  # room for the labels
    ax.view_init(elev=elev, azim=azim)
    ax.set_xlabel("x, right (cm)", fontsize=SMALL)
    ax.set_ylabel("z, away from the camera (cm)", fontsize=SMALL)
    ax.set_zlabel("y, down (cm)", fontsize=SMALL)
    ax.zaxis.set_major_formatter(lambda value, _: f"{0 - value:g}".replace("-", "\N{MINUS SIGN}"))
    ax.tick_params(labelsize=SMALL - 1, pad=0)
    e, a = np.radians([elev, azim])
    along_view = np.abs([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])
    for axis, share in zip((ax.xaxis, ax.yaxis, ax.zaxis), along_view, strict=True):
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        if share > 0.97:  # seen end on, its labels would lie on top of each other
            axis.set_ticklabels([])
            axis.set_label_text("")
    if title or true is not None:
        ax.set_title(title or _TRUE_TITLE, fontsize=TEXT, y=0.95)
    return ax.figure


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

    Returns:
        The figure.

    Raises:
        ValueError: on a wrong shape.
    """
    hands, triangles = _from_wrist(keypoints_3d, true, mesh)
    everything = [points for points, _ in hands] + ([] if triangles is None else [triangles.reshape(-1, 3)])
    centre, half = _cube(np.concatenate(everything))
    half *= 1.08
    names = ("x, right (cm)", "y, down (cm)", "z, away from the camera (cm)")
    # Which axis each view shows across, up or down, and away from the viewer, and the sign of the last.
    views = {"from the camera": (0, 1, 2, 1), "from its right": (2, 1, 0, -1), "from above": (0, 2, 1, 1)}
    figure = new_figure(WIDTH, 3.6)
    for ax, (name, (across, up, away, sign)) in zip(figure.subplots(1, 3), views.items(), strict=True):
        frame = np.eye(3)[[across, up, away]] * [[1], [1], [sign]]
        if triangles is not None:
            seen = triangles @ frame.T
            order = np.argsort(-seen[..., 2].mean(1))
            skin = _shade(seen, (-0.3, -0.4, -0.8))[order]
            flat = seen[order, :, :2]
            ax.add_collection(PolyCollection(flat, facecolors=skin, edgecolors=skin, linewidths=0.3))
        for points, look in hands:
            _add_flat_bones(ax, points @ frame.T, *look)
        x, y, _ = frame @ centre
        ax.set(xlim=(x - half, x + half), ylim=(y - half, y + half), aspect="equal")
        if up == 1:
            ax.invert_yaxis()
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        label_axes(ax, names[across], names[up], name)
    if title or true is not None:
        figure.suptitle(title or _TRUE_TITLE, fontsize=TEXT + 1)
    return figure


def _from_wrist(keypoints_3d, true, mesh) -> tuple[list, np.ndarray | None]:
    """Hands, the true one first, with their looks; and (F, 3, 3) triangles. In cm from the hand's wrist."""
    points = check_keypoints(keypoints_3d, 3)
    hands = [] if true is None else [((check_keypoints(true, 3) - points[ROOT]) * 100, _TRUE_LOOK)]
    hands.append(((points - points[ROOT]) * 100, _LOOK))
    triangles = None if mesh is None else (np.asarray(mesh[0])[np.asarray(mesh[1])] - points[ROOT]) * 100
    return hands, triangles


def _cube(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Centre and half the side of the cube around the points."""
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
