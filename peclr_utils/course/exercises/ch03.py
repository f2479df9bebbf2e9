"""The exercises of chapter 03: NT-Xent, its positives and negatives, and undoing before comparing."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from peclr_utils.equivariance import apply_to_projection, undo_on_projection
from peclr_utils.losses import nt_xent

from .registry import exercise, expect, expect_close


def _pairs(rng: np.random.Generator, count: int, width: int = 8) -> tuple[Tensor, Tensor]:
    """Projections of unequal lengths, two views of a pair near each other."""
    base = rng.normal(size=(count, width)) * rng.uniform(1, 4, size=(count, 1))
    near = base + rng.normal(size=(count, width))
    return torch.from_numpy(base), torch.from_numpy(near)


def _softmax_loss(similarity: Tensor, blocked: Tensor) -> Tensor:
    """Each row's loss, the entries in `blocked` left out of the sum; the other view is the positive."""
    count = len(similarity) // 2
    positive = torch.arange(2 * count).roll(count)
    rows = similarity.masked_fill(blocked, -torch.inf)
    return rows.logsumexp(dim=1) - similarity[torch.arange(2 * count), positive]


@exercise("3.1", "NT-Xent")
def loss_by_hand(answer: Any, rng: np.random.Generator) -> None:
    """`answer(z1 (N, D), z2 (N, D), temperature)` gives the loss, one number."""
    for count, temperature in ((2, 0.5), (5, 0.2), (8, 1.5)):
        z1, z2 = _pairs(rng, count)
        z = torch.cat([z1, z2])
        unit = normalize(z)
        similarity = unit @ unit.T / temperature
        self_pairs = torch.eye(2 * count, dtype=torch.bool)
        positive = self_pairs.roll(count, dims=1)
        rows = _softmax_loss(similarity, self_pairs)
        expect_close(
            answer(z1.clone(), z2.clone(), temperature),
            nt_xent(z1, z2, temperature),
            "Normalise all 2N rows, divide their cosines by the temperature, and take for each row "
            "logsumexp over the other 2N - 1 rows minus the entry of its other view; then the mean.",
            mistakes={
                "A row is not compared with itself: leave the diagonal out.": _softmax_loss(
                    similarity, torch.zeros_like(self_pairs)
                ).mean(),
                "The positive stands in the denominator too: a probability is at most one.": _softmax_loss(
                    similarity, self_pairs | positive
                ).mean(),
                "The rows were not normalised: the loss compares directions.": _with_lengths(
                    z, temperature, self_pairs
                ),
                "Divide by the temperature, don't multiply.": nt_xent(z1, z2, 1 / temperature),
                "The temperature went missing.": nt_xent(z1, z2, 1.0),
                "That is the sum over the rows: take the mean.": rows.sum(),
                "Both views take their turn: you averaged over the first N rows only.": rows[:count].mean(),
                "The other rows of the same view are negatives too.": _across_views(similarity, count),
                "The sign is turned: the loss is minus the mean of the log-probabilities.": -rows.mean(),
            },
        )


def _with_lengths(z: Tensor, temperature: float, self_pairs: Tensor) -> Tensor:
    """What comes out if the rows keep their lengths."""
    return _softmax_loss(z @ z.T / temperature, self_pairs).mean()


def _across_views(similarity: Tensor, count: int) -> Tensor:
    """The loss if a first view is compared with second views only, and the other way round."""
    same_view = torch.zeros_like(similarity, dtype=torch.bool)
    same_view[:count, :count] = same_view[count:, count:] = True
    return _softmax_loss(similarity, same_view).mean()


@exercise("3.2", "The loss when nothing is learnt")
def collapsed_loss(answer: Any, rng: np.random.Generator) -> None:
    """`answer(N)` gives NT-Xent of N pairs whose 2N projections are all the same."""
    for count in (2, 7, 64, 128):
        expect_close(
            answer(count),
            math.log(2 * count - 1),
            "With equal projections each of the rows that are compared is as likely as the next: how many "
            "are there?",
            mistakes={
                "A row is not compared with itself.": math.log(2 * count),
                "The positive is one of the rows that are compared.": math.log(2 * count - 2),
                "There are 2N rows, two for each pair.": math.log(count),
                "You counted one view of each pair only.": math.log(count - 1) if count > 1 else 0.0,
                "The sign is turned: a loss is minus a log-probability.": -math.log(2 * count - 1),
                "That is the logarithm to base two; the loss uses the natural one.": math.log2(2 * count - 1),
            },
            tolerance=1e-5,
        )


