"""A checkpoint's content as a dict, without running anything in the file.

All loaders of weights use it.
"""

import functools
import logging
import pickle
import warnings
from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from peclr_utils.weights.layouts import FORMAT, LABELS

logger = logging.getLogger("peclr_utils.weights")

SAFETENSORS = ".safetensors"

MISTAKEN = {
    b"\x1f\x8b": "This is an archive, as the authors publish: unpack it (tar -xzf) and use the file in it",
    b"version https://git-lfs": "This is a Git LFS pointer, not the file itself: run `git lfs pull`",
    b"<": "This is a web page: download the file itself",
    b"": "Download it again, or save a state dict where it was made",
}
"""What to do about a file that can't be read, by its first bytes."""


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a file of `torch.save` or a `.safetensors` file without running anything in it.

    `torch.load(weights_only=True)` reads it. If that refuses foreign classes, such as those in PyTorch
    Lightning's checkpoints, only `state_dict` is read, which must hold tensors, or without one every dict of
    tensors. No foreign class is imported, made or run; a logged warning names them.

    Returns:
        The file's dict, on the CPU. Of a file with foreign classes: these dicts. Of a `.safetensors` file: a
        checkpoint of this project if its metadata say so, otherwise {"state_dict": ...}.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it can't be read, or isn't a dict.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such checkpoint")
    try:
        checkpoint = _read_safetensors(path) if path.suffix == SAFETENSORS else _read_pickle(path)
    except Exception:  # torch reports damage in half a dozen ways, and advises switching off its protection
        with path.open("rb") as file:
            start = file.read(64).lstrip()
        advice = next(text for sign, text in MISTAKEN.items() if start.startswith(sign))
        raise ValueError(f"{path}: cannot be read as a checkpoint of tensors and numbers. {advice}") from None
    if not isinstance(checkpoint, dict):
        raise ValueError(f"{path}: expected a dict, found {type(checkpoint).__name__}. Save a state dict")
    return checkpoint


def _read_safetensors(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="pt", device="cpu") as file:
        metadata = file.metadata() or {}
        tensors = {key: file.get_tensor(key) for key in file.keys()}
    if metadata.get("peclr_utils") != FORMAT:
        return {"state_dict": tensors}
    labels = {label: metadata[label] for label in LABELS if label in metadata}
    return {"format": FORMAT, **labels, "model": tensors}


def _read_pickle(path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pickle protocols that it refuses a moment later
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError:  # foreign classes; TorchScript is another error and is never run
            return _read_lightning(path)


class _Inert:
    """Stands for everything foreign: a pickle may make, fill and call it, and nothing happens."""

    __slots__ = ()
    dump_patches = False  # torch asks this of pickled networks in files from before PyTorch 1.6

    def __new__(cls, *_: Any, **__: Any) -> "_Inert":
        return object.__new__(cls)

    def __setstate__(*_: Any) -> None:
        """Found on the class and on its objects, so that a pickle can't set attributes of either."""

    append = extend = add = __setitem__ = __call__ = __setstate__


def _read_lightning(path: Path) -> dict[str, dict[str, Tensor]]:
    """Read the dicts of tensors in a file that names foreign classes, and log the classes' names."""
    foreign: set[str] = set()

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            # Immutable or made for this call: a pickle can set attributes of whatever it gets.
            match module, name:
                case "collections", "OrderedDict":
                    return OrderedDict
                case "torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2":
                    return functools.partial(getattr(torch._utils, name))
                case "torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state":
                    return lambda data, *_: data
            foreign.add(f"{module}.{name}")
            return _Inert

    restricted = SimpleNamespace(__name__="restricted", Unpickler=Unpickler)
    restricted.load = lambda file, **options: Unpickler(file, **options).load()
    checkpoint = torch.load(path, map_location="cpu", weights_only=False, pickle_module=restricted)
    chosen = ["state_dict"] if "state_dict" in checkpoint else list(checkpoint)
    parts = {str(name): checkpoint[name] for name in chosen if isinstance(checkpoint[name], dict)}
    states = {name: {str(key): part[key] for key in part} for name, part in parts.items()}
    states = {k: v for k, v in states.items() if all(type(value) is Tensor for value in v.values())}
    if not states:
        raise ValueError("expected tensors only")
    names = ", ".join(sorted(foreign)[:5]) + ", ..." * (len(foreign) > 5)
    logger.warning("%s: read the %s only. Neither imported nor run: %s", path, ", ".join(states), names)
    return states
