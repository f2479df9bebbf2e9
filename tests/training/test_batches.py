"""Batches of pairs: who is paired, what is done to the views, and that (seed, number) alone decides it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from peclr_utils.augmentation import AugmentationConfig
from peclr_utils.crops import pack
from peclr_utils.crops.cropping import WHOLE_PICTURE
from peclr_utils.datasets import EvenMixture
from peclr_utils.equivariance import apply_to_projection
from peclr_utils.losses import nt_xent
from peclr_utils.training.batches import PairBatches, pairs_on_device
from peclr_utils.training.config import PretrainConfig
from peclr_utils.training.engine import Machine
from peclr_utils.training.pretrain import contrastive_loss
from peclr_utils.training.views import background_pool, load

SIZE = 32


def _machine(executor: str = "opencv", workers: int = 0) -> Machine:
    return Machine(torch.device("cpu"), torch.float32, executor, workers, channels_last=True)


@pytest.fixture
def crops(dot_hands, tmp_path):
    return pack(dot_hands(10, versions=3), tmp_path / "crops", 64, 2.4, progress=False)


def _batches(crops, augmentation=None, indices=None, **changes) -> PairBatches:
    indices = np.arange(len(crops)) if indices is None else indices
    augmentation = augmentation or AugmentationConfig.peclr()
    settings = {"batch_size": 5, "image_size": SIZE, "view_factor": 1.2, "seed": 3, **changes}
    return PairBatches(crops, indices, augmentation, **settings)


def test_views_of_a_pair_come_from_different_pictures_of_one_identity(crops):
    batches = _batches(crops)
    for number in range(12):
        first, second, _ = batches.plan(number)
        assert (crops.identities[first] == crops.identities[second]).all()
        assert (first != second).all()


def test_every_other_picture_of_an_identity_becomes_a_partner(crops):
    batches = _batches(crops)
    seen = {pair for number in range(200) for pair in zip(*batches.plan(number)[:2], strict=True)}
    assert {second for first, second in seen if first == 4} == {14, 24}


def test_a_picture_without_a_sibling_is_paired_with_itself(dot_hands, tmp_path):
    alone = pack(dot_hands(6), tmp_path / "alone", 64, 2.4, progress=False)
    first, second, _ = _batches(alone).plan(0)
    assert (first == second).all()


class Listed(list):
    """A list of samples as a data set."""

    source = "small"

    @property
    def identities(self) -> np.ndarray:
        return np.array([sample.identity for sample in self])


@pytest.fixture
def mixed(dot_hands, tmp_path):
    """Crops of two sources, one five times as large as the other."""
    small = dot_hands(6)
    hands = [replace(small[index], source="small") for index in range(6)]
    mixture = EvenMixture([dot_hands(30), Listed(hands)])
    return pack(mixture, tmp_path / "mixed", 64, 2.4, progress=False)


def test_a_small_source_gives_as_many_pairs_as_a_large_one(mixed):
    batches = _batches(mixed, batch_size=6)
    drawn = np.concatenate([batches.plan(number)[0] for number in range(batches.batches_per_epoch)])
    assert np.bincount(mixed.source_index[drawn]).tolist() == [18, 18]


def test_two_sources_of_one_kind_give_equally_many_pairs(dot_hands, tmp_path):
    crops = pack(EvenMixture([dot_hands(30), dot_hands(6)]), tmp_path / "alike", 64, 2.4, progress=False)
    batches = _batches(crops, batch_size=6)
    drawn = np.concatenate([batches.plan(number)[0] for number in range(batches.batches_per_epoch)])
    assert np.bincount(drawn >= 30).tolist() == [18, 18]


def test_the_processes_of_a_run_draw_from_the_sources_what_one_would(mixed):
    whole = _batches(mixed, batch_size=6)
    parts = [_batches(mixed, batch_size=6, rows=slice(start, start + 2)) for start in (0, 2, 4)]
    for number in range(whole.batches_per_epoch):
        expected, found = whole[number], [part[number] for part in parts]
        assert torch.equal(torch.cat([batch["identity"] for batch in found]), expected["identity"])
        for name in ("angle", "shift"):  # all first views of a batch come before all second ones
            joined = torch.cat([batch[name].unflatten(0, (2, -1)) for batch in found], dim=1)
            assert torch.equal(joined.flatten(0, 1), expected[name])


def test_one_source_shows_every_picture_once_an_epoch(crops):
    batches = _batches(crops)
    for epoch in range(2):
        numbers = range(epoch * batches.batches_per_epoch, (epoch + 1) * batches.batches_per_epoch)
        drawn = np.concatenate([batches.plan(number)[0] for number in numbers])
        assert sorted(drawn) == list(range(len(crops)))


def test_pairing_can_be_switched_off(crops):
    first, second, _ = _batches(crops, pair_identities=False).plan(0)
    assert (first == second).all()


def test_partners_stay_among_the_training_pictures(crops):
    training = np.arange(20)
    batches = _batches(crops, indices=training)
    for number in range(20):
        first, second, _ = batches.plan(number)
        assert set(first) | set(second) <= set(training)


def test_an_epoch_shows_every_picture_once(crops):
    batches = _batches(crops)
    for epoch in (0, 1):
        numbers = range(epoch * batches.batches_per_epoch, (epoch + 1) * batches.batches_per_epoch)
        shown = np.concatenate([batches.plan(number)[0] for number in numbers])
        assert sorted(shown) == list(range(len(crops)))


def test_epochs_have_different_orders(crops):
    batches = _batches(crops)
    assert (batches.plan(0)[0] != batches.plan(batches.batches_per_epoch)[0]).any()


def test_an_epoch_is_a_whole_number_of_steps(crops):
    assert _batches(crops, accumulate=4).batches_per_epoch == 4


def test_a_batch_depends_on_seed_and_number_alone(crops):
    one, other = _batches(crops), _batches(crops)
    for number in (7, 3, 11):
        other[number]
    expected, found = one[8], other[8]
    assert torch.equal(expected["views"].images, found["views"].images)
    assert torch.equal(expected["angle"], found["angle"])
    assert not torch.equal(expected["angle"], _batches(crops, seed=4)[8]["angle"])


@pytest.mark.parametrize("executor", ["opencv", "batch"])
def test_loader_workers_do_not_change_the_batches(crops, executor):
    batches = _batches(crops, executor=executor)
    alone, shared = (list(load(batches, range(2, 6), _machine(executor, workers))) for workers in (0, 2))
    assert len(alone) == len(shared) == 4
    for one, other in zip(alone, shared, strict=True):
        assert torch.equal(one["views"].images, other["views"].images)
        assert torch.equal(one["identity"], other["identity"])


def test_loading_leaves_the_global_generator_alone(crops):
    before = torch.get_rng_state()
    next(load(_batches(crops), range(1), _machine()))
    assert torch.equal(before, torch.get_rng_state())


def test_both_executors_make_the_same_views(crops):
    augmentation = AugmentationConfig.peclr(background=1.0)
    backgrounds = background_pool(augmentation, crops, SIZE, seed=0)
    views = []
    for executor in ("opencv", "batch"):
        item = _batches(crops, augmentation, executor=executor, backgrounds=backgrounds)[1]
        exchanged = torch.from_numpy(backgrounds) if executor == "batch" else None
        views.append(pairs_on_device(item, _machine(executor), SIZE, exchanged).view1)
    # One grey level is 1/255/0.225 = 0.017 after normalising; OpenCV rounds twice.
    assert (views[0] - views[1]).abs().mean() < 0.02


@pytest.mark.parametrize("executor", ["opencv", "batch"])
def test_rows_of_a_batch_are_those_rows_of_the_whole_one(crops, executor):
    whole, part = (_batches(crops, executor=executor, rows=rows)[1] for rows in (slice(None), slice(1, 3)))
    assert torch.equal(part["identity"], whole["identity"][1:3])
    assert torch.equal(part["shift"], whole["shift"][[1, 2, 6, 7]])
    found, expected = (pairs_on_device(item, _machine(executor), SIZE) for item in (part, whole))
    assert torch.equal(found.view1, expected.view1[1:3]) and torch.equal(found.view2, expected.view2[1:3])


def test_a_batch_has_the_promised_shapes(crops):
    batch = pairs_on_device(_batches(crops)[0], _machine(), SIZE)
    assert batch.view1.shape == batch.view2.shape == (5, 3, SIZE, SIZE)
    assert batch.view1.dtype == torch.float32 and batch.identity.dtype == torch.int64
    assert batch.angle1.shape == (5,) and batch.shift2.shape == (5, 2)
    assert batch.view1.is_contiguous(memory_format=torch.channels_last)


class OneDot:
    """One white dot on black, right of and below the centre."""

    source = "one dot"

    def __init__(self, sample):
        self.sample = sample
        self.identities = np.arange(4)

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return self.sample


@pytest.mark.parametrize("which", [0, 1])
def test_the_returned_parameters_are_the_ones_applied(dot_hands, tmp_path, which):
    sample = dot_hands(1)[0]
    y, x = np.mgrid[:96, :96]
    dot = 255 * np.exp(-((x - 60.0) ** 2 + (y - 53.0) ** 2) / (2 * 3.0**2))
    image = np.repeat(dot[..., None], 3, axis=2).round().astype(np.uint8)
    # No keypoints: with this factor crop and view are the whole picture.
    sample = replace(sample, image=image, keypoints_2d=None, mask=None)
    crops = pack(OneDot(sample), tmp_path / "dot", 96, WHOLE_PICTURE, progress=False)
    augmentation = AugmentationConfig.none(rotation=180.0, shift=0.15)
    batches = PairBatches(crops, np.arange(4), augmentation, 4, 64, WHOLE_PICTURE, seed=0)
    item = batches[0]
    batch = pairs_on_device(item, _machine(), 64)
    angle, shift = (batch.angle1, batch.shift1) if which == 0 else (batch.angle2, batch.shift2)
    views = item["views"].images[..., 0].double().chunk(2)[which]

    radians = torch.deg2rad(angle.double())
    dx, dy = (60.0 - 47.5) * 64 / 96, (53.0 - 47.5) * 64 / 96
    expected_x = 31.5 + dx * radians.cos() + dy * radians.sin() + 64 * shift[:, 0]
    expected_y = 31.5 - dx * radians.sin() + dy * radians.cos() + 64 * shift[:, 1]
    weight = views.sum(dim=(1, 2))
    grid = torch.arange(64, dtype=torch.float64)
    found_x = (views.sum(dim=1) * grid).sum(dim=1) / weight
    found_y = (views.sum(dim=2) * grid).sum(dim=1) / weight
    assert torch.allclose(found_x, expected_x, atol=0.1)
    assert torch.allclose(found_y, expected_y, atol=0.1)


def test_a_perfectly_equivariant_network_has_the_loss_of_unmoved_views(crops):
    batch = pairs_on_device(_batches(crops, AugmentationConfig.peclr(rotation=180))[0], _machine(), SIZE)
    still = torch.randn(5, 128, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    z1 = apply_to_projection(still, batch.angle1, batch.shift1)
    z2 = apply_to_projection(still, batch.angle2, batch.shift2)
    config = PretrainConfig(method="peclr")
    loss, alignment = contrastive_loss(z1, z2, batch, config)
    assert loss.item() == pytest.approx(nt_xent(still, still, 0.5, batch.identity).item(), abs=1e-6)
    assert alignment.item() == pytest.approx(1, abs=1e-6)
    loss, alignment = contrastive_loss(z1, z2, batch, config.replace(method="simclr"))
    assert alignment < 0.9


def test_a_network_equivariant_to_rotation_and_invariant_to_shift_is_perfect_without_undo_shift(crops):
    batch = pairs_on_device(_batches(crops, AugmentationConfig.peclr(rotation=180))[0], _machine(), SIZE)
    still = torch.randn(5, 128, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    z1 = apply_to_projection(still, batch.angle1, 0 * batch.shift1)
    z2 = apply_to_projection(still, batch.angle2, 0 * batch.shift2)
    config = PretrainConfig(method="peclr", undo_shift=False)
    loss, alignment = contrastive_loss(z1, z2, batch, config)
    assert loss.item() == pytest.approx(nt_xent(still, still, 0.5, batch.identity).item(), abs=1e-6)
    assert alignment.item() == pytest.approx(1, abs=1e-6)
    assert contrastive_loss(z1, z2, batch, config.replace(undo_shift=True))[1] < 0.99


def test_pictures_of_one_identity_do_not_repel_each_other(crops):
    batch = pairs_on_device(_batches(crops)[0], _machine(), SIZE)
    batch = batch._replace(identity=torch.tensor([1, 1, 2, 3, 4]))
    z1, z2 = torch.randn(2, 5, 128, generator=torch.Generator().manual_seed(0))
    config = PretrainConfig(method="simclr")
    aware, _ = contrastive_loss(z1, z2, batch, config)
    blind, _ = contrastive_loss(z1, z2, batch, config.replace(pair_identities=False))
    assert aware == nt_xent(z1, z2, 0.5, batch.identity)
    assert blind == nt_xent(z1, z2, 0.5)


def test_too_few_pictures_for_a_batch_are_reported(crops):
    with pytest.raises(ValueError, match=r"batch_size \* accumulate: expected at most 30.*found 31 \* 1"):
        _batches(crops, batch_size=31)


def test_pictures_without_masks_keep_their_hands(dot_hands, tmp_path):
    bare = pack(dot_hands(6, masked=False), tmp_path / "bare", 64, 2.4, progress=False)
    augmentation = AugmentationConfig.none(background=1.0)
    assert background_pool(augmentation, bare, SIZE, seed=0) is None
    pool = np.full((1, SIZE, SIZE, 3), 255, np.uint8)
    with_pool = _batches(bare, augmentation, backgrounds=pool)[0]["views"].images
    assert torch.equal(with_pool, _batches(bare, augmentation)[0]["views"].images)
