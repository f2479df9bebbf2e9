import pytest
import torch
import torchvision
from torch import nn

from peclr_utils import camera, models


def network(order: str = "freihand", seed: int = 0) -> models.PoseNetwork25D:
    torch.manual_seed(seed)
    net = models.PoseNetwork25D("resnet18", order)
    net.start_at(torch.rand(21, 3) * torch.tensor([64.0, 64.0, 2.0]), torch.ones(21, 3))
    return net


@pytest.mark.parametrize("arch", ["resnet18", "resnet50"])
def test_the_encoder_is_torchvisions_up_to_its_pooling(arch):
    torch.manual_seed(0)
    encoder = models.build_encoder(arch).eval()
    reference = getattr(torchvision.models, arch)(weights=None)
    missing, unexpected = reference.load_state_dict(encoder.state_dict(), strict=False)
    assert sorted(missing) == ["fc.bias", "fc.weight"] and not unexpected
    reference.fc = nn.Identity()
    images = torch.randn(2, 3, 64, 64)
    features = encoder(images)
    assert features.shape == (2, models.FEATURES[arch])
    torch.testing.assert_close(features, reference.eval()(images))


def test_the_projector_has_a_bias_in_its_first_layer_only():
    first, _, _, last = models.Projector(512)
    assert first.bias is not None and last.bias is None
    assert (first.out_features, last.out_features) == (512, 128)


@pytest.mark.parametrize("build", [models.build_encoder, models.PoseNetwork25D])
def test_an_unknown_architecture_is_named_with_the_known_ones(build):
    with pytest.raises(ValueError, match="resnet17.*resnet18"):
        build("resnet17")


def test_odd_projections_and_unknown_orders_are_refused():
    with pytest.raises(ValueError, match="even"):
        models.Projector(512, out=127)
    with pytest.raises(ValueError, match="palm_ait.*ait_palm"):
        models.PoseNetwork25D("resnet18", "palm_ait")


@pytest.mark.parametrize("order", ["freihand", "ait_palm"])
def test_the_3d_prediction_projects_onto_the_2d_prediction(order):
    K = torch.tensor([[90.0, 0, 30], [0, 91, 33], [0, 0, 1]])
    out = network(order).eval()(torch.randn(3, 3, 64, 64), K)
    torch.testing.assert_close(camera.project(out.keypoints_3d, K), out.keypoints_2d, atol=1e-3, rtol=0)
    torch.testing.assert_close(
        out.keypoints_3d[..., 2] - out.root_depth[:, None], out.relative_depth, atol=1e-4, rtol=0
    )


def test_the_roots_relative_depth_is_zero_whatever_the_layer_says():
    out = network().eval()(torch.randn(3, 3, 64, 64))
    assert torch.equal(out.relative_depth[:, 0], torch.zeros(3))


def test_root_depth_is_the_clamped_quadratic_plus_the_refinement():
    net = network().eval()
    K = torch.tensor([[90.0, 0, 30], [0, 91, 33], [0, 0, 1]])
    for parameter in net.root_refinement[-1].parameters():
        nn.init.zeros_(parameter)
    images = torch.randn(5, 3, 64, 64)
    out = net(images, K)
    points = torch.cat([out.keypoints_2d, out.relative_depth[..., None]], -1)
    rough = camera.root_depth(points, K).clamp(4, 50)
    torch.testing.assert_close(out.root_depth, rough)
    nn.init.constant_(net.root_refinement[-1].bias, 1.5)
    torch.testing.assert_close(net(images, K).root_depth, rough + 1.5)


def test_true_25d_labels_come_out_as_the_true_3d_hand():
    """A network that predicts the truth must lift it exactly: conventions of K, root and bone agree."""
    generator = torch.Generator().manual_seed(0)
    hand = torch.randn(1, 21, 3, generator=generator) * 0.04 + torch.tensor([0.0, 0.0, 0.6])
    hand[:, 10] = hand[:, 9] + torch.tensor([0.02, 0.02, 0.01])
    K = torch.tensor([[90.0, 0, 30], [0, 91, 33], [0, 0, 1]])
    net = network().eval()
    net.start_at(camera.to_25d(hand, K)[0], torch.zeros(21, 3))
    for parameter in net.root_refinement[-1].parameters():
        nn.init.zeros_(parameter)
    out = net(torch.randn(1, 3, 64, 64), K)
    torch.testing.assert_close(out.keypoints_3d * camera.bone_length(hand), hand, atol=1e-4, rtol=0)


def test_no_gradient_flows_through_the_quadratic():
    """The refinement sees the rough depth, but the linear layer is not trained through the square root."""
    net = network().eval()
    for parameter in net.root_refinement.parameters():
        nn.init.zeros_(parameter)
    net(torch.randn(2, 3, 64, 64)).root_depth.sum().backward()
    assert net.backbone.fc.weight.grad is None or not net.backbone.fc.weight.grad.any()


def test_training_and_evaluation_need_no_second_forward_and_leave_the_input_alone():
    net, images = network(), torch.randn(4, 3, 64, 64)
    before = images.clone()
    for mode in (True, False):
        out = net.train(mode)(images)
        assert all(field.isfinite().all() for field in out)
    assert torch.equal(images, before)
    assert "default_K" not in net.state_dict()
