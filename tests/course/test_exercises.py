"""The checks of the exercises: right answers pass, known mistakes get their hint, everything else fails."""

import zlib

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

from peclr_utils.course.exercises import CASES, ExerciseError, chapter_exercises, check, find_fault
from peclr_utils.equivariance import undo_on_projection
from peclr_utils.skeleton import BONES, FREIHAND_INDEX

EXERCISES = {one.name: one for chapter in range(1, 6) for one in chapter_exercises(chapter)}
PARENT, CHILD = np.array(BONES).T


def project(points, K):
    rays = points @ K.T
    return rays[:, :2] / rays[:, 2:]


def to_25d(points, K):
    depth = (points[:, 2] - points[0, 2]) / np.linalg.norm(points[10] - points[9])
    return np.column_stack([project(points, K), depth])


def resize(K, side, size):
    """The corners of the image's area, half a pixel beyond the outermost centres, stay its corners."""
    scale = size / side
    to_edges, from_edges = (np.array([[1, 0, d], [0, 1, d], [0, 0, 1]]) for d in (0.5, -0.5))
    return from_edges @ np.diag([scale, scale, 1]) @ to_edges @ K


def turn(angle):
    c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    return np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])


def about(centre, angle):
    there, back = np.eye(3), np.eye(3)
    there[:2, 2], back[:2, 2] = centre, -np.asarray(centre)
    return there @ turn(angle) @ back


def angle_between(before, after):
    """The rotation of a Procrustes fit, by an SVD."""
    p, q = before - before.mean(0), after - after.mean(0)
    u, _, vt = np.linalg.svd(q.T @ p)
    (cos, sin), _ = u @ vt
    return np.degrees(np.arctan2(sin, cos))


def to_photograph(points, crop, view):
    in_crop = np.linalg.solve(view, np.column_stack([points, np.ones(len(points))]).T)
    return np.linalg.solve(crop, in_crop)[:2].T


def undo(points, angle, shift):
    points = points - shift * (points.max(0) - points.min(0))
    return (points - points.mean(0)) @ turn(-angle)[:2, :2].T + points.mean(0)


def loss(z1, z2, temperature):
    """NT-Xent as a classification of each row's partner; not the package's way."""
    z, count = normalize(torch.cat([z1, z2])), len(z1)
    similarity = (z @ z.T / temperature).fill_diagonal_(-torch.inf)
    return cross_entropy(similarity, torch.arange(2 * count).roll(count))


def root(ray_m, ray_n, z_m, z_n):
    d, e = ray_n - ray_m, z_n * ray_n - z_m * ray_m
    a, b, c = d @ d, 2 * d @ e, e @ e - 1
    return (-b + np.sqrt(b * b - 4 * a * c)) / (2 * a)


def lift(uv, depth, root_depth, K, ruler):
    rays = np.column_stack([uv, np.ones(len(uv))]) @ np.linalg.inv(K).T
    points = rays * (depth + root_depth)[:, None]
    return points / np.linalg.norm(points[9] - points[0]) * ruler


def align(pred, gt):
    p, t = pred - pred.mean(0), gt - gt.mean(0)
    u, s, vt = np.linalg.svd(t.T @ p / np.linalg.norm(t) / np.linalg.norm(p))
    return np.linalg.norm(t) / np.linalg.norm(p) * s.sum() * p @ (u @ vt).T + gt.mean(0)


def frozen(encoder, images):
    with torch.no_grad():
        return encoder.eval()(images)


def align_properly(pred, gt):
    """By Kabsch's formula: a diagonal matrix between V and Uᵀ, from the SVD of the other product."""
    p, t = pred - pred.mean(0), gt - gt.mean(0)
    v, s, ut = np.linalg.svd(p.T @ t)
    d = np.array([1, 1, np.sign(np.linalg.det(v @ ut))])
    return (s * d).sum() / (p**2).sum() * p @ ((v * d) @ ut) + gt.mean(0)


def next_crop(points, crop, view_factor):
    there = np.linalg.solve(crop, np.column_stack([points, np.ones(len(points))]).T)[:2]
    off = there - there.mean(1, keepdims=True)
    return [*there.mean(1), 2 * view_factor * np.hypot(*off).max()]


