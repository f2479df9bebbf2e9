"""Checkpoints: whole or not at all, loaded strictly, and nothing in a file ever runs."""

import pickle
import urllib.error

import pytest
import torch
import torchvision

from peclr_utils import weights
from peclr_utils.models import ContrastiveModel, PoseNetwork25D, build_encoder


@pytest.fixture(scope="module")
def encoder():
    return build_encoder("resnet18")


def _equal(one, other) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_an_encoder_comes_back_as_it_was(encoder, tmp_path):
    path = weights.save_checkpoint(tmp_path / "new" / "encoder.pt", encoder)
    loaded = weights.load_encoder(path)
    assert _equal(loaded, encoder) and not loaded.training
    assert loaded(torch.zeros(2, 3, 32, 32)).shape == (2, 512)


def test_a_contrastive_model_comes_back_and_gives_its_encoder(tmp_path):
    model = ContrastiveModel("resnet18", hidden=64, out=32)
    path = weights.save_checkpoint(tmp_path / "model.pt", model, config={"seed": 1}, extra={"steps": 3})
    assert _equal(weights.load_contrastive_model(path), model)
    assert _equal(weights.load_encoder(path, "resnet18"), model.encoder)
    checkpoint = weights.read_checkpoint(path)
    assert checkpoint["config"] == {"seed": 1} and checkpoint["extra"] == {"steps": 3}


def test_a_pose_network_comes_back_and_gives_its_encoder(tmp_path):
    network = PoseNetwork25D("resnet18")
    network.start_at(torch.randn(21, 3), torch.rand(21, 3) + 0.5)
    path = weights.save_checkpoint(tmp_path / "pose.pt", network)
    assert _equal(weights.load_pose_network(path), network)
    loaded = weights.load_encoder(path)
    assert torch.equal(loaded.conv1.weight, network.backbone.conv1.weight)


