"""The exercises of chapter 03, each with the mistakes that get a hint of their own."""

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torch.nn.functional import normalize

from peclr_utils.equivariance import undo_on_projection
from peclr_utils.losses import nt_xent

from . import Case, Measured, exercise
from .chapters_1_and_2 import random_pairs


def row_losses(similarity: Tensor, left_out: Tensor) -> Tensor:
    """Cross-entropy of each row without the entries `left_out`; the other view is the positive."""
    other = torch.arange(len(similarity)).roll(len(similarity) // 2)
    rows = similarity.masked_fill(left_out, -torch.inf)
    return rows.logsumexp(dim=1) - similarity.gather(1, other[:, None])[:, 0]


@exercise("3.1", "NT-Xent")
def loss_by_hand(rng: Generator) -> Case:
    """Normalise all 2N rows, divide their cosines by the temperature, and take for each row logsumexp over
    the other 2N - 1 rows minus the entry of its other view; then the mean.
    """
    count, temperature = int(rng.integers(2, 9)), float(rng.choice([0.2, 0.3, 1.5]))
    z1, z2 = random_pairs(rng, count, 8)
    z, itself = torch.cat([z1, z2]), torch.eye(2 * count, dtype=torch.bool)
    similarity = normalize(z) @ normalize(z).T / temperature
    same_view = torch.arange(2 * count) // count == torch.arange(2 * count)[:, None] // count
    rows, positive = row_losses(similarity, itself), itself.roll(count, dims=1)
    mistakes = {
        "A row is not compared with itself.": row_losses(similarity, itself & False).mean(),
        "The positive is in the denominator too.": row_losses(similarity, itself | positive).mean(),
        "The rows were not normalised.": row_losses(z @ z.T / temperature, itself).mean(),
        "That is the sum over the rows: take the mean.": rows.sum(),
        "Average over both views: you took the first N rows only.": rows[:count].mean(),
        "The other rows of the same view are negatives too.": row_losses(similarity, same_view).mean(),
        "The sign is wrong: it is minus the mean of the log-probabilities.": -rows.mean(),
    }
    return (z1, z2, temperature), nt_xent(z1, z2, temperature), mistakes


@exercise("3.2", "Predict, then run")
def predict_slopes(rng: Generator) -> Case:
    """A low loss: the views agree once they are undone. How must their points have turned before?"""
    mistakes = {
        "Undone twice, views agree only if they had turned by twice the angle.": [1, 0, -1],
        "Where nothing is undone, views that are turned differently must give equal points.": [2, 1, -1],
        "The network learns what the loss asks for: by the wrong sign, to turn the other way.": [2, 0, 1],
    }
    return (), np.array([2, 0, -1]), mistakes


@exercise("3.3", "Find the bug")
def find_the_bug(rng: Generator) -> Case:
    """Each view has an angle and a shift of its own: which ones does the second half of the stack get?"""
    angle, shift = rng.uniform(-60, 60, size=(2, 5)), rng.uniform(-0.2, 0.2, size=(2, 5, 2))
    angle, shift = torch.from_numpy(angle), torch.from_numpy(shift)
    z1, z2 = random_pairs(rng, 5, 16)
    back = [undo_on_projection(z, angle[k], shift[k]) for k, z in enumerate((z1, z2))]
    first = undo_on_projection(z2, angle[0], shift[0])
    other_way = [undo_on_projection(z, -angle[k], -shift[k]) for k, z in enumerate((z1, z2))]
    mistakes = {
        "The second view is still turned back by the first one's angle.": torch.stack([back[0], first]),
        "Undo the motion, not its opposite: `undo_on_projection` has the sign.": torch.stack(other_way),
    }
    return (z1, z2, angle, shift), torch.stack(back), mistakes


@exercise("3.4", "Find the partner")
def find_the_partner(rng: Generator) -> Case:
    """Undo the angle on the turned projections only, compare each plain one with all of them by the cosine,
    and count how often its own is the largest.
    """
    mistakes = {
        "That is hardly better than chance: undo the angle, with its own sign, before you compare.": [0, 0],
        "That is too good: are the images turned, and the second projections undone by 100°?": [1, 1],
        "An error of 10° should cost more: are the second projections undone by 100°?": [0.52, 0.52],
    }
    return (), Measured([0.52, 0.23], away=0.12), mistakes
