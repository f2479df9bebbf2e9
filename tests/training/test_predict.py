"""Networks over whole data sets: order, batches, and the view that a network was trained on."""

import numpy as np
import pytest
import torch
from torch import nn

from peclr_utils.camera import project
from peclr_utils.evaluation import ImageEvaluation
from peclr_utils.models import PoseNetwork25D, build_encoder
from peclr_utils.training import extract_features, predict_dataset
from peclr_utils.training.device import seeded


@pytest.fixture(scope="module")
def network() -> PoseNetwork25D:
    """A network for views of 32 pixels, untrained: it does not know its sizes."""
    with seeded(0):
        network = PoseNetwork25D("resnet18")
    network.start_at(torch.full((21, 3), 10.0), torch.ones(21, 3))
    return network


def test_predictions_come_in_the_order_of_the_images_whatever_the_batch(network, crops16):
    one, other, some = (
        predict_dataset(network, crops16, image_size=32, view_factor=1.2, batch_size=size, indices=indices)
        for size, indices in ((16, None), (5, None), (16, np.array([7, 2])))
    )
    assert one.keypoints_2d.shape == (16, 21, 2) and one.K.shape == (16, 3, 3)
    assert np.allclose(one.keypoints_3d, other.keypoints_3d, atol=1e-4)
    assert np.allclose(one.keypoints_3d[[7, 2]], some.keypoints_3d, atol=1e-4)
    assert np.allclose(one.true_3d, crops16.keypoints_3d, atol=1e-6)
    # Predicted metres project onto the predicted pixels.
    assert np.allclose(project(one.keypoints_3d, one.K), one.keypoints_2d, atol=1e-2)


def test_a_network_is_evaluated_on_the_views_it_was_trained_on(network, crops16, monkeypatch):
    with pytest.raises(ValueError, match="image_size: unknown to this network's file; pass image_size="):
        predict_dataset(network, crops16)
    expected = predict_dataset(network, crops16, image_size=32, view_factor=1.5)
    for name, value in {"image_size": 32, "view_factor": 1.5}.items():
        monkeypatch.setattr(network, name, value)
    own = predict_dataset(network, crops16)
    for name in ("keypoints_3d", "keypoints_2d", "true_2d", "K"):
        assert np.array_equal(getattr(own, name), getattr(expected, name)), name


def test_features_come_in_order_whatever_the_batch(crops16):
    with seeded(0):
        encoder = build_encoder("resnet18")
    at_once, in_parts = (extract_features(encoder, crops16, 32, 1.2, batch_size=size) for size in (16, 3))
    assert at_once.shape == (16, 512) and at_once.dtype == np.float32
    assert np.allclose(at_once, in_parts, atol=1e-4)
    some = extract_features(encoder, crops16, 32, 1.2, indices=np.array([7, 2]))
    assert np.allclose(some, at_once[[7, 2]], atol=1e-4)
    assert not np.allclose(at_once[7], at_once[2], atol=1e-4)


def test_turned_views_give_the_features_of_turned_images(crops16):
    """By 90 degrees no interpolation is involved: the pixels are np.rot90's, counter-clockwise."""

    encoder = nn.Flatten()
    encoder.where = nn.Parameter(torch.zeros(()))  # a network's device is that of its weights
    still, turned = (extract_features(encoder, crops16, 32, 1.2, angle=angle) for angle in (0.0, 90.0))
    still, turned = (found.reshape(16, 3, 32, 32) for found in (still, turned))
    assert np.abs(np.rot90(still, axes=(2, 3)) - turned).max() < 0.05
    assert np.abs(still - turned).max() > 0.5


def test_hands_labelled_in_the_image_alone_are_evaluated_there(network, pack_dots):
    found = predict_dataset(network, pack_dots(6, labelled=False), image_size=32, view_factor=1.2)
    assert np.isnan(found.true_3d).all()
    score = found.evaluate()
    assert isinstance(score, ImageEvaluation) and len(score.per_hand_error) == 6
    known = predict_dataset(network, pack_dots(6), image_size=32, view_factor=1.2)
    assert np.allclose(known.true_2d, found.true_2d, atol=1e-3)
