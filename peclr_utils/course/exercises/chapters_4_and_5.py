"""The exercises of chapters 04 (root depth, lifting, losses, cameras) and 05 (alignment, crops, noise)."""

import copy

import numpy as np
import torch
from numpy.random import Generator
from torch import nn

from peclr_utils import camera, evaluation
from peclr_utils.skeleton import REFERENCE_BONE, ROOT

from . import Case, Measured, exercise
from .chapters_1_and_2 import random_camera, random_points


def random_hand(rng: Generator) -> np.ndarray:
    """21 points the size of a hand, whose reference bone lies across the line of sight."""
    points, (m, n) = random_points(rng), REFERENCE_BONE
    points[n] = points[m] + [0.03, -0.02, rng.uniform(-0.01, 0.01)]
    return points


@exercise("4.1", "Depth of the root")
def depth_of_the_root(rng: Generator) -> Case:
    """The ends of the bone lie at (Z + z_m) ray_m and (Z + z_n) ray_n; their distance is 1."""
    K, points, (m, n) = random_camera(rng, 64), random_hand(rng), REFERENCE_BONE
    z, ray = camera.to_25d(points, K)[:, 2], camera.rays(camera.project(points, K), K)
    d, e = ray[n] - ray[m], z[n] * ray[n] - z[m] * ray[m]
    a, b, c = d @ d, 2 * d @ e, e @ e - 1
    square_root, depth = np.sqrt(b * b - 4 * a * c), points[ROOT, 2] / camera.bone_length(points)
    mistakes = {
        "That is the other root: take + before the square root.": (-b - square_root) / (2 * a),
        "You divided by a: the formula divides by 2a.": (-b + square_root) / a,
        "That is the depth of the bone's first end: the root's is without z_m.": depth + z[m],
    }
    return (ray[m], ray[n], z[m], z[n]), depth, mistakes


@exercise("4.2", "From 2.5D to metres, with a ruler")
def lift_with_a_ruler(rng: Generator) -> Case:
    """Lift to any unit first; the known distance between two keypoints then gives the unit's length."""
    K, points = random_camera(rng, 64), random_hand(rng)
    length, (uv, depth) = camera.bone_length(points), np.split(camera.to_25d(points, K), [2], axis=1)
    root, ray, ruler = points[ROOT, 2] / length, camera.rays(uv, K), np.linalg.norm(points[9] - points[0])
    mistakes = {
        "Those are bone lengths: bring the measured distance in.": points / length,
        "Not the bone was measured, but the distance from the wrist to keypoint 9.": points / length * ruler,
        "The root's depth is missing.": ray * depth * length,
        "Add each keypoint's own depth to the root's.": ray * root * length,
    }
    return (uv, depth[:, 0], root, K, ruler), points, mistakes


@exercise("4.3", "Labels with gaps")
def loss_with_gaps(rng: Generator) -> Case:
    """Leave out what is NaN, take the mean absolute error of all that is known, and divide by the side."""
    size = int(rng.choice([64, 224]))
    true, error = rng.uniform(0, size, size=(6, 21, 2)), rng.normal(0, size / 20, size=(6, 21, 2))
    predicted, unknown = true + error, rng.random((6, 21)) < np.linspace(0.1, 0.8, 6)[:, None]
    true[unknown] = np.nan
    known = np.abs(error)[~unknown]
    by_hand = np.mean([np.abs(one)[~gap].mean() for one, gap in zip(error, unknown, strict=True)])
    mistakes = {
        "Those are pixels: divide by the image's side.": known.mean(),
        "You divided by the number of all coordinates: count the known ones.": known.sum()
        / error.size
        / size,
        "Each known keypoint counts equally: don't average by hand first.": by_hand / size,
    }
    return (predicted, true, size), known.mean() / size, mistakes


@exercise("4.4", "When the larger root is the wrong one")
def wrong_root(rng: Generator) -> Case:
    """The two roots lie at equal distances from -b / (2a). On which side of it is the true depth?"""
    a, depth = rng.uniform(0.001, 0.02, size=200), rng.uniform(4, 20, size=200)
    other = depth + rng.choice([-1, 1], size=200) * rng.uniform(1, 30, size=200)
    mistakes = {"Those are the hands whose larger root is right: you need the others.": other <= depth}
    return (a, -a * (depth + other), depth), other > depth, mistakes


@exercise("4.5", "Predict, then run")
def enlarge_without_the_camera(rng: Generator) -> Case:
    """Rays are K⁻¹ (u, v, 1): what do they do if only u and v double, and where is the bone as long again?"""
    K, points = random_camera(rng, 64), random_hand(rng)
    points[:, 2] = points[ROOT, 2]
    flat = camera.to_25d(points, K)
    depth, wrong = (camera.root_depth(flat * [factor, factor, 1], K) for factor in (1, 2))
    bone = np.diff(camera.rays(2 * flat[:, :2], K)[list(REFERENCE_BONE)], axis=0) * wrong
    mistakes = {
        "The same error in an image of twice the side is twice as many pixels.": [1, 1, 0.5, 1],
        "A fraction of the side stays: pixels and side have both doubled.": [2, 2, 0.5, 1],
        "With the old K the two rays part twice as fast.": [2, 1, 1, 1],
        "A hand that takes up more pixels of the same camera is nearer, not farther.": [2, 1, 2, 1],
        "The quadratic puts the bone where it is one bone length long, whatever K is.": [2, 1, 0.5, 2],
    }
    return (), np.array([2, 1, wrong / depth, np.linalg.norm(bone)]), mistakes


