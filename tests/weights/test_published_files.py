"""The authors' files: every key in its place, the shapes from modules built here as theirs builds them."""

import gzip
import logging

import pytest
import torch
import torchvision
from torch import nn

from peclr_utils import weights

# Written out by hand: what the authors' training calls a tensor, and torchvision's name for it.
TRAINING_NAMES = {
    "encoder.features.0.weight": "conv1.weight",
    "encoder.features.1.weight": "bn1.weight",
    "encoder.features.1.running_var": "bn1.running_var",
    "encoder.features.4.0.conv1.weight": "layer1.0.conv1.weight",
    "encoder.features.4.2.bn3.bias": "layer1.2.bn3.bias",
    "encoder.features.5.0.downsample.0.weight": "layer2.0.downsample.0.weight",
    "encoder.features.5.3.conv2.weight": "layer2.3.conv2.weight",
    "encoder.features.6.5.bn1.running_mean": "layer3.5.bn1.running_mean",
    "encoder.features.7.0.downsample.1.num_batches_tracked": "layer4.0.downsample.1.num_batches_tracked",
    "encoder.features.7.2.conv3.weight": "layer4.2.conv3.weight",
}
HEAD_NAMES = {
    "projection_head.0.weight": "0.weight",
    "projection_head.0.bias": "0.bias",
    "projection_head.1.weight": "1.weight",
    "projection_head.1.bias": "1.bias",
    "projection_head.1.running_mean": "1.running_mean",
    "projection_head.1.running_var": "1.running_var",
    "projection_head.1.num_batches_tracked": "1.num_batches_tracked",
    "projection_head.3.weight": "3.weight",
}
ROOT_NAMES = {
    f"zroot_ref.zroot_ref.{key}": key
    for key in (
        "0.weight 0.bias 1.weight 1.bias 1.running_mean 1.running_var 1.num_batches_tracked 3.weight 3.bias "
        "4.weight 4.bias 4.running_mean 4.running_var 4.num_batches_tracked 6.weight 6.bias"
    ).split()
}


class Part(nn.Module):
    def __init__(self, **parts):
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)


def training_network(arch, hidden=512, out=128):
    resnet = getattr(torchvision.models, arch)()
    width = resnet.fc.in_features
    features = nn.Sequential(
        resnet.conv1,
        resnet.bn1,
        resnet.relu,
        resnet.maxpool,
        resnet.layer1,
        resnet.layer2,
        resnet.layer3,
        resnet.layer4,
        nn.AdaptiveAvgPool2d((1, 1)),
    )
    head = nn.Sequential(
        nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, out, bias=False)
    )
    encoder = Part(features=features, final_layer=nn.Sequential(nn.Linear(width, 64)))
    return Part(encoder=encoder, projection_head=head)


def pose_network(arch):
    resnet = getattr(torchvision.models, arch)()
    resnet.fc = nn.Linear(resnet.fc.in_features, 64)
    refinement = nn.Sequential(
        nn.Linear(64, 128),
        nn.BatchNorm1d(128),
        nn.LeakyReLU(),
        nn.Linear(128, 128),
        nn.BatchNorm1d(128),
        nn.LeakyReLU(),
        nn.Linear(128, 1),
    )
    return Part(backend_model=resnet, zroot_ref=Part(zroot_ref=refinement))


def numbered(build, *args):
    """A network's state dict in which every tensor is full of a number of its own; a file of it is tiny."""
    with torch.device("meta"):
        shapes = build(*args).state_dict()
    return {
        key: torch.tensor(float(number) if value.is_floating_point() else number).expand(value.shape)
        for number, (key, value) in enumerate(shapes.items(), start=1)
    }


def torchvision_file(arch="resnet18"):
    return numbered(getattr(torchvision.models, arch))


def save(path, state):
    torch.save({"state_dict": state}, path)
    return path


def without(state, *keys):
    return {key: value for key, value in state.items() if key not in keys}


