"""What all configurations share: checks, JSON, and the settings of the machine and the run.

Chapters 03 and 04 recognise an earlier run by the settings saved beside it.
"""

import dataclasses
import importlib.util
import json
import sys
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from peclr_utils.models import FEATURES

OPTIMISERS = ("adam", "adamw", "layerwise_adam")
PRECISIONS = ("auto", "fp32", "tf32", "bf16", "fp16")
EXECUTORS = ("auto", "opencv", "batch")
HOLDING = ("auto", "always", "never")


class Settings:
    """Checks and JSON for frozen dataclasses of plain values."""

    def to_json(self) -> str:
        """Write as JSON, one field a line."""
        return json.dumps(dataclasses.asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ValueError: naming fields that do not exist.
        """
        values = json.loads(text)
        if not isinstance(values, dict):
            raise ValueError(
                f"{cls.__name__}: expected a JSON object of its fields, found {text.strip()[:60]}"
            )
        return cls.from_dict(values)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Make from plain values; lists become tuples.

        Raises:
            ValueError: naming fields that do not exist.
        """
        cls._check_names(values)
        return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read from a JSON file: the `config.json` of an earlier run, or results, which tell theirs.

        Raises:
            FileNotFoundError: if there is none.
            ValueError: if it is not JSON, or names fields that do not exist.
        """
        try:
            values = json.loads(Path(path).read_text())
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}: expected JSON, {error}") from None
        if isinstance(values, dict) and isinstance(values.get("config"), dict):
            values = values["config"]
        return cls.from_json(json.dumps(values))

    def replace(self, **changes: Any) -> Self:
        """Give a copy with some fields changed.

        Raises:
            ValueError: naming fields that do not exist.
        """
        self._check_names(changes)
        return dataclasses.replace(self, **changes)

    @classmethod
    def _check_names(cls, values: dict[str, Any]) -> None:
        known = [field.name for field in dataclasses.fields(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ValueError(
                f"{cls.__name__} has no field {', '.join(unknown)}; its fields are {', '.join(known)}"
            )

    def _require(self, fine: bool, name: str, expected: str) -> None:
        if not fine:
            found = getattr(self, name)
            raise ValueError(f"{type(self).__name__}.{name}: expected {expected}, found {found!r}")

    def _require_types(self) -> None:
        """Check what is on or off, and texts: "no" would count as on, and None as some default."""
        kinds = {bool: "True or False", str: "a text"}
        for name, kind in typing.get_type_hints(type(self)).items():
            if kind in kinds:
                self._require(isinstance(getattr(self, name), kind), name, kinds[kind])

    def _require_choices(self, **choices: tuple[str, ...]) -> None:
        for name, options in choices.items():
            self._require(getattr(self, name) in options, name, "one of " + ", ".join(map(repr, options)))

    def _is_number(self, name: str) -> bool:
        value = getattr(self, name)
        return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")

    def _require_at_least(self, least: float, *names: str) -> None:
        for name in names:
            fine = self._is_number(name) and getattr(self, name) >= least
            self._require(fine, name, f"a number of at least {least}")

    def _require_positive(self, *names: str) -> None:
        for name in names:
            self._require(self._is_number(name) and getattr(self, name) > 0, name, "a positive number")

    def _require_whole(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            self._require(isinstance(value, int) and not isinstance(value, bool), name, "a whole number")

    def _require_sources(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            # A lone string is a sequence of letters: the commonest slip.
            strings = isinstance(value, tuple) and all(isinstance(source, str) for source in value)
            self._require(strings, name, 'a tuple of strings such as ("synthetic:1024?seed=1",)')


@dataclass(frozen=True, kw_only=True)
class RunSettings(Settings):
    """Fields of every training: where it lives, what it computes with, what it says."""

    output: str = ""  # run folder: config.json, log.jsonl, checkpoint.pt; "" keeps everything in memory
    cache: str = ""  # folder for packed crops that later runs reuse; "" for a temporary one
    seed: int = 0  # of weights, choice of labels, order and views; at least 0

    device: str = "auto"  # "auto", "cpu", "cuda", "cuda:1", "mps"
    # "fp32", "tf32" (fp32 but for convolutions on a GPU since Ampere), "bf16", "fp16" (on a CPU that means
    # fp32), or "auto": bf16 where the machine has it natively, fp16 on older GPUs, else fp32
    precision: str = "auto"
    channels_last: bool = True  # pixels before channels in memory: faster convolutions
    compile: bool = False  # torch.compile the network: a slow start that only long runs earn back
    executor: str = "auto"  # who warps: "opencv" in the loader, "batch" on the device; "auto": batch on GPUs
    workers: int = -1  # loader processes; -1: none on a CPU, where the network needs the cores, else up to 4

    tensorboard: bool = True  # also log for TensorBoard, if it is installed and there is an output folder
    # also log to Comet: "" doesn't, "offline" does into the output folder, to be sent later, else a project's
    # name
    comet: str = ""
    progress: bool = True  # show the chosen settings and a progress bar
    resume: bool = True  # go on from the output folder's checkpoint if there is one
    # write a checkpoint within an epoch, too, at the first log line so long after the last one; 0: don't
    save_every_minutes: float = 10.0
    time_limit_minutes: float = 0.0  # stop and save after this long; 0: no limit
    max_steps: int = 0  # stop and save after this many steps, the schedule stays as it is; 0: no limit

    def _validate_run(self) -> None:
        """Check the fields above, and those that both trainings have under the same name."""
        self._require_types()
        self._require_choices(
            arch=tuple(FEATURES), optimiser=OPTIMISERS, precision=PRECISIONS, executor=EXECUTORS
        )
        self._require_whole(
            "image_size", "batch_size", "accumulate", "workers", "seed", "log_every", "max_steps"
        )
        self._require_at_least(32, "image_size")
        # Batch norm has no variance in a batch of one.
        self._require_at_least(2, "batch_size")
        self._require_at_least(1, "accumulate", "log_every")
        self._require_at_least(
            0, "seed", "weight_decay", "time_limit_minutes", "max_steps", "save_every_minutes"
        )
        self._require_at_least(-1, "workers")
        self._require_positive("learning_rate", "view_factor")
        offline = self.comet == "offline" and not self.output
        self._require(not offline, "comet", "an output folder to be 'offline' in")
        if self.comet and not _comet_is_installed():
            raise ValueError(
                f"comet: found {self.comet!r}, but Comet is not installed; `pip install comet-ml`, or leave "
                "the setting empty"
            )
        self._require(isinstance(self.augmentation, dict), "augmentation", "a dict of augmentation settings")


def _comet_is_installed() -> bool:
    """Look without importing it, which takes seconds."""
    if "comet_ml" in sys.modules:
        return sys.modules["comet_ml"] is not None
    return importlib.util.find_spec("comet_ml") is not None
