"""Batches sent ahead to a GPU; the streams themselves need one, the rest does not."""

from typing import NamedTuple

import numpy as np
import pytest
import torch

from peclr_utils.augmentation import AugmentationConfig, apply_batch, normalise, sample_parameters
from peclr_utils.augmentation import batch as executor
from peclr_utils.training.prefetch import on_device, one_ahead, prefetch, tensors_of


class Pair(NamedTuple):
    images: torch.Tensor
    masks: torch.Tensor | None


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_every_batch_is_given_out_once_in_order_with_the_next_one_on_its_way(count):
    sent, on_the_way = [], []

    def receive(batch: int) -> int:
        on_the_way.append(len(sent))
        return -batch

    assert list(one_ahead(range(count), lambda batch: sent.append(batch) or batch, receive)) == [
        -batch for batch in range(count)
    ]
    assert on_the_way == [min(batch + 2, count) for batch in range(count)]


def test_a_batch_is_made_only_when_its_predecessor_is_asked_for():
    made = []
    batches = one_ahead((made.append(k) or k for k in range(5)), lambda b: b, lambda b: b)
    assert next(batches) == 0 and made == [0, 1]
    assert next(batches) == 1 and made == [0, 1, 2]


def test_all_tensors_of_a_batch_move_and_nothing_else():
    batch = {"views": Pair(torch.zeros(2), None), "angle": torch.ones(3), "count": 4}
    moved = on_device(batch, torch.device("meta"))
    assert moved["views"].images.is_meta and moved["angle"].is_meta
    assert isinstance(moved["views"], Pair) and moved["views"].masks is None and moved["count"] == 4
    assert not batch["angle"].is_meta
    assert [tensor.shape for tensor in tensors_of(moved)] == [(2,), (3,)]


def test_without_a_gpu_batches_stay_as_they_are():
    batches = [{"angle": torch.ones(3)} for _ in range(3)]
    found = list(prefetch(batches, torch.device("cpu")))
    assert all(one is other for one, other in zip(found, batches, strict=True))


def test_making_views_on_a_device_sends_it_nothing_that_it_waits_for(monkeypatch):
    """All numbers go by `_upload`, which does not wait; else no batch would be sent ahead in time."""
    config = AugmentationConfig.peclr(
        scale=(0.4, 2.5), blur=0.5, noise=0.5, cutout=0.5, sobel=0.5, background=0.5
    )
    parameters = sample_parameters(config, 12, np.random.default_rng(0))
    pictures, masks = torch.rand(12, 3, 96, 96), torch.rand(12, 96, 96)
    backgrounds = torch.randint(0, 256, (5, 32, 32, 3), dtype=torch.uint8)

    def make() -> torch.Tensor:
        return normalise(apply_batch(pictures, parameters, 32, masks, backgrounds))

    expected, sent = make(), []  # the table of noise is sent once and stays

    def refuse(*_, **__):
        raise AssertionError("sent by torch.tensor or new_tensor")

    upload, as_tensor = executor._upload, torch.as_tensor
    monkeypatch.setattr(executor, "_upload", lambda *given: sent.append(given) or upload(*given))
    # It may make tensors where the numbers are: for a device of its own it would have to wait.
    monkeypatch.setattr(torch, "as_tensor", lambda data, dtype=None: as_tensor(data, dtype=dtype))
    monkeypatch.setattr(torch, "tensor", refuse)
    monkeypatch.setattr(torch.Tensor, "new_tensor", refuse)
    assert torch.equal(make(), expected)
    assert len(sent) > 10


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gets_the_numbers_it_was_sent():
    batches = [{"x": torch.full((1 << 20,), float(k)).pin_memory()} for k in range(6)]
    for k, batch in enumerate(prefetch(batches, torch.device("cuda"))):
        assert batch["x"].is_cuda and bool((batch["x"] == k).all())
