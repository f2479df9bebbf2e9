"""Label photographs by a network's own predictions, where it is sure of them: `hand_network`'s last round.

Such labels are no better than the network's median over turned copies. But they show it hands, arms and faces
as photographs have them, in views of the hand and in views shifted away from it, scaled wrongly or mirrored.
"""

import warnings
from pathlib import Path

import numpy as np
from tqdm import tqdm

from peclr_utils.datasets import ImageFolderHands
from peclr_utils.files import write_json
from peclr_utils.inference import predict
from peclr_utils.models import PoseNetwork25D

MIDDLE = np.array([0.12, 0.12, 0.88, 0.88])
"""Box in which a photograph's hand is looked for first, as shares of width and height."""

SURE, ONE_SIDED, AGREED = 0.7, 0.2, 0.07
"""Least presence of a label, least difference to the presence of the other side, and largest `spread`."""


def label_photographs(network: PoseNetwork25D, folder: str | Path, file: str | Path) -> int:
    """Label the hands of a folder in COCO's format; each photograph shows one hand, which about fills it.

    Args:
        network: one that knows presence and was trained on hands at any angle.
        folder: the photographs. Those that can't be read are skipped, with one warning.
        file: where to write; a source is then "coco:FOLDER?labels=FILE".

    Returns:
        How many hands were labelled; if none was, no file is written.

    Raises:
        ValueError: if the network doesn't know presence, or wasn't trained on hands at any angle.
    """
    if not (network.knows_presence and network.any_angle):
        raise ValueError("label_photographs: expected a network that knows presence, for hands at any angle")
    photographs = ImageFolderHands(folder)
    images, annotations, unreadable = [], [], []
    for number in tqdm(range(len(photographs)), desc="label", unit="photograph"):
        try:
            sample = photographs[number]
        except (ValueError, OSError) as error:
            unreadable.append(str(error))
            continue
        box = MIDDLE * np.tile(sample.image.shape[1::-1], 2)
        sides = [predict(network, sample.image, box=box, is_left=is_left) for is_left in (False, True)]
        other, hand = sorted(sides, key=lambda one: one.presence)
        one_sided = hand.presence >= max(SURE, other.presence + ONE_SIDED)
        if not (one_sided and hand.spread <= AGREED):
            continue
        low, high = hand.keypoints_2d.min(axis=0), hand.keypoints_2d.max(axis=0)
        images.append({"id": number, "file_name": sample.name})
        annotations.append(
            {
                "image_id": number,
                "keypoints": np.column_stack([hand.keypoints_2d, np.full(21, 2)]).round(2).ravel().tolist(),
                "bbox": np.concatenate([low, high - low]).round(2).tolist(),
                "is_right": not hand.is_left,
            }
        )
    if unreadable:
        reasons = "; ".join(unreadable[:3]) + "; ..." * (len(unreadable) > 3)
        counted = f"Skipped {len(unreadable)} of {len(photographs)} photographs"
        warnings.warn(f"{folder}: {counted}: {reasons}", stacklevel=2)
    if annotations:
        write_json(Path(file), {"images": images, "annotations": annotations})
    return len(annotations)
