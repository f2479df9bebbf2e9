"""Probing frozen networks: that the wrist is given, and that a network known to turn is seen to turn."""

import numpy as np
import pytest
import torch
from torch import nn

from peclr_utils.crops import open_crops
from peclr_utils.experiments.probes import initial_model, measure_turn, probe_encoder
from peclr_utils.models import build_encoder
from peclr_utils.training import PretrainConfig
from peclr_utils.weights import save_checkpoint

LABELLED, TEST = "synthetic:16?seed=2&size=96", "synthetic:8?seed=3&size=96"


@pytest.fixture(scope="module")
def hands():
    return [open_crops([name], 32, 1.2, 2.2, "", False) for name in (LABELLED, TEST)]


def test_the_wrist_is_given_and_the_other_keypoints_are_not(hands):
    found = probe_encoder(build_encoder("resnet18"), *hands, 32, 1.2)
    assert found.per_joint_epe_mm[0] == pytest.approx(0, abs=1e-3)
    assert (found.per_joint_epe_mm[1:] > 1).all()


class Moments(nn.Module):
    """An equivariant network by construction: where the red, green and blue in an image lie."""

    def __init__(self):
        super().__init__()
        self.where = nn.Parameter(torch.zeros(()))  # a network's device is that of its weights

    def forward(self, images):
        axis = torch.linspace(-1, 1, images.shape[-1])
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        weight = (images + 3) * (x**2 + y**2 < 1)  # what stays in the image when it turns
        centre = torch.stack([(weight * axis).mean((2, 3)) for axis in (x, y)], dim=-1)  # (B, 3, 2)
        return torch.cat([centre, torch.zeros_like(centre)], dim=1).flatten(1)


def test_a_network_that_turns_has_slope_one_and_one_that_does_not_has_slope_zero(hands):
    turning = measure_turn(Moments(), *hands, 32, 1.2, precision="fp32")
    assert turning["slope"] == pytest.approx(1, abs=0.05) and 0.8 < turning["low"] < turning["high"] < 1.2

    class Fixed(Moments):
        def forward(self, images):
            return torch.ones(len(images), 1) * torch.arange(12.0) ** 2

    still = measure_turn(Fixed(), *hands, 32, 1.2, precision="fp32")
    assert still["slope"] == pytest.approx(0, abs=1e-6)
    assert still["centre_px"] == turning["centre_px"] > 1


def test_a_model_comes_from_its_file_or_from_its_seed(tmp_path):
    config = PretrainConfig(sources=("synthetic:8",), seed=3)
    one, other = (initial_model("", config.replace(seed=seed)) for seed in (3, 4))
    again = initial_model(str(save_checkpoint(tmp_path / "a.pt", one)), config)
    images = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 3, 32, 32))).float()
    expected = one.eval()(images)
    assert torch.equal(again(images), expected)
    assert not torch.allclose(other.eval()(images), expected)
