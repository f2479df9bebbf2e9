"""What the sliders show, as functions from plain numbers to an image: they work without a window too.

Chapter 01 poses a hand with them, chapter 02 moves an image and undoes the motion on a projection, chapter 03
turns an image and follows the points of trained networks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from torch import nn

from peclr_utils.augmentation import ViewParameters, augment_sample, colour_matrix
from peclr_utils.crops import CropSet
from peclr_utils.datasets.sample import HandSample
from peclr_utils.equivariance import apply_to_projection, undo_on_projection
from peclr_utils.evaluation.turning import as_complex_points, turned_by
from peclr_utils.hands import HandPose, HandShape, constrain, gesture
from peclr_utils.hands.backgrounds import composite
from peclr_utils.hands.renderer import Light
from peclr_utils.hands.scene import HandScene, render_hand, sample_scene, scene_surface
from peclr_utils.plotting import draw_skeleton_on_image, new_figure
from peclr_utils.plotting.style import PALETTE, TEXT, as_images, show_image
from peclr_utils.skeleton import BONES
from peclr_utils.training.views import plain_views


def draw_posed_hand(
    start: str = "open",
    end: str = "fist",
    blend: float = 0.0,
    thumb: float = 0.0,
    index: float = 0.0,
    middle: float = 0.0,
    ring: float = 0.0,
    little: float = 0.0,
    turn: float = 0.0,
    *,
    size: int = 256,
) -> np.ndarray:
    """Draw a right hand in a pose combined from gestures and bent fingers.

    Args:
        start: a gesture, one of `peclr_utils.hands.GESTURES`.
        end: another one.
        blend: share of the way from the first to the second, 0 to 1.
        thumb, index, middle, ring, little: degrees by which all joints of the finger bend further, negative
            for less; joint limits hold.
        turn: degrees about the vertical; 0 shows the palm, 180 the back.
        size: side of the image, pixels.

    Returns:
        (size, size, 3) uint8 RGB.
    """
    pose = gesture(start).blend(gesture(end), blend)
    bend = np.array([thumb, index, middle, ring, little])[:, None]
    pose = constrain(HandPose(pose.flexion + bend, pose.abduction, pose.opposition, pose.arch))
    rotation = cv2.Rodrigues(np.array([0.0, np.radians(turn), 0.0]))[0]
    scene = replace(
        _plain_scene(),
        pose=pose,
        shape=HandShape(),
        rotation=rotation,
        translation=np.array([0.0, 0.08, 0.58]),
        K=np.array([[2.2 * size, 0, (size - 1) / 2], [0, 2.2 * size, (size - 1) / 2], [0, 0, 1]]),
        size=size,
        light=Light(),
    )
    hand = render_hand(scene, scene_surface(scene)[0])
    return composite(hand.image, hand.alpha, np.full((size, size, 3), 235, dtype=np.uint8))


@cache
def _plain_scene() -> HandScene:
    return sample_scene(0, 3)


def view_parameters(
    angle: float = 0.0,
    scale: float = 1.0,
    shift_x: float = 0.0,
    shift_y: float = 0.0,
    hue: float = 0.0,
    saturation: float = 1.0,
    brightness: float = 1.0,
    contrast: float = 1.0,
    grey: bool = False,
    blur: float = 0.0,
    noise: float = 0.0,
    sobel: bool = False,
) -> ViewParameters:
    """Set the parameters of one view instead of sampling them; the defaults change nothing.

    Args:
        angle: degrees, counter-clockwise on screen.
        scale: magnification.
        shift_x, shift_y: motion of the content to the right and down, fractions of the side.
        hue: degrees about the grey axis.
        saturation: 1 for none, 0 for grey.
        brightness: gain, 1 for none.
        contrast: stretch about mid grey, 1 for none.
        grey: whether the view is grey.
        blur: sigma in pixels of the view.
        noise: sigma as a fraction of 255.
        sobel: whether the view is the magnitude of its gradient.
    """
    one = np.ones(1)
    factors = (brightness * one, contrast * one, saturation * one)
    return replace(
        ViewParameters.identity(1),
        angle=angle * one,
        scale=scale * one,
        shift=np.array([[shift_x, shift_y]], dtype=np.float64),
        colour=colour_matrix(*factors, hue * one, np.ones((1, 3)), np.array([grey])),
        blur=blur * one,
        noise=noise * one,
        sobel=np.array([bool(sobel)]),
    )


def toy_projection(keypoints_2d: np.ndarray) -> torch.Tensor:
    """Make a projection that draws the hand: 64 points along the bones, about their own centroid.

    No network makes it; it stands for an ideal equivariant one, whose points move as the hand does.

    Args:
        keypoints_2d: (21, 2) pixels.

    Returns:
        (1, 128) float64, of length one: three points per bone, the wrist, and one between any two knuckles.
    """
    points = np.asarray(keypoints_2d, dtype=np.float64)
    start, end = points[np.array(BONES)].swapaxes(0, 1)[:, :, None]
    along = (start + (end - start) * np.array([1, 2, 3])[:, None] / 3).reshape(-1, 2)
    knuckles = points[[5, 9, 13, 17]]
    drawn = np.concatenate([along, points[:1], (knuckles[1:] + knuckles[:-1]) / 2])
    drawn -= drawn.mean(axis=0)
    return torch.from_numpy(drawn.reshape(1, -1) / np.linalg.norm(drawn))


def draw_view(sample: HandSample, size: int = 160, **state: float) -> Figure:
    """Draw a crop, one view of it with its labels, and the same motion undone on a projection.

    Args:
        sample: a square crop.
        size: side of the view, pixels.
        state: see `view_parameters`.

    Returns:
        The figure: crop, view and, where keypoints are known, 64 points before, moved, and moved back.
    """
    params = view_parameters(**state)
    view = augment_sample(sample, params, size)
    known = sample.keypoints_2d is not None
    width = 9.0 if known else 5.9
    figure = new_figure(width, 3.2, tidy=False)
    for k, (shown, title) in enumerate(((sample, "the crop"), (view, "its view"))):
        ax = figure.add_axes(((0.1 + 2.9 * k) / width, 0.02, 2.8 / width, 2.8 / 3.2))
        ax.imshow(_with_skeleton(shown))
        ax.set_title(title, fontsize=10, loc="left")
        ax.set_axis_off()
    if known:
        ax = figure.add_axes((6.1 / width, 0.02, 2.8 / width, 2.8 / 3.2))
        _draw_undoing(ax, toy_projection(sample.keypoints_2d), params)
    return figure


def _with_skeleton(sample: HandSample, side: int = 320) -> np.ndarray:
    """The image, enlarged so that its bones are drawn finer than its pixels."""
    image = cv2.resize(sample.image, (side, side), interpolation=cv2.INTER_LINEAR)
    if sample.keypoints_2d is None:
        return image
    factor = side / len(sample.image)
    return draw_skeleton_on_image(image, (sample.keypoints_2d + 0.5) * factor - 0.5)


def _draw_undoing(ax: Axes, projection: torch.Tensor, params: ViewParameters) -> None:
    motion = torch.from_numpy(params.angle), torch.from_numpy(params.shift)
    moved = apply_to_projection(projection, *motion)
    undone = undo_on_projection(moved, *motion)
    hollow = {"color": "#0072B2", "markersize": 6, "fillstyle": "none"}
    ax.plot(*projection.reshape(-1, 2).T, "o", label="before", **hollow)
    ax.plot(*moved.reshape(-1, 2).T, "s", color="#D55E00", markersize=3, label="moved")
    ax.plot(*undone.reshape(-1, 2).T, "o", color="#009E73", markersize=3, label="moved back")
    similarity = float((projection * moved).sum()), float((projection * undone).sum())
    ax.set_title("64 points: cosine {:.2f}, moved back {:.2f}".format(*similarity), fontsize=9, loc="left")
    ax.set(xlim=(-0.45, 0.45), ylim=(0.45, -0.45), xticks=[], yticks=[], aspect="equal")
    ax.legend(fontsize=9, loc="lower right", frameon=False)


def draw_turns(
    networks: Mapping[str, nn.Module],
    crops: CropSet,
    angle: float | Sequence[float] = 40.0,
    hand: int = 0,
    *,
    image_size: int = 64,
    view_factor: float = 1.2,
) -> Figure:
    """Draw a turned image and, beside it, how each network's points turn with it.

    The points of the image as it is are pale. Five of them, far out and in all directions, have colours and
    spokes, so that the eye can follow them. The titles say by how many degrees the points turn
    (`turning.turned_by`); the labels, how well they match the pale ones once that turn is undone.

    Args:
        networks: by name: from (B, 3, S, S) to projections (B, D), such as `ContrastiveModel`; left in
            evaluation mode.
        crops: the images; half as wide again as a view or more, so that no turned view looks beyond its crop.
        angle: degrees, counter-clockwise on screen; of several, each has a row of the figure.
        hand: which of the crops.
        image_size, view_factor: side S of a view in pixels, and its width; see `PretrainConfig`.
    """
    angles = np.atleast_1d(angle)
    shown = as_images(_turned_views(crops, hand, angles, 4 * image_size, view_factor))
    seen = _turned_views(crops, hand, [0.0, *angles], image_size, view_factor)
    projected = {name: _project(network, seen) for name, network in networks.items()}
    columns, height = 1 + len(networks), 3.6 * len(angles)
    figure = new_figure(3.0 * columns, height, tidy=False)
    room = {"left": 0.01, "right": 0.99, "bottom": 0.3 / height, "top": 1 - 0.45 / height}
    grid = room | {"wspace": 0.04, "hspace": 0.25}
    axes = figure.subplots(len(angles), columns, squeeze=False, gridspec_kw=grid)
    for k, row in enumerate(axes):
        show_image(row[0], shown[k])
        row[0].set_title(f"the image turns by {_degrees(angles[k])}", fontsize=TEXT, loc="left")
        for ax, (name, z) in zip(row[1:], projected.items(), strict=True):
            turn, match = _draw_turned_points(ax, z[:1], z[k + 1 : k + 2])
            ax.set_title(f"{name}\nits points turn by {_degrees(turn)}", fontsize=TEXT, loc="left")
            ax.set_xlabel(f"match when turned back: cosine {match:.2f}", fontsize=TEXT, loc="left")
    return figure


def _turned_views(
    crops: CropSet, hand: int, angles: Sequence[float], size: int, view_factor: float
) -> torch.Tensor:
    """One crop turned by A angles: (A, 3, size, size), normalised."""
    one = np.array([hand]), size, view_factor, torch.device("cpu")
    return torch.cat([plain_views(crops, *one, float(angle)) for angle in angles])


@torch.no_grad()
def _project(network: nn.Module, images: torch.Tensor) -> np.ndarray:
    """All projections (B, D) at once: on a CPU, two images take little longer than one."""
    return network.eval()(images.to(next(network.parameters()).device)).float().cpu().numpy()


def _degrees(angle: float) -> str:
    return f"{round(float(angle))}°".replace("-", "\N{MINUS SIGN}")


def _draw_turned_points(ax: Axes, still: np.ndarray, moved: np.ndarray) -> tuple[float, float]:
    """Draw two projections (1, D); return the turn in degrees, and the cosine once it is undone."""
    (before,), (after,) = as_complex_points(still), as_complex_points(moved)
    outermost = np.argsort(-np.abs(before))
    fifths = np.angle(before[outermost]) % (2 * np.pi) // (2 * np.pi / 5)
    followed = outermost[np.unique(fifths, return_index=True)[1]]  # the farthest in each fifth of the circle
    colours = np.array([to_rgb(colour) for colour in ("#777777", *PALETTE[: len(followed)])])
    for layer, points, strength in ((1, before, 0.3), (2, after, 1.0)):
        grey, *bright = 1 - strength * (1 - colours)
        ax.scatter(points.real, points.imag, s=12, color=grey, zorder=layer)
        ends = np.stack([points.real, points.imag], axis=1)[followed]
        spokes = [((0, 0), end) for end in ends]
        ax.add_collection(LineCollection(spokes, colors=bright, linewidths=1.5, zorder=layer))
        ax.scatter(*ends.T, s=60, color=bright, zorder=layer)
    reach = 1.1 * np.abs([before, after]).max()
    ax.set(xlim=(-reach, reach), ylim=(reach, -reach), xticks=[], yticks=[], aspect="equal")
    ax.spines[:].set_color("#BBBBBB")
    lengths = np.linalg.norm(before) * np.linalg.norm(after)
    return float(turned_by(still, moved)[0]), float(np.abs(np.vdot(before, after)) / lengths)
