"""The gradient cache: exact gradients of one loss over a whole step, one batch in memory at a time."""

import pytest
import torch
from torch import nn

from peclr_utils.crops import pack
from peclr_utils.models import ContrastiveModel
from peclr_utils.training import PretrainConfig, grad_cache, pretrain
from peclr_utils.training.batches import Pairs, pairs_on_device
from peclr_utils.training.contrastive import StepGradients, contrastive_loss
from peclr_utils.training.distributed import Group, divide
from peclr_utils.training.engine import Run, choose_machine, seeded
from peclr_utils.training.pair_data import open_pair_data
from peclr_utils.training.views import load

pytestmark = pytest.mark.usefixtures("one_thread")

CACHED = PretrainConfig(
    grad_cache=True, batch_size=4, accumulate=3, image_size=32, exchange_background=False, device="cpu",
    precision="fp32", progress=False, tensorboard=False,
)  # fmt: skip


@pytest.fixture
def crops(dot_hands, tmp_path):
    """Three pictures of each of eight hands: a step holds several pairs of one identity."""
    return pack(dot_hands(8, versions=3), tmp_path / "crops", 64, 2.4, progress=False)


def _model(trained: bool) -> ContrastiveModel:
    with seeded(0):
        model = ContrastiveModel("resnet18", 64, 32)
        model(torch.randn(16, 3, 32, 32))  # statistics that are not those of an identity
    return model.train(trained)


def _take_step(config, crops, model, scaler=None):
    """Gradients, and loss and alignment, as training takes them; and what the step consists of."""
    machine, group = choose_machine(config), Group()
    data, division = open_pair_data(config, machine, crops), divide(config, group, machine.device)
    optimiser = torch.optim.SGD(model.parameters())
    run = Run(config, machine, model, optimiser, scaler or machine.scaler())
    items = list(load(data.batches, division.numbers(range(1, 2), config.accumulate), machine))
    measured = StepGradients(run, group, division)(iter(items))
    return _gradients(model), torch.stack(measured).mean(dim=0), items


def _take_directly(config, items, model, together: bool):
    """The same by autograd alone: one graph over all pairs, encoded at once or batch by batch."""
    model.zero_grad()
    machine = choose_machine(config)
    batches = [pairs_on_device(item, machine, config.image_size) for item in items]
    pairs = Pairs.join([Pairs(*batch[2:]) for batch in batches])
    views = [(batch.view1, batch.view2) for batch in batches]
    if together:
        views = [tuple(torch.cat(views) for views in zip(*views, strict=True))]
    with machine.autocast():
        encoded = [model.encoder(torch.cat(both)).float().chunk(2) for both in views]
    features = torch.cat([torch.cat(half) for half in zip(*encoded, strict=True)])
    loss, alignment = contrastive_loss(*model.projector(features).chunk(2), pairs, config)
    loss.backward()
    return _gradients(model), torch.stack([loss.detach(), alignment])


def _gradients(model: nn.Module) -> torch.Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


def _error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("method", ["peclr", "simclr"])
@pytest.mark.parametrize("pair_identities", [True, False])
def test_with_frozen_batch_norm_gradients_are_the_full_batchs(crops, method, pair_identities):
    config = CACHED.replace(method=method, pair_identities=pair_identities)
    found, measured, items = _take_step(config, crops, _model(trained=False))
    expected, values = _take_directly(config, items, _model(trained=False), together=True)
    assert len(torch.cat([item["identity"] for item in items]).unique()) < 12
    assert _error(found, expected) < 1e-5
    torch.testing.assert_close(measured, values, rtol=1e-5, atol=1e-6)


def test_in_training_mode_they_are_those_of_encoding_batch_by_batch_and_not_at_once(crops):
    # The views are made on the device, twice, noise and all.
    config = CACHED.replace(executor="batch", augmentation={"noise": 1.0})
    found, measured, items = _take_step(config, crops, _model(trained=True))
    expected, values = _take_directly(config, items, _model(trained=True), together=False)
    assert _error(found, expected) < 1e-5
    torch.testing.assert_close(measured, values, rtol=1e-5, atol=1e-6)
    at_once, _ = _take_directly(config, items, _model(trained=True), together=True)
    assert _error(at_once, expected) > 0.1


def test_adding_up_gradients_compares_fewer_pairs(crops):
    cached = _take_step(CACHED, crops, _model(trained=False))
    added = _take_step(CACHED.replace(grad_cache=False), crops, _model(trained=False))
    parts = [_take_directly(CACHED, [item], _model(trained=False), together=True) for item in added[2]]
    assert _error(added[0], torch.stack([gradient for gradient, _ in parts]).mean(dim=0)) < 1e-5
    # Weak as its untrained network is, a row tells its partner from fewer others more easily.
    assert added[1][0] < cached[1][0] - 0.5


def test_running_statistics_move_as_in_one_pass(crops):
    model, once = _model(trained=True), _model(trained=True)
    _, _, items = _take_step(CACHED, crops, model)
    with torch.no_grad():
        for item in items:
            batch = pairs_on_device(item, choose_machine(CACHED), CACHED.image_size)
            once.encoder(torch.cat([batch.view1, batch.view2]))
    for (name, found), expected in zip(model.encoder.named_buffers(), once.encoder.buffers(), strict=True):
        assert torch.equal(found, expected), name
    assert model.encoder.bn1.num_batches_tracked == 1 + CACHED.accumulate
    assert model.projector[1].num_batches_tracked == 1 + 1


