"""How each kind of file names a network's tensors.

Chapter 05 takes the authors' published weights through it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

FORMAT = "peclr_utils 1"

VIEW = {"image_size": int, "view_factor": float}
"""What this project's checkpoints say about the crops that a pose network was trained on."""

LABELS = ("kind", "arch", "keypoint_order", *VIEW)
"""What this project's checkpoints say about their network besides its tensors."""

WRAPPERS = ("module", "_orig_mod")
"""What DistributedDataParallel and `torch.compile` add to the keys of what they wrap."""


@dataclass(frozen=True)
class Layout:
    """One way to name tensors.

    Attributes:
        name: for messages.
        kind: the network it holds: "encoder", "contrastive" or "pose".
        prefixes: prefix of this package's keys to the file's. Keys without any of them aren't in such files.
        marks: a file has this layout if each of these prefixes occurs in it.
        dropped: prefixes of the file's keys that are ignored, because no network here has a place for them.
        keypoint_order: of a pose network whose file doesn't say it.
    """

    name: str
    kind: str
    prefixes: Mapping[str, str]
    marks: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    keypoint_order: str = ""

    def translate(self, key: str) -> str | None:
        """The file's name for a key of this package; None if such files don't have it."""
        found = next((prefix for prefix in self.prefixes if key.startswith(prefix)), None)
        return None if found is None else self.prefixes[found] + key.removeprefix(found)


# Sequential(conv1, bn1, relu, maxpool, layer1, layer2, layer3, layer4, avgpool): 2, 3 and 8 have no weights.
_POSITIONS = {"conv1": 0, "bn1": 1, "layer1": 4, "layer2": 5, "layer3": 6, "layer4": 7}
_FEATURES = {f"{name}.": f"encoder.features.{place}." for name, place in _POSITIONS.items()}

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


def recognise(checkpoint: Mapping[str, Any], path: str) -> tuple[Layout, dict[str, Tensor]]:
    """Find a file's layout, and its tensors by their keys without wrappers; ValueError if it has others."""
    own = checkpoint.get("format") == FORMAT
    if own and checkpoint.get("kind") not in OWN:
        raise ValueError(f"{path}: expected kind {' or '.join(OWN)}, found {checkpoint.get('kind')!r}")
    found = checkpoint.get("model") if own else checkpoint.get("state_dict", checkpoint)
    if not isinstance(found, Mapping) or not found:
        raise ValueError(f"{path}: expected a state dict of tensors, found {type(found).__name__}, or none")
    state: dict[str, Tensor] = {}
    for key, value in found.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            kind = type(value).__name__
            raise ValueError(
                f"{path}: expected tensors only, here or as 'state_dict', found {kind} at {key!r}"
            )
        bare = ".".join(part for part in key.split(".") if part not in WRAPPERS)
        if bare in state:
            raise ValueError(f"{path}: {key} is there twice, with and without {' or '.join(WRAPPERS)}")
        state[bare] = value
    if own:
        return OWN[checkpoint["kind"]], state
    known = (each for each in FOREIGN if all(any(key.startswith(m) for key in state) for m in each.marks))
    return next(known), state
