import numpy as np
import pytest

from peclr_utils.course.exercises import ExerciseError, check


def turn(angle):
    c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    return np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])


def move(x, y):
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]])


def about(centre, angle):
    return move(*centre) @ turn(angle) @ move(*-np.asarray(centre))


def undo(points, angle, centre=None):
    centre = points.mean(0) if centre is None else centre
    return (points - centre) @ turn(-angle)[:2, :2].T + centre


RIGHT = {
    "2.1": about,
    "2.2": undo,
    "2.3": lambda A, K: A @ K,
    "2.4": lambda shift, side, size: shift / side,
}

WRONG = {
    "2.1": {
        "wrong sense": lambda centre, angle: about(centre, -angle),
        "about the corner": lambda centre, angle: turn(angle),
        "swapped centre": lambda centre, angle: about(centre[::-1], angle),
        "radians": lambda centre, angle: about(centre, np.rad2deg(angle)),
        "the centre moved the wrong way first": lambda centre, angle: about(-centre, angle),
        "2x3": lambda centre, angle: about(centre, angle)[:2],
    },
    "2.2": {
        "further": lambda points, angle: undo(points, -angle),
        "about the origin": lambda points, angle: undo(points, angle, np.zeros(2)),
        "left at the origin": lambda points, angle: undo(points, angle) - points.mean(0),
        "nothing done": lambda points, angle: points,
        "swapped axes": lambda points, angle: undo(points, angle)[:, ::-1],
    },
    "2.3": {
        "wrong order": lambda A, K: K @ A,
        "inverse": lambda A, K: np.linalg.inv(A) @ K,
        "nothing done": lambda A, K: K,
    },
    "2.4": {
        "the size after": lambda shift, side, size: shift / size,
        "pixels": lambda shift, side, size: shift * size / side,
        "wrong sign": lambda shift, side, size: -shift / side,
        "swapped axes": lambda shift, side, size: shift[::-1] / side,
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
