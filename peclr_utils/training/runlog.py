"""What a run says while it goes: a JSON line a step, a progress bar, and whatever `loggers` opens.

Chapter 03 draws its learning curves from the log.
"""

import json
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from peclr_utils.training.loggers import open_loggers
from peclr_utils.training.settings import RunSettings

LOG = "log.jsonl"


def read_log(output: str | Path) -> list[dict[str, Any]]:
    """Read a run's log.

    Args:
        output: the run's folder.

    Returns:
        One dict a line; a last line that was cut off by a kill is left out. [] without a log.
    """
    file = Path(output) / LOG
    if not file.is_file():
        return []
    rows = []
    for line in file.read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows


def replace_file(path: Path, text: str) -> None:
    """Write a small file so that it is always whole, whenever the process is killed."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text)
    os.replace(temporary, path)


class RunLog:
    """Writes a run's log and shows its progress.

    Args:
        config: its output folder ("" keeps the log in memory only), `tensorboard`, `comet` and `progress`.
        first_step: the step that comes next; lines of a killed run from there on are dropped, for it runs
            again.
        steps: all steps of the run.
        images_per_step: pictures that one step sees, for the speed.
        title: of the progress bar, and of the run in other services.

    Attributes:
        history: the lines so far, those of earlier parts of the run included.
    """

    def __init__(
        self,
        config: RunSettings,
        first_step: int,
        steps: int,
        images_per_step: int,
        title: str,
    ):
        self.history: list[dict[str, Any]] = []
        self._file = None
        self._images_per_step = images_per_step
        self._mark = (time.perf_counter(), first_step)
        if config.output:
            folder = Path(config.output)
            folder.mkdir(parents=True, exist_ok=True)
            self.history = [row for row in read_log(folder) if row["step"] < first_step]
            replace_file(folder / LOG, "".join(json.dumps(row) + "\n" for row in self.history))
            self._file = (folder / LOG).open("a")
        self._loggers = open_loggers(config, title, first_step) if first_step < steps else []
        hidden = not config.progress
        self._bar = tqdm(
            total=steps, initial=first_step, desc=title, unit="step", mininterval=1, disable=hidden
        )

    def speed(self, step: int) -> float:
        """Images a second since this was last asked; NaN if no step lies between."""
        now, (then, since) = time.perf_counter(), self._mark
        self._mark = (now, step)
        return (step - since) * self._images_per_step / (now - then) if step > since else math.nan

    def tick(self) -> None:
        """Count one step on the bar."""
        self._bar.update()

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        """Add one line.

        Args:
            step: counted from 0.
            values: plain values; numbers also go to the other services.
        """
        row = {"step": step, **values}
        self.history.append(row)
        if self._file is not None:
            self._file.write(json.dumps(row) + "\n")
            self._file.flush()
        for logger in self._loggers:
            logger.write(step, values)
        shown = {key: f"{values[key]:.4g}" for key in ("loss", "images_per_second") if key in values}
        if shown:
            self._bar.set_postfix(shown, refresh=False)

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
        if self._file is not None:
            self._file.close()
        for logger in self._loggers:
            logger.close()
