"""The device that is chosen for a machine; seeded weights."""

import pytest
import torch

from peclr_utils.training import device

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_a_device_that_cannot_compute_is_reported_and_not_used(monkeypatch):
    def no_kernel(*_, **__):
        raise RuntimeError("no kernel image is available for execution on the device")

    with pytest.raises(ValueError, match="device: 'warp:7' can't be used.*choose 'auto' or 'cpu'"):
        device.choose_device("warp:7")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "zeros", lambda *_, device: no_kernel() if device == CUDA else torch.ones(1))
    with pytest.warns(UserWarning, match="'cuda' can't be used .no kernel image.*Using the CPU instead"):
        assert device.choose_device("auto") == CPU


def test_seeded_weights_leave_the_global_generator_alone():
    before = torch.get_rng_state()
    with device.seeded(4):
        first = torch.rand(3)
    with device.seeded(4):
        assert torch.equal(first, torch.rand(3))
    assert torch.equal(before, torch.get_rng_state())
