"""The exercises of chapter 03, each with the mistakes that get a hint of their own."""

import math

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torch.nn.functional import normalize

from peclr_utils.equivariance import apply_to_projection, undo_on_projection
from peclr_utils.losses import nt_xent

from . import Case, exercise
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


@exercise("3.2", "The loss when nothing is learnt")
def collapsed_loss(rng: Generator) -> Case:
    """With equal projections each row that is compared is as likely as the next: how many are there?"""
    count = int(rng.integers(3, 200))
    mistakes = {
        "A row is not compared with itself.": math.log(2 * count),
        "The positive is one of the rows that are compared.": math.log(2 * count - 2),
        "There are 2N rows, two for each pair.": math.log(count),
        "The sign is wrong: a loss is minus a log-probability.": -math.log(2 * count - 1),
    }
    return (count,), math.log(2 * count - 1), mistakes


@exercise("3.3", "Who is a positive?")
def positive_mask(rng: Generator) -> Case:
    """Repeat the identities for both views, compare all with all, and take the diagonal out."""
    identity, itself = torch.from_numpy(rng.integers(0, 3, size=6)), torch.eye(12, dtype=torch.bool)
    same = identity.repeat(2) == identity.repeat(2)[:, None]
    mistakes = {
        "A row is not its own positive: take the diagonal out.": same,
        "Those are the negatives: the mask is inverted.": ~same,
        "Those are the other views of the same pair; add pairs of one identity.": itself.roll(6, dims=1),
    }
    return (identity,), same & ~itself, mistakes


@exercise("3.4", "How many negatives?")
def count_negatives(rng: Generator) -> Case:
    """The loss sees one batch at a time. Of its rows, a row and its other view are no negatives."""
    batch_size, accumulate = int(rng.integers(16, 2048)), int(rng.integers(2, 17))
    mistakes = {
        "Accumulation adds gradients of separate losses.": 2 * batch_size * accumulate - 2,
        "The other view of the same pair is the positive, not a negative.": 2 * batch_size - 1,
        "Both views of the other pairs are negatives.": batch_size - 1,
    }
    return (batch_size, accumulate), 2 * batch_size - 2, mistakes


@exercise("3.5", "Undo before you compare")
def undo_then_compare(rng: Generator) -> Case:
    """Undo each view's own rotation and shift on its own projection, then call nt_xent."""
    temperature, (z1, z2) = float(rng.choice([0.2, 0.3])), random_pairs(rng, 6, 16)
    angles, shifts = rng.uniform(-45, 45, size=(2, 6)), rng.uniform(-0.2, 0.2, size=(2, 6, 2))
    m1, m2 = ((torch.from_numpy(a), torch.from_numpy(s)) for a, s in zip(angles, shifts, strict=True))
    z1, z2 = apply_to_projection(z1, *m1), apply_to_projection(z2, *m2)
    undone = undo_on_projection(z1, *m1), undo_on_projection(z2, *m2)
    swapped = undo_on_projection(z1, *m2), undo_on_projection(z2, *m1)
    mistakes = {
        "That is SimCLR: nothing was undone.": nt_xent(z1, z2, temperature),
        "Only the first view was undone.": nt_xent(undone[0], z2, temperature),
        "Only the second view was undone.": nt_xent(z1, undone[1], temperature),
        "Each view has its own motion: they are swapped.": nt_xent(*swapped, temperature),
        "The temperature is missing.": nt_xent(*undone),
    }
    return (z1, z2, m1, m2, temperature), nt_xent(*undone, temperature), mistakes


@exercise("3.6", "Predict, then run")
def predict_slopes(rng: Generator) -> Case:
    """A low loss: the views agree once they are undone. How must their points have turned before?"""
    mistakes = {
        "Turned back by twice the angle, views agree only if they had turned by twice the angle.": [
            1,
            0,
            -1,
        ],
        "Where nothing is undone, views that are turned differently must give equal points.": [2, 1, -1],
        "The network learns whatever the loss asks for: with the wrong sign, to turn the other way.": [
            2,
            0,
            1,
        ],
    }
    return (), np.array([2, 0, -1]), mistakes


@exercise("3.7", "Find the bug")
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
