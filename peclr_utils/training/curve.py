"""How equivariant a network is, measured on pictures that it does not train on.

Chapter 03 draws the error as it falls.
"""

import numpy as np
import torch

from peclr_utils.augmentation import AugmentationConfig, sample_parameters
from peclr_utils.crops import CropSet
from peclr_utils.equivariance import relative_equivariance_error
from peclr_utils.models import ContrastiveModel
from peclr_utils.training.engine import Machine
from peclr_utils.training.views import HELD_OUT, finish_views, fit_margin, make_views, plain_views


def split_off(identities: np.ndarray, held_out: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Keep some identities out of training.

    Args:
        identities: (N,) integers.
        held_out: how many identities; 0 keeps none out.
        seed: of the choice.

    Returns:
        Positions of all pictures to train on, and of one picture of each identity kept out.

    Raises:
        ValueError: if nothing would be left to train on.
    """
    different, first = np.unique(identities, return_index=True)
    if held_out >= len(different):
        raise ValueError(
            f"equivariance_pictures: expected fewer than {len(different)}, the number of identities, "
            f"found {held_out}"
        )
    chosen = np.random.default_rng((seed, HELD_OUT)).permutation(len(different))[:held_out]
    return np.flatnonzero(~np.isin(identities, different[chosen])), np.sort(first[chosen])


class EquivarianceCurve:
    """A fixed set of pictures, each as it is and rotated and shifted, to be measured again and again.

    Args:
        crops: the pictures.
        indices: which of them.
        motion: what moves them; its rotation and shift should be the training's, and nothing else should
            happen.
        image_size: side of a view in pixels.
        view_factor: see `PretrainConfig`.
        machine: what to compute with.
        seed: of the motions.
    """

    def __init__(
        self,
        crops: CropSet,
        indices: np.ndarray,
        motion: AugmentationConfig,
        image_size: int,
        view_factor: float,
        machine: Machine,
        seed: int,
    ):
        rng = np.random.default_rng((seed, HELD_OUT))
        moved = sample_parameters(fit_margin(motion, crops, view_factor), len(indices), rng)
        self._still = plain_views(crops, indices, image_size, view_factor, machine)
        self._moved = finish_views(make_views(crops, indices, moved, image_size), machine, image_size)
        self._angle = torch.as_tensor(moved.angle, dtype=torch.float32, device=machine.device)
        self._shift = torch.as_tensor(moved.shift, dtype=torch.float32, device=machine.device)
        self._machine = machine

    @torch.no_grad()
    def measure(self, model: ContrastiveModel) -> float:
        """Measure `relative_equivariance_error`.

        It is 0 for a perfectly equivariant network, about 1 for one that tells no two pictures apart.

        Args:
            model: measured in evaluation mode, and left in the mode it was in.

        Returns:
            The error.
        """
        training = model.training
        model.eval()
        try:
            with self._machine.autocast():
                still, moved = model.encoder(self._still), model.encoder(self._moved)
            still, moved = model.projector(still.float()), model.projector(moved.float())
        finally:
            model.train(training)
        return float(relative_equivariance_error(still, moved, self._angle, self._shift))
