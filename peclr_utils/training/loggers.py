"""Services that a run's log also goes to: TensorBoard, and Comet, which the authors log to.

Chapter 03 reads the log from the run's folder; these are for those who like to watch. Neither is imported
unless it is used.
"""

import dataclasses
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from peclr_utils.training.settings import RunSettings

OFFLINE = "offline"
"""The setting `comet` that writes archives to be sent later: no account and no network are needed."""

QUIET: dict[str, Any] = {
    "log_code": False,
    "log_graph": False,
    "auto_param_logging": False,
    "auto_metric_logging": False,
    "auto_output_logging": False,
    "parse_args": False,
    "log_env_details": False,
    "log_git_metadata": False,
    "log_git_patch": False,
    "display_summary_level": 0,
}
"""Comet gets the settings and the log, and nothing else about the code, the machine or its user."""


class Logger(Protocol):
    """What a service takes."""

    def write(self, step: int, values: Mapping[str, Any]) -> None: ...

    def close(self) -> None: ...


class TensorBoardLogger:
    """Writes numbers for TensorBoard into the run's folder.

    Args:
        folder: the run's.
        first_step: what an earlier part of the run wrote from this step on is hidden, for it runs again.
    """

    def __init__(self, folder: Path, first_step: int = 0):
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=first_step)

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        for name, value in _numbers(values).items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class CometLogger:
    """Writes settings and numbers to Comet; every part of a resumed run is an experiment of its own.

    Args:
        config: its `comet` is "offline", for an archive in the folder `comet` of the output folder, or the
            name of a project; Comet finds the key to it as it always does, in its own settings.
        title: of the experiment.
    """

    def __init__(self, config: RunSettings, title: str):
        import comet_ml

        if config.comet == OFFLINE:
            folder = Path(config.output, "comet")
            folder.mkdir(parents=True, exist_ok=True)
            self._experiment = comet_ml.OfflineExperiment(offline_directory=str(folder), **QUIET)
        else:
            self._experiment = comet_ml.Experiment(project_name=config.comet, **QUIET)
        self._experiment.set_name(title)
        self._experiment.log_parameters(dataclasses.asdict(config))

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        self._experiment.log_metrics(_numbers(values), step=step)

    def close(self) -> None:
        self._experiment.end()


def open_loggers(config: RunSettings, title: str, first_step: int = 0) -> list[Logger]:
    """Open the services that a configuration asks for; TensorBoard only where it is installed.

    Args:
        config: its `tensorboard`, `comet` and output folder.
        title: of the run.
        first_step: the step that comes next.

    Returns:
        The open loggers, perhaps none.
    """
    loggers: list[Logger] = []
    if config.tensorboard and config.output:
        with suppress(ImportError):
            loggers.append(TensorBoardLogger(Path(config.output), first_step))
    if config.comet:
        loggers.append(CometLogger(config, title))
    return loggers


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: value for name, value in values.items() if isinstance(value, int | float)}
