"""How each kind of file names a network's tensors.

Chapter 05 takes the authors' published weights through it.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

logger = logging.getLogger("peclr_utils.weights")

FORMAT = "peclr_utils 1"

VIEW = {"image_size": int, "view_factor": float}
"""What this project's checkpoints say about the crops that a pose network was trained on."""

LABELS = ("kind", "arch", "keypoint_order", *VIEW, "knows_presence", "any_angle")
"""What this project's checkpoints say about their network besides its tensors."""

WRAPPERS = ("module", "_orig_mod")
"""What DistributedDataParallel and `torch.compile` add to the keys of what they wrap."""


@dataclass(frozen=True)
class Layout:
    """One way to name tensors."""

    name: str  # for messages
    kind: str  # the network it holds: "encoder", "contrastive" or "pose"
    prefixes: Mapping[str, str]  # of this package's keys to the file's; keys without one aren't in such files
    marks: tuple[str, ...] = ()  # a file has this layout if each of these prefixes occurs in it
    dropped: tuple[str, ...] = ()  # prefixes of the file's keys that no network here has a place for
    keypoint_order: str = ""  # of a pose network whose file doesn't say it

    def translate(self, key: str) -> str | None:
        """The file's name for a key of this package; None if such files don't have it."""
        found = next((prefix for prefix in self.prefixes if key.startswith(prefix)), None)
        return None if found is None else self.prefixes[found] + key.removeprefix(found)


# Sequential(conv1, bn1, relu, maxpool, layer1, layer2, layer3, layer4, avgpool): 2, 3 and 8 have no weights.
_POSITIONS = {"conv1": 0, "bn1": 1, "layer1": 4, "layer2": 5, "layer3": 6, "layer4": 7}
_SEQUENTIAL = {f"{name}.": f"{place}." for name, place in _POSITIONS.items()}
_FEATURES = {ours: f"encoder.features.{theirs}" for ours, theirs in _SEQUENTIAL.items()}

FOREIGN = (
    Layout(
        "the authors' training checkpoints",
        "contrastive",
        {f"encoder.{ours}": theirs for ours, theirs in _FEATURES.items()}
        | {"projector.": "projection_head."},
        marks=("encoder.features.", "projection_head."),
        dropped=("encoder.final_layer.0.",),
    ),
    Layout(
        "the authors' training checkpoints without a projection head",
        "encoder",
        _FEATURES,
        marks=("encoder.features.",),
        dropped=("encoder.final_layer.0.",),
    ),
    # These predict pixels and bone lengths: `scale` and `offset`, which they lack, stay 1 and 0.
    Layout(
        "the authors' fine-tuned networks",
        "pose",
        {"backbone.": "backend_model.", "root_refinement.": "zroot_ref.zroot_ref."},
        marks=("backend_model.",),
        keypoint_order="ait_palm",
    ),
    Layout("torchvision's state dicts", "encoder", {"": ""}, dropped=("fc.",)),
)
"""Layouts of other projects; the first that matches is taken."""

OWN = {kind: Layout("this project's checkpoints", kind, {"": ""}) for kind in ("contrastive", "pose")}
OWN["encoder"] = FOREIGN[-1]


def recognise(
    checkpoint: Mapping[str, Any], path: str, prefix: str | None = None
) -> tuple[Layout, dict[str, Tensor]]:
    """Find a file's layout, and its tensors by their keys without wrappers; ValueError if it has others.

    With a prefix, or if no layout fits, these are one encoder's: the one below the prefix, or the only one.
    """
    own = checkpoint.get("format") == FORMAT
    if own and checkpoint.get("kind") not in OWN:
        raise ValueError(f"{path}: expected kind {' or '.join(OWN)}, found {checkpoint.get('kind')!r}")
    found = checkpoint.get("model") if own else checkpoint.get("state_dict", checkpoint)
    if not isinstance(found, Mapping) or not found:
        raise ValueError(f"{path}: expected a state dict of tensors, found {type(found).__name__}, or none")
    state = _flatten(found, path)
    known = (each for each in FOREIGN if all(any(key.startswith(m) for key in state) for m in each.marks))
    layout, encoders = OWN[checkpoint["kind"]] if own else next(known), _encoders(state)
    named = "conv1.weight" in state and all(map(_is_part, state))  # as torchvision does
    if prefix is not None or (encoders and layout is FOREIGN[-1] and not own and not named):
        return _choose(encoders, prefix, state, path)
    for key, value in found.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            wrong = f"found {type(value).__name__} at {key!r}"
            raise ValueError(f"{path}: expected tensors only, here or as 'state_dict', {wrong}")
    return layout, state


def _is_part(key: str) -> bool:
    """Whether a key begins with a part of a ResNet, by name or by position."""
    part = key.split(".")[0]
    return part in (*_POSITIONS, "fc") or part in map(str, _POSITIONS.values())


def _flatten(found: Mapping[Any, Any], path: str) -> dict[str, Tensor]:
    """All tensors in nested mappings, by dotted keys without wrappers."""
    state: dict[str, Tensor] = {}
    waiting, seen = [("", found)], {id(found)}  # a file may nest a mapping in itself
    for place, mapping in waiting:
        for key, value in mapping.items():
            full = f"{place}{key}"
            plain = ".".join(part for part in full.split(".") if part not in WRAPPERS)
            if isinstance(value, Mapping) and id(value) not in seen:
                seen.add(id(value))
                waiting.append((f"{full}.", value))
            elif isinstance(value, Tensor) and plain in state:
                raise ValueError(f"{path}: {full} is there twice, with and without {' or '.join(WRAPPERS)}")
            elif isinstance(value, Tensor):
                state[plain] = value
    return state


def _encoders(state: Mapping[str, Tensor]) -> dict[str, Layout]:
    """Each prefix with a ResNet below it, under torchvision's names or as a Sequential of its parts."""
    encoders = {}
    for key in state:
        if block := re.fullmatch(r"(|.+\.)(layer1|4)\.0\.conv1\.weight", key):
            prefix, names = block[1], _SEQUENTIAL if block[2] == "4" else {"": ""}
            names = {ours: prefix + theirs for ours, theirs in names.items()}
            layout = Layout(f"an encoder below {prefix!r}", "encoder", names)
            if layout.translate("conv1.weight") in state:
                encoders[prefix] = layout
    return encoders


def _choose(
    encoders: Mapping[str, Layout], prefix: str | None, state: Mapping[str, Tensor], path: str
) -> tuple[Layout, dict[str, Tensor]]:
    """The layout and the tensors of one encoder, without its classifier; a warning names the rest."""
    places = ", ".join(map(repr, encoders)) or "none"
    if prefix is None and len(encoders) > 1:
        raise ValueError(
            f"{path}: expected one encoder, found several, below {places}. Choose with load_encoder(path, "
            'prefix="..."); save_encoder("encoder.pt", load_encoder(...)) makes a file of it for training'
        )
    place = next(iter(encoders)) if prefix is None else prefix and prefix.rstrip(".") + "."
    if place not in encoders:
        raise ValueError(f"{path}: expected a ResNet below the prefix {place!r}, found {places}")
    taken = {k: v for k, v in state.items() if k.startswith(place) and not k.startswith(f"{place}fc.")}
    taken = {k: v for k, v in taken.items() if place or _is_part(k)}
    depth = max(place.count("."), 1)
    rest = {".".join(k.split(".")[: depth + k.startswith(place)]) for k in state if k not in taken}
    ignored = ", ".join(sorted(rest)) or "nothing"
    logger.warning("%s: took the encoder below %r, ignored %s.", path, place, ignored)
    return encoders[place], taken