HELD = CACHED.replace(hold_activations="always")


def test_holding_all_activations_changes_nothing_but_the_number_of_passes(crops):
    steps = {}
    for config in (CACHED, HELD):
        model, seen = _model(trained=True), []
        model.encoder.register_forward_hook(lambda _, views, __, seen=seen: seen.append(len(views[0])))
        gradients, measured, _ = _take_step(config, crops, model)
        steps[config.hold_activations] = gradients, measured, list(model.encoder.buffers()), len(seen)
    (twice, *values_twice, passes), (once, *values_once, half) = steps.values()
    assert _error(once, twice) < 1e-5
    torch.testing.assert_close(values_once, values_twice)
    assert (passes, half) == (2 * CACHED.accumulate, CACHED.accumulate)


def test_activations_are_held_where_the_free_memory_is_enough_for_them(crops, monkeypatch):
    model = _model(trained=True)
    machine, group = choose_machine(CACHED), Group()
    run = Run(CACHED, machine, model, torch.optim.SGD(model.parameters()), machine.scaler())
    before = [buffer.clone() for buffer in model.buffers()]
    pairs = torch.zeros(2 * CACHED.batch_size, 3, CACHED.image_size, CACHED.image_size)
    needed = CACHED.accumulate * grad_cache.activation_bytes(_model(trained=True).encoder, pairs)
    needed += 3 * sum(weight.nbytes for weight in model.encoder.parameters()) + grad_cache.RESERVE
    for free, holding in ((0, False), (needed, False), (1.24 * needed, False), (1.26 * needed, True)):
        monkeypatch.setattr(grad_cache, "_free_memory", lambda device, free=free: free)
        gradients = StepGradients(run, group, divide(CACHED, group, machine.device))
        assert gradients.holding is holding, free / needed
    assert all(torch.equal(a, b) for a, b in zip(before, model.buffers(), strict=True))


def test_without_a_gpu_nobody_counts_on_memory():
    assert grad_cache._free_memory(torch.device("cpu")) == 0


@pytest.mark.parametrize("batch", [1, 7])
def test_activations_are_counted_in_bytes_and_weights_are_not(batch):
    # A linear layer keeps its inputs, a ReLU its outputs; the second layer's inputs are those outputs.
    network = nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 5))
    assert grad_cache.activation_bytes(network, torch.randn(batch, 10)) == 4 * batch * (10 + 20)


def test_dropout_drops_the_same_in_both_passes_and_draws_no_more_than_one(crops):
    def dropping() -> ContrastiveModel:
        model = _model(trained=True)
        model.encoder.fc = nn.Dropout(0.5)
        return model

    with torch.random.fork_rng():
        torch.manual_seed(3)
        found, _, items = _take_step(CACHED, crops, dropping())
        state = torch.get_rng_state()
        torch.manual_seed(3)
        expected, _ = _take_directly(CACHED, items, dropping(), together=False)
        assert torch.equal(torch.get_rng_state(), state)
    assert _error(found, expected) < 1e-5


def test_of_several_gpus_it_is_the_networks_whose_generator_is_put_back(monkeypatch):
    """No GPU is needed to see which one is asked."""
    first, second = (torch.device("cuda", number) for number in (0, 1))
    states = {first: torch.zeros(2), second: torch.ones(2)}

    def write(state: torch.Tensor, device: torch.device = first) -> None:
        states[device] = state

    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device=first: states[device])
    monkeypatch.setattr(torch.cuda, "set_rng_state", write)
    before = grad_cache._random_state(second)
    states[second] = torch.full((2,), 9.0)
    grad_cache._set_random_state(second, before)
    assert [state.tolist() for state in states.values()] == [[0, 0], [1, 1]]


def test_the_encoder_never_sees_more_than_one_batch(crops):
    model, seen = _model(trained=True), []
    model.encoder.register_forward_hook(lambda _, views, __: seen.append(len(views[0])))
    _take_step(CACHED, crops, model)
    assert seen == [2 * CACHED.batch_size] * 2 * CACHED.accumulate


def test_it_works_in_half_precision_and_with_a_scaled_loss(crops):
    config = CACHED.replace(precision="bf16")
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    found, _, items = _take_step(config, crops, _model(trained=True), scaler)
    expected, _ = _take_directly(config, items, _model(trained=True), together=False)
    assert _error(found / 8, expected) < 1e-2


def test_a_run_resumes_bit_by_bit_and_says_what_its_loss_compares(crops, tmp_path, capsys):
    config = CACHED.replace(epochs=3, log_every=1)
    straight = pretrain(config.replace(progress=True), crops)
    assert "4 pairs x 3, loss over 12 pairs (gradient cache)" in capsys.readouterr().out
    pretrain(HELD.replace(epochs=3, max_steps=1, progress=True), crops)
    assert "loss over 12 pairs (gradient cache, all activations held)" in capsys.readouterr().out
    config = config.replace(output=str(tmp_path / "run"))
    assert not pretrain(config.replace(max_steps=3), crops).finished
    rest = pretrain(config, crops)
    assert rest.losses == straight.losses and len(rest.losses) == 6
    pairs = zip(rest.model.state_dict().values(), straight.model.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_the_whole_step_counts_for_the_learning_rate_and_the_negatives():
    assert CACHED.compared_pairs == 12 and CACHED.replace(grad_cache=False).compared_pairs == 4
    assert CACHED.peak_learning_rate == CACHED.replace(grad_cache=False).peak_learning_rate
