"""Pre-training as the authors' code does it: what their batches hold, and that a run resumes exactly."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from peclr_utils.augmentation.authors_views import apply_authors
from peclr_utils.datasets import EvenMixture
from peclr_utils.losses import nt_xent
from peclr_utils.training import PretrainConfig, pretrain
from peclr_utils.training.authors import AuthorsPairDataset
from peclr_utils.training.device import choose_compute
from peclr_utils.training.optim import LayerwiseAdam
from peclr_utils.training.pretrain import contrastive_loss

CPU = torch.device("cpu")
EXACT = PretrainConfig(
    epochs=2, batch_size=4, accumulate=2, image_size=32, seed=3, device="cpu", progress=False
).as_authors()


class Outlined:
    """Hands whose points are an outline, in images of another shape."""

    source = "outlined"

    def __init__(self, hands, bare=False):
        self.hands, self.identities, self.bare = hands, hands.identities, bare

    def __len__(self):
        return len(self.hands)

    def __getitem__(self, index):
        sample = self.hands[index]
        image = np.pad(sample.image, ((0, 10), (0, 30), (0, 0)))
        outline = None if self.bare else sample.keypoints_2d
        return replace(sample, image=image, mask=None, keypoints_2d=None, outline=outline, source="outlined")


def test_both_views_of_a_pair_are_the_authors_views_of_one_whole_image(dot_hands):
    hands = dot_hands(9)
    pairs = AuthorsPairDataset(hands, EXACT)
    first, second, parameters = pairs.plan(1)
    assert (first == second).all()
    batch = pairs[1]
    for place, index in enumerate(first):
        for view in (place, 4 + place):
            sample = hands[int(index)]
            expected = apply_authors(sample.image, sample.keypoints_2d, parameters, view, 32)
            np.testing.assert_array_equal(batch.views.images[view], expected.image)
            # Measured in the image's pixels, divided by the view's.
            np.testing.assert_allclose(batch.shift[view // 4, place], expected.motion / 32, rtol=1e-6)
    np.testing.assert_array_equal(batch.angle.flatten(), parameters.angle)
    assert batch.identity.tolist() == hands.identities[first].tolist()


def test_images_of_any_size_with_keypoints_or_an_outline_make_even_batches(dot_hands):
    pairs = AuthorsPairDataset(EvenMixture([dot_hands(4), Outlined(dot_hands(20))]), EXACT)
    chosen = np.concatenate([pairs.plan(number)[0] for number in range(2 * pairs.steps_per_epoch)])
    assert (chosen < 4).sum() == 12 and (chosen >= 4).sum() == 12
    batch = pairs[0].to(CPU, 32)
    assert batch.views.shape == (2, 4, 3, 32, 32) and batch.shift.shape == (2, 4, 2)


def test_what_cannot_be_cropped_as_the_authors_do_is_refused(dot_hands, crops16):
    with pytest.raises(ValueError, match=r"sample '\d' of outlined has neither keypoints nor an outline"):
        AuthorsPairDataset(Outlined(dot_hands(9), bare=True), EXACT)[0]
    with pytest.raises(ValueError, match="expected whole images, found crops"):
        pretrain(EXACT, crops16)


def test_versions_of_one_photograph_are_each_others_negatives(dot_hands):
    batch = AuthorsPairDataset(dot_hands(2, versions=4), EXACT)[0]
    assert len(set(batch.identity.tolist())) == 2
    z1, z2 = torch.randn(2, 4, 128, generator=torch.Generator().manual_seed(0))
    loss, _ = contrastive_loss(z1, z2, batch, EXACT.replace(method="simclr"))
    assert loss == nt_xent(z1, z2, 0.5)


def test_a_run_scales_gradients_by_layer_and_resumes_exactly(dot_hands, tmp_path, monkeypatch, same_weights):
    steps = []
    step = LayerwiseAdam.step
    monkeypatch.setattr(LayerwiseAdam, "step", lambda *a: steps.append(1) or step(*a))
    hands, config = dot_hands(6, versions=3), EXACT.replace(learning_rate=1e-3)
    straight = pretrain(config, hands)
    assert len(straight.losses) == len(steps) == 4
    assert choose_compute(config).dtype == torch.float32  # float16 is for GPUs
    config = config.replace(output=str(tmp_path))
    assert not pretrain(config.replace(max_steps=3), hands).finished
    rest = pretrain(config, hands)
    assert rest.finished and rest.losses == straight.losses and same_weights(rest.model, straight.model)
