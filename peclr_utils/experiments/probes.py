"""What frozen networks know about hands: probes of features and projections, on any labelled hands.

Chapter 03 uses both. Nothing is trained, so it takes seconds.
"""

import numpy as np
from torch import nn

from peclr_utils.crops import CropSet
from peclr_utils.evaluation import Evaluation, equivariant_read_out, ridge_probe, turn_of_points
from peclr_utils.models import ContrastiveModel
from peclr_utils.skeleton import ROOT
from peclr_utils.training import Predictions, PretrainConfig, extract_features
from peclr_utils.training.device import seeded
from peclr_utils.training.poses import plain_labels
from peclr_utils.weights import load_contrastive_model

TURNS = (-90.0, -60.0, -30.0, 30.0, 60.0, 90.0)
"""Degrees by which images are turned to see how their projections turn."""


def probe_encoder(
    encoder: nn.Module,
    labelled: CropSet,
    test: CropSet,
    image_size: int,
    view_factor: float,
    indices: np.ndarray | None = None,
    precision: str = "fp32",
) -> Evaluation:
    """Predict hands by ridge regression on a frozen encoder's features.

    Args:
        encoder: from (B, 3, S, S) to (B, features), on the device to compute on.
        labelled, test: hands to fit the regression to, and to measure it on.
        image_size, view_factor: side S of a view in pixels, and its width; see `PretrainConfig`.
        indices: which of the labelled hands; None for all.
        precision: see `RunSettings`.

    Returns:
        The test hands' errors; in 3D with the true wrist, because the regression is relative to it.

    Raises:
        ValueError: if a hand lacks its 3D keypoints or its intrinsics, or the labelled hands are too few.
    """
    chosen = np.arange(len(labelled)) if indices is None else indices
    view = (image_size, view_factor)
    known, truth = plain_labels(labelled, chosen, *view), plain_labels(test, None, *view)
    relative = known["keypoints_3d"] - known["keypoints_3d"][:, [ROOT]]
    targets = np.concatenate([relative, known["keypoints_2d"]], axis=2)
    found = ridge_probe(
        extract_features(encoder, labelled, *view, indices=chosen, precision=precision),
        targets.reshape(len(targets), -1),
        extract_features(encoder, test, *view, precision=precision),
        identity=labelled.identities[chosen],
    ).reshape(len(test), 21, 5)
    points = found[..., :3] + truth["keypoints_3d"][:, [ROOT]]
    labels = (truth[name] for name in ("keypoints_3d", "keypoints_2d", "K"))
    return Predictions(points, found[..., 3:], *labels).evaluate()


def initial_model(path: str, config: PretrainConfig) -> ContrastiveModel:
    """Load encoder and projector, or draw their weights as a pre-training would if the path is ""."""
    if path:
        return load_contrastive_model(path)
    with seeded(config.seed):
        return ContrastiveModel(config.arch, config.projector_hidden, config.projection_size)


def measure_turn(
    model: ContrastiveModel,
    labelled: CropSet,
    test: CropSet,
    image_size: int,
    view_factor: float,
    indices: np.ndarray | None = None,
    precision: str = "auto",
) -> dict[str, float]:
    """Measure how a network's projections turn with the image, and what an equivariant read-out finds.

    Args:
        model: encoder and projector, on the device to compute on.
        labelled, indices: hands to fit the read-out to, upright ones, and which of them; None for all.
        test: hands to turn by each of `TURNS`, and to read out as they are.
        image_size, view_factor: side S of a view in pixels, and its width; see `PretrainConfig`.
        precision: see `RunSettings`.

    Returns:
        slope, low, high: see `turn_of_points`; read_out_px: mean 2D error of `equivariant_read_out` for
        keypoints about their mean, pixels of the view; centre_px: that of all keypoints at their mean.
    """
    chosen = np.arange(len(labelled)) if indices is None else indices
    view = (image_size, view_factor)

    def project(hands: CropSet, **options: object) -> np.ndarray:
        return extract_features(model, hands, *view, precision=precision, **options)

    still = project(test)
    turn = turn_of_points(still, np.stack([project(test, angle=angle) for angle in TURNS]), TURNS)
    known, truth = (plain_labels(*of, *view)["keypoints_2d"] for of in ((labelled, chosen), (test, None)))
    centred = truth - truth.mean(axis=1, keepdims=True)
    found = equivariant_read_out(project(labelled, indices=chosen), known, still)
    errors = {"read_out_px": found - centred, "centre_px": centred}
    means = {name: float(np.linalg.norm(error, axis=-1).mean()) for name, error in errors.items()}
    return {"slope": turn.slope, "low": turn.low, "high": turn.high, **means}
