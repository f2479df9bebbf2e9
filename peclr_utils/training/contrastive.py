"""The loss of pre-training and its gradients: over a batch or a whole step, in one process or several.

Chapter 03 derives the loss.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from peclr_utils.equivariance import undo_on_projection
from peclr_utils.losses import nt_xent
from peclr_utils.training.batches import PairBatch, Pairs, pairs_without_views
from peclr_utils.training.config import PretrainConfig
from peclr_utils.training.distributed import Division, Group, averaging
from peclr_utils.training.engine import Run
from peclr_utils.training.grad_cache import cached_gradients, held_gradients, memory_holds
from peclr_utils.training.views import finish_views


def contrastive_loss(
    z1: Tensor, z2: Tensor, batch: PairBatch | Pairs, config: PretrainConfig
) -> tuple[Tensor, Tensor]:
    """NT-Xent of a batch's projections; for PeCLR with each view's rotation, and its shift, undone first.

    Args:
        z1, z2: (B, D) projections of the two views.
        batch: the parameters to undo.
        config: method, undo_shift, temperature, pair_identities.

    Returns:
        The loss; and the alignment, the mean cosine between the two views of a pair, detached.
    """
    if config.method == "peclr":
        undone = 1.0 if config.undo_shift else 0.0
        z1 = undo_on_projection(z1, batch.angle1, undone * batch.shift1)
        z2 = undo_on_projection(z2, batch.angle2, undone * batch.shift2)
    identity = batch.identity if config.pair_identities else None
    alignment = (normalize(z1.detach()) * normalize(z2.detach())).sum(dim=1).mean()
    return nt_xent(z1, z2, config.temperature, identity), alignment


class StepGradients:
    """Adds one step's gradients to those of a model.

    Without `grad_cache` they are the mean over the step's batches, each of which has a loss of its own. With
    it they are those of one loss over all pairs of the step; the encoder then sees each batch twice, or once
    where all of their activations are held.

    Args:
        run: its model learns.
        group: the processes.
        division: what this process encodes of a step.
        backgrounds: see `views.backgrounds_on`.

    Attributes:
        group, division: as given.
        holding: whether the activations of a whole step are held; settled here, alike in all processes.
    """

    def __init__(self, run: Run, group: Group, division: Division, backgrounds: Tensor | None = None):
        self.group, self.division = group, division
        self._run, self._backgrounds = run, backgrounds
        self._encoder = group.together(run.machine.compiled(run.model.encoder))
        self._projector = group.together(run.model.projector)
        self.holding = run.config.grad_cache and all(group.everyone(self._can_hold()))

    def __call__(self, items: Iterable[dict[str, Any]]) -> list[Tensor]:
        """Take a step's gradients.

        Args:
            items: this process's batches of the step, from the loader.

        Returns:
            For each loss (2,), detached: loss and alignment.
        """
        measured = self._over_the_step(items) if self._run.config.grad_cache else self._by_batch(items)
        self.group.average_buffers(self._run.model.encoder)
        return measured

    def _by_batch(self, items: Iterable[dict[str, Any]]) -> list[Tensor]:
        measured, count = [], len(self.division.batches)
        for number, item in enumerate(items, start=1):
            with averaging(number == count, self._encoder, self._projector):
                loss, values = self._compare(self._features(item), [item])
                self._run.scaler.scale(loss / count).backward()
            measured.append(values)
        return measured

    def _over_the_step(self, items: Iterable[dict[str, Any]]) -> list[Tensor]:
        def compare(features: Tensor, kept: Sequence[dict[str, Any]]) -> tuple[Tensor, Tensor]:
            loss, values = self._compare(features, kept)
            return self._run.scaler.scale(loss), values

        if self.holding:
            return [held_gradients(self._features, items, compare)]
        device = self._run.machine.device
        return [cached_gradients(self._features, items, compare, self._encoder, device)]

    def _can_hold(self) -> bool:
        config, machine = self._run.config, self._run.machine
        if config.hold_activations != "auto":
            return config.hold_activations == "always"
        pairs = len(range(config.batch_size)[self.division.rows])
        views = torch.zeros(2 * pairs, 3, config.image_size, config.image_size, device=machine.device)
        return memory_holds(self._run.model.encoder, views, len(self.division.batches), machine.autocast())

    def _features(self, item: dict[str, Any]) -> Tensor:
        """Encode the views of B pairs; (B, 2, F) float32."""
        machine, size = self._run.machine, self._run.config.image_size
        views = finish_views(item["views"], machine, size, self._backgrounds)
        with machine.autocast():
            features = self._encoder(views)
        # From here on in float32: batch statistics and cosines lose too much otherwise.
        return features.float().unflatten(0, (2, -1)).transpose(0, 1)

    def _compare(self, features: Tensor, items: Sequence[dict[str, Any]]) -> tuple[Tensor, Tensor]:
        """Loss over the pairs of some batches, those of the other processes too; and what to log."""
        pairs = Pairs.join([pairs_without_views(item, self._run.machine) for item in items])
        features, pairs = self.group.gather(features), Pairs(*map(self.group.gather, pairs))
        z1, z2 = self._projector(features.transpose(0, 1).flatten(0, 1)).chunk(2)
        loss, alignment = contrastive_loss(z1, z2, pairs, self._run.config)
        return loss, torch.stack([loss.detach(), alignment])
