"""What the sliders show, as functions from plain numbers to an image: they work without a window too.

Chapter 01 poses a hand with them, chapter 02 moves an image and undoes the motion on a projection.
"""

from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from peclr_utils.augmentation import ViewParameters, augment_sample, colour_matrix
from peclr_utils.datasets.sample import HandSample
from peclr_utils.equivariance import apply_to_projection, undo_on_projection
from peclr_utils.hands import HandPose, HandShape, constrain, gesture
from peclr_utils.hands.backgrounds import composite
from peclr_utils.hands.renderer import Light
from peclr_utils.hands.scene import HandScene, render_hand, sample_scene, scene_surface
from peclr_utils.plotting import draw_skeleton_on_image, new_figure
from peclr_utils.skeleton import BONES


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

    Raises:
        ValueError: if there is no such gesture.
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
    width = 9.3 if known else 6.0
    figure = new_figure(width, 3.3, tidy=False)
    for k, (shown, title) in enumerate(((sample, "the crop"), (view, "its view"))):
        ax = figure.add_axes((0.1 / width + 3.0 * k / width, 0.02, 2.9 / width, 2.9 / 3.3))
        ax.imshow(_with_skeleton(shown))
        ax.set_title(title, fontsize=10, loc="left")
        ax.set_axis_off()
    if known:
        ax = figure.add_axes((6.3 / width, 0.02, 2.9 / width, 2.9 / 3.3))
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
    ax.set_title("64 points: cosine {:.2f}, moved back {:.2f}".format(*similarity), fontsize=10, loc="left")
    ax.set(xlim=(-0.45, 0.45), ylim=(0.45, -0.45), xticks=[], yticks=[], aspect="equal")
    ax.legend(fontsize=9, loc="lower right", frameon=False)