RIGHT = {
    "1.1": project,
    "1.2": to_25d,
    "1.3": lambda points: np.linalg.norm(points[CHILD] - points[PARENT], axis=1),
    "1.4": [FREIHAND_INDEX["mano"].index(k) for k in range(21)],
    "1.5": [1, 2, 1, 1, 0.5],
    "1.6": resize,
    "2.1": about,
    "2.2": angle_between,
    "2.3": to_photograph,
    "2.4": lambda shift, side, size: shift / side,
    "2.5": [False, True, True, False],
    "2.6": undo,
    "3.1": loss,
    "3.2": [2, 0, -1],
    "3.3": lambda z1, z2, angle, shift: torch.stack(
        [undo_on_projection(z, angle[k], shift[k]) for k, z in enumerate((z1, z2))]
    ),
    "3.4": [0.55, 0.2],
    "4.1": root,
    "4.2": lift,
    "4.3": lambda predicted, true, size: np.nanmean(np.abs(predicted - true)) / size,
    "4.4": lambda a, b, depth: 2 * a * depth + b < 0,
    "4.5": [2, 1, 0.5, 1],
    "4.6": frozen,
    "5.1": align,
    "5.2": next_crop,
    "5.3": 8 / 9,
    "5.4": align_properly,
}


def test_every_exercise_has_a_right_answer_here():
    assert list(RIGHT) == list(EXERCISES)


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_answer_passes(name, capsys):
    check(name, RIGHT[name])
    assert capsys.readouterr().out == f"Exercise {name} ({EXERCISES[name].title}): right. Well done.\n"


@pytest.mark.parametrize("name", RIGHT)
def test_a_known_mistake_shows_and_gets_its_own_hint(name):
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    cases = [EXERCISES[name].draw(rng) for _ in range(CASES)]  # those of `check`
    for hint in cases[0][2]:
        found = {find_fault(mistakes[hint], right, mistakes, "other") for _, right, mistakes in cases}
        assert found - {""} == {hint}


OTHER_MISTAKES = {
    "infinite": ("1.1", lambda points, K: project(points, K) * np.inf),
    "one point only": ("1.1", lambda points, K: project(points, K)[0]),
    "one twice": ("1.4", [0, *range(20)]),
    "2x3": ("2.1", lambda centre, angle: about(centre, angle)[:2]),
    "numbers for booleans": ("4.4", lambda a, b, depth: (2 * a * depth + b < 0).astype(float)),
    "one answer for all": ("4.4", lambda a, b, depth: bool((2 * a * depth + b < 0).any())),
    "half a measurement": ("3.4", [0.5]),
    "far from what is measured": ("3.4", [0.8, 0.3]),
    "the truth itself": ("5.1", lambda pred, gt: gt),
}


@pytest.mark.parametrize("mistake", OTHER_MISTAKES)
def test_another_wrong_answer_fails_with_the_general_hint(mistake):
    name, answer = OTHER_MISTAKES[mistake]
    with pytest.raises(ExerciseError, match="not yet") as caught:
        check(name, answer)
    assert EXERCISES[name].draw.__doc__.split()[-1] in str(caught.value)


def test_answers_may_be_lists_or_tensors_in_single_precision():
    check("1.1", lambda points, K: torch.tensor(project(points.astype(np.float32), K.astype(np.float32))))
    check("1.3", lambda points: list(RIGHT["1.3"](points)))
    check("3.1", lambda z1, z2, temperature: loss(z1.float(), z2.float(), temperature).requires_grad_())


@pytest.mark.parametrize("nothing", [None, ..., lambda *given: None, lambda *given: ...])
def test_no_answer_yet_is_noted_and_does_not_fail(nothing, capsys):
    check("2.1", nothing)
    assert capsys.readouterr().out == "Exercise 2.1 (Rotate about a centre): not answered yet.\n"


def test_an_answer_that_cannot_be_compared_says_why():
    for answer, message in (("no numbers", "a str"), ([[1.0], [1.0, 2.0]], "a list")):
        with pytest.raises(ExerciseError, match=message):
            check("1.3", lambda points, answer=answer: answer)
    with pytest.raises(ExerciseError, match="ZeroDivisionError"):
        check("1.3", lambda points: 1 / 0)
