"""A run's log: one JSON line per entry, a progress bar, and optional loggers.

Chapter 03 draws its learning curves from the log. A logger is a function `on_log(step, values)`; TensorBoard,
Comet and Weights & Biases each have one here, imported only if asked for. A logger that fails is switched off
with one warning: it never stops a run.
"""

import contextlib
import json
import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from peclr_utils.files import write_text
from peclr_utils.progress import progress_bar
from peclr_utils.training.config import RunSettings

LOG = "log.jsonl"

OnLog = Callable[[int, Mapping[str, Any]], Any]
Close = Callable[[], Any]


def read_log(output: str | Path) -> list[dict[str, Any]]:
    """Read a run's log from its folder: one dict per line, [] without a log.

    A last line that a kill cut short is skipped.
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
        first_step: the next step; lines from there on are dropped, because those steps run again.
        steps: all steps of the run, of `images_per_step` images each.
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
        if config.output and first_step < steps:
            lines = "".join(json.dumps(row) + "\n" for row in self.history)
            self._file = write_text(Path(config.output, LOG), lines).open("a", encoding="utf-8")
        self._loggers: dict[str, tuple[OnLog, Close]] = {}
        for name in config.loggers if first_step < steps else ():
            with self._optional(name):
                self._loggers[name] = OPEN[name](config, title, first_step)
        bar = {"desc": title, "unit": "step", "total": steps, "initial": first_step}
        self._bar = progress_bar(show=config.progress, **bar)

    def tick(self) -> None:
        """Count one step on the bar."""
        self._bar.update()

    def speed(self, step: int) -> float:
        """Images per second since this was last asked; NaN if no step lies between."""
        now, (then, since) = time.perf_counter(), self._mark
        self._mark = (now, step)
        return (step - since) * self._images_per_step / (now - then) if step > since else math.nan

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        """Add a line of plain values for a step counted from 0; its numbers also go to the loggers."""
        row = {"step": step, **values}
        self.history.append(row)
        if self._file is not None:
            self._file.write(json.dumps(row) + "\n")
            self._file.flush()
        numbers = {name: value for name, value in values.items() if isinstance(value, int | float)}
        for name, (on_log, _) in list(self._loggers.items()):
            with self._optional(name):
                on_log(step, numbers)
        units = {"loss": "loss {:.4g}", "images_per_second": "{:.3g} images/s"}
        shown = [text.format(values[name]) for name, text in units.items() if name in values]
        self._bar.set_postfix_str(", ".join(shown), refresh=False)

    @contextlib.contextmanager
    def _optional(self, name: str) -> Iterator[None]:
        """Use a logger; if it fails, switch it off with one warning."""
        try:
            yield
        except Exception as error:
            self._loggers.pop(name, None)
            warnings.warn(f"Logging to {name} is off: {type(error).__name__}: {error}", stacklevel=4)

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
        if self._file is not None:
            self._file.close()
        for name, (_, close) in list(self._loggers.items()):
            with self._optional(name):
                close()


def _tensorboard(config: RunSettings, title: str, first_step: int) -> tuple[OnLog, Close]:
    """Write into the run's folder; hide what an earlier part of the run wrote from `first_step` on."""
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(config.output or None, purge_step=first_step)
    return lambda step, values: [writer.add_scalar(*item, step) for item in values.items()], writer.close


def _comet(config: RunSettings, title: str, _: int) -> tuple[OnLog, Close]:
    """Send settings and numbers to Comet, and nothing about code, machine or user.

    Comet's own settings say where to: COMET_API_KEY, COMET_PROJECT_NAME, and COMET_START_ONLINE=false for
    archives in the run's folder.
    """
    import comet_ml

    off = "log_code log_graph parse_args log_env_details log_git_metadata log_git_patch"
    off += " auto_param_logging auto_metric_logging auto_output_logging"
    quiet = {**dict.fromkeys(off.split(), False), "display_summary_level": 0, "name": title}
    settings = comet_ml.ExperimentConfig(**quiet, offline_directory=config.output or None)
    experiment = comet_ml.start(experiment_config=settings)
    experiment.log_parameters(config.plain())
    return lambda step, values: experiment.log_metrics(dict(values), step=step), experiment.end


def _wandb(config: RunSettings, title: str, _: int) -> tuple[OnLog, Close]:
    """Send settings and numbers to Weights & Biases; its own settings say which project and mode."""
    import wandb

    run = wandb.init(name=title, config=config.plain(), dir=config.output or None)
    return lambda step, values: run.log(dict(values), step=step), run.finish


OPEN = {"tensorboard": _tensorboard, "comet": _comet, "wandb": _wandb}
