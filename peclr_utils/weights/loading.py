"""Networks from files: an encoder, a contrastive model, a pose network.

Chapter 03 loads encoders, chapter 04 pose networks, chapter 05 the authors' published ones.
"""

import logging
import urllib.error
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn

from peclr_utils.models import FEATURES, ContrastiveModel, PoseNetwork25D, build_encoder
from peclr_utils.weights.architecture import difference, find_architecture, load_strictly
from peclr_utils.weights.layouts import AUTHORS_TRAINING, VIEW, Weights, recognise
from peclr_utils.weights.reading import read_checkpoint

logger = logging.getLogger("peclr_utils.weights")

IMAGENET = "imagenet"
"""Stands for torchvision's ImageNet weights wherever a checkpoint's path is asked for."""

LOADERS = {"encoder": "load_encoder", "contrastive": "load_contrastive_model", "pose": "load_pose_network"}


def fetch_imagenet(arch: str) -> dict[str, Tensor]:
    """Get torchvision's ImageNet weights (IMAGENET1K_V1, as the paper's) from its cache or the network.

    Args:
        arch: one of `models.FEATURES`.

    Returns:
        The state dict, on the CPU.

    Raises:
        FileNotFoundError: if they are neither on disk nor to be downloaded; says where to put them.
        ValueError: if the architecture is unknown.
    """
    if arch not in FEATURES:
        raise ValueError(f"unknown architecture {arch!r}; known are {', '.join(FEATURES)}")
    url = torchvision.models.get_model_weights(arch).IMAGENET1K_V1.url
    try:
        return torch.hub.load_state_dict_from_url(url, map_location="cpu", progress=False, weights_only=True)
    except (urllib.error.URLError, OSError) as error:
        file = Path(torch.hub.get_dir(), "checkpoints", url.rsplit("/", 1)[1])
        raise FileNotFoundError(
            f"the ImageNet weights of {arch} are not on disk ({file}) and cannot be downloaded ({error}). "
            f"Fetch {url} on another machine and put it there, or start from random weights (encoder '')"
        ) from None


def _architecture(weights: Weights, expected: str | None) -> str:
    state = weights.encoder_state()
    found = find_architecture(state, weights.path, weights.encoder_name)
    if expected is not None and found != expected:
        raise ValueError(
            f"{weights.path}: expected a {expected}, found a {found} "
            f"({difference(expected, state, weights.encoder_name)}). "
            f"Set arch={found!r} or name another checkpoint"
        )
    return found


def _projector_widths(weights: Weights) -> tuple[int, int]:
    """Hidden and output width of the projector, as its last layer's shape says."""
    last = weights.state.get("projector.3.weight")
    if last is None or last.ndim != 2 or len(last) % 2:
        found = "no such key" if last is None else str(tuple(last.shape))
        raise ValueError(
            f"{weights.path}: {weights.name('projector.3.weight')}: expected an even number of outputs by "
            f"the hidden width, such as (128, 512), found {found}. Nothing was loaded. For the encoder of a "
            "file without a projection head, call load_encoder"
        )
    return last.shape[1], last.shape[0]


def _build(weights: Weights, arch: str) -> nn.Module:
    """The whole network that a file's tensors belong to, still with random weights."""
    if weights.kind == "contrastive":
        return ContrastiveModel(arch, *_projector_widths(weights))
    if weights.kind == "pose":
        try:
            network = PoseNetwork25D(arch, weights.keypoint_order)
        except ValueError as error:
            raise ValueError(f"{weights.path}: {error}") from None
        network.image_size, network.view_factor = (weights.view.get(name) for name in VIEW)
        return network
    return build_encoder(arch)


def _fill(weights: Weights, arch: str | None) -> nn.Module:
    """The whole network of a file, every tensor in its place; what is dropped is said."""
    arch = _architecture(weights, arch)
    headless = weights.layout is AUTHORS_TRAINING and not weights.has("projector.")
    # The random weights are overwritten: whoever loads a file has drawn no number by it.
    with torch.random.fork_rng(devices=[]):
        network = build_encoder(arch) if headless else _build(weights, arch)
    if headless:
        load_strictly(network, weights.encoder_state(), weights.path, weights.encoder_name)
    else:
        load_strictly(network, weights.state, weights.path, weights.name)
    if weights.dropped:
        logger.warning(
            "%s: dropped %s, for which an encoder has no place. Everything else fits.",
            weights.path,
            ", ".join(weights.dropped),
        )
    return network.eval()


def load_encoder(path: str | Path, arch: str | None = None) -> nn.Module:
    """Load an encoder.

    From the authors' published pre-trained files or training checkpoints, this project's checkpoints,
    torchvision state dicts, or any of these as `.safetensors`. Of a contrastive model or a pose network it
    gives the encoder, once the whole file has been checked.

    Args:
        path: the file; or "imagenet" for torchvision's weights, for which `arch` must be given.
        arch: the architecture that is expected; None takes the file's own.

    Returns:
        A torchvision ResNet from (B, 3, H, W) to (B, features), its `fc` the identity, in evaluation mode.

    Raises:
        FileNotFoundError: if the file is missing, or the ImageNet weights cannot be had.
        ValueError: if the file holds another architecture, or its keys or shapes do not fit, naming them.
    """
    if str(path) == IMAGENET:
        if arch is None:
            raise ValueError("ImageNet weights: name the architecture, for example arch='resnet50'")
        checkpoint = {"state_dict": fetch_imagenet(arch)}
    else:
        checkpoint = read_checkpoint(path)
    network = _fill(recognise(checkpoint, str(path)), arch)
    if isinstance(network, PoseNetwork25D):
        network.backbone.fc = nn.Identity()
        return network.backbone
    return network.encoder if isinstance(network, ContrastiveModel) else network


def _load(path: str | Path, kind: str) -> nn.Module:
    weights = recognise(read_checkpoint(path), str(path))
    if weights.kind != kind:
        raise ValueError(
            f"{path}: expected a checkpoint of kind {kind!r}, found {weights.kind!r} "
            f"({weights.layout.name}). Call {LOADERS[weights.kind]} or name another checkpoint"
        )
    if kind == "contrastive":
        _projector_widths(weights)
    return _fill(weights, None)


def load_contrastive_model(path: str | Path) -> ContrastiveModel:
    """Load encoder and projector, from this project's pre-training or the authors' training checkpoints.

    Args:
        path: the file.

    Returns:
        The model, in evaluation mode; its widths are the file's.

    Raises:
        FileNotFoundError, ValueError: as `load_encoder`.
    """
    return _load(path, "contrastive")


def load_pose_network(path: str | Path) -> PoseNetwork25D:
    """Load a fine-tuned pose network, this project's or one the authors published.

    The authors' networks predict pixels of the crop (`scale` 1, `offset` 0) in the order "ait_palm": the
    palm's centre in the wrist's place, then MCPs from thumb to little finger, PIPs, DIPs, tips.

    Args:
        path: the file.

    Returns:
        The network, in evaluation mode, in its file's `keypoint_order`; of this project's networks it knows
        the crops that they were trained on, too.

    Raises:
        FileNotFoundError, ValueError: as `load_encoder`.
    """
    return _load(path, "pose")
