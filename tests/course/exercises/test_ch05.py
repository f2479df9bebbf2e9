import numpy as np
import pytest

from peclr_utils.course.exercises import ExerciseError, check


def align(pred, gt, *, scale=True, trace=True, back=True, transpose=True, proper=False):
    p, t = pred - pred.mean(0), gt - gt.mean(0)
    u, s, vt = np.linalg.svd(t.T @ p / np.linalg.norm(t) / np.linalg.norm(p))
    sign = np.array([1, 1, np.linalg.det(u @ vt)]) if proper else np.ones(3)
    rotation = (u * sign) @ vt
    size = np.linalg.norm(t) / np.linalg.norm(p) if scale else 1
    size *= (s * sign).sum() if trace else 1
    return size * p @ (rotation.T if transpose else rotation) + (gt.mean(0) if back else 0)


def distance(pred, gt):
    return np.linalg.norm(pred - gt, axis=-1)


def area(share, thresholds, start=0.02, width=0.03):
    kept = thresholds >= start - 1e-9
    return np.trapezoid(share[kept], thresholds[kept]) / width


def rooted(pred, gt, root=9):
    return 1000 * distance(pred - pred[:, root : root + 1], gt - gt[:, root : root + 1]).mean()


RIGHT = {
    "5.1": align,
    "5.2": lambda pred, gt, threshold: (distance(pred, gt) <= threshold).mean(),
    "5.3": area,
    "5.4": rooted,
}

WRONG = {
    "5.1": {
        "no scale": lambda pred, gt: align(pred, gt, scale=False, trace=False),
        "equally large": lambda pred, gt: align(pred, gt, trace=False),
        "at the origin": lambda pred, gt: align(pred, gt, back=False),
        "turned the other way": lambda pred, gt: align(pred, gt, transpose=False),
        "not turned": lambda pred, gt: pred - pred.mean(0) + gt.mean(0),
        "never mirrored": lambda pred, gt: align(pred, gt, proper=True),
        "the truth onto the prediction": lambda pred, gt: align(gt, pred),
        "the truth itself": lambda pred, gt: gt,
    },
    "5.2": {
        "percent": lambda pred, gt, threshold: 100 * (distance(pred, gt) <= threshold).mean(),
        "outside": lambda pred, gt, threshold: (distance(pred, gt) > threshold).mean(),
        "hands": lambda pred, gt, threshold: (distance(pred, gt).mean(1) <= threshold).mean(),
        "coordinates": lambda pred, gt, threshold: (np.abs(pred - gt) <= threshold).mean(),
        "whole hands": lambda pred, gt, threshold: (distance(pred, gt).max(1) <= threshold).mean(),
        "squared": lambda pred, gt, threshold: (distance(pred, gt) ** 2 <= threshold).mean(),
    },
    "5.3": {
        "from 0": lambda share, thresholds: area(share, thresholds, 0, 0.05),
        "not divided": lambda share, thresholds: area(share, thresholds, width=1),
        "divided by 0.05": lambda share, thresholds: area(share, thresholds, width=0.05),
        "from 0, divided by 0.03": lambda share, thresholds: area(share, thresholds, 0),
        "the last value": lambda share, thresholds: share[-1],
    },
    "5.4": {
        "metres": lambda pred, gt: rooted(pred, gt) / 1000,
        "the wrist": lambda pred, gt: rooted(pred, gt, root=0),
        "not shifted": lambda pred, gt: 1000 * distance(pred, gt).mean(),
        "without the root": lambda pred, gt: rooted(pred, gt) * 21 / 20,
        "one a hand": lambda pred, gt: np.full(len(pred), rooted(pred, gt)),
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


def test_aligning_a_mirrored_hand_without_mirroring_is_told_apart(capsys):
    with pytest.raises(ExerciseError, match="kept it from mirroring"):
        check("5.1", WRONG["5.1"]["never mirrored"])