def in_place(module, state):
    """Whether a module holds exactly these tensors."""
    own = module.state_dict()
    return own.keys() == state.keys() and all(torch.equal(own[key], state[key]) for key in own)


@pytest.mark.parametrize("arch", ["resnet18", "resnet50", "resnet152"])
def test_the_published_pretrained_file_loads_and_says_what_it_drops(tmp_path, caplog, arch):
    state = torchvision_file(arch)
    assert state["fc.weight"].shape[0] == 1000
    path = save(tmp_path / "peclr.pth", state)
    loaded = weights.load_encoder(path)
    assert in_place(loaded, without(state, "fc.weight", "fc.bias"))
    assert not loaded.training and isinstance(loaded.fc, nn.Identity)
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith(f"{path}: dropped fc.weight, fc.bias,")


def test_what_is_dropped_is_said_each_time_and_is_shown_without_set_up(tmp_path, caplog):
    path = save(tmp_path / "peclr.pth", torchvision_file())
    weights.load_encoder(path)
    weights.load_encoder(path)
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert logging.getLogger("peclr_utils.weights").isEnabledFor(logging.WARNING)


def test_nothing_is_said_where_nothing_is_dropped(tmp_path, caplog):
    weights.load_encoder(save(tmp_path / "plain.pth", without(torchvision_file(), "fc.weight", "fc.bias")))
    assert caplog.records == []


@pytest.mark.parametrize("arch", ["resnet50", "resnet152"])
def test_a_training_checkpoint_gives_the_encoder_with_each_tensor_in_its_place(tmp_path, caplog, arch):
    state = numbered(training_network, arch)
    loaded = weights.load_encoder(save(tmp_path / "epoch=99.ckpt", state), arch).state_dict()
    deepest = {"encoder.features.6.35.conv3.weight": "layer3.35.conv3.weight"} if arch == "resnet152" else {}
    for theirs, ours in {**TRAINING_NAMES, **deepest}.items():
        assert torch.equal(loaded[ours], state[theirs]), theirs
    # Each tensor has its own number, so none is used twice or left out.
    numbers = {int(value.flatten()[0]) for value in loaded.values()}
    unused = [key for key in state if key.startswith(("encoder.final_layer.", "projection_head."))]
    assert numbers == {int(state[key].flatten()[0]) for key in without(state, *unused)}
    (said,) = [record.getMessage() for record in caplog.records]
    assert "dropped encoder.final_layer.0.weight, encoder.final_layer.0.bias," in said


def test_a_training_checkpoint_gives_the_contrastive_model(tmp_path):
    state = numbered(training_network, "resnet18", 48, 20)
    path = save(tmp_path / "epoch=99.ckpt", state)
    loaded = weights.load_contrastive_model(path)
    projector = loaded.projector.state_dict()
    assert projector.keys() == set(HEAD_NAMES.values())
    assert all(torch.equal(projector[ours], state[theirs]) for theirs, ours in HEAD_NAMES.items())
    assert torch.equal(loaded.encoder.conv1.weight, state["encoder.features.0.weight"])
    assert not loaded.training


def test_the_projection_head_is_optional_but_not_by_halves(tmp_path):
    state = without(numbered(training_network, "resnet18"), *HEAD_NAMES)
    path = save(tmp_path / "headless.ckpt", state)
    assert torch.equal(weights.load_encoder(path).conv1.weight, state["encoder.features.0.weight"])
    with pytest.raises(
        ValueError, match="projection_head.3.weight: expected .*found no such key.*load_encoder"
    ):
        weights.load_contrastive_model(path)
    whole = numbered(training_network, "resnet18")
    save(path, without(whole, "projection_head.1.bias"))
    with pytest.raises(ValueError, match="1 missing: projection_head.1.bias.*Nothing was loaded"):
        weights.load_encoder(path)


