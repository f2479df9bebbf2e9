"""Runs that chapters resume, and what they find of each other; `tests/notebooks` runs the chapters."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from peclr_utils.course.artefacts import committed_table, pretrain_and_look, resume_if_same
from peclr_utils.crops import pack
from peclr_utils.datasets import SyntheticHands
from peclr_utils.evaluation import evaluate_keypoints
from peclr_utils.experiments.results import make_cell
from peclr_utils.training import FinetuneConfig, PretrainConfig, pretrain


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


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    folder = tmp_path_factory.mktemp("crops") / "hands"
    return pack(SyntheticHands(20, size=64), folder, size=68, factor=2.5, progress=False)


@pytest.fixture
def config(tmp_path):
    return PretrainConfig(
        epochs=2, batch_size=8, image_size=32, warmup_epochs=0.5, equivariance_images=4, precision="fp32",
        device="cpu", exchange_background=False, output=str(tmp_path / "run"), progress=False,
    )  # fmt: skip


def weight(model):
    return {"weight": float(model.projector[0].weight.detach().norm())}


def test_looking_in_between_changes_nothing_about_the_run_and_is_read_back(config, crops, tmp_path):
    shown = []
    result, looks = pretrain_and_look(config, crops, weight, lambda run: shown.append(len(run.losses)))
    straight = pretrain(config.replace(output=str(tmp_path / "straight")), crops)
    assert result.finished
    assert shown == [2, 4]
    np.testing.assert_allclose(result.losses, straight.losses, rtol=1e-6)
    for mine, theirs in zip(*(r.model.state_dict().values() for r in (result, straight)), strict=True):
        torch.testing.assert_close(mine, theirs)
    assert [look["epoch"] for look in looks] == [1, 2]
    assert looks[1]["weight"] == pytest.approx(weight(straight.model)["weight"])
    assert looks[0]["weight"] != looks[1]["weight"]

    def never(_):
        raise AssertionError("there is nothing left to look at")

    again, same = pretrain_and_look(config, crops, never)
    assert (again.losses, same) == (result.losses, looks)


def test_a_killed_run_resumes_after_its_last_whole_epoch_and_one_with_other_settings_starts(config, crops):
    seen = []

    def killed(model):
        if len(seen) == 1:
            raise KeyboardInterrupt
        seen.append(weight(model))
        return seen[-1]

    with pytest.raises(KeyboardInterrupt):
        pretrain_and_look(config, crops, killed)
    result, looks = pretrain_and_look(config, crops, weight)
    assert looks[0] == {"epoch": 1, **seen[0]}
    assert [look["epoch"] for look in looks] == [1, 2]
    assert result.finished
    result, looks = pretrain_and_look(config.replace(epochs=1, temperature=0.1), crops, weight)
    assert [look["epoch"] for look in looks] == [1]
    assert result.config.temperature == 0.1


def test_a_cell_has_what_those_of_the_committed_table_have(rng):
    true = rng.normal(0, 0.05, size=(4, 21, 3))
    score = evaluate_keypoints(true + 0.01, true, pred_2d=true[..., :2], gt_2d=true[..., :2])
    cell = make_cell(("peclr", "upright", "full", 8, 0), score, [5.0] * 18 + [1.0, 3.0])
    assert cell["training_loss"] == 2.0
    assert make_cell(("mean_pose", "upright", "none", 8, 0), score)["training_loss"] is None
    assert set(cell) == set(committed_table()["cells"][0]) - {"seconds"}
