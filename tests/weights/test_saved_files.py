"""Encoders and networks as `.safetensors` and as plain state dicts, in and out."""

import pytest
import torch
import torchvision
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from peclr_utils import weights
from peclr_utils.models import ContrastiveModel, PoseNetwork25D, build_encoder
from peclr_utils.weights import saving


def equal(one, other):
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.fixture(scope="module")
def encoder():
    return build_encoder("resnet18")


@pytest.fixture(scope="module")
def pose():
    network = PoseNetwork25D("resnet18", "ait_palm")
    network.start_at(torch.randn(21, 3), torch.rand(21, 3) + 0.5)
    return network


@pytest.fixture(scope="module")
def contrastive():
    return ContrastiveModel("resnet18", hidden=64, out=32)


def metadata(path):
    with safe_open(path, framework="pt") as file:
        return file.metadata()


@pytest.mark.parametrize("name", ["encoder.safetensors", "encoder.pth"])
def test_an_encoder_is_written_under_torchvisions_names(encoder, tmp_path, name):
    path = weights.save_encoder(tmp_path / "new" / name, encoder)
    tensors = load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)
    plain = torchvision.models.resnet18()
    plain.fc = nn.Identity()
    plain.load_state_dict(tensors)
    assert equal(plain, encoder) and equal(weights.load_encoder(path, "resnet18"), encoder)


@pytest.mark.parametrize("name", ["encoder.safetensors", "encoder.pth"])
def test_the_encoder_of_a_whole_model_is_written(contrastive, pose, tmp_path, name):
    path = weights.save_encoder(tmp_path / name, contrastive)
    assert equal(weights.load_encoder(path), contrastive.encoder)
    loaded = weights.load_encoder(weights.save_encoder(path, pose))
    assert torch.equal(loaded.layer4[1].conv2.weight, pose.backbone.layer4[1].conv2.weight)


def test_a_contrastive_model_comes_back_from_safetensors(contrastive, tmp_path):
    path = weights.save_safetensors(tmp_path / "model.safetensors", contrastive)
    assert equal(weights.load_contrastive_model(path), contrastive)
    assert equal(weights.load_encoder(path), contrastive.encoder)
    assert metadata(path) == {
        "format": "pt",
        "peclr_utils": "peclr_utils 1",
        "kind": "contrastive",
        "arch": "resnet18",
    }


def test_a_pose_network_comes_back_from_safetensors_with_its_keypoint_order(pose, tmp_path):
    path = weights.save_safetensors(tmp_path / "pose.safetensors", pose)
    loaded = weights.load_pose_network(path)
    assert equal(loaded, pose) and loaded.keypoint_order == "ait_palm"
    assert metadata(path)["kind"] == "pose" and metadata(path)["keypoint_order"] == "ait_palm"


def test_other_peoples_safetensors_load_in_every_layout(tmp_path, caplog):
    state = {key: value.contiguous() for key, value in torchvision.models.resnet18().state_dict().items()}
    save_file(state, tmp_path / "plain.safetensors", {"format": "pt"})
    loaded = weights.load_encoder(tmp_path / "plain.safetensors")
    assert torch.equal(loaded.conv1.weight, state["conv1.weight"])
    assert "dropped" in caplog.text and "fc.weight" in caplog.text and "fc.bias" in caplog.text
    places = {"conv1": 0, "bn1": 1, "layer1": 4, "layer2": 5, "layer3": 6, "layer4": 7}
    theirs = {
        f"encoder.features.{places[key.split('.')[0]]}.{key.split('.', 1)[1]}": value
        for key, value in state.items()
        if not key.startswith("fc.")
    }
    save_file(theirs, tmp_path / "theirs.safetensors")
    assert equal(weights.load_encoder(tmp_path / "theirs.safetensors"), loaded)


@pytest.mark.parametrize("name", ["encoder.safetensors", "encoder.pth"])
def test_tensors_are_written_contiguous_whatever_the_networks_memory_format(tmp_path, name):
    encoder = build_encoder("resnet18").to(memory_format=torch.channels_last)
    assert not encoder.layer1[0].conv1.weight.is_contiguous()
    path = weights.save_encoder(tmp_path / name, encoder)
    tensors = load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)
    assert all(value.is_contiguous() for value in tensors.values())
    assert equal(weights.load_encoder(path), encoder)


def test_a_suffix_that_belies_the_content_is_an_error(encoder, tmp_path):
    with pytest.raises(ValueError, match="model.pt: expected a name that ends in .safetensors"):
        weights.save_safetensors(tmp_path / "model.pt", encoder)
    with pytest.raises(ValueError, match="model.safetensors: .*Call save_safetensors"):
        weights.save_checkpoint(tmp_path / "model.safetensors", encoder)
    assert list(tmp_path.iterdir()) == []
    torch.save({}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="model.safetensors: cannot be read as safetensors"):
        weights.load_encoder(tmp_path / "model.safetensors")


def test_a_cut_safetensors_file_is_an_error(encoder, tmp_path):
    path = weights.save_encoder(tmp_path / "encoder.safetensors", encoder)
    for size in (0, 4, 1000, path.stat().st_size - 1):
        path.write_bytes(path.read_bytes()[:size])
        with pytest.raises(ValueError, match="encoder.safetensors: cannot be read as safetensors"):
            weights.load_encoder(path)
        weights.save_encoder(path, encoder)


def test_labels_that_do_not_fit_the_tensors_are_errors(encoder, tmp_path):
    state = {key: value.contiguous() for key, value in encoder.state_dict().items()}
    path = tmp_path / "odd.safetensors"
    save_file(state, path, {"peclr_utils": "peclr_utils 1", "kind": "decoder"})
    with pytest.raises(ValueError, match="odd.safetensors: expected one of the kinds .*, found 'decoder'"):
        weights.load_encoder(path)
    save_file(state, path, {"peclr_utils": "peclr_utils 1", "kind": "pose"})
    with pytest.raises(ValueError, match="odd.safetensors: "):
        weights.load_pose_network(path)


def test_a_save_that_fails_leaves_the_old_file_and_no_rubbish(encoder, tmp_path, monkeypatch):
    path = weights.save_safetensors(tmp_path / "encoder.safetensors", encoder)
    before = path.read_bytes()

    def full(tensors, target, labels):
        target.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(saving, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        weights.save_encoder(path, encoder)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["encoder.safetensors"]


def test_what_is_no_encoder_is_an_error_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match="linear.safetensors: expected the keys of a torchvision ResNet"):
        weights.save_encoder(tmp_path / "linear.safetensors", nn.Linear(2, 2))
    assert list(tmp_path.iterdir()) == []
