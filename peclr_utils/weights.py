"""Every checkpoint format in and out.

Chapters 03 and 04 save and load with it.

This project's own files are written by `torch.save` and hold tensors, numbers, strings, lists and dicts
only, so that `torch.load(weights_only=True)` reads them and nothing in a file can run::

    format    "peclr_utils 1"
    kind      "encoder", "contrastive" or "pose"
    arch      "resnet18", ...
    model     state dict of the encoder, `ContrastiveModel` or `PoseNetwork25D`
    config    the run's settings as plain values
    training  what a resumed run needs (optimiser, step, ...), or None once the run is finished
    extra     anything else, for example results
"""

import os
import urllib.error
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from peclr_utils.models import FEATURES, ContrastiveModel, PoseNetwork25D, build_encoder

FORMAT = "peclr_utils 1"

IMAGENET = "imagenet"
"""Stands for torchvision's ImageNet weights wherever a checkpoint's path is asked for."""

BLOCKS = {
    ("basic", (2, 2, 2, 2)): "resnet18",
    ("basic", (3, 4, 6, 3)): "resnet34",
    ("bottleneck", (3, 4, 6, 3)): "resnet50",
    ("bottleneck", (3, 4, 23, 3)): "resnet101",
    ("bottleneck", (3, 8, 36, 3)): "resnet152",
}
"""Kind of block and number of blocks in the four layers: what tells the architectures apart."""

WRAPPERS = ("module.", "_orig_mod.")
"""Prefixes that DistributedDataParallel and `torch.compile` put before a network's keys."""


