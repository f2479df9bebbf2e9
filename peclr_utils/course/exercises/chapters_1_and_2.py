"""The exercises of chapters 01 and 02, each with the mistakes that get a hint of their own."""

import cv2
import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torch.nn.functional import normalize

from peclr_utils import camera
from peclr_utils.equivariance import undo_on_projection
from peclr_utils.evaluation.turning import turned_by
from peclr_utils.losses import nt_xent
from peclr_utils.skeleton import BONES, FREIHAND_INDEX, REFERENCE_BONE, ROOT

from . import Case, exercise


def random_camera(rng: Generator, side: int = 200) -> np.ndarray:
    """Intrinsics with unequal focal lengths and a principal point off the middle, so that a swap shows."""
    fx, fy, cx, cy = side * rng.uniform([2.0, 2.75, 0.45, 0.65], [2.5, 3.25, 0.55, 0.75])
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])


def random_points(rng: Generator) -> np.ndarray:
    """21 points the size of a hand, about half a metre in front of the camera."""
    return rng.uniform(-0.1, 0.1, size=(21, 3)) + [0.02, -0.03, rng.uniform(0.4, 0.9)]


@exercise("1.1", "Project points")
def project_points(rng: Generator) -> Case:
    """Multiply each point by K, then divide by the third coordinate."""
    K, points = random_camera(rng), random_points(rng)
    pixels, rays, left = camera.project(points, K), points @ K.T, points @ K
    mistakes = {
        "x and y are swapped: a pixel is (x, y), across before down.": pixels[:, ::-1],
        "You did not divide by the depth.": rays[:, :2],
        "That is points @ K. K stands on the left of a column: points @ K.T.": left[:, :2] / left[:, 2:],
        "The principal point (K's last column) is missing.": pixels - K[:2, 2],
    }
    return (points, K), pixels, mistakes


@exercise("1.2", "From 3D to 2.5D")
def to_25d(rng: Generator) -> Case:
    """u and v are the projection; the third number is (z - z of the wrist) / length of bone 9-10."""
    K, points = random_camera(rng), random_points(rng)
    uv, z, bone = camera.project(points, K), points[:, 2], camera.bone_length(points)
    depths = {
        "Divide the relative depth by the reference bone's length.": z - z[ROOT],
        "The depth is not relative yet: subtract the wrist's.": z / bone,
        "The sign is wrong: behind the wrist the relative depth is positive.": (z[ROOT] - z) / bone,
        "The root is the wrist, not the middle finger's base.": (z - z[REFERENCE_BONE[0]]) / bone,
    }
    mistakes = {hint: np.column_stack([uv, depth]) for hint, depth in depths.items()}
    return (points, K), camera.to_25d(points, K), mistakes


@exercise("1.3", "Bone lengths")
def bone_lengths(rng: Generator) -> Case:
    """Subtract the two ends of each bone and take the length of the difference."""
    points = random_points(rng)
    bones = np.diff(points[np.array(BONES)], axis=1)[:, 0]
    neighbours = np.linalg.norm(np.diff(points, axis=0), axis=1)
    mistakes = {
        "Those are squared lengths: take the root.": (bones**2).sum(1),
        "You left the depth out: use all three coordinates.": np.linalg.norm(bones[:, :2], axis=1),
        "A finger's base joins the wrist, not the keypoint before it.": neighbours,
    }
    return (points,), np.linalg.norm(bones, axis=1), mistakes


@exercise("1.4", "Reorder keypoints")
def reorder_keypoints(rng: Generator) -> Case:
    """Entry k says where in MANO's order FreiHAND's keypoint k stands; each of 0 to 20 occurs once."""
    way_back = np.array(FREIHAND_INDEX["mano"])
    mistakes = {"That is the way back, from FreiHAND's order to MANO's: you need its inverse.": way_back}
    return (), np.argsort(way_back), mistakes


