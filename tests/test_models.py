import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from peclr_utils import camera, models

K = torch.tensor([[90.0, 0, 30], [0, 91, 33], [0, 0, 1]])
DEFAULT_FX, DEFAULT_FY, DEFAULT_CENTRE = 388.9018310596544, 388.71231836584275, 112.0
DEFAULT_K = np.array([[DEFAULT_FX, 0, DEFAULT_CENTRE], [0, DEFAULT_FY, DEFAULT_CENTRE], [0, 0, 1]])


def network(order: str = "freihand", seed: int = 0) -> models.PoseNetwork25D:
    torch.manual_seed(seed)
    net = models.PoseNetwork25D("resnet18", order)
    net.start_at(torch.rand(21, 3) * torch.tensor([64.0, 64.0, 2.0]), torch.ones(21, 3))
    return net


@pytest.mark.parametrize("arch", ["resnet18", "resnet50"])
def test_the_encoder_is_torchvisions_up_to_its_pooling(arch):
    torch.manual_seed(0)
    encoder = models.build_encoder(arch).double().eval()
    reference = getattr(torchvision.models, arch)(weights=None).double()
    missing, unexpected = reference.load_state_dict(encoder.state_dict(), strict=False)
    assert sorted(missing) == ["fc.bias", "fc.weight"] and not unexpected
    reference.fc = nn.Identity()
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    features = encoder(images)
    assert features.shape == (2, models.FEATURES[arch])
    torch.testing.assert_close(features, reference.eval()(images))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 4), (4, 4), (1, 4), (5, 5)])
def test_a_small_maps_convolution_is_torchs_and_so_are_its_gradients(size, stride):
    torch.manual_seed(0)
    ours = models.SmallMapConv2d(5, 7, 3, stride, padding=1, bias=False).double()
    theirs = nn.Conv2d(5, 7, 3, stride, padding=1, bias=False).double()
    theirs.load_state_dict(ours.state_dict())
    images = torch.randn(3, 5, *size, dtype=torch.float64)
    results = []
    for layer in (ours, theirs):
        x = images.clone().requires_grad_()
        y = layer(x)
        y.pow(3).sum().backward()
        results.append((y.detach(), x.grad, layer.weight.grad))
    torch.testing.assert_close(*results)


