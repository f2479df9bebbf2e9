"""The fine-tuning loop: it learns, accumulates exactly, resumes, and evaluates."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from peclr_utils import weights
from peclr_utils.crops import open_crops
from peclr_utils.datasets import EvenMixture, mirror
from peclr_utils.evaluation import evaluate_keypoints, mean_pose
from peclr_utils.labels import label_problems
from peclr_utils.models import PoseNetwork25D, build_encoder
from peclr_utils.skeleton import reorder
from peclr_utils.training import FinetuneConfig, finetune, predict_dataset
from peclr_utils.training.device import seeded
from peclr_utils.training.finetune import main, network_loss, train_mode, weak_augmentation
from peclr_utils.training.poses import PoseDataset, plain_labels
from peclr_utils.training.views import paint_backgrounds

SMALL = {"batch_size": 8, "image_size": 32, "device": "cpu", "progress": False, "log_every": 1}
TINY = FinetuneConfig(steps=4, warmup_steps=1, precision="fp32", **SMALL)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """An encoder and the file it is saved in."""
    with seeded(3):
        encoder = build_encoder("resnet18")
    return encoder, weights.save_checkpoint(tmp_path_factory.mktemp("encoder") / "encoder.pt", encoder)


def test_it_learns_a_few_hands_by_heart_and_beats_their_mean(crops16):
    still = {"rotation": 0.0, "shift": 0.0, "scale": (1.0, 1.0)}
    config = TINY.replace(steps=40, batch_size=16, warmup_steps=4, augmentation=still)
    result = finetune(config, crops16, crops16)
    assert result.losses[-1] < 0.5 * result.losses[0]
    truth = plain_labels(crops16, None, 32, 1.2)
    mean = evaluate_keypoints(
        mean_pose(truth["keypoints_3d"], 16), truth["keypoints_3d"],
        pred_2d=mean_pose(truth["keypoints_2d"], 16), gt_2d=truth["keypoints_2d"],
    )  # fmt: skip
    assert result.evaluation.epe_2d < 0.9 * mean.epe_2d


def test_hands_in_3d_and_hands_in_the_image_alone_are_learnt_together(pack_dots, dot_hands):
    """One source knows the depth, the other has pixels only: both count, evenly."""
    mixture = EvenMixture([dot_hands(12), dot_hands(4, labelled=False)])
    config = TINY.replace(steps=12, batch_size=16, augmentation={"rotation": 0.0, "background": 0.0})
    result = finetune(config, mixture, pack_dots(8, labelled=False))
    assert all(np.isfinite(row["loss"]) and row["relative_depth"] > 0 for row in result.history)
    assert result.losses[-1] < result.losses[0] and 0 < result.evaluation.pck <= 1


def test_it_continues_from_a_pose_network_head_included(crops16, tmp_path):
    """At another size too: what the layer says in units of the labels' spread stays."""
    first = finetune(TINY.replace(output=str(tmp_path / "first")), crops16)
    on = TINY.replace(network=str(first.checkpoint), image_size=48, learning_rate=1e-12, seed=5)
    network = finetune(on.replace(encoder_learning_rate=1e-12, freeze_batch_norm=True), crops16).model
    assert network.image_size == 48
    torch.testing.assert_close(network.backbone.fc.weight, first.model.backbone.fc.weight)
    torch.testing.assert_close(network.backbone.conv1.weight, first.model.backbone.conv1.weight)
    with pytest.raises(ValueError, match="expected a resnet34, found a resnet18"):
        finetune(on.replace(arch="resnet34"), crops16)
    with pytest.raises(ValueError, match="encoder"):
        finetune(on.replace(encoder=str(first.checkpoint)), crops16)
    palm = weights.save_checkpoint(tmp_path / "palm.pt", PoseNetwork25D("resnet18", "ait_palm"))
    with pytest.raises(ValueError, match="expected FreiHAND's keypoint order, found 'ait_palm'"):
        finetune(on.replace(network=str(palm)), crops16)


