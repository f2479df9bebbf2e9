"""Runs that chapters resume, and what they find of each other; `tests/notebooks` runs the chapters."""

import os
from pathlib import Path

import numpy as np
import pytest

from peclr_utils.course.artefacts import committed_table, resume_if_same, shipped_logs
from peclr_utils.evaluation import evaluate_keypoints
from peclr_utils.experiments.results import make_cell
from peclr_utils.training import FinetuneConfig


@pytest.fixture
def finished(tmp_path):
    """A configuration whose output folder holds a checkpoint of this very run."""
    encoder = tmp_path / "encoder.pt"
    encoder.write_text("")
    config = FinetuneConfig(output=str(tmp_path / "out"), encoder=str(encoder))
    config = config.replace(augmentation={"scale": (0.9, 1.1), "nested": ((1, 2), [3])})
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "config.json").write_text(config.to_json())
    (tmp_path / "out" / "checkpoint.pt").write_text("")
    os.utime(encoder, (1, 1))
    return config


def test_a_run_with_the_same_settings_resumes_even_with_nested_tuples(finished):
    assert resume_if_same(finished).resume
    assert resume_if_same(finished.replace(progress=False, cache="elsewhere")).resume


def test_a_run_with_other_settings_or_another_encoder_or_no_checkpoint_starts(finished):
    assert not resume_if_same(finished.replace(steps=7)).resume
    assert not resume_if_same(finished.replace(sources=("synthetic:8?seed=1",))).resume
    assert not resume_if_same(finished.replace(output=f"{finished.output}/nothing")).resume
    os.utime(finished.encoder)
    os.utime(Path(finished.output, "checkpoint.pt"), (1, 1))
    assert not resume_if_same(finished).resume


def test_a_cell_has_what_those_of_the_committed_table_have(rng):
    true = rng.normal(0, 0.05, size=(4, 21, 3))
    score = evaluate_keypoints(true + 0.01, true, pred_2d=true[..., :2], gt_2d=true[..., :2])
    cell = make_cell(("peclr", "upright", "full", 8, 0), score, [5.0] * 18 + [1.0, 3.0])
    assert cell["training_loss"] == 2.0
    assert make_cell(("mean_pose", "upright", "none", 8, 0), score)["training_loss"] is None
    assert set(cell) == set(committed_table()["cells"][0]) - {"seconds"}


def test_the_logs_of_the_encoders_in_the_repository_start_near_guessing_and_fall():
    for rows, pairs in shipped_logs().values():
        share = np.array([row["loss"] for row in rows]) / np.log(2 * pairs - 1)
        assert 0.9 < share[0] < 1.5 and share[-1] < 0.6
        assert [row["step"] for row in rows] == sorted(row["step"] for row in rows)
