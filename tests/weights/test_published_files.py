"""The authors' and torchvision's files: every key in its place, nothing missing, nothing left over."""

import gzip

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from peclr_utils import weights

# Written out by hand: what the authors' training calls a tensor, and torchvision's name for it.
TRAINING_NAMES = {
    "encoder.features.0.weight": "conv1.weight",
    "encoder.features.1.running_var": "bn1.running_var",
    "encoder.features.4.0.conv1.weight": "layer1.0.conv1.weight",
    "encoder.features.4.2.bn3.bias": "layer1.2.bn3.bias",
    "encoder.features.5.0.downsample.0.weight": "layer2.0.downsample.0.weight",
    "encoder.features.6.5.bn1.running_mean": "layer3.5.bn1.running_mean",
    "encoder.features.7.0.downsample.1.num_batches_tracked": "layer4.0.downsample.1.num_batches_tracked",
    "encoder.features.7.2.conv3.weight": "layer4.2.conv3.weight",
}


def training_network(arch, hidden=512, out=128):
    resnet = getattr(torchvision.models, arch)()
    width = resnet.fc.in_features
    features = nn.Sequential(*list(resnet.children())[:-1])
    head = [nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, out, bias=False)]
    encoder = nn.ModuleDict({"features": features, "final_layer": nn.Sequential(nn.Linear(width, 64))})
    return nn.ModuleDict({"encoder": encoder, "projection_head": nn.Sequential(*head)})


def pose_network(arch):
    resnet = getattr(torchvision.models, arch)()
    resnet.fc = nn.Linear(resnet.fc.in_features, 64)
    hidden = [[nn.Linear(width, 128), nn.BatchNorm1d(128), nn.LeakyReLU()] for width in (64, 128)]
    refinement = nn.Sequential(*hidden[0], *hidden[1], nn.Linear(128, 1))
    return nn.ModuleDict({"backend_model": resnet, "zroot_ref": nn.ModuleDict({"zroot_ref": refinement})})


def numbered(build, *args):
    """A network's state dict in which every tensor is full of a number of its own; a file of it is tiny."""
    with torch.device("meta"):
        shapes = build(*args).state_dict()
    return {
        key: torch.tensor(float(number) if value.is_floating_point() else number).expand(value.shape)
        for number, (key, value) in enumerate(shapes.items(), start=1)
    }


def save(path, state):
    torch.save({"state_dict": state}, path)
    return path


def without(state, *keys):
    return {key: value for key, value in state.items() if key not in keys}


def part(state, prefix):
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def in_place(module, state):
    """Whether a module holds exactly these tensors."""
    own = module.state_dict()
    return own.keys() == state.keys() and all(torch.equal(own[key], state[key]) for key in own)


@pytest.mark.parametrize("arch", ["resnet18", "resnet152"])
def test_a_published_pretrained_file_loads_and_each_time_names_what_is_dropped(tmp_path, caplog, arch):
    state = numbered(getattr(torchvision.models, arch))
    path = save(tmp_path / "peclr.pth", state)
    for _ in range(2):
        loaded = weights.load_encoder(path)
    assert in_place(loaded, without(state, "fc.weight", "fc.bias"))
    assert not loaded.training and isinstance(loaded.fc, nn.Identity)
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2
    assert caplog.records[0].getMessage().startswith(f"{path}: dropped fc.weight, fc.bias,")


@pytest.mark.parametrize("arch", ["resnet50", "resnet152"])
def test_a_training_checkpoint_gives_the_encoder_with_each_tensor_in_its_place(tmp_path, caplog, arch):
    state = numbered(training_network, arch)
    before = torch.random.get_rng_state()
    loaded = weights.load_encoder(save(tmp_path / "epoch=99.ckpt", state), arch).state_dict()
    assert torch.equal(torch.random.get_rng_state(), before)
    deepest = {"encoder.features.6.35.conv3.weight": "layer3.35.conv3.weight"} if arch == "resnet152" else {}
    for theirs, ours in {**TRAINING_NAMES, **deepest}.items():
        assert torch.equal(loaded[ours], state[theirs]), theirs
    # Each tensor has its own number, so none is used twice or left out.
    numbers = {int(value.flatten()[0]) for value in loaded.values()}
    unused = [key for key in state if key.startswith(("encoder.final_layer.", "projection_head."))]
    assert numbers == {int(state[key].flatten()[0]) for key in without(state, *unused)}
    assert "dropped encoder.final_layer.0.weight, encoder.final_layer.0.bias," in caplog.text


def test_a_training_checkpoint_gives_the_contrastive_model(tmp_path):
    state = numbered(training_network, "resnet18", 48, 20)
    loaded = weights.load_contrastive_model(save(tmp_path / "epoch=99.ckpt", state))
    assert in_place(loaded.projector, part(state, "projection_head."))
    assert torch.equal(loaded.encoder.conv1.weight, state["encoder.features.0.weight"])


