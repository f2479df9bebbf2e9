"""The gradient cache: the exact gradient of one loss over a whole step, one batch in memory at a time."""

import sys
from unittest import mock

import pytest
import torch
from torch import nn

from peclr_utils.models import ContrastiveModel
from peclr_utils.training import PretrainConfig, pretrain
from peclr_utils.training.device import autocast, place, seeded
from peclr_utils.training.grad_cache import cached_gradients
from peclr_utils.training.pairs import PairBatch, PairDataset
from peclr_utils.training.pretrain import contrastive_loss

CPU = torch.device("cpu")
SMALL = {"image_size": 32, "device": "cpu", "precision": "fp32", "progress": False}
CACHED = PretrainConfig(grad_cache=True, batch_size=4, accumulate=3, exchange_background=False, **SMALL)


@pytest.fixture(scope="module")
def crops(pack_dots):
    """Three images of each of eight hands: a step holds several pairs of one identity."""
    return pack_dots(8, versions=3)


def _model(trained: bool) -> ContrastiveModel:
    with seeded(0):
        model = ContrastiveModel("resnet18", 64, 32)
        model(torch.randn(16, 3, 32, 32))  # statistics that are not those of an identity
    return place(model, CPU).train(trained)


def _batches(crops, config=CACHED) -> list[PairBatch]:
    pairs = PairDataset(crops, config)
    return [pairs[number].to(CPU, config.image_size) for number in range(3, 3 + config.accumulate)]


class Step:
    """The gradients of one step on some batches, by the cache or by autograd alone."""

    def __init__(self, model: ContrastiveModel, config=CACHED, dtype=torch.float32):
        self.model, self.config, self.dtype, self.encoded = model, config, dtype, []

    def encode(self, batch: PairBatch) -> torch.Tensor:
        images = batch.views.flatten(0, 1)
        self.encoded.append(len(images))
        with autocast(CPU, self.dtype):
            features = self.model.encoder(images)
        return features.float().unflatten(0, (2, -1))

    def compare(self, features, batches):
        z1, z2 = self.model.projector(features.flatten(0, 1)).chunk(2)
        return contrastive_loss(z1, z2, PairBatch.motions(batches, CPU), self.config)

    def cached(self, batches, scale=lambda loss: loss):
        loss = cached_gradients(self.encode, batches, self.compare, self.model.encoder, scale)
        return _gradients(self.model), torch.stack(loss)

    def direct(self, batches, together: bool):
        """One graph over all pairs, encoded at once or batch by batch."""
        encoded = batches
        if together:
            encoded = [batches[0]._replace(views=torch.cat([batch.views for batch in batches], dim=1))]
        features = torch.cat([self.encode(batch) for batch in encoded], dim=1)
        loss, alignment = self.compare(features, batches)
        loss.backward()
        return _gradients(self.model), torch.stack([loss.detach(), alignment])


def _gradients(model: nn.Module) -> torch.Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


def _error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize(("method", "pair_identities"), [("peclr", True), ("simclr", True), ("peclr", False)])
def test_with_frozen_batch_norm_gradients_are_the_full_batchs(crops, method, pair_identities):
    config = CACHED.replace(method=method, pair_identities=pair_identities)
    batches = _batches(crops, config)
    assert len(torch.cat([batch.identity for batch in batches]).unique()) < 12
    found, measured = Step(_model(trained=False), config).cached(batches)
    expected, values = Step(_model(trained=False), config).direct(batches, together=True)
    assert _error(found, expected) < 1e-5
    torch.testing.assert_close(measured, values, rtol=1e-5, atol=1e-6)


def test_in_training_mode_they_are_those_of_encoding_batch_by_batch_and_not_at_once(crops):
    batches, step, direct = _batches(crops), Step(_model(trained=True)), Step(_model(trained=True))
    found, measured = step.cached(batches)
    expected, values = direct.direct(batches, together=False)
    assert _error(found, expected) < 1e-5
    torch.testing.assert_close(measured, values, rtol=1e-5, atol=1e-6)
    at_once, _ = Step(_model(trained=True)).direct(batches, together=True)
    assert _error(at_once, expected) > 0.1
    assert step.encoded == [2 * CACHED.batch_size] * 2 * CACHED.accumulate  # never more than one batch
    # Running statistics move once, although every batch is encoded twice.
    for (name, buffer), other in zip(step.model.named_buffers(), direct.model.buffers(), strict=True):
        assert torch.equal(buffer, other), name


def test_it_works_in_half_precision_and_with_a_scaled_loss(crops):
    batches, scaler = _batches(crops), torch.amp.GradScaler("cpu", init_scale=8.0)
    found, measured = Step(_model(trained=True), dtype=torch.bfloat16).cached(batches, scaler.scale)
    expected, values = Step(_model(trained=True), dtype=torch.bfloat16).direct(batches, together=False)
    assert _error(found / 8, expected) < 1e-2
    torch.testing.assert_close(measured, values, rtol=1e-2, atol=1e-3)


def _first_gradients(config, crops):
    """The gradients that the first step of a training updates the weights by; and its log line."""
    found = []

    def capture(optimiser, _):
        found.append([p.grad.clone() for group in optimiser.param_groups for p in group["params"]])
        optimiser.zero_grad()

    with mock.patch.object(sys.modules[pretrain.__module__], "take_step", capture):
        result = pretrain(config.replace(max_steps=1), crops)
    return torch.cat([gradient.flatten() for gradient in found[0]]), result


def test_training_takes_these_gradients_and_without_the_cache_those_of_smaller_losses(crops):
    cached, result = _first_gradients(CACHED, crops)
    added, smaller = _first_gradients(CACHED.replace(grad_cache=False), crops)
    pairs = PairDataset(crops, CACHED)
    batches = [pairs[number].to(CPU, CACHED.image_size) for number in range(CACHED.accumulate)]

    def expect(groups):
        """Mean gradient of one loss over each group of batches, in the order of the parameter groups."""
        with seeded(CACHED.seed):
            model = ContrastiveModel("resnet18", CACHED.projector_hidden, CACHED.projection_size)
        step = Step(place(model, CPU).train())
        encoded = [torch.cat([step.encode(batch) for batch in group], dim=1) for group in groups]
        losses = [step.compare(*pair)[0] for pair in zip(encoded, groups, strict=True)]
        sum(losses).div(len(losses)).backward()
        ordered = sorted(step.model.parameters(), key=lambda p: p.ndim < 2)
        return torch.cat([p.grad.flatten() for p in ordered])

    assert _error(cached, expect([batches])) < 1e-5
    assert _error(added, expect([[batch] for batch in batches])) < 1e-5
    # An untrained network tells its partner from fewer others more easily.
    assert smaller.losses[0] < result.losses[0] - 0.5
