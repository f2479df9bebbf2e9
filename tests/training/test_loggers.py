"""Comet beside the other loggers: with a stand-in for the package, and with it where it is installed."""

import json
import sys
import types
import zipfile

import pytest

from peclr_utils.training import PretrainConfig, read_log
from peclr_utils.training.loggers import QUIET, TensorBoardLogger
from peclr_utils.training.runlog import RunLog

ROWS = [(0, {"loss": 2.5, "epoch": 0.5, "note": "words stay out"}), (1, {"loss": 2.25, "epoch": 1.0})]


class Experiment:
    """What Comet's experiments offer, written down instead of sent."""

    made: list["Experiment"] = []

    def __init__(self, **options):
        self.options, self.metrics, self.parameters, self.name, self.ended = options, [], {}, "", False
        self.made.append(self)

    def set_name(self, name):
        self.name = name

    def log_parameters(self, parameters):
        self.parameters = parameters

    def log_metrics(self, metrics, step):
        self.metrics.append((step, metrics))

    def end(self):
        self.ended = True


class OfflineExperiment(Experiment):
    pass


@pytest.fixture
def comet(monkeypatch):
    Experiment.made.clear()
    module = types.ModuleType("comet_ml")
    module.Experiment, module.OfflineExperiment = Experiment, OfflineExperiment
    monkeypatch.setitem(sys.modules, "comet_ml", module)
    return Experiment.made


def _run(config: PretrainConfig, first_step: int = 0) -> None:
    with RunLog(config, first_step, 2, 8, "pretrain peclr") as log:
        for step, values in ROWS[first_step:]:
            log.write(step, values)


def _config(tmp_path, **changes) -> PretrainConfig:
    return PretrainConfig(output=str(tmp_path / "run"), progress=False, tensorboard=False, **changes)


def test_comet_gets_settings_and_numbers_offline_and_the_json_lines_stay(comet, tmp_path):
    config = _config(tmp_path, comet="offline", temperature=0.3)
    _run(config)
    (experiment,) = comet
    assert isinstance(experiment, OfflineExperiment) and experiment.ended
    assert experiment.options == {"offline_directory": str(tmp_path / "run" / "comet"), **QUIET}
    assert experiment.name == "pretrain peclr" and experiment.parameters["temperature"] == 0.3
    assert experiment.metrics == [(0, {"loss": 2.5, "epoch": 0.5}), (1, {"loss": 2.25, "epoch": 1.0})]
    assert [row["loss"] for row in read_log(config.output)] == [2.5, 2.25]


def test_a_name_is_a_project_online(comet, tmp_path):
    _run(_config(tmp_path, comet="hands"))
    assert type(comet[0]) is Experiment and comet[0].options["project_name"] == "hands"


def test_without_the_setting_comet_is_not_touched(comet, tmp_path):
    _run(_config(tmp_path))
    assert not comet


def test_a_finished_run_that_is_read_back_starts_no_experiment(comet, tmp_path):
    config = _config(tmp_path, comet="offline")
    with RunLog(config, 2, 2, 8, "done"):
        pass
    assert not comet


def test_a_missing_package_is_a_clear_error(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "comet_ml", None)
    with pytest.raises(ValueError, match="comet: found 'offline', but Comet is not installed"):
        _config(tmp_path, comet="offline").validate()


def test_offline_needs_a_folder():
    with pytest.raises(ValueError, match="PretrainConfig.comet: expected an output folder"):
        PretrainConfig(comet="offline").validate()


def test_the_package_itself_writes_an_archive_offline(tmp_path, monkeypatch):
    monkeypatch.setenv("COMET_LOGGING_CONSOLE", "error")
    _run(_config(tmp_path, comet="offline"))
    (archive,) = (tmp_path / "run" / "comet").glob("*.zip")
    with zipfile.ZipFile(archive) as file:
        text = b"".join(file.read(name) for name in file.namelist()).decode(errors="replace")
    assert "temperature" in text and "loss" in text and json.dumps(2.25) in text


def test_tensorboard_hides_what_a_resumed_run_does_again(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    for first_step, steps in ((0, range(0, 6)), (3, range(3, 5))):
        logger = TensorBoardLogger(tmp_path, first_step)
        for step in steps:
            logger.write(step, {"loss": float(step)})
        logger.close()
    events = accumulator.EventAccumulator(str(tmp_path))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == [0, 1, 2, 3, 4]
