"""A run's log: one JSON line per entry, a progress bar, and optional loggers.

Chapter 03 draws its learning curves from the log. A logger is a function `on_log(step, values)`; TensorBoard,
Comet and Weights & Biases each have one here, imported only if asked for. A logger that fails is switched off
with one
warning: it never stops a run.
"""

import json
import math
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from peclr_utils.files import write_text
from peclr_utils.training.config import RunSettings

LOG = "log.jsonl"

OnLog = Callable[[int, Mapping[str, Any]], None]


def read_log(output: str | Path) -> list[dict[str, Any]]:
    """Read a run's log.

    Args:
        output: the run's folder.

    Returns:
        One dict per line; a last line that a kill cut short is skipped. [] without a log.
    """
    file = Path(output) / LOG
    rows = []
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else ():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows


class RunLog:
    """Writes a run's log and shows its progress; a context manager.

    Args:
        config: its output folder ("" keeps the log in memory only), `loggers` and `progress`.
        first_step: the next step; lines of a killed run from there on are dropped, because those steps run
            again.
        steps: all steps of the run.
        images_per_step: images that one step sees, for the speed.
        title: of the progress bar, and of the run in other services.

    Attributes:
        history: the lines so far, those of earlier parts of the run included.
    """

    def __init__(self, config: RunSettings, first_step: int, steps: int, images_per_step: int, title: str):
        self.history = (
            [row for row in read_log(config.output) if row["step"] < first_step] if config.output else []
        )
        self._images_per_step, self._mark = images_per_step, (time.perf_counter(), first_step)
        self._file = None
        if config.output:
            lines = "".join(json.dumps(row) + "\n" for row in self.history)
            self._file = write_text(Path(config.output, LOG), lines).open("a", encoding="utf-8")
        self._loggers: dict[str, OnLog] = {}
        for name in config.loggers if first_step < steps else ():
            self._try(
                name, lambda name=name: self._loggers.update({name: OPEN[name](config, title, first_step)})
            )
        self._bar = tqdm(
            total=steps,
            initial=first_step,
            desc=title,
            unit="step",
            mininterval=1,
            disable=not config.progress,
        )

    def tick(self) -> None:
        """Count one step on the bar."""
        self._bar.update()

    def speed(self, step: int) -> float:
        """Images per second since this was last asked; NaN if no step lies between."""
        now, (then, since) = time.perf_counter(), self._mark
        self._mark = (now, step)
        return (step - since) * self._images_per_step / (now - then) if step > since else math.nan

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        """Add one line.

        Args:
            step: counted from 0.
            values: plain values; numbers also go to the loggers.
        """
        row = {"step": step, **values}
        self.history.append(row)
        if self._file is not None:
            self._file.write(json.dumps(row) + "\n")
            self._file.flush()
        numbers = {name: value for name, value in values.items() if isinstance(value, int | float)}
        for name, on_log in list(self._loggers.items()):
            self._try(name, lambda on_log=on_log: on_log(step, numbers))
        shown = {key: f"{values[key]:.4g}" for key in ("loss", "images_per_second") if key in values}
        self._bar.set_postfix(shown, refresh=False)

    def _try(self, name: str, action: Callable[[], None]) -> None:
        """Run an optional logger; switch it off with one warning if it fails."""
        try:
            action()
        except Exception as error:
            self._loggers.pop(name, None)
            warnings.warn(f"Logging to {name} is off: {type(error).__name__}: {error}", stacklevel=3)

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
        if self._file is not None:
            self._file.close()
        for name, on_log in list(self._loggers.items()):
            self._try(name, getattr(on_log, "close", lambda: None))


def _tensorboard(config: RunSettings, title: str, first_step: int) -> OnLog:
    """Write into the run's folder; what an earlier part wrote from `first_step` on is hidden."""
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(config.output or None, purge_step=first_step)

    def on_log(step: int, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            writer.add_scalar(name, value, step)

    on_log.close = writer.close
    return on_log


def _comet(config: RunSettings, title: str, first_step: int) -> OnLog:
    """Log settings and numbers to Comet, and nothing about code, machine or user.

    Key, project and offline mode are Comet's own settings (COMET_API_KEY, COMET_PROJECT_NAME,
    COMET_MODE=offline).
    """
    import comet_ml

    quiet = "log_code log_graph auto_param_logging auto_metric_logging auto_output_logging parse_args"
    quiet += " log_env_details log_git_metadata log_git_patch"
    settings = comet_ml.ExperimentConfig(**dict.fromkeys(quiet.split(), False), display_summary_level=0)
    experiment = comet_ml.start(experiment_config=settings)
    experiment.set_name(title)
    experiment.log_parameters(config.plain())

    def on_log(step: int, values: Mapping[str, Any]) -> None:
        experiment.log_metrics(dict(values), step=step)

    on_log.close = experiment.end
    return on_log


def _wandb(config: RunSettings, title: str, first_step: int) -> OnLog:
    """Log settings and numbers to Weights & Biases, whose own settings say where to and whether offline."""
    import wandb

    run = wandb.init(name=title, config=config.plain(), dir=config.output or None)

    def on_log(step: int, values: Mapping[str, Any]) -> None:
        run.log(dict(values), step=step)

    on_log.close = run.finish
    return on_log


OPEN = {"tensorboard": _tensorboard, "comet": _comet, "wandb": _wandb}
