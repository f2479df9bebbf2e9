"""The networks in data/weights: they load by name, are small, and do what their card says."""

import numpy as np
import pytest
import torch

from peclr_utils import weights
from peclr_utils.crops import open_crops
from peclr_utils.datasets import TURNED
from peclr_utils.evaluation import turn_of_points
from peclr_utils.experiments.probes import TURNS
from peclr_utils.training import extract_features
from peclr_utils.weights import load
from peclr_utils.weights.load import TRAINED_HERE


@pytest.fixture(scope="module")
def hands():
    return open_crops([f"synthetic:64?seed=9&{TURNED}"], 64, 1.2, 1.5)


@pytest.mark.parametrize("name", TRAINED_HERE)
def test_a_network_loads_by_its_name_and_is_small(repository, name):
    file = repository / "data" / "weights" / TRAINED_HERE[name]
    assert file.stat().st_size < 24e6
    encoder, model = weights.load_encoder(name), weights.load_contrastive_model(name)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(encoder(images), model.encoder(images))
    assert model(images).shape == (2, 128) and model(images).dtype == torch.float32


def test_peclrs_points_turn_with_the_image_and_simclrs_do_not(hands):
    slopes = {}
    for name in TRAINED_HERE:
        model = weights.load_contrastive_model(name)
        still = extract_features(model, hands, 64, 1.2)
        moved = [extract_features(model, hands, 64, 1.2, angle=angle) for angle in TURNS]
        slopes[name] = turn_of_points(still, np.stack(moved), TURNS).slope
    assert slopes["peclr"] > 0.9 and abs(slopes["simclr"]) < 0.1


def test_outside_a_clone_a_name_says_where_the_file_is(monkeypatch, tmp_path):
    monkeypatch.setattr(
        load, "__file__", str(tmp_path / "site-packages" / "peclr_utils" / "weights" / "load.py")
    )
    with pytest.raises(FileNotFoundError, match=r"'peclr' stands for .*data/weights.*A clone .* has it"):
        weights.load_encoder("peclr")