@pytest.mark.parametrize("arch", ["resnet50", "resnet152"])
def test_a_published_pose_network_loads_with_each_tensor_in_its_place(tmp_path, caplog, arch):
    state = numbered(pose_network, arch)
    loaded = weights.load_pose_network(save(tmp_path / "peclr_ft.pth", state))
    assert loaded.arch == arch and loaded.keypoint_order == "ait_palm" and not loaded.training
    assert in_place(
        loaded.backbone, {key[14:]: state[key] for key in state if key.startswith("backend_model.")}
    )
    assert in_place(loaded.root_refinement, {ours: state[theirs] for theirs, ours in ROOT_NAMES.items()})
    # It predicts pixels as they are.
    assert torch.equal(loaded.scale, torch.ones(64)) and torch.equal(loaded.offset, torch.zeros(64))
    assert caplog.records == []


def test_a_published_pose_network_gives_its_encoder(tmp_path):
    state = numbered(pose_network, "resnet18")
    loaded = weights.load_encoder(save(tmp_path / "peclr_ft.pth", state))
    assert torch.equal(loaded.layer1[0].conv1.weight, state["backend_model.layer1.0.conv1.weight"])
    assert loaded(torch.zeros(1, 3, 32, 32)).shape == (1, 512)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
@pytest.mark.parametrize("build", [training_network, pose_network])
def test_the_authors_files_load_with_the_prefixes_of_wrappers(tmp_path, build, prefix):
    state = {prefix + key: value for key, value in numbered(build, "resnet18").items()}
    path = save(tmp_path / "wrapped.pth", state)
    first = "encoder.features.0.weight" if build is training_network else "backend_model.conv1.weight"
    assert torch.equal(weights.load_encoder(path).conv1.weight, state[prefix + first])
    save(path, without(state, prefix + first))
    with pytest.raises(ValueError, match=f"1 missing: {first}"):
        weights.load_encoder(path)


def test_a_wrapper_inside_the_network_is_no_matter_and_two_names_for_one_tensor_are(tmp_path):
    state = numbered(training_network, "resnet18")
    inner = {key.replace("encoder.", "encoder._orig_mod."): value for key, value in state.items()}
    loaded = weights.load_encoder(save(tmp_path / "compiled.ckpt", inner))
    assert torch.equal(loaded.conv1.weight, state["encoder.features.0.weight"])
    save(tmp_path / "twice.ckpt", {**state, "module.projection_head.0.bias": torch.zeros(512)})
    with pytest.raises(
        ValueError, match="module.projection_head.0.bias and projection_head.0.bias are the same"
    ):
        weights.load_encoder(tmp_path / "twice.ckpt")


@pytest.mark.parametrize("build", [torchvision_file, training_network, pose_network])
def test_batch_counters_may_be_missing_in_every_layout(tmp_path, build):
    state = torchvision_file() if build is torchvision_file else numbered(build, "resnet18")
    old = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    path = save(tmp_path / "old.pth", old)
    (weights.load_pose_network if build is pose_network else weights.load_encoder)(path)


@pytest.mark.parametrize(
    ("build", "key"),
    [
        (training_network, "encoder.final_layer.1.weight"),
        (training_network, "final_layer.0.weight"),
        (training_network, "encoder.features.2.weight"),
        (training_network, "encoder.conv1.weight"),
        (training_network, "encoder.features.4.0.extra"),
        (training_network, "fc.weight"),
        (pose_network, "K_default"),
        (pose_network, "zroot_ref.eps"),
        (pose_network, "scale"),
        (pose_network, "backend_model.extra"),
    ],
)
def test_any_other_key_is_an_error_that_names_it(tmp_path, build, key):
    path = save(tmp_path / "more.pth", {**numbered(build, "resnet18"), key: torch.zeros(3)})
    load = weights.load_pose_network if build is pose_network else weights.load_encoder
    with pytest.raises(ValueError, match=rf"more.pth: .*1 unknown.*: {key}\b.*Nothing was loaded"):
        load(path)


