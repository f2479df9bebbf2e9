"""Encoders of other projects, whatever they call their tensors: taken where exactly one fits."""

import argparse

import pytest
import torch
import torchvision
from torch import nn

from peclr_utils import weights

HEAD = torch.ones(3)
DINO = {
    "student": {"module.backbone": "a", "module.head.mlp.0.weight": HEAD},
    "teacher": {"backbone": "b"},
    "optimizer": {"state": {0: {"exp_avg": HEAD}}, "param_groups": [{"lr": 0.1}]},
    "args": argparse.Namespace(lr=0.1),
}
MOCO = {"module.encoder_q": "a", "module.encoder_k": "b", "module.encoder_q.fc.0.bias": HEAD}

# What each project writes: "a" and "b" are the tensors of two ResNets, "a's parts" those of a Sequential of
# its children. Then the prefixes of the encoders, and what is ignored with the first of them.
FILES = {
    "solo-learn": ({"state_dict": {"backbone": "a", "projector.0.weight": HEAD}}, "backbone.", "projector"),
    "lightly": ({"state_dict": {"backbone": "a's parts", "head.layers.0.bias": HEAD}}, "backbone.", "head"),
    "mmpretrain": ({"meta": {}, "state_dict": {"backbone": "a", "head.fc.bias": HEAD}}, "backbone.", "head"),
    "model_state_dict": ({"model_state_dict": {"model": "a"}}, "model_state_dict.model.", "nothing"),
    "MoCo": ({"epoch": 3, "state_dict": MOCO}, "encoder_q. encoder_k.", "encoder_k, encoder_q.fc"),
    "DINO": (DINO, "student.backbone. teacher.backbone.", "student.head, teacher.backbone"),
}


@pytest.fixture(scope="module")
def resnets():
    """Two ResNets in which no tensor can be taken for another, and the first as a Sequential."""
    torch.manual_seed(0)
    resnets = {name: torchvision.models.resnet18().eval() for name in "ab"}
    for resnet in resnets.values():
        resnet.fc = nn.Identity()
        for value in resnet.state_dict().values():
            value.copy_(torch.rand(()))
    return resnets | {"a's parts": nn.Sequential(*list(resnets["a"].children())[:-1])}


def fill(tree, resnets):
    """Put tensors where a file's description names a network."""
    filled = {}
    for key, value in tree.items():
        if isinstance(value, str):
            for name, tensor in resnets[value].state_dict().items():  # all its numbers are equal: a tiny file
                filled[f"{key}.{name}"] = tensor.flatten()[:1].clone().squeeze().expand(tensor.shape)
        else:
            filled[key] = fill(value, resnets) if isinstance(value, dict) else value
    return filled


def same(encoder, resnet):
    """Whether each tensor is in its place, and images have the same features."""
    own, expected, images = encoder.state_dict(), resnet.state_dict(), torch.randn(2, 3, 32, 32)
    assert own.keys() == expected.keys() and all(torch.equal(own[key], expected[key]) for key in own)
    return torch.allclose(encoder(images), resnet(images), atol=1e-4)  # small maps add up in another order


@pytest.mark.parametrize("project", FILES)
def test_one_encoder_is_taken_and_the_rest_named_but_of_several_one_must_be_chosen(
    tmp_path, caplog, resnets, project
):
    tree, prefixes, ignored = FILES[project]
    (first, *others), path = prefixes.split(), tmp_path / "other.pth"
    torch.save(fill(tree, resnets), path)
    for other in others:
        found = f"below '{first}', '{other}'"
        with pytest.raises(ValueError, match=rf"other.pth: .* several, {found}.*prefix=.*save_encoder\("):
            weights.load_encoder(path)
        assert same(weights.load_encoder(path, prefix=other), resnets["b"])
    encoder = weights.load_encoder(path, "resnet18", prefix=first.rstrip(".") if others else None)
    assert same(encoder, resnets["a"])
    assert caplog.messages[-1] == f"{path}: took the encoder below {first!r}, ignored {ignored}."
    with pytest.raises(ValueError, match=f"expected a ResNet below the prefix 'net.', found '{first}'"):
        weights.load_encoder(path, prefix="net")


def test_an_encoder_below_a_prefix_must_fit_whole_even_in_a_file_nested_in_itself(tmp_path, resnets):
    path, state = tmp_path / "other.pth", fill({"net": "a"}, resnets)
    del state["net.layer4.1.bn2.weight"]
    state |= {"net.layer5.weight": HEAD, "net.bn1.bias": HEAD, "itself": state}
    torch.save(state, path)
    with pytest.raises(ValueError, match=r"1 missing: net.layer4.*1 unknown: net.layer5.*net.bn1.bias \(exp"):
        weights.load_encoder(path)


@pytest.mark.parametrize("tree", [{"module": "a", "module.prototypes.weight": HEAD}, {"module": "a's parts"}])
def test_a_resnet_at_the_top_is_taken_from_what_lies_beside_it(tmp_path, resnets, tree):
    torch.save({"state_dict": fill(tree, resnets)}, tmp_path / "other.pth")
    assert same(weights.load_encoder(tmp_path / "other.pth"), resnets["a"])