def test_true_25d_labels_come_out_as_the_true_3d_hand():
    """A network that predicts the truth must lift it exactly: conventions of K, root and bone agree."""
    generator = torch.Generator().manual_seed(0)
    hand = torch.randn(1, 21, 3, generator=generator) * 0.04 + torch.tensor([0.0, 0.0, 0.6])
    hand[:, 10] = hand[:, 9] + torch.tensor([0.02, 0.02, 0.01])
    net = network().eval()
    net.start_at(camera.to_25d(hand, K)[0], torch.zeros(21, 3))
    nn.init.zeros_(net.root_refinement[-1].weight)
    nn.init.zeros_(net.root_refinement[-1].bias)
    out = net(torch.randn(1, 3, 64, 64), K)
    torch.testing.assert_close(out.keypoints_3d * camera.bone_length(hand), hand, atol=1e-4, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_network_in_half_precision_predicts_about_the_same_in_float32(dtype):
    net, images = network().eval(), torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        whole = net(images)
        half = net.to(dtype)(images.to(dtype))
    assert all(field.dtype == torch.float32 for field in half)
    # Pixels and bone lengths with three digits, or two.
    torch.testing.assert_close(half.keypoints_2d, whole.keypoints_2d, atol=1.0, rtol=0)
    torch.testing.assert_close(half.root_depth, whole.root_depth, atol=0.5, rtol=0)


def lifted(out, K, bone, mlp):
    """What follows the last layer: its 64 outputs and K to uv, depth, root, 3D; `mlp` gives one number."""
    uv = np.array([[out[3 * k], out[3 * k + 1]] for k in range(21)])
    depth = np.array([0.0] + [out[3 * k + 2] for k in range(1, 21)])
    x = (uv[:, 0] - K[0, 2] - K[0, 1] * (uv[:, 1] - K[1, 2]) / K[1, 1]) / K[0, 0]
    y = (uv[:, 1] - K[1, 2]) / K[1, 1]
    m, n = bone
    # |(Z + z_n) ray_n - (Z + z_m) ray_m| = 1, as a quadratic in Z: p + Z q is the bone.
    p = np.array([x[n] * depth[n] - x[m] * depth[m], y[n] * depth[n] - y[m] * depth[m], depth[n] - depth[m]])
    q = np.array([x[n] - x[m], y[n] - y[m], 0.0])
    a, b, c = q @ q, 2 * p @ q, p @ p - 1
    discriminant = b * b - 4 * a * c
    rough = (-b + np.sqrt(max(discriminant, 1e-8))) / (2 * max(a, 1e-8))
    rough = min(max(rough, 4.0), 50.0)
    interleaved = [value for k in range(21) for value in (x[k], y[k])]
    root = rough + mlp(np.array([*depth, *interleaved, rough]))
    return uv, depth, root, np.stack([x, y, np.ones(21)], 1) * (depth + root)[:, None], out[63]


def mlp_in_numpy(layers, inputs, training):
    """Linear, batch norm, leaky ReLU (0.01), twice, and a last Linear, on (B, 64)."""
    parameters = {name: value.detach().numpy() for name, value in layers.state_dict().items()}

    def norm(values, layer):
        mean, variance = parameters[f"{layer}.running_mean"], parameters[f"{layer}.running_var"]
        if training:
            mean, variance = values.mean(0), values.var(0)
        scaled = (values - mean) / np.sqrt(variance + 1e-5)
        return scaled * parameters[f"{layer}.weight"] + parameters[f"{layer}.bias"]

    values = inputs
    for linear, batch_norm in ((0, 1), (3, 4)):
        values = norm(values @ parameters[f"{linear}.weight"].T + parameters[f"{linear}.bias"], batch_norm)
        values = np.where(values > 0, values, 0.01 * values)
    return (values @ parameters["6.weight"].T + parameters["6.bias"])[:, 0]


def published_like(arch, seed=0):
    """A network as the published files make one: scale 1, offset 0, its last layer in pixels; in float64."""
    torch.manual_seed(seed)
    net = models.PoseNetwork25D(arch, "ait_palm")
    with torch.no_grad():
        net.backbone.fc.weight.mul_(20 if arch == "resnet18" else 5)
        hand = torch.rand(21, 3) * torch.tensor([40.0, 40.0, 1.0]) + torch.tensor([90.0, 90.0, -0.5])
        net.backbone.fc.bias[:63] = hand.flatten()
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(layer.running_mean, -0.1, 0.1)
            nn.init.uniform_(layer.running_var, 0.8, 1.2)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.uniform_(layer.bias, -0.2, 0.2)
    return net.double()


def expected_output(net, images, K):
    """The whole forward pass: torchvision's ResNet, then NumPy."""
    with torch.device("meta"):  # a ResNet-152's random numbers take seconds to draw
        resnet = getattr(torchvision.models, net.arch)(weights=None)
        resnet.fc = nn.Linear(resnet.fc.in_features, 64)
    own = {key: value.clone() for key, value in net.backbone.state_dict().items()}
    resnet.load_state_dict(own, assign=True)
    out = resnet.train(net.training)(images).detach().numpy()
    seen = []
    for row, matrix in zip(out, K, strict=True):  # a first pass to collect what the MLP sees
        lifted(row, matrix, (3, 8), lambda inputs: seen.append(inputs) or 0.0)
    refined = iter(mlp_in_numpy(net.root_refinement, np.stack(seen), net.training))
    rows = [lifted(row, matrix, (3, 8), lambda _: next(refined)) for row, matrix in zip(out, K, strict=True)]
    return [np.stack(parts) for parts in zip(*rows, strict=True)]


@pytest.fixture(scope="module", params=["resnet18", "resnet50", "resnet152"])
def published(request):
    """One network of each size, at full width; its running statistics may change."""
    return published_like(request.param)


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_the_forward_pass_is_the_published_networks(published, training):
    images = torch.randn(4, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    K = np.array([[[180.0 + i, 0.3, 101], [0, 190 - i, 118], [0, 0, 1]] for i in range(4)])
    with torch.no_grad():
        expected = expected_output(published.train(training), images, K)
        output = published(images, torch.as_tensor(K))
    for found, value in zip(output, expected, strict=True):
        assert found.dtype == torch.float64
        np.testing.assert_allclose(found.detach().numpy(), value, rtol=1e-9, atol=1e-9)
    assert np.ptp(expected[2]) > 0.1  # the roots differ: neither all 4 nor all 50


def test_without_intrinsics_the_published_ones_are_taken_whatever_the_size():
    net = published_like("resnet18").eval()
    for side in (32, 96):
        images = torch.randn(1, 3, side, side, dtype=torch.float64)
        expected = expected_output(net, images, DEFAULT_K[None])
        for found, value in zip(net(images), expected, strict=True):
            # The network keeps its own copy of K in float32.
            np.testing.assert_allclose(found.detach().numpy(), value, rtol=1e-5)


def test_single_precision_agrees_to_five_digits():
    net = published_like("resnet18").eval()
    images = torch.randn(3, 3, 64, 64)
    K = np.broadcast_to(np.array([[180.0, 0, 101], [0, 190, 118], [0, 0, 1]]), (3, 3, 3))
    expected = expected_output(net, images.double(), K)
    output = net.float()(images, torch.as_tensor(K.copy()))
    assert all(field.dtype == torch.float32 for field in output)
    for found, value in zip(output, expected, strict=True):
        # By the scale of the whole: a small number is the difference of two large ones.
        np.testing.assert_allclose(found.detach().numpy(), value, rtol=0, atol=2e-5 * np.abs(value).max())


class Fixed(nn.Module):
    """Stands in for the ResNet: gives the same 64 numbers for every image."""

    def __init__(self, out):
        super().__init__()
        self.out = nn.Parameter(torch.as_tensor(out, dtype=torch.float64))

    def forward(self, images):
        return self.out.expand(len(images), -1)


def with_outputs(points, seed=0):
    """A network whose last layer says exactly this."""
    net = published_like("resnet18", seed)
    net.backbone = Fixed(np.append(np.asarray(points, np.float64).ravel(), -7.0))
    return net.eval()


EDGES = {
    "both ends on one ray: a is zero": ([110.0, 112, 0.2], [110.0, 112, 0.9]),
    "nearly on one ray: a below 1e-8": ([110.0, 112, 0.2], [110.01, 112, 0.9]),
    "further apart in depth than one bone: no real root": ([100.0, 112, -0.8], [101.0, 112, 0.8]),
    "far away: above 50": ([110.0, 112, 0.0], [110.5, 112, 0.0]),
    "near: below 4": ([60.0, 112, 0.0], [180.0, 112, 0.0]),
    "in between": ([100.0, 112, 0.1], [125.0, 115, -0.1]),
}


@pytest.mark.parametrize("case", EDGES)
def test_degenerate_reference_bones_are_treated_alike(case):
    points = np.random.default_rng(3).uniform([90, 90, -0.5], [130, 130, 0.5], (21, 3))
    points[3], points[8] = EDGES[case]
    net = with_outputs(points)
    out = net.backbone.out.detach().numpy()
    expected = lifted(out, DEFAULT_K, (3, 8), lambda x: mlp_in_numpy(net.root_refinement, x[None], False)[0])
    output = net(torch.zeros(1, 3, 8, 8), torch.as_tensor(DEFAULT_K))
    for found, value in zip(output, expected, strict=True):
        np.testing.assert_allclose(found[0].detach().numpy(), value, rtol=1e-7, atol=1e-7)


def test_the_discriminant_is_taken_before_a_is_kept_from_zero():
    """a = 1e-9, b = 0, c = -1: the discriminant 4e-9 is kept above 1e-8. From the a kept above 1e-8 it would
    be 4e-8, and the root twice as large."""
    points = np.full((21, 3), [112.0, 112, 0.0])
    points[8] = [112.0 + DEFAULT_FX * 1e-9**0.5, 112, 0.0]
    root = camera.root_depth(points, DEFAULT_K, (3, 8))
    np.testing.assert_allclose(root, 1e-8**0.5 / 2e-8)


def test_gradients_reach_pixels_depths_and_refinement_but_not_through_the_quadratic():
    points = np.random.default_rng(4).uniform([60, 60, -0.5], [160, 160, 0.5], (21, 3))
    points[3], points[8] = [100.0, 112, 0.1], [125.0, 115, -0.1]
    net = with_outputs(points)
    weights = torch.randn(21, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    (net(torch.zeros(1, 3, 8, 8), torch.as_tensor(DEFAULT_K)).keypoints_3d[0] * weights).sum().backward()
    found = net.backbone.out.grad.numpy()

    start = net.backbone.out.detach().numpy()
    kept = []
    lifted(start, DEFAULT_K, (3, 8), lambda inputs: kept.append(inputs[63]) or 0.0)

    def value(out):
        """The loss with the rough depth held where it is, as detaching does."""

        def refined(inputs):
            fixed = np.append(inputs[:63], kept[0])
            return kept[0] - inputs[63] + mlp_in_numpy(net.root_refinement, fixed[None], False)[0]

        return (lifted(out, DEFAULT_K, (3, 8), refined)[3] * weights.numpy()).sum()

    steps = np.eye(64) * 1e-5
    numeric = np.array([(value(start + step) - value(start - step)) / 2e-5 for step in steps])
    np.testing.assert_allclose(found, numeric, rtol=1e-5, atol=1e-6)
    assert found[2] == 0 and found[63] == 0  # the root's own depth and the unused output
    assert net.root_refinement[0].weight.grad.abs().max() > 0
