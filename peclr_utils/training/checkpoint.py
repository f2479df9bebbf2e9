"""A run's folder: its settings, checkpoint and lock; when a run stops early, and when it may resume.

Chapter 03 trains with it: an interrupted run resumes.
"""

import contextlib
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.amp import GradScaler
from torch.optim import Optimizer

from peclr_utils.files import locked, write_text
from peclr_utils.interrupts import HeldInterrupt
from peclr_utils.settings import NonFiniteLossError
from peclr_utils.training.config import FinetuneConfig, PretrainConfig, RunSettings
from peclr_utils.weights import load_strictly, read_checkpoint, remove_leftovers, save_checkpoint

CHECKPOINT = "checkpoint.pt"
CONFIG = "config.json"

FREE_TO_CHANGE = frozenset(
    "output cache device precision compile backend workers loggers progress resume time_limit_minutes "
    "max_steps log_every save_every_epochs save_every_steps save_every_minutes test_sources".split()
)
"""Settings that do not change what a run computes, except for rounding: a resumed run may change them."""


def changed_settings(config: PretrainConfig | FinetuneConfig, saved: dict[str, Any]) -> list[str]:
    """List what differs and matters between a run's settings and a saved run's, from its `config.json`.

    Texts such as "epochs (there 2, here 3)"; [] if the saved run is this run.
    """
    here, there = config.plain(), {**type(config)().plain(), **saved}
    return [
        f"{name} (there {there[name]!r}, here {here[name]!r})"
        for name in here
        if name not in FREE_TO_CHANGE and there[name] != here[name]
    ]


class RunFolder:
    """The output folder of one run; without one `checkpoint`, the file's path, is None and nothing is saved.

    `images` is the number it trains on; ranks other than 0 only read (`writes=False`).
    """

    def __init__(self, config: PretrainConfig | FinetuneConfig, images: int, writes: bool = True):
        self.config, self.images, self.writes = config, images, writes
        self.checkpoint = Path(config.output, CHECKPOINT) if config.output else None
        self._saved_at = time.monotonic()

    def resume(self, model: nn.Module, optimiser: Optimizer, scaler: GradScaler) -> int:
        """Restore a run from its checkpoint if there is one; returns the number of steps done.

        ValueError if the checkpoint is of a run with other settings or data, or its tensors don't fit.
        """
        if self.checkpoint is None or not self.config.resume or not self.checkpoint.is_file():
            return 0
        saved = read_checkpoint(self.checkpoint)
        changed = changed_settings(self.config, saved["config"])
        if saved["extra"]["pictures"] != self.images:
            changed.append(f"number of images (there {saved['extra']['pictures']}, here {self.images})")
        if changed:
            raise ValueError(
                f"{self.checkpoint}: this run has other settings: {'; '.join(changed)}. Choose another "
                "output folder, or resume=False to start again in this one"
            )
        load_strictly(model, saved["model"], str(self.checkpoint))
        if saved["training"] is not None:
            state = saved["training"]["optimiser"]
            for group in state["param_groups"]:
                if "fused" in group:  # chosen by this machine, not by the one that saved
                    group["fused"] = optimiser.defaults["fused"]
            optimiser.load_state_dict(state)
            if state := saved["training"]["scaler"]:  # empty if that part ran without float16
                scaler.load_state_dict(state)
        return saved["extra"]["steps_done"]

    def start(self, first_step: int) -> None:
        """Write the settings; remove what a kill left of a checkpoint, and an old run's that starts again."""
        if self.checkpoint is not None and self.writes:
            if first_step == 0:
                self.checkpoint.unlink(missing_ok=True)
            write_text(self.checkpoint.with_name(CONFIG), self.config.to_json())
            remove_leftovers(self.checkpoint)

    def due(self) -> bool:
        """Whether the last checkpoint is `save_every_minutes` old."""
        minutes = self.config.save_every_minutes
        return minutes > 0 and time.monotonic() - self._saved_at >= 60 * minutes

    def save(
        self, model: nn.Module, optimiser: Optimizer, scaler: GradScaler, steps_done: int, finished: bool
    ) -> None:
        """Write the checkpoint; a finished run's has no optimiser, because nothing resumes from it.

        NonFiniteLossError if a weight is NaN or infinite; the checkpoint before this one stays.
        """
        if self.checkpoint is None or not self.writes:
            return
        sizes = torch.stack([weight.detach().float().norm() for weight in model.parameters()])
        if not sizes.isfinite().all():
            raise NonFiniteLossError(f"a weight is NaN or infinite after step {steps_done}; not saved")
        training = None if finished else {"optimiser": optimiser.state_dict(), "scaler": scaler.state_dict()}
        extra = {"steps_done": steps_done, "pictures": self.images, "finished": finished}
        save_checkpoint(self.checkpoint, model, config=self.config.plain(), training=training, extra=extra)
        self._saved_at = time.monotonic()


@contextlib.contextmanager
def locked_folder(output: str) -> Iterator[None]:
    """Raise BlockingIOError if another run is using an output folder, and keep later ones out.

    A folder that can't be written to needs no lock.
    """
    folder = Path(output)
    if not output or (folder.is_dir() and not os.access(folder, os.W_OK)):
        yield
        return
    busy = f"{folder}: another run is using this folder; choose another output folder or wait for it to end"
    with locked(folder / ".lock", busy):
        yield


class EarlyStop(HeldInterrupt):
    """Says when to stop: Ctrl-C, which it holds until the step is done, the time limit or the step limit."""

    def __init__(self, config: RunSettings):
        super().__init__()
        minutes = config.time_limit_minutes or math.inf
        self._deadline, self._max_steps = time.monotonic() + 60 * minutes, config.max_steps or math.inf

    def reason(self, steps_done: int) -> str:
        """Why to stop after `steps_done` steps; "" to continue."""
        if self.came:
            return "interrupted"
        if time.monotonic() >= self._deadline:
            return "time limit reached"
        return "step limit reached" if steps_done >= self._max_steps else ""


def report_early_stop(reason: str, checkpoint: Path | None, progress: bool) -> None:
    """Say how to resume a run that stopped early; after Ctrl-C, raise KeyboardInterrupt with that text."""
    saved = f"saved {checkpoint}; the same call resumes there" if checkpoint else "not saved (no output)"
    if reason == "interrupted":
        raise KeyboardInterrupt(f"{reason}: {saved}")
    if reason and progress:
        print(f"{reason}: {saved}")