def test_the_projection_head_may_be_missing_and_the_wrong_loader_names_the_right_one(tmp_path):
    whole = numbered(training_network, "resnet18")
    path = save(tmp_path / "headless.ckpt", {key: whole[key] for key in whole if key.startswith("encoder.")})
    assert torch.equal(weights.load_encoder(path).conv1.weight, whole["encoder.features.0.weight"])
    with pytest.raises(ValueError, match="kind 'contrastive', found 'encoder'.*Call load_encoder"):
        weights.load_contrastive_model(path)
    save(path, numbered(pose_network, "resnet18"))
    with pytest.raises(ValueError, match="kind 'contrastive', found 'pose'.*Call load_pose_network"):
        weights.load_contrastive_model(path)


@pytest.mark.parametrize("arch", ["resnet18", "resnet152"])
def test_a_published_pose_network_loads_with_each_tensor_in_its_place(tmp_path, caplog, arch):
    state = numbered(pose_network, arch)
    path = save(tmp_path / "peclr_ft.pth", state)
    loaded = weights.load_pose_network(path)
    assert loaded.arch == arch and loaded.keypoint_order == "ait_palm" and not loaded.training
    backbone = part(state, "backend_model.")
    assert in_place(loaded.backbone, backbone)
    assert in_place(loaded.root_refinement, part(state, "zroot_ref.zroot_ref."))
    # It predicts pixels as they are.
    assert torch.equal(loaded.scale, torch.ones(64)) and torch.equal(loaded.offset, torch.zeros(64))
    assert in_place(weights.load_encoder(path), without(backbone, "fc.weight", "fc.bias"))
    assert caplog.records == []


@pytest.fixture(params=["pretrained", "training", "pose"])
def published(request):
    """A state dict of each published layout and its loader."""
    if request.param == "pose":
        return numbered(pose_network, "resnet18"), weights.load_pose_network
    build = [training_network, "resnet18"] if request.param == "training" else [torchvision.models.resnet18]
    return numbered(*build), weights.load_encoder


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_files_load_with_the_prefixes_of_wrappers_without_batch_counters_and_as_safetensors(
    tmp_path, published, prefix
):
    state, load = published
    expected = load(save(tmp_path / "plain.pth", state)).state_dict()
    kept = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    wrapped = {prefix + key: value.contiguous() for key, value in kept.items()}
    save_file(wrapped, tmp_path / "a.safetensors")
    torch.save(wrapped, tmp_path / "a.pth")
    for name in ("a.safetensors", "a.pth"):
        found = load(tmp_path / name).state_dict()
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[k], expected[k]) for k in found if not k.endswith("batches_tracked"))


def test_a_wrapper_inside_a_network_is_ignored_and_two_names_for_one_tensor_are_an_error(tmp_path):
    state = numbered(training_network, "resnet18")
    inner = {key.replace("encoder.", "encoder._orig_mod."): value for key, value in state.items()}
    loaded = weights.load_encoder(save(tmp_path / "compiled.ckpt", inner))
    assert torch.equal(loaded.conv1.weight, state["encoder.features.0.weight"])
    path = save(tmp_path / "twice.ckpt", {**state, "module.projection_head.0.bias": torch.zeros(512)})
    with pytest.raises(ValueError, match="module.projection_head.0.bias is there twice"):
        weights.load_encoder(path)


@pytest.mark.parametrize("key", ["fc.more", "backend_model.extra", "encoder.conv1.weight", "scale"])
def test_any_other_key_is_an_error_that_names_it(tmp_path, key):
    for build in (training_network, pose_network):
        path = save(tmp_path / "more.pth", {**numbered(build, "resnet18"), key: torch.zeros(3)})
        with pytest.raises(ValueError, match=rf"more.pth: .*1 unknown: {key}\. Nothing was loaded"):
            weights.load_encoder(path)


@pytest.mark.parametrize("key", ["bn1.weight", "encoder.features.1.weight", "backend_model.fc.bias"])
def test_a_missing_key_a_wrong_shape_and_a_wrong_type_are_named_as_in_the_file(tmp_path, published, key):
    state, load = published
    if key not in state:
        return
    path = save(tmp_path / "odd.pth", without(state, key))
    with pytest.raises(ValueError, match=f"odd.pth: .*1 missing: {key}. Nothing was loaded"):
        load(path)
    for value, found in (
        (torch.zeros(7), "(7,) floating"),
        (torch.zeros(64).to_sparse(), "(64,) floating sparse"),
    ):
        with pytest.raises(ValueError) as caught:
            load(save(path, {**state, key: value}))
        assert f"{key} (expected (64,) floating, found {found})" in str(caught.value)
    with pytest.raises(ValueError, match=f"odd.pth: .*found NoneType at '{key}'"):
        load(save(path, {**state, key: None}))


MISTAKEN = {
    "an archive, .*tar -xzf": gzip.compress(b"rn50.pth", mtime=0),
    "a web page": b"\n<!DOCTYPE html><html>",
    "Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
}


@pytest.mark.parametrize("name", ["peclr.pth", "peclr.safetensors"])
@pytest.mark.parametrize("advice", MISTAKEN)
def test_a_file_that_is_no_checkpoint_is_recognised(tmp_path, monkeypatch, name, advice):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / name).write_bytes(MISTAKEN[advice])
    with pytest.raises(ValueError, match=f"{name}: .*{advice}"):
        weights.load_encoder(f"~/{name}")
