"""Networks from files: an encoder, a contrastive model, a pose network.

Chapter 03 loads encoders, chapter 04 pose networks, chapter 05 the authors' published ones.
"""

import functools
import logging
import math
import urllib.error
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from peclr_utils.models import FEATURES, ContrastiveModel, PoseNetwork25D, build_encoder
from peclr_utils.weights.layouts import OWN, VIEW, Layout, recognise
from peclr_utils.weights.read import read_checkpoint

logger = logging.getLogger("peclr_utils.weights")

NETWORKS = {"encoder": build_encoder, "contrastive": ContrastiveModel, "pose": PoseNetwork25D}
TRAINED_HERE = {
    "peclr": "peclr_rn18_64.safetensors",
    "simclr": "simclr_rn18_64.safetensors",
    "hand": "hand_rn18.safetensors",
}
"""Networks that come with the repository, in data/weights, by the name that stands for their path."""

LOADERS = {"encoder": "load_encoder", "contrastive": "load_contrastive_model", "pose": "load_pose_network"}


def load_encoder(path: str | Path, arch: str | None = None, prefix: str | None = None) -> nn.Module:
    """Load an encoder.

    From the authors' published pre-trained files or training checkpoints, this project's checkpoints,
    torchvision state dicts, or any of these as `.safetensors`. A contrastive model or pose network is checked
    as a whole before its encoder is returned. From any other file, the only ResNet in it, whatever the prefix
    of its keys; a logged warning names what is ignored.

    Args:
        path: the file; "peclr" or "simclr" for the ResNet-18 that comes with the repository (SimCLR without
            rotation); "imagenet" for torchvision's weights, for which `arch` must be given.
        arch: the expected architecture; None takes the file's own.
        prefix: of the encoder's keys in a file with several encoders, for example "teacher.backbone".

    Returns:
        A torchvision ResNet from (B, 3, H, W) to (B, features), its `fc` the identity, in evaluation mode.

    Raises:
        FileNotFoundError: if the file is missing, or the ImageNet weights can't be downloaded.
        ValueError: if the architecture, keys or shapes don't fit, or there are several encoders; names them.
    """
    checkpoint = _fetch_imagenet(arch) if str(path) == "imagenet" else read_checkpoint(_find(path))
    network = _build(checkpoint, str(path), "", arch, prefix)
    encoder = getattr(network, "backbone", getattr(network, "encoder", network))
    encoder.fc = nn.Identity()
    return encoder


def load_contrastive_model(path: str | Path) -> ContrastiveModel:
    """Load encoder and projector, from this project's pre-training or the authors' training checkpoints.

    Returns the model, in evaluation mode; its widths are the file's. Names and errors as in `load_encoder`.
    """
    return _build(read_checkpoint(_find(path)), str(path), "contrastive")


def load_pose_network(path: str | Path = "hand") -> PoseNetwork25D:
    """Load a fine-tuned pose network: this project's, by default the one that comes with it, or the authors'.

    The authors' networks predict pixels of the crop (`scale` 1, `offset` 0) in the order "ait_palm": the
    palm's centre in place of the wrist, then MCPs from thumb to little finger, PIPs, DIPs, tips.

    Returns:
        The network, in evaluation mode, in its file's `keypoint_order`. This project's networks also know the
        crops that they were trained on.

    Raises:
        FileNotFoundError, ValueError: as `load_encoder`.
    """
    return _build(read_checkpoint(_find(path)), str(path), "pose")


def load_strictly(
    module: nn.Module, state: Mapping[str, Tensor], path: str, name: Callable[[str], str | None] = str
) -> None:
    """Fill a module from a state dict whose keys, shapes and types must fit.

    Everything is checked before anything is copied. Only `num_batches_tracked` may be missing: older files
    lack it, and nothing here uses it.

    Args:
        module, state: what to fill, and name to tensor.
        path: where it comes from, for messages.
        name: the state dict's name for a key of the module; where it is None, the module keeps its own value.

    Raises:
        ValueError: naming the keys that are missing, unknown, or of another shape or type.
    """
    ours = {name(key): key for key in module.state_dict()}
    expected = {name(key): _describe(tensor) for key, tensor in module.state_dict().items() if name(key)}
    found = {key: _describe(tensor) for key, tensor in state.items()}
    problems = {
        "missing": [k for k in expected if k not in found and not k.endswith("num_batches_tracked")],
        "unknown": [k for k in found if k not in expected],
        "of another shape or type": [
            f"{k} (expected {expected[k]}, found {found[k]})"
            for k in found
            if expected.get(k, found[k]) != found[k]
        ],
    }
    misfits = "; ".join(
        f"{len(keys)} {problem}: {', '.join(keys[:5])}{', ...' if len(keys) > 5 else ''}"
        for problem, keys in problems.items()
        if keys
    )
    if misfits:
        wrong = f"{path}: does not fit a {type(module).__name__}; keys {misfits}. Nothing was loaded"
        raise ValueError(f"{wrong}. Download the file again, or use one made for this network")
    module.load_state_dict({ours[key]: tensor for key, tensor in state.items()}, strict=False)


