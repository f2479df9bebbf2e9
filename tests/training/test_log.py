"""The log of a run, and the optional loggers: they write, and if they fail, the run goes on without them."""

import json
import re
import sys
import warnings
import zipfile
from functools import partial

import pytest

from peclr_utils.progress import BAR_FILE, progress_bar
from peclr_utils.training import PretrainConfig, pretrain, read_log
from peclr_utils.training import log as run_log
from peclr_utils.training.log import RunLog


def _config(tmp_path, *loggers: str, **changes) -> PretrainConfig:
    return PretrainConfig(output=str(tmp_path / "run"), progress=False, loggers=loggers, **changes)


def test_a_logger_that_fails_is_switched_off_with_one_warning_and_the_run_ends_as_without_it(
    crops16, tmp_path, monkeypatch
):
    def fail(*_):
        raise ConnectionError("no network")

    def nothing():
        pass

    written = []
    monkeypatch.setitem(sys.modules, "wandb", None)  # as if it were not installed
    monkeypatch.setitem(run_log.OPEN, "comet", lambda *_: (fail, nothing))
    monkeypatch.setitem(run_log.OPEN, "tensorboard", lambda *_: (lambda *row: written.append(row), fail))
    config = _config(tmp_path, "wandb", "comet", "tensorboard", epochs=2, batch_size=8, image_size=32)
    config = config.replace(device="cpu", exchange_background=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = pretrain(config, crops16)
    told = [str(w.message).split(":")[0] for w in caught if "Logging to" in str(w.message)]
    # At the start, at the first line, at the end; the last one wrote in spite of the others.
    assert told == [f"Logging to {name} is off" for name in ("wandb", "comet", "tensorboard")]
    assert [values["loss"] for _, values in written] == result.losses
    assert result.finished and len(read_log(config.output)) == 4
    assert result.losses == pretrain(config.replace(output="", loggers=()), crops16).losses


def test_the_runners_file_holds_step_loss_and_speed_while_a_run_lasts(tmp_path, monkeypatch, capsys):
    file = tmp_path / "bar.txt"
    monkeypatch.setenv(BAR_FILE, str(file))
    monkeypatch.setattr(run_log, "progress_bar", partial(progress_bar, mininterval=0))
    with RunLog(_config(tmp_path), 0, 4, 8, "pretrain peclr") as log:
        assert file.read_text() == "pretrain peclr: step 0/4, ? left"
        log.write(0, {"loss": 2.3456789, "images_per_second": 61.26})
        log.tick()
        text = r"pretrain peclr: step 1/4, \d\d:\d\d left, loss 2.346, 61.3 images/s"
        assert re.fullmatch(text, file.read_text())
    assert file.read_text() == "" == "".join(capsys.readouterr())


def test_tensorboard_gets_the_numbers_and_hides_what_a_resumed_run_computes_again(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    config = _config(tmp_path, "tensorboard")
    with RunLog(config, 0, 6, 8, "first") as log:
        for step in range(6):
            log.write(step, {"loss": float(step), "note": "words stay out"})
    with RunLog(config, 3, 5, 8, "resumed") as log:
        for step in (3, 4):
            log.write(step, {"loss": 10.0 + step})
    events = accumulator.EventAccumulator(config.output)
    events.Reload()
    assert events.Tags()["scalars"] == ["loss"]
    values = [(event.step, event.value) for event in events.Scalars("loss")]
    assert values == [(0, 0.0), (1, 1.0), (2, 2.0), (3, 13.0), (4, 14.0)]


def test_comet_writes_settings_and_numbers_into_an_archive_offline(tmp_path, monkeypatch):
    pytest.importorskip("comet_ml")
    monkeypatch.setenv("COMET_START_ONLINE", "false")
    monkeypatch.setenv("COMET_LOGGING_CONSOLE", "error")
    with RunLog(_config(tmp_path, "comet"), 0, 1, 8, "pretrain peclr") as log:
        log.write(0, {"loss": 2.25})
    (archive,) = (tmp_path / "run").rglob("*.zip")
    with zipfile.ZipFile(archive) as file:
        text = b"".join(file.read(name) for name in file.namelist()).decode(errors="replace")
    assert "temperature" in text and "loss" in text and json.dumps(2.25) in text
