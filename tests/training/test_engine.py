"""Schedule, parameter groups, device and precision, stopping."""

import math
import os
import signal

import pytest
import torch
from torch import nn

from peclr_utils.models import ContrastiveModel
from peclr_utils.training import engine
from peclr_utils.training.config import PretrainConfig
from peclr_utils.training.settings import OPTIMISERS


def test_warm_up_rises_linearly_to_the_peak():
    rates = [engine.learning_rate_at(step, 100, 10, 2.0) for step in range(10)]
    assert rates == pytest.approx([0.2 * (step + 1) for step in range(10)])


def test_after_the_warm_up_the_rate_is_half_a_cosine():
    for step in range(10, 100):
        expected = 1 + math.cos(math.pi * (step - 10) / 90)
        assert engine.learning_rate_at(step, 100, 10, 2.0) == pytest.approx(expected)
    assert engine.learning_rate_at(55, 100, 10, 2.0) == pytest.approx(1.0)


def test_the_rate_never_jumps():
    rates = [engine.learning_rate_at(step, 100, 10, 1.0) for step in range(100)]
    assert max(abs(a - b) for a, b in zip(rates, rates[1:], strict=False)) <= 0.1 + 1e-12
    assert rates[-1] < 1e-3


def test_without_warm_up_the_first_step_is_at_the_peak():
    assert engine.learning_rate_at(0, 100, 0, 1.0) == 1.0


def test_weight_decay_spares_norms_and_biases():
    model = ContrastiveModel("resnet18")
    decays, spared = engine.parameter_groups(model, 1e-3, 0.1)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    norms = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)
        for parameter in module.parameters()
    }
    assert decays["weight_decay"] == 0.1 and spared["weight_decay"] == 0
    assert not norms & {id(parameter) for parameter in decays["params"]}
    assert all(names[id(parameter)].endswith("weight") for parameter in decays["params"])
    biases = {id(p) for name, p in model.named_parameters() if name.endswith("bias")}
    assert biases <= {id(parameter) for parameter in spared["params"]}
    assert len(decays["params"]) + len(spared["params"]) == len(list(model.parameters()))


def test_frozen_parameters_are_not_optimised():
    linear = nn.Linear(3, 2)
    linear.weight.requires_grad_(False)
    (group,) = engine.parameter_groups(linear, 1e-3, 0.1)
    assert group["weight_decay"] == 0 and len(group["params"]) == 1


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


def test_the_optimiser_is_fused_where_the_machine_says_so():
    for name in OPTIMISERS:
        weights = [nn.Parameter(torch.zeros(2))]
        optimiser = engine.make_optimiser(name, [{"params": weights, "lr": 0.1}], torch.device("cpu"))
        machine = engine.choose_machine(PretrainConfig(device="cpu", optimiser=name))
        assert bool(optimiser.defaults.get("fused")) == machine.fused == (name != "layerwise_adam")


def test_a_finite_loss_passes_and_a_broken_one_stops():
    assert engine.check_finite(torch.tensor(1.5), 3, 0.1, None) == 1.5
    for value in (math.nan, math.inf):
        with pytest.raises(engine.NonFiniteLossError, match=r"at step 3 \(learning rate 0.1\)"):
            engine.check_finite(torch.tensor(value), 3, 0.1, None)


def test_the_error_names_the_checkpoint_that_is_left(tmp_path):
    path = tmp_path / "checkpoint.pt"
    path.touch()
    with pytest.raises(engine.NonFiniteLossError, match=f"last good checkpoint is {path}"):
        engine.check_finite(math.nan, 3, 0.1, path)


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


def test_ctrl_c_waits_for_the_step_and_a_second_one_does_not():
    before = signal.getsignal(signal.SIGINT)  # a suite in the background has it ignored
    with engine.Stopping() as stopping:
        assert stopping.reason(0) == ""
        os.kill(os.getpid(), signal.SIGINT)
        assert stopping.reason(0) == "interrupted"
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_limits_stop_a_run():
    assert engine.Stopping(max_steps=5).reason(4) == ""
    assert engine.Stopping(max_steps=5).reason(5) == "step limit reached"
    assert engine.Stopping(time_limit_minutes=1e-9).reason(0) == "time limit reached"


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
