"""Pre-training as the authors' code does it: what their batches hold, and what is set and refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from peclr_utils.augmentation.authors import AuthorsAugmentation, apply_authors
from peclr_utils.crops import pack
from peclr_utils.datasets import EvenMixture
from peclr_utils.losses import nt_xent
from peclr_utils.training import PretrainConfig, pretrain
from peclr_utils.training.authors import AuthorsPairBatches, WholePictures
from peclr_utils.training.batches import pairs_on_device
from peclr_utils.training.engine import Machine, choose_dtype, choose_machine
from peclr_utils.training.pair_data import open_pair_data
from peclr_utils.training.pretrain import contrastive_loss
from peclr_utils.training.views import load

EXACT = PretrainConfig(
    authors_exact=True, epochs=2, batch_size=4, accumulate=2, image_size=32, device="cpu", progress=False,
    tensorboard=False,
)  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _machine(workers: int = 0) -> Machine:
    return Machine(torch.device("cpu"), torch.float32, "opencv", workers, channels_last=True)


def _batches(dataset, **changes) -> AuthorsPairBatches:
    settings = {"batch_size": 4, "image_size": 32, "seed": 3, **changes}
    pictures = WholePictures(dataset)
    return AuthorsPairBatches(pictures, np.arange(len(pictures)), AuthorsAugmentation(), **settings)


class Outlined:
    """Hands whose points are an outline, in pictures of another shape."""

    source = "outlined"

    def __init__(self, hands):
        self.hands, self.identities = hands, hands.identities

    def __len__(self):
        return len(self.hands)

    def __getitem__(self, index):
        sample = self.hands[index]
        image = np.pad(sample.image, ((0, 10), (0, 30), (0, 0)))
        return replace(
            sample, image=image, mask=None, keypoints_2d=None, outline=sample.keypoints_2d, source="outlined"
        )


def test_both_views_of_a_pair_are_the_authors_views_of_one_whole_picture(dot_hands):
    hands = dot_hands(9)
    batches = _batches(hands)
    chosen, params = batches.plan(1)
    item = batches[1]
    for place, index in enumerate(chosen):
        for view in (place, 4 + place):
            sample = hands[int(index)]
            expected = apply_authors(sample.image, sample.keypoints_2d, params, view, 32)
            np.testing.assert_array_equal(item["views"].images[view], expected.image)
            # Measured in the picture's pixels, divided by the view's.
            np.testing.assert_allclose(item["shift"][view], expected.motion / 32, rtol=1e-6)
    np.testing.assert_array_equal(item["angle"], params.angle)
    assert item["identity"].tolist() == hands.identities[chosen].tolist()


def test_pictures_of_any_size_with_keypoints_or_an_outline_make_even_batches(dot_hands):
    mixture = EvenMixture([dot_hands(4), Outlined(dot_hands(20))])
    batches = _batches(mixture)
    chosen = np.concatenate([batches.plan(number)[0] for number in range(batches.batches_per_epoch)])
    assert (chosen < 4).sum() == 12 and (chosen >= 4).sum() == 12
    batch = pairs_on_device(batches[0], _machine(), 32)
    assert batch.view1.shape == (4, 3, 32, 32) and batch.shift2.shape == (4, 2)


def test_rows_of_a_batch_are_those_rows_of_the_whole_one(dot_hands):
    whole, part = _batches(dot_hands(9))[1], _batches(dot_hands(9), rows=slice(2, 4))[1]
    assert torch.equal(part["views"].images, whole["views"].images[[2, 3, 6, 7]])
    assert torch.equal(part["shift"], whole["shift"][[2, 3, 6, 7]])
    assert torch.equal(part["angle"], whole["angle"][[2, 3, 6, 7]])
    assert torch.equal(part["identity"], whole["identity"][2:])


def test_workers_and_earlier_batches_do_not_change_a_batch(dot_hands):
    alone, shared = (list(load(_batches(dot_hands(12)), range(1, 3), _machine(n))) for n in (0, 2))
    for one, other in zip(alone, shared, strict=True):
        assert torch.equal(one["views"].images, other["views"].images)
        assert torch.equal(one["shift"], other["shift"])


def test_a_picture_without_points_is_named(dot_hands):
    class Bare(Outlined):
        def __getitem__(self, index):
            return replace(super().__getitem__(index), outline=None)

    with pytest.raises(ValueError, match=r"sample '\d' of outlined has neither keypoints nor an outline"):
        _batches(Bare(dot_hands(4)))[0]


def test_crops_are_refused_for_they_are_not_whole_pictures(dot_hands, tmp_path):
    crops = pack(dot_hands(8), tmp_path / "crops", 64, 2.4, progress=False)
    with pytest.raises(ValueError, match="expected whole pictures, found crops"):
        pretrain(EXACT, crops)


def test_it_sets_what_the_authors_do():
    config = PretrainConfig.paper_rn50(authors_exact=True)
    assert (config.batch_size, config.accumulate, config.precision) == (128, 16, "fp16")
    assert (config.optimiser, config.executor) == ("layerwise_adam", "opencv")
    assert not config.pair_identities and not config.exchange_background
    assert PretrainConfig(authors_exact=True, undo_shift=False).undo_shift
    assert PretrainConfig(authors_exact=True, precision="bf16").precision == "bf16"
    assert PretrainConfig.from_json(config.to_json()) == config


def test_float16_is_for_gpus():
    assert choose_dtype("fp16", torch.device("cuda")) == torch.float16
    assert choose_dtype("fp16", torch.device("cpu")) == torch.float32
    assert choose_machine(EXACT).dtype == torch.float32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"executor": "batch"}, "executor: expected 'opencv' with authors_exact"),
        ({"augmentation": {"blur": 0.5}}, "augmentation: expected none"),
        ({"equivariance_pictures": 8}, "equivariance_pictures: expected 0 with authors_exact"),
    ],
)
def test_what_it_cannot_be_combined_with_is_an_error(change, message):
    with pytest.raises(ValueError, match=message):
        EXACT.replace(**change).validate()


def test_versions_of_one_photograph_are_each_others_negatives(dot_hands):
    data = open_pair_data(EXACT, _machine(), dot_hands(2, versions=4))
    batch = pairs_on_device(data.batches[0], _machine(), 32)
    assert len(set(batch.identity.tolist())) == 2
    z1, z2 = torch.randn(2, 4, 128, generator=torch.Generator().manual_seed(0))
    loss, _ = contrastive_loss(z1, z2, batch, EXACT.replace(method="simclr"))
    assert loss == nt_xent(z1, z2, 0.5)


def test_a_run_learns_resumes_exactly_and_says_what_it_does(dot_hands, tmp_path, capsys):
    hands, start = dot_hands(6, versions=3), EXACT.replace(learning_rate=1e-3)
    straight = pretrain(start.replace(progress=True), hands)
    text = capsys.readouterr().out
    assert "as the authors' code does it" in text and "in place of float16" in text
    config = start.replace(output=str(tmp_path))
    assert not pretrain(config.replace(max_steps=3), hands).finished
    rest = pretrain(config, hands)
    assert rest.finished and rest.losses == straight.losses and len(rest.losses) == 4
    pairs = zip(rest.model.state_dict().values(), straight.model.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_no_data_is_a_clear_error():
    with pytest.raises(ValueError, match="sources: expected at least one"):
        pretrain(EXACT)
