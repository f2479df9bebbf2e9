"""How equivariant a network is, measured during pre-training on images that it does not train on.

Chapter 03 draws the error as it falls.
"""

import numpy as np
import torch

from peclr_utils.augmentation import AugmentationConfig, sample_parameters
from peclr_utils.equivariance import relative_equivariance_error
from peclr_utils.models import ContrastiveModel
from peclr_utils.training.device import autocast
from peclr_utils.training.pairs import PairDataset
from peclr_utils.training.views import HELD_OUT, finish_views, fit_margin, make_views, plain_views


class EquivarianceError:
    """Measures `relative_equivariance_error` on fixed crops, each as it is and rotated and shifted.

    The crops are `held_out` of the training's `pairs`; the motions come from the same ranges as its views.
    """

    def __init__(self, pairs: PairDataset, held_out: np.ndarray, device: torch.device, dtype: torch.dtype):
        crops, config, ranges = pairs.crops, pairs.config, pairs.augmentation
        motion = AugmentationConfig.none(rotation=ranges.rotation, shift=ranges.shift)
        motion = fit_margin(motion, crops, config.view_factor)
        moved = sample_parameters(motion, len(held_out), np.random.default_rng((config.seed, HELD_OUT)))
        size = config.image_size
        self._still = plain_views(crops, held_out, size, config.view_factor, device)
        self._moved = finish_views(make_views(crops, held_out, moved, size), size, device)
        self._angle = torch.as_tensor(moved.angle, dtype=torch.float32, device=device)
        self._shift = torch.as_tensor(moved.shift, dtype=torch.float32, device=device)
        self._device, self._dtype = device, dtype

    @torch.no_grad()
    def __call__(self, model: ContrastiveModel) -> float:
        """Measure: 0 for an equivariant network, about 1 for one that can't tell two images apart."""
        training = model.training
        model.eval()
        with autocast(self._device, self._dtype):
            still, moved = model.encoder(self._still), model.encoder(self._moved)
        still, moved = model.projector(still.float()), model.projector(moved.float())
        model.train(training)
        return float(relative_equivariance_error(still, moved, self._angle, self._shift))