def save_checkpoint(
    path: str | Path,
    model: nn.Module,
    *,
    config: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Path:
    """Write a checkpoint so that the file is always whole.

    It goes into a temporary file first, which then takes its place.

    Args:
        path: the file; its folder is made when missing.
        model: a `ContrastiveModel`, a `PoseNetwork25D` or an encoder.
        config: the run's settings as plain values.
        training: what a resumed run needs, or None.
        extra: further plain values or tensors.

    Returns:
        The path.
    """
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    kind = {ContrastiveModel: "contrastive", PoseNetwork25D: "pose"}.get(type(model), "encoder")
    encoder = {"contrastive": "encoder.", "pose": "backbone."}.get(kind, "")
    checkpoint = {
        "format": FORMAT,
        "kind": kind,
        "arch": find_architecture(_below(state, encoder), str(path)),
        "model": state,
        "config": dict(config or {}),
        "training": None if training is None else dict(training),
        "extra": dict(extra or {}),
    }
    if isinstance(model, PoseNetwork25D):
        checkpoint["keypoint_order"] = model.keypoint_order
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        torch.save(checkpoint, temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a file written by `torch.save` without running anything in it.

    Args:
        path: the file.

    Returns:
        Its dict, on the CPU.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read, or is no dict.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such checkpoint")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file raises any of half a dozen kinds
        # torch's own advice to switch the protection off would be the wrong one.
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(
            f"{path}: cannot be read as a checkpoint of tensors and plain values ({reason})"
        ) from None
    if not isinstance(checkpoint, dict):
        raise ValueError(f"{path}: expected a dict, found {type(checkpoint).__name__}")
    return checkpoint


def _below(state: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}


def _unwrap(state: Mapping[str, Any]) -> dict[str, Any]:
    """Strip the prefixes of wrappers, as often as they occur."""
    state = dict(state)
    while state and any(all(key.startswith(prefix) for key in state) for prefix in WRAPPERS):
        state = {key.split(".", 1)[1]: value for key, value in state.items()}
    return state


def find_architecture(state: Mapping[str, Any], path: str = "state dict") -> str:
    """Tell a torchvision ResNet's architecture from the keys of its state dict.

    Args:
        state: keys "conv1.weight", "layer1.0.conv1.weight", ...
        path: where it comes from, for the message.

    Returns:
        One of `FEATURES`.

    Raises:
        ValueError: if it is none of them.
    """
    blocks = tuple(
        len({key.split(".")[1] for key in state if key.startswith(f"layer{layer}.")}) for layer in range(1, 5)
    )
    kind = "bottleneck" if "layer1.0.conv3.weight" in state else "basic"
    if (kind, blocks) not in BLOCKS:
        first = ", ".join(list(state)[:3]) or "none"
        raise ValueError(
            f"{path}: expected the keys of a torchvision ResNet ({', '.join(FEATURES)}), "
            f"found {len(state)} keys ({first}, ...) with {blocks} {kind} blocks in layers 1 to 4"
        )
    return BLOCKS[kind, blocks]


def load_strictly(module: nn.Module, state: Mapping[str, Tensor], path: str) -> None:
    """Fill a module from a state dict whose keys and shapes must fit.

    Everything is checked before anything is copied. Only `num_batches_tracked` may be missing: older files
    lack it, and nothing here uses it.

    Args:
        module: what to fill.
        state: name to tensor.
        path: where it comes from, for the message.

    Raises:
        ValueError: naming the keys that are missing, unknown or of another shape.
    """
    expected = module.state_dict()
    missing = [key for key in expected if key not in state and not key.endswith("num_batches_tracked")]
    unknown = [key for key in state if key not in expected]
    wrong = [
        f"{key} (expected {tuple(expected[key].shape)}, found {tuple(value.shape)})"
        for key, value in state.items()
        if key in expected and value.shape != expected[key].shape
    ]
    problems = {"missing": missing, "unknown": unknown, "of another shape": wrong}
    found = [
        f"{len(keys)} {what}: {', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''}"
        for what, keys in problems.items()
        if keys
    ]
    if found:
        raise ValueError(f"{path}: does not fit; keys {'; keys '.join(found)}. Nothing was loaded")
    module.load_state_dict(dict(state), strict=False)


def _encoder_state(checkpoint: Mapping[str, Any], path: str) -> dict[str, Tensor]:
    """Find the encoder's tensors in any known layout; classification layers are dropped."""
    if checkpoint.get("format") == FORMAT:
        prefix = {"contrastive": "encoder.", "pose": "backbone."}.get(checkpoint["kind"], "")
        state = _below(checkpoint["model"], prefix)
    else:
        nested = checkpoint.get("state_dict", checkpoint)
        state = _unwrap(nested) if isinstance(nested, Mapping) else {}
    state = {key: value for key, value in state.items() if not key.startswith("fc.")}
    strange = [key for key, value in state.items() if not isinstance(value, Tensor)]
    if strange or not state:
        raise ValueError(f"{path}: expected a state dict of tensors, found {strange[:3] or 'no tensors'}")
    return state


def _imagenet_state(arch: str) -> dict[str, Tensor]:
    """Get torchvision's ImageNet weights (IMAGENET1K_V1, as the paper's) from its cache or the network."""
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


def _difference(arch: str, state: Mapping[str, Tensor]) -> str:
    """One key by which a state dict differs from an architecture, with both shapes."""
    expected = build_encoder(arch).state_dict()
    shapes = [{key: tuple(value.shape) for key, value in part.items()} for part in (expected, state)]
    wanted, seen = ({key: shape for key, shape in part.items() if shape} for part in shapes)
    key = next(key for key in {**wanted, **seen} if wanted.get(key) != seen.get(key))
    return f"{key}: expected {wanted.get(key, 'no such key')}, found {seen.get(key, 'no such key')}"


def load_encoder(path: str | Path, arch: str | None = None) -> nn.Module:
    """Load an encoder from this project's checkpoints or a torchvision state dict.

    Args:
        path: the file; or "imagenet" for torchvision's weights, for which `arch` must be given.
        arch: the architecture that is expected; None takes the file's own.

    Returns:
        A torchvision ResNet from (B, 3, H, W) to (B, features), its `fc` the identity, in evaluation mode.

    Raises:
        FileNotFoundError: if the file is missing, or the ImageNet weights cannot be had.
        ValueError: if the file holds another architecture, or its keys or shapes do not fit.
    """
    if str(path) == IMAGENET:
        if arch is None:
            raise ValueError("ImageNet weights: name the architecture, for example arch='resnet50'")
        state = {key: value for key, value in _imagenet_state(arch).items() if not key.startswith("fc.")}
    else:
        state = _encoder_state(read_checkpoint(path), str(path))
    found = find_architecture(state, str(path))
    if arch is not None and found != arch:
        raise ValueError(
            f"{path}: expected a {arch}, found a {found} ({_difference(arch, state)}). "
            f"Set arch={found!r} or name another checkpoint"
        )
    encoder = build_encoder(found)
    load_strictly(encoder, state, str(path))
    return encoder.eval()


def _own(path: str | Path, kind: str) -> dict[str, Any]:
    checkpoint = read_checkpoint(path)
    if checkpoint.get("format") != FORMAT or checkpoint.get("kind") != kind:
        found = checkpoint.get("kind") or f"keys {', '.join(map(str, list(checkpoint)[:3]))}, ..."
        raise ValueError(f"{path}: expected this project's checkpoint of kind {kind!r}, found {found!r}")
    return checkpoint


def load_contrastive_model(path: str | Path) -> ContrastiveModel:
    """Load encoder and projector from a pre-training checkpoint.

    Args:
        path: a checkpoint that `training.pretrain` wrote.

    Returns:
        The model, in evaluation mode.

    Raises:
        FileNotFoundError, ValueError: as `load_encoder`.
    """
    checkpoint = _own(path, "contrastive")
    state = checkpoint["model"]
    out, hidden = state["projector.3.weight"].shape
    model = ContrastiveModel(checkpoint["arch"], hidden, out)
    load_strictly(model, state, str(path))
    return model.eval()


def load_pose_network(path: str | Path) -> PoseNetwork25D:
    """Load a fine-tuned pose network.

    Args:
        path: a checkpoint that `training.finetune` wrote.

    Returns:
        The network, in evaluation mode.

    Raises:
        FileNotFoundError, ValueError: as `load_encoder`.
    """
    checkpoint = _own(path, "pose")
    network = PoseNetwork25D(checkpoint["arch"], checkpoint["keypoint_order"])
    load_strictly(network, checkpoint["model"], str(path))
    return network.eval()
