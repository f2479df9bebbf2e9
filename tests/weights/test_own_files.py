"""This project's files: their keys, round trips, writes that fail, and files that don't fit."""

import copy
import urllib.error

import pytest
import torch
import torchvision
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from peclr_utils import weights
from peclr_utils.models import FEATURES, ContrastiveModel, PoseNetwork25D, build_encoder
from peclr_utils.weights import save
from peclr_utils.weights.load import find_architecture

LOADERS = {"contrastive": weights.load_contrastive_model, "pose": weights.load_pose_network}


@pytest.fixture(scope="module")
def networks():
    pose = PoseNetwork25D("resnet18", "ait_palm")
    pose.start_at(torch.randn(21, 3), torch.rand(21, 3) + 0.5)
    contrastive = ContrastiveModel("resnet18", hidden=64, out=32)
    return {"encoder": build_encoder("resnet18"), "contrastive": contrastive, "pose": pose}


def equal(one, other):
    a, b = one.state_dict(), other.state_dict()
    same_order = getattr(one, "keypoint_order", None) == getattr(other, "keypoint_order", None)
    return same_order and a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("kind", ["encoder", "contrastive", "pose"])
def test_networks_come_back_from_checkpoints_and_safetensors(networks, kind, tmp_path):
    network, load = networks[kind], LOADERS.get(kind, weights.load_encoder)
    labels = {"kind": kind, "arch": "resnet18"} | ({"keypoint_order": "ait_palm"} if kind == "pose" else {})
    path = weights.save_checkpoint(tmp_path / "new/a.pt", network, config={"seed": 1}, extra={"steps": 3})
    assert equal(load(path), network) and not load(path).training
    checkpoint = torch.load(path, weights_only=True)
    assert checkpoint.pop("model").keys() == network.state_dict().keys()
    rest = {"config": {"seed": 1}, "training": None, "extra": {"steps": 3}}
    assert checkpoint == {"format": "peclr_utils 1", **labels, **rest}
    path = weights.save_safetensors(tmp_path / "a.safetensors", network)
    assert equal(load(path), network)
    with safe_open(path, framework="pt") as file:
        assert file.metadata() == {"format": "pt", "peclr_utils": "peclr_utils 1", **labels}
        assert set(file.keys()) == network.state_dict().keys()


@pytest.mark.parametrize("name", ["encoder.safetensors", "encoder.pth"])
@pytest.mark.parametrize("kind", ["encoder", "contrastive", "pose"])
def test_an_encoder_is_written_under_torchvisions_names(networks, kind, name, tmp_path):
    path = weights.save_encoder(tmp_path / name, networks[kind].to(memory_format=torch.channels_last))
    tensors = load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)
    assert all(value.is_contiguous() for value in tensors.values())
    plain = torchvision.models.resnet18()
    plain.fc = nn.Identity()
    plain.load_state_dict(tensors)
    whole = weights.save_checkpoint(tmp_path / "whole.pt", networks[kind])
    assert equal(weights.load_encoder(path, "resnet18"), plain) and equal(weights.load_encoder(whole), plain)


def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(networks, tmp_path, monkeypatch):
    weights.save_encoder(tmp_path / "encoder.safetensors", networks["encoder"])
    weights.save_encoder(tmp_path / "encoder.pth", networks["encoder"])
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}

    def full(value, target, *_):
        target.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(save, "save_file", full)
    monkeypatch.setattr(torch, "save", full)
    for path in before:
        with pytest.raises(OSError, match="No space left"):
            weights.save_encoder(path, networks["pose"])
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", ["a.pt", "a.safetensors"])
def test_missing_and_damaged_files_are_errors_that_name_them(networks, name, tmp_path):
    with pytest.raises(FileNotFoundError, match=f"{name}: there is no such checkpoint"):
        weights.load_encoder(tmp_path / name)
    path = weights.save_encoder(tmp_path / name, networks["encoder"])
    whole = path.read_bytes()
    for size in (0, 4, 1000, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=f"{name}: cannot be read"):
            weights.load_encoder(path)


def test_nothing_is_half_loaded(networks):
    target = build_encoder("resnet18")
    before = copy.deepcopy(target)
    state = {key: value + 1 for key, value in networks["encoder"].state_dict().items() if key != "bn1.bias"}
    with pytest.raises(ValueError, match="here: does not fit a ResNet; keys 1 missing: bn1.bias"):
        weights.load_strictly(target, state, "here")
    assert equal(target, before)


def test_the_architecture_is_found_from_the_keys_and_another_one_is_an_error(networks, tmp_path):
    for arch in FEATURES:
        with torch.device("meta"):
            assert find_architecture(build_encoder(arch).state_dict(), "here") == arch
    path = weights.save_encoder(tmp_path / "encoder.pth", networks["encoder"])
    with pytest.raises(ValueError, match="encoder.pth: expected a resnet34, found a resnet18"):
        weights.load_encoder(path, "resnet34")


def test_imagenet_weights_need_an_architecture_and_say_where_to_put_them(monkeypatch, tmp_path):
    def offline(*_, **__):
        raise urllib.error.URLError("no route to host")

    with pytest.raises(ValueError, match="expected one of resnet18, .* as arch, found None"):
        weights.load_encoder("imagenet")
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(FileNotFoundError, match="resnet18-f37072fd.pth") as caught:
        weights.load_encoder("imagenet", "resnet18")
    assert str(tmp_path) in str(caught.value)
