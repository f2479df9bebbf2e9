import math

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

from peclr_utils.course.exercises import ExerciseError, check
from peclr_utils.equivariance import apply_to_projection, undo_on_projection
from peclr_utils.losses import nt_xent


def loss(z1, z2, temperature, *, unit=normalize, diagonal=-torch.inf, reduction="mean", rows=None):
    """NT-Xent as a classification of each row's partner; not the package's way."""
    z, count = unit(torch.cat([z1, z2])), len(z1)
    similarity = z @ z.T / temperature
    if diagonal is not None:
        similarity = similarity.clone().fill_diagonal_(diagonal)
    partner = torch.arange(2 * count).roll(count)
    return cross_entropy(similarity[:rows], partner[:rows], reduction=reduction)


def without_the_positive_below(z1, z2, temperature):
    z = normalize(torch.cat([z1, z2]))
    similarity = z @ z.T / temperature
    eye = torch.eye(len(z), dtype=torch.bool)
    positive = eye.roll(len(z1), dims=1)
    return (similarity.masked_fill(eye | positive, -torch.inf).logsumexp(1) - similarity[positive]).mean()


def across_views(z1, z2, temperature):
    similarity = normalize(z1) @ normalize(z2).T / temperature
    own = torch.arange(len(z1))
    return (cross_entropy(similarity, own) + cross_entropy(similarity.T, own)) / 2


def mask(identity):
    both = np.tile(np.asarray(identity), 2)
    return (both[:, None] == both) & ~np.eye(len(both), dtype=bool)


def eye(identity):
    return np.eye(2 * len(identity), dtype=bool)


def undone(z1, z2, motion1, motion2, temperature):
    return nt_xent(undo_on_projection(z1, *motion1), undo_on_projection(z2, *motion2), temperature)


RIGHT = {
    "3.1": loss,
    "3.2": lambda count: math.log(2 * count - 1),
    "3.3": mask,
    "3.4": lambda batch_size, accumulate: 2 * (batch_size - 1),
    "3.5": undone,
}

WRONG = {
    "3.1": {
        "with the diagonal": lambda *z: loss(*z, diagonal=None),
        "the diagonal at zero": lambda *z: loss(*z, diagonal=0.0),
        "no positive in the denominator": without_the_positive_below,
        "not normalised": lambda *z: loss(*z, unit=lambda rows: rows),
        "times the temperature": lambda z1, z2, temperature: loss(z1, z2, 1 / temperature),
        "no temperature": lambda z1, z2, temperature: loss(z1, z2, 1.0),
        "summed": lambda *z: loss(*z, reduction="sum"),
        "one view only": lambda z1, z2, t: loss(z1, z2, t, rows=len(z1)),
        "only the other view's rows": across_views,
        "wrong sign": lambda *z: -loss(*z),
        "infinite": lambda *z: loss(*z) * math.inf,
        "one loss a row": lambda *z: loss(*z, reduction="none"),
    },
    "3.2": {
        "itself too": lambda count: math.log(2 * count),
        "negatives only": lambda count: math.log(2 * count - 2),
        "pairs": math.log,
        "other pairs": lambda count: math.log(count - 1),
        "wrong sign": lambda count: -math.log(2 * count - 1),
        "base two": lambda count: math.log2(2 * count - 1),
        "zero": lambda count: 0,
    },
    "3.3": {
        "itself too": lambda identity: mask(identity) | eye(identity),
        "negatives": lambda identity: ~(mask(identity) | eye(identity)),
        "the own pair only": lambda identity: np.roll(eye(identity), len(identity), axis=1),
        "all but the positives": lambda identity: ~mask(identity),
        "one view": lambda identity: np.equal.outer(np.asarray(identity), np.asarray(identity)),
        "numbers": lambda identity: mask(identity).astype(float),
        "nobody": lambda identity: np.zeros_like(mask(identity)),
    },
    "3.4": {
        "the gathered batch": lambda batch_size, accumulate: 2 * batch_size * accumulate - 2,
        "the positive too": lambda batch_size, accumulate: 2 * batch_size - 1,
        "one view": lambda batch_size, accumulate: batch_size - 1,
        "all rows": lambda batch_size, accumulate: 2 * batch_size,
        "steps": lambda batch_size, accumulate: accumulate,
    },
    "3.5": {
        "nothing undone": lambda z1, z2, m1, m2, t: nt_xent(z1, z2, t),
        "the first only": lambda z1, z2, m1, m2, t: nt_xent(undo_on_projection(z1, *m1), z2, t),
        "the second only": lambda z1, z2, m1, m2, t: nt_xent(z1, undo_on_projection(z2, *m2), t),
        "moved once more": lambda z1, z2, m1, m2, t: nt_xent(
            apply_to_projection(z1, *m1), apply_to_projection(z2, *m2), t
        ),
        "swapped": lambda z1, z2, m1, m2, t: undone(z1, z2, m2, m1, t),
        "no temperature": lambda z1, z2, m1, m2, t: undone(z1, z2, m1, m2, 0.5 if t != 0.5 else 0.2),
        "the angle alone": lambda z1, z2, m1, m2, t: undone(
            z1, z2, (m1[0], torch.zeros_like(m1[1])), (m2[0], torch.zeros_like(m2[1])), t
        ),
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


@pytest.mark.parametrize(
    ("name", "mistake", "hint"),
    [
        ("3.1", "with the diagonal", "itself"),
        ("3.1", "no positive in the denominator", "denominator"),
        ("3.1", "not normalised", "normalised"),
        ("3.1", "only the other view's rows", "same view"),
        ("3.3", "itself too", "diagonal"),
        ("3.4", "the gathered batch", "Accumulation"),
        ("3.5", "nothing undone", "SimCLR"),
        ("3.5", "the first only", "first view"),
    ],
)
def test_a_known_mistake_gets_its_own_hint(name, mistake, hint):
    with pytest.raises(ExerciseError, match=hint):
        check(name, WRONG[name][mistake])


def test_the_answers_may_be_written_in_numpy_or_torch():
    check("3.3", lambda identity: torch.from_numpy(mask(identity)))
    check("3.1", lambda z1, z2, temperature: loss(z1, z2, temperature).numpy())
