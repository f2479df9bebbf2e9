"""Pose networks as ONNX, exported programs and traces compute what PyTorch does, for any batch size."""

import shutil
import sys
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from peclr_utils import weights
from peclr_utils.models import PoseNetwork25D, PoseOutput
from peclr_utils.weights import onnx


@pytest.fixture
def network(request):
    """Predicts hands of a usual size and distance, with a refinement that matters."""
    torch.manual_seed(0)
    network = PoseNetwork25D(request.param, "ait_palm")
    pixels_and_depth = torch.tensor([64, 64, 1])
    network.start_at(torch.rand(21, 3) * pixels_and_depth, pixels_and_depth.repeat(21, 1) / 10)
    for layer in (network.backbone.bn1, network.root_refinement[1], network.root_refinement[4]):
        nn.init.uniform_(layer.running_var, 0.8, 1.2)
    network.image_size, network.view_factor = 64, 1.5
    network.eval().backbone.fc.weight.data /= network.backbone(torch.randn(2, 3, 64, 64)).detach().std()
    return network


def check(compute, network):
    """Compare a function with a network, for images and the K, which isn't triangular, of turned crops."""
    angle, turn = torch.linspace(-3, 3, 7), torch.eye(3).repeat(7, 1, 1)
    turn[:, 0, 0], turn[:, 0, 1] = angle.cos(), -angle.sin()
    turn[:, 1, 0], turn[:, 1, 1] = angle.sin(), angle.cos()
    turn[:, :2] *= torch.linspace(0.8, 1.6, 7)[:, None, None]
    images, K = torch.randn(7, 3, 64, 64), turn @ torch.tensor([[90.0, 0.3, 30], [0, 91, 33], [0, 0, 1]])
    for count in (1, 7):
        with torch.no_grad():
            found, expected = compute(images[:count], K[:count]), network(images[:count], K[:count])
        for name, ours, theirs in zip(PoseOutput._fields, expected, found, strict=True):
            assert np.abs(ours.numpy() - np.asarray(theirs)).max() < 1e-4 * ours.abs().max(), name
    assert expected.root_depth.std() > 0.1  # neither all 4 nor all 50


def one_line(arguments, capfd):
    """What the command says when it refuses."""
    with pytest.raises(SystemExit, match="2"):
        onnx.main(arguments)
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    return said


@pytest.mark.parametrize("network", ["resnet18", "resnet50"], indirect=True)
def test_the_command_writes_one_file_that_computes_the_same_or_none(tmp_path, network, monkeypatch, capfd):
    saved, path = weights.save_checkpoint(tmp_path / "network.pt", network), tmp_path / "new" / "network.onnx"
    onnx.main([str(saved), "--output", str(path)])
    printed = capfd.readouterr()
    assert printed.out.startswith(f"wrote {path}: ") and printed.out.count("\n") == 1 and not printed.err
    assert list(path.parent.iterdir()) == [path]
    session = onnxruntime.InferenceSession(path)
    assert [each.shape for each in session.get_inputs()] == [["batch", 3, 64, 64], ["batch", 3, 3]]
    assert tuple(each.name for each in session.get_outputs()) == PoseOutput._fields
    labels = {"arch": network.arch, "keypoint_order": "ait_palm", "image_size": "64", "view_factor": "1.5"}
    assert session.get_modelmeta().custom_metadata_map == labels
    check(lambda image, K: session.run(None, {"image": image.numpy(), "K": K.numpy()}), network)

    nn.init.constant_(network.root_refinement[-1].bias, float("nan"))
    weights.save_checkpoint(saved, network)
    other = SimpleNamespace(metadata_props={})  # the exporter writes something else than the network
    program = SimpleNamespace(model=other, save=lambda to, **_: shutil.copy(path, to))
    monkeypatch.setattr(torch.onnx, "export", lambda *_, **__: program)
    refused = one_line([str(saved), "--output", str(tmp_path / "a.onnx")], capfd)
    assert "a.onnx: not written, because ONNX Runtime differs from PyTorch by nan" in refused
    assert not (tmp_path / "a.onnx").exists()


@pytest.mark.parametrize("network", ["resnet18"], indirect=True)
@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning", "ignore::torch.jit.TracerWarning")
def test_exported_programs_and_traces_take_any_batch_size(network):
    free, two = {0: torch.export.Dim("batch")}, (torch.randn(2, 3, 64, 64), torch.eye(3).repeat(2, 1, 1))
    check(torch.export.export(network, two, dynamic_shapes=(free, free)).module(), network)
    check(torch.jit.trace(network, two), network)


def test_a_wrong_name_and_a_missing_package_are_one_line(tmp_path, monkeypatch, capfd):
    saved = weights.save_checkpoint(tmp_path / "network.pt", PoseNetwork25D("resnet18"))
    said = one_line([str(saved), "--output", str(saved)], capfd)
    assert "network.pt: expected a name that ends in .onnx" in said
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    said = one_line([str(saved), "--output", str(tmp_path / "a.onnx")], capfd)
    assert "onnx: ONNX needs more packages: pip install onnxruntime" in said
    assert list(tmp_path.iterdir()) == [saved]
