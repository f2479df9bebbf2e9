import numpy as np
import pytest
import torch

from peclr_utils.course.exercises import ExerciseError, check
from peclr_utils.skeleton import BONES, FREIHAND_INDEX

PARENT, CHILD = np.array(BONES).T


def project(points, K):
    rays = points @ K.T
    return rays[:, :2] / rays[:, 2:]


def bone(points):
    return np.linalg.norm(points[10] - points[9])


def to_25d(points, K, *, sign=1, root=0, length=bone):
    depth = sign * (points[:, 2] - points[root, 2]) / length(points)
    return np.column_stack([project(points, K), depth])


RIGHT = {
    "1.1": project,
    "1.2": to_25d,
    "1.3": lambda points: np.linalg.norm(points[CHILD] - points[PARENT], axis=1),
    "1.4": [FREIHAND_INDEX["mano"].index(k) for k in range(21)],
}

WRONG = {
    "1.1": {
        "swapped axes": lambda points, K: project(points, K)[:, ::-1],
        "no division": lambda points, K: (points @ K.T)[:, :2],
        "K from the wrong side": lambda points, K: project(points, K.T),
        "no principal point": lambda points, K: project(points, np.diag(np.diag(K))),
        "infinite": lambda points, K: project(points, K) * np.inf,
        "one point only": lambda points, K: project(points, K)[0],
    },
    "1.2": {
        "wrong sign": lambda points, K: to_25d(points, K, sign=-1),
        "in metres": lambda points, K: to_25d(points, K, length=lambda points: 1),
        "in millimetres": lambda points, K: to_25d(points, K, length=lambda points: 1e-3),
        "another root": lambda points, K: to_25d(points, K, root=9),
        "another bone": lambda points, K: to_25d(points, K, length=lambda p: np.linalg.norm(p[9] - p[0])),
    },
    "1.3": {
        "squared": lambda points: ((points[CHILD] - points[PARENT]) ** 2).sum(1),
        "flat": lambda points: np.linalg.norm((points[CHILD] - points[PARENT])[:, :2], axis=1),
        "neighbours": lambda points: np.linalg.norm(np.diff(points, axis=0), axis=1),
        "to the wrist": lambda points: np.linalg.norm(points[1:] - points[0], axis=1),
    },
    "1.4": {
        "the inverse": list(FREIHAND_INDEX["mano"]),
        "nothing moved": list(range(21)),
        "one twice": [0, *range(20)],
        "too short": list(range(20)),
        "MANO with the thumb first": list(FREIHAND_INDEX["ait"]),
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


def test_an_answer_written_with_torch_in_single_precision_passes():
    def with_torch(points, K):
        points, K = torch.tensor(points, dtype=torch.float32), torch.tensor(K, dtype=torch.float32)
        rays = points @ K.T
        return rays[:, :2] / rays[:, 2:]

    check("1.1", with_torch)
