"""What each kind of file calls a network's tensors, and what we call them.

Chapter 05 takes the authors' published weights through it.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from peclr_utils.skeleton import NUM_KEYPOINTS

FORMAT = "peclr_utils 1"

VIEW = {"image_size": int, "view_factor": float}
"""What a checkpoint of this project says of the crops that a pose network was trained on."""

LABELS = ("kind", "arch", "keypoint_order", *VIEW)
"""What a checkpoint of this project says of its network beside the tensors."""

ENCODER = {"encoder": "", "contrastive": "encoder.", "pose": "backbone."}
"""Kinds of networks, and where each has its encoder."""

OUTPUTS = 3 * NUM_KEYPOINTS + 1
"""Of a pose network's last layer."""

WRAPPERS = ("module", "_orig_mod")
"""What DistributedDataParallel and `torch.compile` put before the keys of what they wrap."""


@dataclass(frozen=True)
class Layout:
    """One way to name tensors.

    Attributes:
        name: for messages.
        mark: a key that begins so tells the layout.
        kind: of the network it holds, one of `ENCODER`.
        parts: beginnings of keys in the file, and ours in their place. Every other key is an error.
        dropped: beginnings of keys that no network here has a place for.
    """

    name: str
    mark: str
    kind: str
    parts: tuple[tuple[str, str], ...]
    dropped: tuple[str, ...] = ()

    def has(self, keys: Iterable[str]) -> bool:
        """Whether these are keys of this layout."""
        return any(key.startswith(self.mark) for key in keys)

    def ours(self, key: str) -> str | None:
        """Our name for a key of the file; None if the layout has no such key."""
        return next((here + key[len(there) :] for there, here in self.parts if key.startswith(there)), None)

    def theirs(self, key: str) -> str:
        """The layout's name for a key of ours."""
        return next((there + key[len(here) :] for there, here in self.parts if key.startswith(here)), key)


# Sequential(conv1, bn1, relu, maxpool, layer1, layer2, layer3, layer4, avgpool): 2, 3 and 8 have no weights.
_POSITIONS = {0: "conv1", 1: "bn1", 4: "layer1", 5: "layer2", 6: "layer3", 7: "layer4"}

AUTHORS_TRAINING = Layout(
    "the authors' training checkpoints",
    "encoder.features.",
    "contrastive",
    (
        *((f"encoder.features.{place}.", f"encoder.{name}.") for place, name in _POSITIONS.items()),
        ("projection_head.", "projector."),
    ),
    ("encoder.final_layer.0.",),
)
AUTHORS_POSE = Layout(
    "the authors' fine-tuned networks",
    "backend_model.",
    "pose",
    (("backend_model.", "backbone."), ("zroot_ref.zroot_ref.", "root_refinement.")),
)
TORCHVISION = Layout("torchvision's state dicts", "", "encoder", (("", ""),), ("fc.",))

FOREIGN = (AUTHORS_TRAINING, AUTHORS_POSE, TORCHVISION)

OWN = {
    "encoder": TORCHVISION,
    "contrastive": Layout("this project's checkpoints", "", "contrastive", (("", ""),)),
    "pose": Layout("this project's checkpoints", "", "pose", (("", ""),)),
}


@dataclass(frozen=True)
class Weights:
    """A file's tensors under the names of our networks.

    Attributes:
        path: the file.
        layout: how the file names them.
        state: our name to tensor.
        keys: our name to the file's.
        dropped: keys in the file for which there is no place.
        keypoint_order: of a pose network, otherwise "".
        view: what is known of the crops it was trained on, by the names in `VIEW`.
    """

    path: str
    layout: Layout
    state: dict[str, Tensor]
    keys: dict[str, str]
    dropped: tuple[str, ...]
    keypoint_order: str = ""
    view: dict[str, int | float] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """One of `ENCODER`."""
        return self.layout.kind

    def has(self, part: str) -> bool:
        """Whether any tensor's name begins so."""
        return any(key.startswith(part) for key in self.state)

    def name(self, key: str) -> str:
        """What the file calls a tensor of ours, or would call it if it had it."""
        return self.keys.get(key) or self.layout.theirs(key)

    def encoder_name(self, key: str) -> str:
        """The same, of a key of the encoder alone."""
        return self.name(ENCODER[self.kind] + key)

    def encoder_state(self) -> dict[str, Tensor]:
        """The encoder's tensors under torchvision's names, without a pose network's last layer."""
        prefix = ENCODER[self.kind]
        state = {key[len(prefix) :]: value for key, value in self.state.items() if key.startswith(prefix)}
        return {key: value for key, value in state.items() if not key.startswith("fc.")}


