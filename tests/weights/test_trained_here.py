"""The networks in data/weights: they load by name, are small, and do what their card says."""

import numpy as np
import pytest
import torch

from peclr_utils import weights
from peclr_utils.crops import open_crops
from peclr_utils.datasets import TURNED
from peclr_utils.evaluation import evaluate_in_image, turn_of_points
from peclr_utils.experiments.probes import TURNS
from peclr_utils.inference import predict
from peclr_utils.training import extract_features, predict_dataset
from peclr_utils.weights import load
from peclr_utils.weights.load import TRAINED_HERE


@pytest.fixture(scope="module")
def hands():
    return open_crops([f"synthetic:64?seed=9&{TURNED}"], 64, 1.2, 1.5)


ENCODERS = ("peclr", "simclr")


@pytest.mark.parametrize("name", ENCODERS)
def test_a_network_loads_by_its_name_and_is_small(repository, name):
    file = repository / "data" / "weights" / TRAINED_HERE[name]
    assert file.stat().st_size < 24e6
    encoder, model = weights.load_encoder(name), weights.load_contrastive_model(name)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(encoder(images), model.encoder(images))
    assert model(images).shape == (2, 128) and model(images).dtype == torch.float32


def test_peclrs_points_turn_with_the_image_and_simclrs_do_not(hands):
    slopes = {}
    for name in ENCODERS:
        model = weights.load_contrastive_model(name)
        still = extract_features(model, hands, 64, 1.2)
        moved = [extract_features(model, hands, 64, 1.2, angle=angle) for angle in TURNS]
        slopes[name] = turn_of_points(still, np.stack(moved), TURNS).slope
    assert slopes["peclr"] > 0.9 and abs(slopes["simclr"]) < 0.1


def test_the_pose_network_is_small_and_knows_rendered_hands_at_any_angle(repository, hands):
    assert (repository / "data" / "weights" / TRAINED_HERE["hand"]).stat().st_size < 24e6
    network = weights.load_pose_network()
    assert network.knows_presence and network.any_angle
    found = predict_dataset(network, hands)
    score = evaluate_in_image(found.keypoints_2d, found.true_2d)
    assert score.error < 0.12 and score.pck > 0.85
    samples = [hands[number] for number in range(8)]
    right, left = (predict(network, samples, is_left=side) for side in (False, True))
    assert np.mean([hand.presence for hand in right]) > np.mean([hand.presence for hand in left])


def test_outside_a_clone_a_name_says_where_the_file_is(monkeypatch, tmp_path):
    monkeypatch.setattr(
        load, "__file__", str(tmp_path / "site-packages" / "peclr_utils" / "weights" / "load.py")
    )
    with pytest.raises(FileNotFoundError, match=r"'peclr' stands for .*data/weights.*A clone .* has it"):
        weights.load_encoder("peclr")
