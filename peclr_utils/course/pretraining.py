"""Pre-train an epoch at a time, and look at the network in between.

Chapter 03 draws its learning curves and its equivariance error with it.
"""

import json
from collections.abc import Callable
from pathlib import Path

from peclr_utils.crops import CropSet
from peclr_utils.models import ContrastiveModel
from peclr_utils.training.config import PretrainConfig
from peclr_utils.training.curve import split_off
from peclr_utils.training.pretrain import PretrainResult, pretrain
from peclr_utils.training.results import write_json
from peclr_utils.training.runlog import read_log

from .artefacts import resume_if_same

LOOKS = "looks.json"

Look = Callable[[ContrastiveModel], dict[str, float]]


def pretrain_and_look(
    config: PretrainConfig,
    crops: CropSet,
    look: Look,
    after_epoch: Callable[[PretrainResult], None] | None = None,
) -> tuple[PretrainResult, list[dict[str, float]]]:
    """Pre-train, and measure the network after every epoch.

    The run stops after each epoch and goes on from its checkpoint, which changes nothing about it. What was
    measured is kept in the run's folder: a run that was killed goes on after its last whole epoch, a finished
    one is read back, and one with other settings starts anew.

    Args:
        config: the run's settings, with an output folder.
        crops: the hands.
        look: from the network, in evaluation mode, to measures by name.
        after_epoch: called with the run so far, for example to draw its loss; or None.

    Returns:
        The finished run; and one dict an epoch: "epoch", and the measures.

    Raises:
        ValueError: if a setting is wrong or there is no output folder.
    """
    if not config.output:
        raise ValueError("pretrain_and_look: expected an output folder, which keeps the run between epochs")
    training, _ = split_off(crops.identities, config.equivariance_pictures, config.seed)
    steps = len(training) // (config.batch_size * config.accumulate)
    config, path = resume_if_same(config), Path(config.output, LOOKS)
    looks = json.loads(path.read_text()) if config.resume and path.is_file() else []
    logged = read_log(config.output)
    if config.resume and logged and logged[-1]["step"] >= (len(looks) + 1) * steps:
        # Another program trained on in this folder: the networks in between are gone.
        config, looks = config.replace(resume=False), []
    if len(looks) >= config.epochs:
        return pretrain(config, crops), looks
    for epoch in range(len(looks) + 1, config.epochs + 1):
        result = pretrain(config.replace(max_steps=epoch * steps), crops)
        config = config.replace(resume=True)
        looks.append({"epoch": epoch, **look(result.model)})
        write_json(path, looks)
        if after_epoch is not None:
            after_epoch(result)
    return result, looks