def recognise(checkpoint: Mapping[str, Any], path: str) -> Weights:
    """Find a file's tensors, and bring their names to ours.

    Args:
        checkpoint: what `read_checkpoint` gives.
        path: the file, for messages.

    Returns:
        Its tensors, not yet checked against a network.

    Raises:
        ValueError: if it holds anything but tensors, or keys that its layout does not have.
    """
    own = checkpoint.get("format") == FORMAT
    if own and checkpoint.get("kind") not in OWN:
        raise ValueError(
            f"{path}: expected one of the kinds {', '.join(OWN)}, found {checkpoint.get('kind')!r}"
        )
    state = _unwrap(checkpoint.get("model") if own else checkpoint.get("state_dict", checkpoint), path)
    order = str(checkpoint.get("keypoint_order", "")) if own else ""
    layout = OWN[checkpoint["kind"]] if own else next(each for each in FOREIGN if each.has(state))
    named, keys, dropped = {}, {}, []
    for key, (theirs, value) in state.items():
        if key.startswith(layout.dropped):
            dropped.append(theirs)
            continue
        ours = layout.ours(key)
        if ours is None:
            raise ValueError(
                f"{path}: 1 unknown key: {theirs}. It looks like one of {layout.name}, whose keys begin with "
                f"{', '.join(there for there, _ in layout.parts)}. Nothing was loaded. Fetch the file again"
            )
        named[ours], keys[ours] = value, theirs
    if layout is AUTHORS_POSE:
        # These networks predict pixels and bone lengths as they are.
        order = "ait_palm"
        named |= {"scale": torch.ones(OUTPUTS), "offset": torch.zeros(OUTPUTS)}
    view = _view(checkpoint, path) if layout is OWN["pose"] else {}
    return Weights(path, layout, named, keys, tuple(dropped), order, view)


def _view(checkpoint: Mapping[str, Any], path: str) -> dict[str, int | float]:
    """How training cut its crops: as the file's labels say it, or else the settings of the run it is of."""
    config = checkpoint.get("config")
    view: dict[str, int | float] = {}
    for name, kind in VIEW.items():
        if name in checkpoint:
            try:
                view[name] = kind(checkpoint[name])
            except (TypeError, ValueError, OverflowError):
                view[name] = 0
            if not 0 < view[name] < math.inf:
                raise ValueError(f"{path}: {name}: expected a positive number, found {checkpoint[name]!r}")
        elif isinstance(config, Mapping):
            # Anyone's settings, which may mean something else by that name.
            value = config.get(name)
            if isinstance(value, int | float) and 0 < value < math.inf:
                view[name] = kind(value)
    return view


def _unwrap(state: Any, path: str) -> dict[str, tuple[str, Tensor]]:
    """Bare key to the file's key and tensor: wrappers' names are left out wherever they occur."""
    if not isinstance(state, Mapping) or not state:
        raise ValueError(
            f"{path}: expected a state dict of tensors, found {type(state).__name__} without any"
        )
    strange = [
        key for key, value in state.items() if not isinstance(key, str) or not isinstance(value, Tensor)
    ]
    if strange:
        raise ValueError(
            f"{path}: expected a state dict of tensors, found something else at "
            f"{', '.join(map(repr, strange[:3]))}. Name a file that has the tensors at its top, or under "
            "'state_dict'"
        )
    bare: dict[str, tuple[str, Tensor]] = {}
    for key, value in state.items():
        name = ".".join(part for part in key.split(".") if part not in WRAPPERS)
        if name in bare:
            raise ValueError(
                f"{path}: {key} and {bare[name][0]} are the same key but for {' and '.join(WRAPPERS)}"
            )
        bare[name] = (key, value)
    return bare
