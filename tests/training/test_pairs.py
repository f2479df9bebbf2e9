"""Batches of pairs: who is paired, what is done to the views, and that (seed, number) alone decides it."""

import copy

import numpy as np
import pytest
import torch

from peclr_utils.crops import pack
from peclr_utils.datasets import EvenMixture
from peclr_utils.equivariance import apply_to_projection
from peclr_utils.losses import nt_xent
from peclr_utils.training import PretrainConfig
from peclr_utils.training.pairs import PairDataset
from peclr_utils.training.pretrain import contrastive_loss
from peclr_utils.training.views import backgrounds_on, load

SIZE, CPU = 32, torch.device("cpu")
BASE = PretrainConfig(batch_size=5, image_size=SIZE, seed=3, exchange_background=False, device="cpu")
BACKENDS = pytest.mark.parametrize("backend", ["opencv", "batch"])
STILL = {"colour": 0.0, "grey": 0.0, "scale": (1.0, 1.0)}


@pytest.fixture(scope="module")
def crops(pack_dots):
    """Three images of each of ten hands."""
    return pack_dots(10, versions=3)


def _pairs(crops, backend="opencv", **changes) -> PairDataset:
    return PairDataset(crops, BASE.replace(**changes), backend)


def _epoch(pairs: PairDataset, epoch: int) -> np.ndarray:
    """The first images of all pairs of an epoch."""
    count = pairs.steps_per_epoch * pairs.config.accumulate
    return np.concatenate([pairs.plan(epoch * count + number)[0] for number in range(count)])


def test_the_views_of_a_pair_come_from_different_images_of_one_identity_and_every_other_one_occurs(crops):
    pairs = _pairs(crops)
    seen = set()
    for number in range(200):
        first, second, _ = pairs.plan(number)
        assert (crops.identities[first] == crops.identities[second]).all() and (first != second).all()
        seen |= set(zip(first.tolist(), second.tolist(), strict=True))
    assert {second for first, second in seen if first == 4} == {14, 24}


def test_an_image_without_a_sibling_or_without_pairing_is_paired_with_itself(crops, crops16):
    for pairs in (_pairs(crops16), _pairs(crops, pair_identities=False)):
        first, second, _ = pairs.plan(0)
        assert (first == second).all()


def test_an_epoch_shows_every_image_once_in_its_own_order(crops):
    pairs = _pairs(crops)
    first, second = _epoch(pairs, 0), _epoch(pairs, 1)
    assert sorted(first) == sorted(second) == list(range(30))
    assert (first != second).any()


def test_an_epoch_is_a_whole_number_of_steps(crops):
    assert _pairs(crops, accumulate=4).steps_per_epoch == 1
    with pytest.raises(ValueError, match=r"batch_size \* accumulate: expected at most 30.*found 31 \* 1"):
        _pairs(crops, batch_size=31)


def test_a_small_source_gives_as_many_pairs_as_a_large_one(dot_hands, tmp_path):
    mixture = EvenMixture([dot_hands(30), dot_hands(6)])
    crops = pack(mixture, tmp_path / "mixed", 64, 2.4, progress=False)
    for epoch in (0, 1):
        drawn = _epoch(_pairs(crops, batch_size=6), epoch)
        assert np.bincount(drawn >= 30).tolist() == [18, 18]
        assert np.bincount(drawn[drawn >= 30] - 30).tolist() == [3] * 6


@BACKENDS
def test_a_batch_depends_on_seed_and_number_alone_and_not_on_workers_or_earlier_batches(crops, backend):
    pairs, before = _pairs(crops, backend=backend), torch.get_rng_state()
    alone, shared, later = (
        list(load(pairs, range(start, 6), workers, CPU)) for start, workers in ((2, 0), (2, 2), (4, 1))
    )
    assert torch.equal(before, torch.get_rng_state())  # the loader drew nothing from the global generator
    assert len(alone) == 4 and len(later) == 2
    again = _pairs(crops, backend=backend)[5]
    for one, other in zip(alone + alone[2:] + alone[3:], shared + later + [again], strict=True):
        assert torch.equal(one.views.images, other.views.images)
        assert all(torch.equal(a, b) for a, b in zip(one[1:], other[1:], strict=True))
    assert not torch.equal(again.angle, _pairs(crops, backend=backend, seed=4)[5].angle)


def test_frames_are_any_angle_drawn_for_each_pair_by_seed_and_number_alone(crops):
    pairs, again = _pairs(crops, random_frames=True), _pairs(crops, random_frames=True)
    again[7]
    frames = torch.cat([pairs[number].frame for number in range(12)])
    assert torch.equal(pairs[3].frame, again[3].frame) and not torch.equal(pairs[3].frame, pairs[4].frame)
    assert frames.min() < -90 and frames.max() > 90 and len(frames.unique()) == len(frames)
    plain = _pairs(crops)[3]
    assert (plain.frame == 0).all() and torch.equal(plain.views.images, pairs[3].views.images)