@pytest.mark.parametrize(
    ("build", "key"),
    [
        (training_network, "encoder.features.6.1.bn2.running_mean"),
        (pose_network, "zroot_ref.zroot_ref.4.running_var"),
        (pose_network, "backend_model.fc.bias"),
    ],
)
def test_a_missing_key_and_a_wrong_shape_are_named_as_the_file_names_them(tmp_path, build, key):
    state = numbered(build, "resnet18")
    load = weights.load_pose_network if build is pose_network else weights.load_encoder
    path = save(tmp_path / "cut.pth", without(state, key))
    with pytest.raises(ValueError, match=f"cut.pth: .*1 missing: {key}. Nothing was loaded"):
        load(path)
    save(path, {**state, key: torch.zeros(7)})
    shape = tuple(state[key].shape)
    with pytest.raises(ValueError) as caught:
        load(path)
    assert f"{key} (expected {shape}, found (7,))" in str(caught.value)


def test_a_block_that_is_missing_is_named_with_the_nearest_architecture(tmp_path):
    state = numbered(training_network, "resnet50")
    cut = {key: value for key, value in state.items() if not key.startswith("encoder.features.6.5.")}
    path = save(tmp_path / "cut.ckpt", cut)
    for arch in (None, "resnet50"):
        with pytest.raises(
            ValueError, match="nearest is resnet50.*15 missing: encoder.features.6.5.conv1.weight"
        ):
            weights.load_encoder(path, arch)
    save(path, without(state, "encoder.features.4.0.conv3.weight"))
    with pytest.raises(ValueError, match="1 missing: encoder.features.4.0.conv3.weight"):
        weights.load_encoder(path)


def test_a_wider_network_of_the_same_blocks_is_told_by_its_shapes(tmp_path):
    path = save(tmp_path / "wide.pth", torchvision_file("wide_resnet50_2"))
    with pytest.raises(
        ValueError, match=r"layer1.0.conv1.weight \(expected \(64, 64, 1, 1\), found \(128, 64"
    ):
        weights.load_encoder(path)


def test_the_wrong_loader_is_named_with_the_right_one(tmp_path):
    path = save(tmp_path / "peclr.pth", torchvision_file())
    with pytest.raises(ValueError, match="kind 'pose', found 'encoder'.*load_encoder"):
        weights.load_pose_network(path)
    save(path, numbered(pose_network, "resnet18"))
    with pytest.raises(ValueError, match="kind 'contrastive', found 'pose'.*load_pose_network"):
        weights.load_contrastive_model(path)


def test_loading_draws_no_random_number(tmp_path):
    path = save(tmp_path / "epoch=99.ckpt", numbered(training_network, "resnet18"))
    before = torch.random.get_rng_state()
    weights.load_encoder(path)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    "value", [torch.zeros(64, dtype=torch.int64), torch.zeros(64).to_sparse(), None, 3.0]
)
def test_what_are_no_plain_numbers_of_the_right_kind_is_an_error(tmp_path, value):
    path = save(tmp_path / "odd.pth", {**torchvision_file(), "bn1.weight": value})
    with pytest.raises(ValueError, match="odd.pth: .*bn1.weight"):
        weights.load_encoder(path)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (gzip.compress(b"rn50.pth", mtime=0), r"an archive, .*tar -xzf"),
        (b"\n<!DOCTYPE html><html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "Git LFS pointer"),
    ],
)
def test_what_is_no_checkpoint_is_called_by_its_name(tmp_path, suffix, content, advice):
    path = tmp_path / f"peclr_rn50{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=advice):
        weights.load_encoder(path)


def test_a_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    torch.save({"state_dict": torchvision.models.resnet18().state_dict()}, tmp_path / "encoder.pth")
    assert weights.load_encoder("~/encoder.pth", "resnet18") is not None