def test_labels_in_the_image_alone_leave_what_a_network_knows_of_depth(crops16, pack_dots, tmp_path):
    first = finetune(TINY.replace(output=str(tmp_path / "first")), crops16)
    on = TINY.replace(network=str(first.checkpoint), learning_rate=1e-12, encoder_learning_rate=1e-12)
    with pytest.warns(UserWarning, match="no hand is labelled in 3D, so depth is not learnt"):
        network = finetune(on.replace(freeze_batch_norm=True), pack_dots(8, labelled=False)).model
    for name in ("offset", "scale"):
        depth = getattr(network, name)[2:-1:3]
        torch.testing.assert_close(depth, getattr(first.model, name)[2:-1:3])


def test_left_hands_are_learnt_as_the_right_hands_in_their_mirror(dot_hands):
    class Left(dot_hands):
        def __getitem__(self, index):
            return mirror(super().__getitem__(index))

    right, left = (open_crops(hands(8), 32, 1.2, 1.5) for hands in (dot_hands, Left))
    assert (right.handedness == 0).all() and (left.handedness == 0).all()
    np.testing.assert_allclose(left.keypoints_2d, right.keypoints_2d, atol=1e-3)
    np.testing.assert_allclose(left.keypoints_3d, right.keypoints_3d, atol=1e-6)
    assert np.abs(left.images.astype(int) - right.images).mean() < 1


def test_the_presence_of_a_hand_is_learnt_and_kept_in_the_file(crops16, tmp_path):
    config = TINY.replace(steps=150, batch_size=32, warmup_steps=5, absent=0.4, output=str(tmp_path))
    result = finetune(config.replace(augmentation={"rotation": 0.0}), crops16)
    network = weights.load_pose_network(result.checkpoint)
    assert network.knows_presence and not finetune(TINY, crops16).model.knows_presence
    poses = PoseDataset(crops16, None, weak_augmentation(config), 96, 32, 1.2, seed=9, absent=0.4)
    batch = poses[0].to(torch.device("cpu"), 32)
    with torch.no_grad():
        found = network(batch.image, batch.K).presence
    here, away = found[batch.presence == 1], found[batch.presence == 0]
    # The share of pairs in the right order.
    assert (here[:, None] > away[None]).float().mean() > 0.85


def test_flat_hands_and_crops_that_cut_fingers_off_are_no_mistake(dot_hands):
    hands = [dot_hands(16)[k] for k in range(16)]
    flat = np.stack([hand.keypoints_3d * [1, 1, 0.02] + [0, 0, 0.45] for hand in hands])
    K = np.stack([hand.K for hand in hands])
    beside = np.float32([[1, 0, -30], [0, 1, -20], [0, 0, 1]]) @ K
    assert label_problems(flat * [-1, 1, 1], K) == []
    assert label_problems(np.stack([hand.keypoints_3d for hand in hands]), beside, size=(60, 60)) == []


WRONG = {
    "millimetres": (lambda xyz: xyz * 1000, "the bone 9-10 is 35 long .*; xyz must be metres"),
    "OpenGL's axes": (lambda xyz: xyz * [1, -1, -1], "16 of 16 hands have keypoints behind the camera"),
    "a mirrored axis": (lambda xyz: xyz * [-1, 1, 1], "100% of the hands bend .* as hands of the other side"),
    "MANO's order": (lambda xyz: reorder(xyz, "freihand", "mano"), "may be in 'mano': use skeleton.reorder"),
}


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("wrong", WRONG)
def test_labels_in_other_units_axes_or_orders_are_refused_before_anything_is_cropped(
    dot_hands, crops16, tmp_path, wrong, which
):
    class Wrong(dot_hands):
        def __getitem__(self, index):
            sample = super().__getitem__(index)
            points = WRONG[wrong][0](sample.keypoints_3d).astype(np.float32)
            return replace(sample, keypoints_3d=points, bone_length=None)

    sets = [crops16, crops16]
    sets[which] = Wrong(600)
    with pytest.raises(ValueError, match=f"dots, 16 of its hands: .*{WRONG[wrong][1]}"):
        finetune(TINY.replace(cache=str(tmp_path)), *sets)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("factor", [4, 0.5])
