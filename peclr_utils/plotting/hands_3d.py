"""A hand in space: one view that can be turned, and three fixed views for paper.

Chapter 01 shows a rotating hand; `plot_hand_views` is the picture beside it.

**Convention.** Keypoints are (21, 3) metres in the camera's frame: x right, y down, z away from the camera.
Figures show centimetres from the wrist, with y down on screen as the camera sees it: matplotlib's vertical
axis is -y and its depth axis is z, so that azimuth -90°, elevation 0° looks through the camera.
"""

from collections.abc import Sequence

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
from peclr_utils.skeleton import BONES, ROOT

Mesh = tuple[np.ndarray, np.ndarray]
"""Vertices (V, 3) in metres, in the keypoints' frame, and faces (F, 3)."""

_CM = 100.0
_SKIN = np.array([0.86, 0.72, 0.62])
_TRUE_COLOUR = "#888888"


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
    """Draw one hand in space, as large in every direction as it is.

    Args:
        keypoints_3d: (21, 3) metres, camera frame.
        ax: 3D axes to draw into; None makes a figure.
        elev: degrees that the viewer stands above the hand.
        azim: degrees about the vertical; -90 with elev 0 is the camera's own view.
        mesh: the hand's surface, drawn transparent, or None.
        true: (21, 3) metres, drawn in grey in the same frame, to compare with; or None.
        title: of the axes; None says what is grey, if something is.

    Returns:
        The figure.

    Raises:
        ValueError: on a wrong shape.
    """
    points = check_keypoints(keypoints_3d, 3)
    origin = points[ROOT]
    if ax is None:
        ax = new_figure(5.5, 5.0).add_subplot(projection="3d")
    hands = [] if true is None else [_on_axes(check_keypoints(true, 3), origin)]
    for hand in hands:
        _add_bones(ax, hand, [_TRUE_COLOUR] * len(BONES), [_TRUE_COLOUR] * len(hand))
    hands.append(_on_axes(points, origin))
    _add_bones(ax, hands[-1], BONE_COLOURS, KEYPOINT_COLOURS)
    if mesh is not None:
        vertices, faces = _on_axes(np.asarray(mesh[0]), origin), np.asarray(mesh[1])
        light = _shade(vertices[faces], np.array([0.3, -0.8, 0.5]))
        colours = np.column_stack([_SKIN * light[:, None], np.full(len(faces), 0.25)])
        ax.add_collection3d(Poly3DCollection(vertices[faces], facecolors=colours, linewidths=0))
        hands.append(vertices)
    _equal_cube(ax, np.concatenate(hands))
    ax.view_init(elev=elev, azim=azim)
    ax.set_xlabel("x, right (cm)", fontsize=SMALL)
    ax.set_ylabel("z, away from the camera (cm)", fontsize=SMALL)
    ax.set_zlabel("y, down (cm)", fontsize=SMALL)
    ax.zaxis.set_major_formatter(lambda value, _: f"{0 - value:g}".replace("-", "\N{MINUS SIGN}"))
    for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    ax.tick_params(labelsize=SMALL - 1, pad=0)
    _hide_axes_seen_end_on(ax, elev, azim)
    if title or true is not None:
        ax.set_title(title or "The truth in grey", fontsize=TEXT, y=0.95)
    return ax.figure