@exercise("3.3", "Who is a positive?")
def positive_mask(answer: Any, rng: np.random.Generator) -> None:
    """`answer(identity (N,))` gives a (2N, 2N) boolean mask: row i's positives, both views stacked."""
    for count in (3, 6, 9):
        identity = torch.from_numpy(rng.integers(0, max(2, count // 2), size=count))
        both = identity.repeat(2)
        same, self_pairs = both[:, None] == both[None, :], torch.eye(2 * count, dtype=torch.bool)
        mask = answer(identity.clone())
        expect(
            np.asarray(mask).dtype == bool,
            "The mask must hold booleans: True where column k is a positive of row i.",
        )
        expect_close(
            mask,
            same & ~self_pairs,
            "Repeat the identities for both views, compare all with all, and take the diagonal out.",
            mistakes={
                "A row is not its own positive: take the diagonal out.": same,
                "Those are the negatives: the mask is turned round.": ~same,
                "Those are only the other views of the same pair; pairs of one identity join in.": (
                    self_pairs.roll(count, dims=1)
                ),
                "Those are the negatives and the row itself: the mask is turned round.": ~(
                    same & ~self_pairs
                ),
            },
        )


@exercise("3.4", "How many negatives?")
def count_negatives(answer: Any, rng: np.random.Generator) -> None:
    """`answer(batch_size, accumulate)`: negatives of one row, by batch size and accumulated batches."""
    for batch_size, accumulate in ((128, 16), (64, 2), (2048, 1), (16, 8)):
        gathered = batch_size * accumulate
        expect_close(
            answer(batch_size, accumulate),
            2 * batch_size - 2,
            "The loss sees one batch at a time. Of its rows, a row and its other view are no negatives.",
            mistakes={
                "Accumulation adds up gradients of separate losses: no loss sees the gathered batch.": (
                    2 * gathered - 2
                ),
                "The other view of the same pair is the positive, not a negative.": 2 * batch_size - 1,
                "Both views of the other pairs are negatives.": batch_size - 1,
                "A row itself and its other view are no negatives.": 2 * batch_size,
            },
        )


@exercise("3.5", "Undo before you compare")
def undo_then_compare(answer: Any, rng: np.random.Generator) -> None:
    """`answer(z1, z2, motion1, motion2, temperature)` gives PeCLR's loss.

    A motion is a pair of angle (B,) in degrees and shift (B, 2).
    """
    for temperature in (0.2, 0.5):
        z1, z2 = _pairs(rng, 6, width=16)
        motions = [
            (torch.from_numpy(rng.uniform(-45, 45, size=6)), torch.from_numpy(rng.uniform(-0.2, 0.2, (6, 2))))
            for _ in range(2)
        ]
        z1, z2 = (apply_to_projection(z, *motion) for z, motion in zip((z1, z2), motions, strict=True))
        undone1, undone2 = undo_on_projection(z1, *motions[0]), undo_on_projection(z2, *motions[1])
        expect_close(
            answer(z1, z2, *motions, temperature),
            nt_xent(undone1, undone2, temperature),
            "Undo each view's own rotation and shift on its own projection, then call nt_xent.",
            mistakes={
                "That is SimCLR: nothing was undone.": nt_xent(z1, z2, temperature),
                "Only the first view was undone.": nt_xent(undone1, z2, temperature),
                "Only the second view was undone.": nt_xent(z1, undone2, temperature),
                "You moved the projections once more; `undo_on_projection` undoes.": nt_xent(
                    apply_to_projection(z1, *motions[0]), apply_to_projection(z2, *motions[1]), temperature
                ),
                "Each view has its own motion: they are swapped.": nt_xent(
                    undo_on_projection(z1, *motions[1]), undo_on_projection(z2, *motions[0]), temperature
                ),
                "The temperature went missing.": nt_xent(undone1, undone2),
            },
            tolerance=1e-5,
        )