def test_a_camera_of_resized_images_is_refused(dot_hands, factor):
    class Resized(dot_hands):
        def __getitem__(self, index):
            sample = super().__getitem__(index)
            return replace(sample, K=sample.K * np.float32([[factor], [factor], [1]]))

    with pytest.raises(ValueError, match="of the keypoints lie inside the images .* resized and K was not"):
        finetune(TINY, EvenMixture([dot_hands(16), Resized(32)]))


def test_training_starts_at_the_mean_pose(crops16):
    result = finetune(TINY.replace(steps=2, learning_rate=1e-9, encoder_learning_rate=1e-9), crops16)
    mean = plain_labels(crops16, None, 32, 1.2)["keypoints_2d"].mean(axis=0)
    found = predict_dataset(result.model, crops16).keypoints_2d.mean(axis=0)
    assert np.abs(found - mean).mean() < 4  # of 32 pixels; the linear layer starts small but not at zero


@pytest.mark.parametrize("parts", [2, 4])
def test_accumulated_gradients_equal_the_whole_batchs_with_frozen_batch_norm(crops16, parts):
    config = TINY.replace(freeze_batch_norm=True)
    with seeded(0):
        network = PoseNetwork25D("resnet18").double()
    train_mode(network, config)
    network.root_refinement.eval()  # its batch norms too
    poses = PoseDataset(crops16, None, weak_augmentation(config), 8, 32, 1.2)
    whole = poses[0].to(torch.device("cpu"), 32)
    whole = whole._replace(image=whole.image.double(), K=whole.K.double())

    def gradients(pieces):
        network.zero_grad()
        for piece in pieces:
            loss = network_loss(network(piece.image, piece.K), piece, config)["total"]
            (loss / len(pieces)).backward()
        return torch.cat([p.grad.flatten() for p in network.parameters()])

    pieces = [type(whole)(*chunk) for chunk in zip(*(field.chunk(parts) for field in whole), strict=True)]
    expected, found = gradients([whole]), gradients(pieces)
    assert (expected - found).norm() < 1e-9 * expected.norm()


def test_a_frozen_encoder_keeps_every_weight_and_statistic(encoder, crops16):
    result = finetune(TINY.replace(encoder=str(encoder[1]), freeze_encoder=True), crops16)
    trained = result.model.backbone.state_dict()
    for name, value in encoder[0].state_dict().items():
        assert torch.equal(trained[name], value), name
    assert len(result.losses) == 4


def test_the_command_runs_from_rendered_hands_to_an_evaluation(tmp_path, capsys):
    sources = ["--sources", "synthetic:16?seed=1&size=96", "--test_sources", "synthetic:8?seed=2&size=96"]
    options = ["--steps", "2", "--warmup_steps", "1", "--batch_size", "8", "--output", str(tmp_path)]
    assert main(["--preset", "smoke", *sources, *options]) == 0
    output = capsys.readouterr().out
    assert "Fine-tuning resnet18" in output and "8 hands" in output and "px" in output
    saved = weights.load_pose_network(tmp_path / "checkpoint.pt")
    assert (saved.image_size, saved.view_factor) == (32, 1.2)


def test_as_many_backgrounds_are_painted_as_asked_and_more_begin_with_the_same(crops16, monkeypatch):
    painted = []

    def record(*arguments):
        painted.append(paint_backgrounds(*arguments))
        return painted[-1]

    monkeypatch.setitem(finetune.__globals__, "paint_backgrounds", record)
    for count in (3, 5):
        finetune(TINY.replace(steps=2, warmup_steps=1, output="", backgrounds=count), crops16)
    assert [len(each) for each in painted] == [3, 5]
    np.testing.assert_array_equal(painted[0], painted[1][:3])