@exercise("1.5", "Predict a hand that grows")
def hand_that_grows(rng: Generator) -> Case:
    """The wrist stays, differences in metres double, and so does the bone that depths are divided by."""
    K, points = random_camera(rng), random_points(rng)
    grown = points[ROOT] + 2 * (points - points[ROOT])

    def measure(points: np.ndarray) -> list[float]:
        (u, _, _), depth = camera.to_25d(points, K)[ROOT], points[ROOT, 2]
        relative, bone = points[8, 2] - depth, camera.bone_length(points)
        return [u, relative, relative / bone, depth, depth / bone]

    mistakes = {
        "The wrist does not move: its depth in metres stays.": [1, 2, 1, 2, 1],
        "The wrist does not move: its pixel stays.": [2, 2, 1, 1, 0.5],
        "In metres, the index tip is twice as far from the wrist.": [1, 1, 1, 1, 0.5],
        "In metres the relative depth doubles, but so does the bone that it is divided by.": [
            1,
            2,
            2,
            1,
            0.5,
        ],
        "The wrist's depth in bones: its metres stay, but the bone is longer.": [1, 2, 1, 1, 1],
        "A longer bone fits less often into the same depth.": [1, 2, 1, 1, 2],
    }
    return (), np.divide(measure(grown), measure(points)), mistakes


@exercise("1.6", "Find the bug in a resized camera")
def resize_camera(rng: Generator) -> Case:
    """K' = A K for the affine A that resizes: which entries of K are in pixels, and do all of them scale?"""
    side, size = 200, int(rng.integers(40, 150))
    K, scale = random_camera(rng, side), size / side
    A = np.array([[scale, 0, (scale - 1) / 2], [0, scale, (scale - 1) / 2], [0, 0, 1]])
    bug = np.column_stack([K[:, :2], (A @ K)[:, 2]])
    mistakes = {
        "That is the function with its bug: its focal lengths still count the old pixels.": bug,
        "Pixel centres are at integers: the principal point moves to (c + 1/2) * scale - 1/2.": (
            np.diag([scale, scale, 1]) @ K
        ),
        "The last row of K is (0, 0, 1) and stays.": scale * K,
        "That enlarges: the scale is size / side.": np.linalg.inv(A) @ K,
    }
    return (K, side, size), A @ K, mistakes


def rotation(centre: np.ndarray, angle: float) -> np.ndarray:
    """OpenCV's rotation about a centre, as a 3x3 matrix."""
    return np.vstack([cv2.getRotationMatrix2D(tuple(map(float, centre)), float(angle), 1.0), [0, 0, 1]])