def test_each_pair_is_compared_in_its_own_frame(crops):
    """Its views agree in any frame; hands that all point one way differ only if their frames do."""
    pairs = _pairs(crops, random_frames=True, batch_size=10, augmentation={**STILL, "shift": 0.0})
    batch = pairs[0]._replace(identity=torch.arange(10))
    same = torch.randn(1, 128, generator=torch.Generator().manual_seed(0)).expand(10, -1)
    z1, z2 = (apply_to_projection(same, batch.angle[k], batch.shift[k]) for k in (0, 1))
    loss, alignment = contrastive_loss(z1, z2, batch, pairs.config)
    assert alignment == pytest.approx(1, abs=1e-5)
    turned = apply_to_projection(same, batch.frame, torch.zeros(10, 2))
    expected = nt_xent(turned, turned, pairs.config.temperature, batch.identity)
    assert float(loss) == pytest.approx(float(expected), abs=1e-5)
    upright, _ = contrastive_loss(z1, z2, batch._replace(frame=torch.zeros(10)), pairs.config)
    assert float(upright) == pytest.approx(np.log(2 * 10 - 1), abs=1e-4) and loss < upright - 0.5


def test_the_motions_of_a_batch_are_those_of_its_images(crops):
    """A white dot, right of and below the centre, is found where angle and shift take it."""
    y, x = np.mgrid[:64, :64]
    dot = 255 * np.exp(-((x - 37.5) ** 2 + (y - 34.5) ** 2) / (2 * 1.4**2))
    dots = copy.copy(crops)
    dots.images = np.repeat(np.repeat(dot[..., None], 3, axis=2).round().astype(np.uint8)[None], 30, axis=0)
    batch = _pairs(dots, rotation_degrees=180.0, augmentation={**STILL, "shift": 0.15})[0]
    angle, shift = torch.deg2rad(batch.angle.flatten().double()), batch.shift.flatten(0, 1)
    # A view of 32 pixels at scale 1 is the middle of its crop of 64.
    expected_x = 15.5 + 6 * angle.cos() + 3 * angle.sin() + 32 * shift[:, 0]
    expected_y = 15.5 - 6 * angle.sin() + 3 * angle.cos() + 32 * shift[:, 1]
    views, grid = batch.views.images[..., 0].double(), torch.arange(32, dtype=torch.float64)
    weight = views.sum(dim=(1, 2))
    found_x, found_y = ((views.sum(dim=axis) * grid).sum(dim=1) / weight for axis in (1, 2))
    assert (expected_x - 15.5).abs().max() > 5
    assert torch.allclose(found_x, expected_x, atol=0.1)
    assert torch.allclose(found_y, expected_y, atol=0.1)


@pytest.mark.parametrize("undo_shift", [True, False])
def test_a_perfectly_equivariant_network_has_the_loss_of_unmoved_views(crops, undo_shift):
    batch = _pairs(crops, rotation_degrees=180.0)[0]
    still = torch.randn(5, 128, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    z1, z2 = (
        apply_to_projection(still, batch.angle[view], batch.shift[view] * undo_shift) for view in (0, 1)
    )
    config = BASE.replace(undo_shift=undo_shift)
    loss, alignment = contrastive_loss(z1, z2, batch, config)
    assert loss.item() == pytest.approx(nt_xent(still, still, 0.5, batch.identity).item(), abs=1e-6)
    assert alignment.item() == pytest.approx(1, abs=1e-6)
    assert contrastive_loss(z1, z2, batch, config.replace(method="simclr"))[1] < 0.9
    assert contrastive_loss(z1, z2, batch, config.replace(undo_shift=not undo_shift))[1] < 0.99


@BACKENDS
def test_backgrounds_change_and_hands_do_not_where_a_mask_is_known(crops, pack_dots, backend):
    bare = pack_dots(10, versions=3, masked=False)
    still = {"rotation_degrees": 0.0, "augmentation": {**STILL, "shift": 0.0}}
    for data, masked in ((crops, True), (bare, False)):
        old, new = (_pairs(data, backend, exchange_background=on, **still) for on in (False, True))
        assert (new.backgrounds is not None) == masked
        painted = backgrounds_on(new.backgrounds, backend, CPU)
        before, after = old[0].to(CPU, SIZE).views[0], new[0].to(CPU, SIZE, painted).views[0]
        changed = ((before - after).abs().amax(dim=1) > 0.1).numpy()
        if masked:  # an unmoved view is the middle of its crop, which is twice as wide
            mask = crops.masks[new.plan(0)[0]][:, 16:48, 16:48]
            assert changed[mask == 0].mean() > 0.9 and changed[mask == 255].mean() < 0.05
        else:
            assert not changed.any()
