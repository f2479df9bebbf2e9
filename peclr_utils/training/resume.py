"""Checkpoints of runs: what is saved, and when a run may go on from it.

Chapter 03 stops a run and goes on.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from peclr_utils.training.config import FinetuneConfig, PretrainConfig
from peclr_utils.training.engine import Run
from peclr_utils.training.optimisation import check_finite
from peclr_utils.training.runlog import replace_file
from peclr_utils.training.settings import RunSettings
from peclr_utils.weights import (
    load_encoder,
    load_strictly,
    read_checkpoint,
    remove_leftovers,
    save_checkpoint,
)

CHECKPOINT = "checkpoint.pt"
CONFIG = "config.json"

FREE_TO_CHANGE = frozenset(
    "output cache device precision channels_last compile executor workers tensorboard comet progress "
    "hold_activations resume time_limit_minutes max_steps log_every save_every_epochs save_every_steps "
    "save_every_minutes test_sources".split()
)
"""Settings that do not change what a run computes, up to rounding: a resumed run may have other ones."""


def checkpoint_path(output: str) -> Path | None:
    """Where a run with this output folder keeps its checkpoint; None without a folder."""
    return Path(output) / CHECKPOINT if output else None


def check_start(config: PretrainConfig | FinetuneConfig) -> None:
    """Read the initial encoder once, before hours go into crops or epochs.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if the file is damaged, or has another architecture.
    """
    if config.encoder:
        load_encoder(config.encoder, config.arch)


def start_folder(config: RunSettings) -> None:
    """Make the run's folder, write its settings there, and clear away what a kill left of a checkpoint."""
    if config.output:
        folder = Path(config.output)
        folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder / CHECKPOINT)
        replace_file(folder / CONFIG, config.to_json())


def find_checkpoint(config: RunSettings, pictures: int) -> dict[str, Any] | None:
    """Read the checkpoint that a run shall go on from, if there is one.

    Args:
        config: the run's settings.
        pictures: number of pictures it trains on.

    Returns:
        The checkpoint, or None to start from the beginning.

    Raises:
        ValueError: if it belongs to a run with other settings or data, naming them.
    """
    path = checkpoint_path(config.output)
    if path is None or not config.resume or not path.is_file():
        return None
    checkpoint = read_checkpoint(path)
    old = type(config).from_dict(checkpoint["config"])
    changed = [
        f"{name} (there {getattr(old, name)!r}, here {getattr(config, name)!r})"
        for name in config.__dataclass_fields__
        if name not in FREE_TO_CHANGE and getattr(old, name) != getattr(config, name)
    ]
    if checkpoint["extra"]["pictures"] != pictures:
        changed.append(f"number of pictures (there {checkpoint['extra']['pictures']}, here {pictures})")
    if changed:
        raise ValueError(
            f"{path}: this run has other settings: {'; '.join(changed)}. Choose another output folder, or "
            "resume=False to start again in this one"
        )
    return checkpoint


def resume(
    config: RunSettings,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    pictures: int,
) -> int:
    """Put a run back where its checkpoint was taken, if there is one.

    Args:
        config: the run's settings.
        model, optimiser, scaler: what is filled.
        pictures: number of pictures it trains on.

    Returns:
        The number of steps done.

    Raises:
        ValueError: as `find_checkpoint`, and if the checkpoint's tensors do not fit.
    """
    checkpoint = find_checkpoint(config, pictures)
    if checkpoint is None:
        return 0
    load_strictly(model, checkpoint["model"], str(checkpoint_path(config.output)))
    if checkpoint["training"] is not None:
        state = checkpoint["training"]["optimiser"]
        for group in state["param_groups"]:
            if "fused" in group:
                # The choice of this machine, and not of the one that saved.
                group["fused"] = optimiser.defaults["fused"]
        optimiser.load_state_dict(state)
        # Empty if that part ran without float16: then this one's starts anew.
        if state := checkpoint["training"]["scaler"]:
            scaler.load_state_dict(state)
    return checkpoint["extra"]["steps_done"]


class Saving:
    """Writes a run's checkpoints: where the loop asks for one, and when the last one has grown old.

    Args:
        run: what is saved, from its first step to its last.
        pictures: number of pictures it trains on.
        steps: all steps of the run; after the last one it is finished.
        clock: gives the time in seconds.

    Attributes:
        path: of the checkpoint; None without an output folder.
    """

    def __init__(self, run: Run, pictures: int, steps: int, clock: Callable[[], float] = time.monotonic):
        self.path = checkpoint_path(run.config.output)
        self._run, self._pictures, self._steps, self._clock = run, pictures, steps, clock
        self._last = clock()

    def save(self, steps_done: int, unread: Sequence[Tensor] = ()) -> None:
        """Write the checkpoint; a finished run's has no optimiser, for nothing goes on from it.

        Args:
            steps_done: so many.
            unread: losses that nobody has looked at yet.

        Raises:
            NonFiniteLossError: if one of them is NaN or infinite; the checkpoint before this one stays.
        """
        if self.path is None:
            return
        if unread:
            rate = self._run.optimiser.param_groups[0]["lr"]
            check_finite(torch.stack(list(unread)).mean(), steps_done - 1, rate, self.path)
        run, finished = self._run, steps_done == self._steps
        training = {"optimiser": run.optimiser.state_dict(), "scaler": run.scaler.state_dict()}
        extra = {"steps_done": steps_done, "pictures": self._pictures, "finished": finished}
        config = {name: list(v) if isinstance(v, tuple) else v for name, v in vars(run.config).items()}
        training = None if finished else training
        save_checkpoint(self.path, run.model, config=config, training=training, extra=extra)
        self._last = self._clock()

    def after_log_line(self, steps_done: int, due: bool) -> None:
        """Write the checkpoint if it is due, or the last one is `save_every_minutes` old.

        To be called where a line has just been logged: there the loss is known to be finite, and a run that
        goes on from there writes the lines that one never stopped does. Leaves the last step to `save`.

        Args:
            steps_done: so many.
            due: whether the loop wants one by its own count.
        """
        minutes = self._run.config.save_every_minutes
        old = minutes > 0 and self._clock() - self._last >= 60 * minutes
        if (due or old) and steps_done < self._steps:
            self.save(steps_done)


def going_on(first_step: int, steps: int) -> str:
    """What to say about earlier parts of a run: nothing if there are none."""
    if first_step == steps:
        return "\nis finished already: reading it back"
    return f"\ngoing on after {first_step} of {steps} steps" if first_step else ""


def end_early(config: RunSettings, reason: str) -> None:
    """Say how to go on with a run that stopped early; after Ctrl-C, pass the interruption on.

    Raises:
        KeyboardInterrupt: if that was the reason.
    """
    if not reason:
        return
    path = checkpoint_path(config.output)
    how = (
        f"saved {path}; the same call goes on from there"
        if path
        else "nothing is saved without an output folder"
    )
    if reason == "interrupted":
        raise KeyboardInterrupt(f"{reason}: {how}")
    if config.progress:
        print(f"{reason}: {how}")