def plot_hand_views(
    keypoints_3d: np.ndarray | torch.Tensor,
    *,
    mesh: Mesh | None = None,
    true: np.ndarray | torch.Tensor | None = None,
    title: str | None = None,
) -> Figure:
    """Draw one hand from the camera, from its right and from above, without perspective, all to one scale.

    Args:
        keypoints_3d: (21, 3) metres, camera frame.
        mesh: the hand's surface, or None.
        true: (21, 3) metres, drawn in grey, to compare with; or None.
        title: of the figure; None says what is grey, if something is.

    Returns:
        The figure.

    Raises:
        ValueError: on a wrong shape.
    """
    points = check_keypoints(keypoints_3d, 3)
    origin = points[ROOT]
    names = {"x": "x, right (cm)", "y": "y, down (cm)", "z": "z, away from the camera (cm)"}
    views = (
        ("from the camera", "x", "y", "z"),
        ("from its right", "z", "y", "-x"),
        ("from above", "x", "z", "y"),
    )
    figure = new_figure(WIDTH, 3.6)
    hands = [(points - origin) * _CM] + ([] if true is None else [(check_keypoints(true, 3) - origin) * _CM])
    surface = None if mesh is None else ((np.asarray(mesh[0]) - origin) * _CM, np.asarray(mesh[1]))
    everything = np.concatenate([*hands, *([] if surface is None else [surface[0]])])
    centre, half = (everything.max(0) + everything.min(0)) / 2, np.ptp(everything, axis=0).max() / 2 * 1.08
    for position, (name, across, up, depth) in enumerate(views):
        ax = figure.add_subplot(1, 3, position + 1)
        frame = _frame(across, up, depth)
        if surface is not None:
            _add_surface(ax, surface[0] @ frame.T, surface[1])
        for hand in hands[1:]:
            _add_flat_bones(ax, hand @ frame.T, [_TRUE_COLOUR] * len(BONES), [_TRUE_COLOUR] * len(hand), 2)
        _add_flat_bones(ax, hands[0] @ frame.T, BONE_COLOURS, KEYPOINT_COLOURS)
        middle = frame @ centre
        ax.set(xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half))
        if up == "y":
            ax.invert_yaxis()
        ax.set_aspect("equal")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        label_axes(ax, names[across], names[up], name)
    if title or true is not None:
        figure.suptitle(title or "The truth in grey", fontsize=TEXT + 1)
    return figure


def _on_axes(points: np.ndarray, origin: np.ndarray) -> np.ndarray:
    x, y, z = ((points - origin) * _CM).T
    return np.column_stack([x, z, -y])


def _hide_axes_seen_end_on(ax: Axes3D, elev: float, azim: float) -> None:
    e, a = np.radians([elev, azim])
    along_view = np.abs([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])
    for axis, share in zip((ax.xaxis, ax.yaxis, ax.zaxis), along_view, strict=True):
        if share > 0.97:
            axis.set_ticklabels([])
            axis.set_label_text("")


def _add_bones(
    ax: Axes3D, points: np.ndarray, bone_colours: Sequence[str], joint_colours: Sequence[str]
) -> None:
    ax.add_collection3d(
        Line3DCollection([points[list(bone)] for bone in BONES], colors=bone_colours, linewidths=3)
    )
    ax.scatter(*points.T, c=list(joint_colours), s=22, depthshade=False)


def _equal_cube(ax: Axes3D, points: np.ndarray) -> None:
    centre, half = (points.max(0) + points.min(0)) / 2, max(np.ptp(points, axis=0).max() / 2, 0.5)
    for middle, set_limits in zip(centre, (ax.set_xlim, ax.set_ylim, ax.set_zlim), strict=True):
        set_limits(middle - half, middle + half)
    ax.set_box_aspect((1, 1, 1), zoom=0.92)  # room for the labels


def _frame(*axes: str) -> np.ndarray:
    """Rows: the camera-frame axis that each of (across, up or down, away from the viewer) shows."""
    return np.stack([np.eye(3)["xyz".index(name[-1])] * (-1 if name[0] == "-" else 1) for name in axes])


def _add_flat_bones(
    ax: Axes, points: np.ndarray, bone_colours: Sequence[str], joint_colours: Sequence[str], width: float = 3
) -> None:
    order = np.argsort([-points[list(bone), 2].mean() for bone in BONES], kind="stable")
    for rank, k in enumerate(order):
        parent, child = BONES[k]
        height = 3 + rank / len(BONES)
        ax.plot(*points[[parent, child], :2].T, color=bone_colours[k], linewidth=width, zorder=height)
        ax.plot(*points[child, :2], "o", color=joint_colours[child], markersize=width + 2, zorder=height)
    ax.plot(*points[ROOT, :2], "o", color=joint_colours[ROOT], markersize=width + 3, zorder=5)


def _add_surface(ax: Axes, vertices: np.ndarray, faces: np.ndarray) -> None:
    triangles = vertices[faces]
    order = np.argsort(-triangles[..., 2].mean(1))
    light = _shade(triangles, np.array([-0.3, -0.4, -0.8]))
    colours = _SKIN * light[:, None]
    ax.add_collection(
        PolyCollection(
            triangles[order, :, :2], facecolors=colours[order], edgecolors=colours[order], linewidths=0.3
        )
    )


def _shade(triangles: np.ndarray, direction: np.ndarray) -> np.ndarray:
    normal = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-12
    return 0.75 + 0.25 * np.abs(normal @ (direction / np.linalg.norm(direction)))
