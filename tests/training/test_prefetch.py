"""Batches sent ahead to a GPU; the streams themselves need one, the rest does not."""

from typing import NamedTuple

import pytest
import torch

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


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gets_the_numbers_it_was_sent():
    batches = [{"x": torch.full((1 << 20,), float(k)).pin_memory()} for k in range(6)]
    for k, batch in enumerate(prefetch(batches, torch.device("cuda"))):
        assert batch["x"].is_cuda and bool((batch["x"] == k).all())
