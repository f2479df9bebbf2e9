import numpy as np
import pytest

from peclr_utils.course.exercises import ExerciseError, check


def root(ray_m, ray_n, z_m, z_n, *, sign=1, length=1.0, divisor=2):
    d, e = ray_n - ray_m, z_n * ray_n - z_m * ray_m
    a, b, c = d @ d, 2 * d @ e, e @ e - length
    return (-b + sign * np.sqrt(b * b - 4 * a * c)) / (divisor * a)


def lift(uv, depth, root_depth, K, bone_length):
    rays = np.column_stack([uv, np.ones(len(uv))]) @ np.linalg.inv(K).T
    return rays * ((depth + root_depth) * bone_length)[:, None]


RIGHT = {
    "4.1": root,
    "4.2": lift,
    "4.3": lambda predicted, true, size: np.abs(predicted - true).mean() / size,
    "4.4": lambda a, b, depth: 2 * a * depth + b < 0,
    "4.5": lambda steps, batch_size, labels: steps * batch_size / labels,
}

WRONG = {
    "4.1": {
        "the other root": lambda *given: root(*given, sign=-1),
        "a bone of no length": lambda *given: root(*given, length=0.5),
        "divided by a": lambda *given: root(*given, divisor=1),
        "depth of the bone's end": lambda *given: root(*given) + given[2],
        "ends swapped": lambda ray_m, ray_n, z_m, z_n: root(ray_m, ray_n, z_n, z_m),
        "no relative depths": lambda ray_m, ray_n, z_m, z_n: root(ray_m, ray_n, 0, 0),
    },
    "4.2": {
        "in bones": lambda uv, depth, root_depth, K, length: lift(uv, depth, root_depth, K, 1),
        "no root depth": lambda uv, depth, root_depth, K, length: lift(uv, depth, 0, K, length),
        "flat": lambda uv, depth, root_depth, K, length: lift(uv, 0 * depth, root_depth, K, length),
        "K for its inverse": lambda uv, depth, root_depth, K, length: lift(
            uv, depth, root_depth, np.linalg.inv(K), length
        ),
        "swapped axes": lambda uv, depth, root_depth, K, length: lift(
            uv[:, ::-1], depth, root_depth, K, length
        ),
        "the root in metres": lambda uv, depth, root_depth, K, length: lift(
            uv, depth, root_depth / length, K, length
        ),
    },
    "4.3": {
        "pixels": lambda predicted, true, size: np.abs(predicted - true).mean(),
        "distance": lambda predicted, true, size: np.linalg.norm(predicted - true, axis=-1).mean() / size,
        "squared": lambda predicted, true, size: ((predicted - true) ** 2).mean() / size,
        "sum over x and y": lambda predicted, true, size: np.abs(predicted - true).sum(-1).mean() / size,
        "signed": lambda predicted, true, size: (predicted - true).mean() / size,
        "each keypoint": lambda predicted, true, size: np.abs(predicted - true).mean(-1) / size,
    },
    "4.4": {
        "turned round": lambda a, b, depth: 2 * a * depth + b > 0,
        "no 2": lambda a, b, depth: a * depth + b < 0,
        "no hand": lambda a, b, depth: np.zeros(len(a), dtype=bool),
        "one answer": lambda a, b, depth: bool((2 * a * depth + b < 0).any()),
    },
    "4.5": {
        "without the batch": lambda steps, batch_size, labels: steps / labels,
        "in all": lambda steps, batch_size, labels: steps * batch_size,
        "steps a round": lambda steps, batch_size, labels: labels / batch_size,
        "turned round": lambda steps, batch_size, labels: labels / (steps * batch_size),
    },
}


@pytest.mark.parametrize("name", RIGHT)
def test_the_right_answer_passes(name, capsys):
    check(name, RIGHT[name])
    assert "right" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "mistake"), [(name, mistake) for name in WRONG for mistake in WRONG[name]])
def test_a_wrong_answer_fails(name, mistake):
    with pytest.raises(ExerciseError):
        check(name, WRONG[name][mistake])
