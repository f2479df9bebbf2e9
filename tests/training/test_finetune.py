"""The fine-tuning loop: it learns, accumulates exactly, resumes, and evaluates."""

import numpy as np
import pytest
import torch

from peclr_utils import weights
from peclr_utils.crops import pack
from peclr_utils.evaluation import evaluate_keypoints, mean_pose
from peclr_utils.models import PoseNetwork25D, build_encoder
from peclr_utils.training import FinetuneConfig, extract_features, finetune, predict_dataset
from peclr_utils.training.engine import choose_machine, seeded
from peclr_utils.training.finetune import main, network_loss, train_mode
from peclr_utils.training.labelled import labelled_on_device, plain_labels

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = FinetuneConfig(
    steps=6, warmup_steps=1, batch_size=8, image_size=32, log_every=1, progress=False, tensorboard=False,
    precision="fp32", device="cpu",
)  # fmt: skip


@pytest.fixture
def crops(dot_hands, tmp_path):
    return pack(dot_hands(16), tmp_path / "crops", 64, 2.4, progress=False)


def _same_weights(one, other) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_it_learns_a_few_hands_by_heart_and_beats_their_mean(crops):
    still = {"rotation": 0.0, "shift": 0.0, "scale": (1.0, 1.0)}
    config = TINY.replace(steps=40, batch_size=16, warmup_steps=4, augmentation=still)
    result = finetune(config, crops, crops)
    assert result.losses[-1] < 0.5 * result.losses[0]
    truth = plain_labels(crops, np.arange(16), 32, 1.2)
    mean = evaluate_keypoints(
        mean_pose(truth["keypoints_3d"], 16), truth["keypoints_3d"],
        pred_2d=mean_pose(truth["keypoints_2d"], 16), gt_2d=truth["keypoints_2d"],
    )  # fmt: skip
    assert result.evaluation.epe_2d < 0.9 * mean.epe_2d


def test_training_starts_at_the_mean_pose(crops):
    result = finetune(TINY.replace(steps=2, learning_rate=1e-9, encoder_learning_rate=1e-9), crops, crops)
    mean = plain_labels(crops, np.arange(16), 32, 1.2)["keypoints_2d"].mean(axis=0)
    found = predict_dataset(result.model, crops, 32).keypoints_2d.mean(axis=0)
    assert np.abs(found - mean).mean() < 4  # of 32 pixels; the linear layer starts small but not at zero


def test_a_resumed_run_has_the_weights_of_one_that_was_never_stopped(crops, tmp_path):
    straight = finetune(TINY, crops)
    config = TINY.replace(output=str(tmp_path))
    assert not finetune(config.replace(max_steps=3), crops).finished
    rest = finetune(config, crops)
    assert rest.finished and _same_weights(rest.model, straight.model)
    assert rest.losses == straight.losses
    assert _same_weights(weights.load_pose_network(rest.checkpoint), straight.model)


@pytest.mark.parametrize("parts", [2, 4])
def test_accumulated_gradients_equal_the_whole_batchs_with_frozen_batch_norm(crops, parts):
    from peclr_utils.training.finetune import weak_augmentation
    from peclr_utils.training.labelled import PoseBatches

    config = TINY.replace(freeze_batch_norm=True)
    machine = choose_machine(config)
    with seeded(0):
        network = PoseNetwork25D("resnet18").double()
    train_mode(network, config)
    network.root_refinement.eval()  # its batch norms too
    batches = PoseBatches(crops, np.arange(16), weak_augmentation(config), 8, 32, 1.2)
    whole = labelled_on_device(batches[0], machine, 32)

    def gradients(pieces):
        network.zero_grad()
        for piece in pieces:
            output = network.backbone(piece.image.double())
            loss = network_loss(network._lift(output, piece.K.double()), piece, config)["total"]
            (loss / len(pieces)).backward()
        return torch.cat([p.grad.flatten() for p in network.parameters()])

    pieces = [type(whole)(*chunk) for chunk in zip(*(field.chunk(parts) for field in whole), strict=True)]
    expected, found = gradients([whole]), gradients(pieces)
    assert torch.allclose(expected, found, rtol=0, atol=1e-9 * expected.abs().max().item() + 1e-12)