def move(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Apply a 3x3 affine matrix to points (N, 2)."""
    return points @ matrix[:2, :2].T + matrix[:2, 2]


def random_angle(rng: Generator) -> float:
    """An angle so far from 0, 90 and 180 degrees that every mistake shows."""
    return float(rng.uniform(20, 70) * rng.choice([-1, 1]))


def random_pairs(rng: Generator, count: int, width: int) -> tuple[Tensor, Tensor]:
    """Projections of unequal lengths, the two views of a pair near each other."""
    base = rng.normal(size=(count, width)) * rng.uniform(1, 4, size=(count, 1))
    return torch.from_numpy(base), torch.from_numpy(base + rng.normal(size=(count, width)))


@exercise("2.1", "Rotate about a centre")
def rotation_about_centre(rng: Generator) -> Case:
    """Move the centre to the origin, rotate, move it back."""
    centre, angle = rng.uniform(20, 100, size=2), random_angle(rng)
    mistakes = {
        "y points down, so counter-clockwise is [[cos, sin], [-sin, cos]].": rotation(centre, -angle),
        "That turns about the corner: bring the centre to the origin first.": rotation((0, 0), angle),
        "cos and sin take radians: np.deg2rad.": rotation(centre, np.rad2deg(angle)),
    }
    return (centre, angle), rotation(centre, angle), mistakes


@exercise("2.2", "Read the angle")
def read_angle(rng: Generator) -> Case:
    """Points about their centroids as complex numbers a and b: the angle of sum(conj(a) b), and y is down."""
    before, angle = rng.normal(size=(64, 2)) + rng.uniform(1, 3, size=2), random_angle(rng)
    turned = move(rotation(before.mean(0), angle), before)
    after = turned + rng.normal(size=2) + rng.normal(0, 0.1, size=(64, 2))
    right = turned_by(before.reshape(1, -1), after.reshape(1, -1))[0]
    a, b = before @ [1, 1j], after @ [1, 1j]
    each = (a - a.mean()).conj() * (b - b.mean())
    mistakes = {
        "y points down: counter-clockwise on screen is the other sign.": -right,
        "Those are radians: np.degrees.": np.radians(right),
        "Subtract the centroids of both first.": -np.degrees(np.angle((a.conj() * b).sum())),
        "Sum the products, then take one angle: far points count more.": -np.degrees(np.angle(each)).mean(),
    }
    return (before, after), right, mistakes


@exercise("2.3", "Back to the photograph")
def back_to_photograph(rng: Generator) -> Case:
    """view @ crop takes a pixel of the photograph to the view; its inverse takes it back."""
    crop = np.diag([*rng.uniform(0.4, 0.9, size=2), 1]) + [[0, 0, -20], [0, 0, 10], [0, 0, 0]]
    view, photograph = rotation((60, 40), random_angle(rng)), rng.uniform(0, 200, size=(21, 2))
    seen = move(view @ crop, photograph)
    mistakes = {
        "The order is wrong: the crop comes first, so it stands on the right.": move(
            np.linalg.inv(crop @ view), seen
        ),
        "Those matrices go from the photograph to the view: invert them.": move(view @ crop, seen),
        "Those are pixels of the crop: undo its matrix too.": move(crop, photograph),
        "The translation is missing: it is the last column.": seen @ np.linalg.inv(view @ crop)[:2, :2].T,
    }
    return (seen, crop, view), photograph, mistakes


@exercise("2.4", "The shift as a fraction")
def shift_fraction(rng: Generator) -> Case:
    """A fraction of the side does not change when the crop is resized."""
    side, size = int(rng.integers(90, 230)), int(rng.choice([64, 80]))
    shift = rng.uniform(5, 15, size=2) * rng.choice([-1, 1], size=2)
    mistakes = {
        "You divided by the side after resizing, as the authors' code does.": shift / size,
        "Those are the pixels after resizing, not a fraction yet.": shift * size / side,
        "The sign is wrong: the content moves, and right and down are positive.": -shift / side,
    }
    return (shift, side, size), shift / side, mistakes


@exercise("2.5", "Predict, then run")
def one_angle_for_both_views(rng: Generator) -> Case:
    """Turning two rows by one angle keeps their cosine; which rows are turned back by different angles?"""
    pairs, right = random_pairs(rng, 6, 16), []
    for angle in (torch.from_numpy(rng.uniform(20, 90, size=6)), torch.full((6,), 40.0).double()):
        back = [undo_on_projection(z, angle, torch.zeros(6, 2)) for z in pairs]
        change = (normalize(pairs[0]) @ normalize(pairs[1]).T - back[0] @ back[1].T).abs() > 1e-9
        loss_changes = (nt_xent(*pairs) - nt_xent(*back)).abs() > 1e-9
        right.append([change.diagonal().any(), change.fill_diagonal_(False).any(), loss_changes])
    answer = [bool(one) for one in (*right[0], right[1][2])]
    mistakes = {
        "A turn of both rows by one angle keeps the cosine between them.": [True, True, True, False],
        "Two pairs are turned by two angles: are their cosines the same once both are undone?": [False] * 4,
        "The loss also compares with the negatives, and their cosines change.": [False, True, False, False],
        "One angle for all turns every row equally, and keeps every cosine.": [False, True, True, True],
        "Not every cosine changes: think of two rows that are turned by one angle.": [True] * 4,
    }
    return (), np.array(answer), mistakes


@exercise("2.6", "Find the bug")
def undo_without_bug(rng: Generator) -> Case:
    """Once the shift is undone, the points are turned: back, or further?"""
    before, angle = rng.normal(size=(64, 2)) * [1, 2] + rng.uniform(1, 3, size=2), random_angle(rng)
    shift = rng.uniform(0.1, 0.3, size=2) * rng.choice([-1, 1], size=2)
    matrix = rotation(before.mean(0), angle)
    turned = move(matrix, before)
    extent = np.ptp(turned, axis=0)
    after = turned + shift * extent
    centred = after - after.mean(0)
    wrong_order = move(rotation(after.mean(0), -angle), after)
    mistakes = {
        "That is the function with its bug.": move(matrix, turned),
        "The shift was right already: it is subtracted.": before + 2 * shift * extent,
        "Shift back first: the extent changes when the points turn.": wrong_order
        - shift * np.ptp(wrong_order, axis=0),
        "The centroid is missing: add it back after the rotation.": move(rotation((0, 0), -angle), centred),
    }
    return (after, angle, shift), before, mistakes
