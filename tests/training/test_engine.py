"""Device, precision and what else is chosen for a machine; seeded weights."""

import pytest
import torch

from peclr_utils.training import engine
from peclr_utils.training.config import PretrainConfig


def test_precision_follows_the_hardware(monkeypatch):
    cpu = torch.device("cpu")
    monkeypatch.setattr(engine, "native_bf16", lambda device: True)
    assert engine.choose_dtype("auto", cpu) == torch.bfloat16
    monkeypatch.setattr(engine, "native_bf16", lambda device: False)
    assert engine.choose_dtype("auto", cpu) == torch.float32
    assert engine.choose_dtype("auto", torch.device("cuda")) == torch.float16
    assert engine.choose_dtype("bf16", cpu) == torch.bfloat16


def test_a_device_that_is_not_there_is_a_clear_error():
    with pytest.raises(ValueError, match="device: 'warp:7' cannot be used.*take 'auto' or 'cpu'"):
        engine.choose_device("warp:7")


def test_auto_choices_are_settled_and_can_be_read():
    machine = engine.choose_machine(PretrainConfig(device="cpu", precision="fp32"))
    assert machine.executor == "opencv" and machine.workers == 0
    threads = torch.get_num_threads()
    assert str(machine) == (
        f"cpu, {threads} threads, float32, channels last, fused optimiser, not compiled, views by opencv, "
        "0 loader workers"
    )


def test_every_other_choice_is_said_as_well():
    changes = {"optimiser": "layerwise_adam", "compile": True, "channels_last": False, "workers": 3}
    text = str(engine.choose_machine(PretrainConfig(device="cpu", executor="batch", **changes)))
    choices = ("optimiser not fused", ", compiled", "channels first", "views by batch", "3 loader workers")
    assert all(choice in text for choice in choices)


@pytest.fixture
def cudnn(monkeypatch):
    """cuDNN's settings, put back afterwards; they are there without a GPU, too."""
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    before = torch.backends.cudnn.allow_tf32
    yield torch.backends.cudnn
    torch.backends.cudnn.allow_tf32 = before


@pytest.mark.parametrize(
    ("precision", "capability", "expected"),
    [("tf32", (8, 0), True), ("fp32", (8, 0), False), ("tf32", (7, 5), False), ("auto", (9, 0), False)],
)
def test_only_convolutions_use_tf32_and_only_when_asked(monkeypatch, cudnn, precision, capability, expected):
    monkeypatch.setattr(engine, "choose_device", torch.device)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "a GPU")
    before = torch.backends.cuda.matmul.fp32_precision
    machine = engine.choose_machine(PretrainConfig(device="cuda", precision=precision))
    assert (cudnn.conv.fp32_precision == "tf32") == expected
    with cudnn.flags(enabled=False):  # whoever uses the other name for it still can
        pass
    assert cudnn.allow_tf32 == expected
    assert torch.backends.cuda.matmul.fp32_precision == before != "tf32"
    assert machine.tf32 == expected == ("convolutions in TF32" in str(machine))
    assert machine.dtype == (torch.bfloat16 if precision == "auto" else torch.float32)


def test_seeded_weights_leave_the_global_generator_alone():
    before = torch.get_rng_state()
    with engine.seeded(4):
        first = torch.rand(3)
    with engine.seeded(4):
        assert torch.equal(first, torch.rand(3))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(("started", "expected"), [(True, ["first", "second"]), (False, [])])
def test_seeded_weights_leave_the_gpus_generators_alone_and_start_no_gpu(monkeypatch, started, expected):
    states, put_back = ["first", "second"], []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: started)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda _: None)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: states[device])
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: put_back.insert(device, state))
    with engine.seeded(4):
        pass
    assert put_back == expected


def test_a_gpu_that_cannot_compute_is_said_and_not_taken(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)  # and there is none, or it is hidden
    monkeypatch.setattr(torch, "zeros", _no_kernel)
    with pytest.warns(UserWarning, match="'cuda' cannot be used .no kernel image.*Going on with the CPU"):
        assert engine.choose_device("auto") == torch.device("cpu")
    with pytest.raises(ValueError, match="'cuda' cannot be used"):
        engine.choose_device("cuda")


def _no_kernel(*_, **__):
    raise RuntimeError("no kernel image is available for execution on the device")


def test_no_more_loader_processes_than_cores(monkeypatch, cudnn):
    monkeypatch.setattr(engine, "choose_device", torch.device)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (9, 0))
    for cores, workers in ((2, 2), (64, 4)):
        monkeypatch.setattr(engine, "_usable_cores", lambda cores=cores: cores)
        assert engine.choose_machine(PretrainConfig(device="cuda")).workers == workers