@pytest.mark.parametrize("arch", ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"])
def test_the_architecture_is_found_from_the_keys(arch):
    with torch.device("meta"):
        state = getattr(torchvision.models, arch)().state_dict()
    assert weights.find_architecture(state) == arch


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
@pytest.mark.parametrize("nested", [False, True])
def test_torchvision_state_dicts_load_without_their_classifier(tmp_path, prefix, nested):
    network = torchvision.models.resnet18()
    state = {prefix + key: value for key, value in network.state_dict().items()}
    torch.save({"state_dict": state} if nested else state, tmp_path / "plain.pth")
    loaded = weights.load_encoder(tmp_path / "plain.pth")
    assert torch.equal(loaded.layer4[1].conv2.weight, network.layer4[1].conv2.weight)
    assert isinstance(loaded.fc, torch.nn.Identity)


def test_batch_counters_may_be_missing_and_nothing_else(encoder, tmp_path):
    state = {k: v for k, v in encoder.state_dict().items() if not k.endswith("num_batches_tracked")}
    torch.save(state, tmp_path / "old.pth")
    assert torch.equal(weights.load_encoder(tmp_path / "old.pth").conv1.weight, encoder.conv1.weight)
    torch.save({k: v for k, v in state.items() if k != "bn1.bias"}, tmp_path / "cut.pth")
    with pytest.raises(ValueError, match="1 missing: bn1.bias.*Nothing was loaded"):
        weights.load_encoder(tmp_path / "cut.pth")


def test_unknown_keys_and_wrong_shapes_are_named(encoder, tmp_path):
    torch.save({**encoder.state_dict(), "extra.weight": torch.zeros(1)}, tmp_path / "more.pth")
    with pytest.raises(ValueError, match="1 unknown: extra.weight"):
        weights.load_encoder(tmp_path / "more.pth")
    torch.save({**encoder.state_dict(), "bn1.weight": torch.zeros(65)}, tmp_path / "shape.pth")
    with pytest.raises(ValueError, match=r"bn1.weight \(expected \(64,\), found \(65,\)\)"):
        weights.load_encoder(tmp_path / "shape.pth")


def test_nothing_is_half_loaded(encoder):
    target = build_encoder("resnet18")
    before = {key: value.clone() for key, value in target.state_dict().items()}
    state = {key: value + 1 for key, value in encoder.state_dict().items() if key != "bn1.bias"}
    with pytest.raises(ValueError, match="does not fit"):
        weights.load_strictly(target, state, "here")
    assert all(torch.equal(target.state_dict()[key], value) for key, value in before.items())


@pytest.mark.parametrize(
    ("arch", "difference"),
    [
        ("resnet50", r"layer1.0.conv1.weight: expected \(64, 64, 1, 1\), found \(64, 64, 3, 3\)"),
        ("resnet34", r"layer1.2.conv1.weight: expected \(64, 64, 3, 3\), found no such key"),
    ],
)
def test_another_architecture_is_one_clear_error(encoder, tmp_path, arch, difference):
    path = weights.save_checkpoint(tmp_path / "encoder.pt", encoder)
    with pytest.raises(ValueError, match=rf"expected a {arch}, found a resnet18 \({difference}\)"):
        weights.load_encoder(path, arch)


def test_a_deeper_network_is_told_from_a_shallower_one_of_the_same_shapes(tmp_path):
    path = weights.save_checkpoint(tmp_path / "encoder.pt", build_encoder("resnet34"))
    with pytest.raises(ValueError, match="expected a resnet18, found a resnet34"):
        weights.load_encoder(path, "resnet18")


def test_something_that_is_no_resnet_is_a_clear_error(tmp_path):
    torch.save({"weight": torch.zeros(3)}, tmp_path / "linear.pth")
    with pytest.raises(ValueError, match="expected the keys of a torchvision ResNet"):
        weights.load_encoder(tmp_path / "linear.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ValueError, match="expected a dict, found list"):
        weights.load_encoder(tmp_path / "list.pth")


def test_the_wrong_kind_of_checkpoint_is_named(encoder, tmp_path):
    path = weights.save_checkpoint(tmp_path / "encoder.pt", encoder)
    with pytest.raises(ValueError, match="kind 'pose', found 'encoder'"):
        weights.load_pose_network(path)


def test_missing_and_damaged_files_are_clear_errors(encoder, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.pt: there is no such checkpoint"):
        weights.load_encoder(tmp_path / "nowhere.pt")
    path = weights.save_checkpoint(tmp_path / "encoder.pt", encoder)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match="cannot be read as a checkpoint"):
        weights.load_encoder(path)


class Runs:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (open, (str(self.marker), "w"))


@pytest.mark.parametrize("write", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_a_file_that_would_run_something_runs_nothing(tmp_path, write):
    marker, path = tmp_path / "marker", tmp_path / "evil.pt"
    write({"state_dict": Runs(marker)}, path)
    with pytest.raises(
        ValueError, match="cannot be read as a checkpoint of tensors and plain values"
    ) as caught:
        weights.load_encoder(path)
    assert not marker.exists()
    assert "weights_only=False" not in str(caught.value)


def test_a_save_that_fails_leaves_the_old_checkpoint_and_no_rubbish(encoder, tmp_path, monkeypatch):
    path = weights.save_checkpoint(tmp_path / "encoder.pt", encoder)
    before = path.read_bytes()

    def full(value, target):
        target.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space left"):
        weights.save_checkpoint(path, encoder)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["encoder.pt"]


def test_imagenet_weights_that_cannot_be_had_are_one_clear_error(monkeypatch, tmp_path):
    def offline(*_, **__):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(FileNotFoundError) as caught:
        weights.load_encoder("imagenet", "resnet18")
    message = str(caught.value)
    assert "ImageNet weights of resnet18" in message and "resnet18-f37072fd.pth" in message
    assert str(tmp_path) in message and "download.pytorch.org" in message


def test_imagenet_weights_need_an_architecture():
    with pytest.raises(ValueError, match="name the architecture"):
        weights.load_encoder("imagenet")