@exercise("4.6", "Find the bug")
def frozen_features(rng: Generator) -> Case:
    """One kind of layer computes something else in training mode, and remembers what it has seen."""
    images = torch.from_numpy(rng.uniform(0, 1, size=(6, 3, 8, 8))).float()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))
        layers = nn.Conv2d(3, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten()
        encoder = nn.Sequential(*layers)
    with torch.no_grad():
        encoder.train()(2 * images)  # statistics that are not this batch's
        right, bug = encoder.eval()(images), copy.deepcopy(encoder).train()(images)
    encoder.train()
    mistakes = {"Each image's features still depend on the other images of its batch.": bug}
    return (encoder, images), right, mistakes


def random_predictions(rng: Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and true hands in metres; the predictions are turned, moved, too large and noisy."""
    true = rng.normal(0, 0.04, size=(count, 21, 3)) + [0.02, -0.05, 0.6]
    noisy = 1.3 * (true + rng.normal(0, 0.01, size=true.shape))
    return noisy @ camera.random_rotations(1, rng)[0].T + [0.05, 0.02, -0.1], true


@exercise("5.1", "Align")
def align(rng: Generator) -> Case:
    """Centre both and take M = tᵀ p; turn by M (MᵀM)^(-1/2), scale, and put the true centre back."""
    (pred,), (true,) = random_predictions(rng, 1)
    pred = pred * [1, 1, rng.choice([-1, 1])]
    p, centre = pred - pred.mean(0), true.mean(0)
    u, s, vt = np.linalg.svd((true - centre).T @ p)
    scale, rotation = s.sum() / (p**2).sum(), u @ vt
    same_size = np.linalg.norm(true - centre) / np.linalg.norm(p)
    proper = evaluation.procrustes_align(pred, true, proper_rotation=True)
    mistakes = {
        "The rotation is inverted: (U Vᵀ)ᵀ on the right of rows.": scale * p @ rotation + centre,
        "The hand lies at the origin: add the true hand's centre.": scale * p @ rotation.T,
        "The scale is missing: the prediction is as large as it was.": p @ rotation.T + centre,
        "The best scale is tr (MᵀM)^(1/2) / |p|², not |t| / |p|.": same_size * p @ rotation.T + centre,
        "You kept it from mirroring. FreiHAND's evaluator does not.": proper,
    }
    return (pred, true), scale * p @ rotation.T + centre, mistakes


@exercise("5.2", "The next crop")
def next_crop(rng: Generator) -> Case:
    """Bring the keypoints back to the image; their mean is the centre, the farthest one gives the side."""
    scale, flip, factor = rng.uniform(0.3, 0.9), rng.choice([-1, 1]), rng.uniform(1.1, 1.5)
    crop = np.array([[flip * scale, 0, rng.uniform(100, 200)], [0, scale, -rng.uniform(50, 90)], [0, 0, 1]])
    points = rng.normal(64, 20, size=(21, 2))

    def square(points: np.ndarray, factor: float) -> list[float]:
        centre = points.mean(axis=0)
        return [*centre, 2 * factor * np.linalg.norm(points - centre, axis=1).max()]

    there = camera.transform_points(np.linalg.inv(crop), points)
    right, middle = square(there, factor), (there.min(axis=0) + there.max(axis=0)) / 2
    mistakes = {
        "Those are the crop's pixels: bring the keypoints back to the image first.": square(points, factor),
        "The crop takes pixels of the image to pixels of the crop: you need its inverse.": square(
            camera.transform_points(crop, points), factor
        ),
        "That is half a side: the farthest keypoint is as far away on one side only.": square(
            there, factor / 2
        ),
        "The side is also times view_factor.": square(there, 1),
        "The centre is the mean keypoint, not the middle of their box.": [*middle, right[2]],
    }
    return (points, crop, factor), np.array(right), mistakes


@exercise("5.3", "Predict, then run")
def noise_after_alignment(rng: Generator) -> Case:
    """A hand has 21 times 3 numbers; a shift, a rotation and a scale together choose how many?"""
    mistakes = {
        "Some is taken away: alignment fits itself to the noise, too.": 1,
        "That is the share that is taken away.": 7 / 63,
        "A shift alone chooses three numbers; a rotation and a scale choose more.": 60 / 63,
        "The scale is one more number.": 57 / 63,
        "The rotation in space has three angles.": 59 / 63,
        "Count coordinates, not keypoints.": 14 / 21,
    }
    return (), Measured(56 / 63, 0.005), mistakes


@exercise("5.4", "Find the bug")
def align_without_mirroring(rng: Generator) -> Case:
    """The scale is tr(Uᵀ R V S): what is it where one sign of U has been changed?"""
    (pred,), (true,) = random_predictions(rng, 1)
    pred = pred * [1, 1, rng.choice([-1, 1])]
    p, t = pred - pred.mean(0), true - true.mean(0)
    u, s, vt = np.linalg.svd(t.T @ p)
    sign = np.linalg.det(u @ vt)

    def aligned(turn: list[float], scale: list[float]) -> np.ndarray:
        return s @ scale / (p**2).sum() * p @ (u * turn @ vt).T + true.mean(0)

    last = [1, 1, sign]
    mistakes = {
        "The hand is turned as it should be, but it is too large.": aligned(last, [1, 1, 1]),
        "That mirrors the hand: it is FreiHAND's alignment.": aligned([1, 1, 1], [1, 1, 1]),
        "The singular values fall: the smallest is the last one.": aligned([sign, 1, 1], [sign, 1, 1]),
        "Only hands that fit better mirrored need another sign.": aligned([1, 1, -1], [1, 1, -1]),
    }
    return (pred, true), evaluation.procrustes_align(pred, true, proper_rotation=True), mistakes