def test_a_frozen_encoder_keeps_every_weight_and_statistic(crops, tmp_path):
    with seeded(3):
        encoder = build_encoder("resnet18")
    path = weights.save_checkpoint(tmp_path / "encoder.pt", encoder)
    result = finetune(TINY.replace(encoder=str(path), freeze_encoder=True), crops)
    trained = result.model.backbone.state_dict()
    for name, value in encoder.state_dict().items():
        assert torch.equal(trained[name], value), name
    assert len(result.losses) == 6


def test_an_encoder_is_where_training_starts(crops, tmp_path):
    with seeded(3):
        encoder = build_encoder("resnet18")
    path = weights.save_checkpoint(tmp_path / "encoder.pt", encoder)
    start = TINY.replace(steps=2, learning_rate=1e-12, encoder_learning_rate=1e-12, encoder=str(path))
    result = finetune(start, crops)
    assert torch.allclose(result.model.backbone.layer1[0].conv1.weight, encoder.layer1[0].conv1.weight)


def test_an_encoder_of_another_architecture_is_refused(crops, tmp_path):
    path = weights.save_checkpoint(tmp_path / "encoder.pt", build_encoder("resnet34"))
    with pytest.raises(ValueError, match="expected a resnet18, found a resnet34"):
        finetune(TINY.replace(encoder=str(path)), crops)


def test_fewer_labels_are_fewer_pictures(dot_hands, tmp_path, capsys):
    crops = pack(dot_hands(16, versions=2), tmp_path / "crops", 64, 2.4, progress=False)
    finetune(TINY.replace(labels=4, max_steps=1, progress=True), crops)
    assert "on 8 labelled pictures" in capsys.readouterr().out


def test_predictions_come_in_the_order_of_the_pictures_whatever_the_batch(crops):
    with seeded(0):
        network = PoseNetwork25D("resnet18").eval()
    network.start_at(torch.full((21, 3), 10.0), torch.ones(21, 3))
    one, other = (predict_dataset(network, crops, 32, batch_size=size) for size in (16, 5))
    assert np.allclose(one.keypoints_3d, other.keypoints_3d, atol=1e-4)
    assert np.allclose(one.true_3d, crops.keypoints_3d, atol=1e-6)
    assert one.keypoints_2d.shape == (16, 21, 2) and one.K.shape == (16, 3, 3)


def test_predicted_metres_project_onto_the_predicted_pixels(crops):
    from peclr_utils.camera import project

    with seeded(0):
        network = PoseNetwork25D("resnet18")
    network.start_at(torch.full((21, 3), 10.0), torch.ones(21, 3))
    found = predict_dataset(network, crops, 32)
    assert np.allclose(project(found.keypoints_3d, found.K), found.keypoints_2d, atol=1e-2)


def test_features_come_in_order_and_without_gradient(crops):
    with seeded(0):
        encoder = build_encoder("resnet18")
    all_at_once, in_parts = (extract_features(encoder, crops, 32, batch_size=size) for size in (16, 3))
    assert all_at_once.shape == (16, 512) and all_at_once.dtype == np.float32
    assert np.allclose(all_at_once, in_parts, atol=1e-4)
    some = extract_features(encoder, crops, 32, indices=np.array([7, 2]))
    assert np.allclose(some, all_at_once[[7, 2]], atol=1e-4)


def test_labels_are_required(dot_hands, tmp_path):
    bare = pack(dot_hands(16, labelled=False), tmp_path / "bare", 64, 2.4, progress=False)
    with pytest.raises(ValueError, match="lack 3D keypoints"):
        finetune(TINY, bare)


def test_no_data_is_a_clear_error():
    with pytest.raises(ValueError, match="sources: expected at least one"):
        finetune(TINY)


def test_the_command_runs_from_rendered_hands_to_an_evaluation(tmp_path, capsys):
    sources = ["--sources", "synthetic:16?seed=1&size=96", "--test_sources", "synthetic:8?seed=2&size=96"]
    options = ["--steps", "2", "--warmup_steps", "1", "--batch_size", "8", "--output", str(tmp_path)]
    assert main(["--preset", "smoke", *sources, *options, "--no-tensorboard"]) == 0
    output = capsys.readouterr().out
    assert "fine-tuning resnet18" in output and "8 hands" in output and "px" in output