def find_architecture(keys: Iterable[str], path: str, layout: Layout = OWN["encoder"]) -> str:
    """Find the architecture, one of `FEATURES`, whose keys are nearest to a file's; ValueError if none is."""
    found = set(keys)
    misses = {arch: len(found ^ set(map(layout.translate, _keys(layout.kind, arch)))) for arch in FEATURES}
    arch = min(misses, key=misses.__getitem__)
    if misses[arch] > len(_keys(layout.kind, arch)) / 2:
        raise ValueError(
            f"{path}: expected the keys of a torchvision ResNet ({', '.join(FEATURES)}), found "
            f"{', '.join(sorted(found)[:3])}, ... Use another file, or rename its keys as torchvision does"
        )
    return arch


@functools.cache
def _keys(kind: str, arch: str) -> list[str]:
    with torch.device("meta"):
        return list(NETWORKS[kind](arch).state_dict())


def _describe(tensor: Tensor) -> str:
    """What must be equal for one tensor to be copied into another; the number of bits may differ."""
    kind = "floating" if tensor.is_floating_point() else "integer"
    return f"{tuple(tensor.shape)} {kind}" + " sparse" * (tensor.layout != torch.strided)


def _build(
    checkpoint: Mapping[str, Any], path: str, kind: str, arch: str | None = None, prefix: str | None = None
) -> nn.Module:
    """Build a checkpoint's whole network and put every tensor in its place."""
    layout, state = recognise(checkpoint, path, prefix)
    if kind not in ("", layout.kind):
        wanted = f"{path}: expected a checkpoint of kind {kind!r}, found {layout.kind!r} ({layout.name})"
        raise ValueError(f"{wanted}. Call {LOADERS[layout.kind]}, or use another file")
    dropped = [key for key in state if key.startswith(layout.dropped)]
    state = {key: value for key, value in state.items() if key not in dropped}
    found = find_architecture(state, path, layout)
    if arch not in (None, found):
        raise ValueError(f"{path}: expected a {arch}, found a {found}. Use another file, or arch={found!r}")
    options = {}
    if layout.kind == "pose":
        options["keypoint_order"] = layout.keypoint_order or str(checkpoint.get("keypoint_order"))
    elif layout.kind == "contrastive":
        last = state.get(layout.translate("projector.3.weight"))
        if last is not None and last.ndim == 2:
            options["out"], options["hidden"] = last.shape
    # The random weights are overwritten, so they don't come from the caller's random stream.
    with torch.random.fork_rng(devices=[]):
        try:
            network = NETWORKS[layout.kind](found, **options)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    load_strictly(network, state, path, layout.translate)
    if layout is OWN["pose"]:
        _set_view(network, checkpoint, path)
    if dropped:
        logger.warning("%s: dropped %s, for which an encoder has no place.", path, ", ".join(dropped))
    return network.eval()


def _set_view(network: PoseNetwork25D, checkpoint: Mapping[str, Any], path: str) -> None:
    """Set the crops that a network was trained on, by its file's labels or else its run's settings."""
    for name, number in VIEW.items():
        value = checkpoint.get(name, (checkpoint.get("config") or {}).get(name))
        try:
            valid = 0 < number(value) < math.inf
        except (TypeError, ValueError, OverflowError):
            valid = False
        if name in checkpoint and not valid:
            raise ValueError(f"{path}: {name}: expected a positive number, found {value!r}")
        setattr(network, name, number(value) if valid else None)
    for name in ("knows_presence", "any_angle"):
        setattr(network, name, str(checkpoint.get(name)) == "True")


def _find(path: str | Path) -> Path:
    """The file of a network that comes with the repository, or the path as it is."""
    if not (isinstance(path, str) and path in TRAINED_HERE):
        return Path(path)
    file = Path(__file__).resolve().parents[2] / "data" / "weights" / TRAINED_HERE[path]
    if not file.is_file():
        raise FileNotFoundError(
            f"{path!r} stands for {file}, which is not there. A clone of the repository has it in "
            f"data/weights; give the path of your copy, or ./{path} for a file of that name"
        )
    return file


def _fetch_imagenet(arch: str | None) -> dict[str, Tensor]:
    """torchvision's ImageNet weights (IMAGENET1K_V1, like the paper's) from its cache or the network."""
    if arch not in FEATURES:
        raise ValueError(f"ImageNet weights: expected one of {', '.join(FEATURES)} as arch, found {arch!r}")
    url = torchvision.models.get_model_weights(arch).IMAGENET1K_V1.url
    try:
        return torch.hub.load_state_dict_from_url(url, map_location="cpu", progress=False, weights_only=True)
    except (urllib.error.URLError, OSError) as error:
        file = Path(torch.hub.get_dir(), "checkpoints", url.rsplit("/", 1)[1])
        raise FileNotFoundError(
            f"the ImageNet weights of {arch} are not on disk ({file}) and cannot be downloaded ({error}). "
            f"Put {url} there, or start from random weights (encoder '')"
        ) from None
