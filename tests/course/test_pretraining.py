import json

import numpy as np
import pytest
import torch

from peclr_utils.course.pretraining import LOOKS, pretrain_and_look
from peclr_utils.crops import pack
from peclr_utils.datasets import SyntheticHands
from peclr_utils.training import PretrainConfig, pretrain


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    folder = tmp_path_factory.mktemp("crops") / "hands"
    return pack(SyntheticHands(20, size=64), folder, size=68, factor=2.5)


@pytest.fixture
def config(tmp_path):
    return PretrainConfig(
        epochs=3, batch_size=8, image_size=32, warmup_epochs=0.5, equivariance_pictures=4, precision="fp32",
        device="cpu", exchange_background=False, output=str(tmp_path / "run"), progress=False,
        tensorboard=False,
    )  # fmt: skip


def weight(model):
    return {"weight": float(model.projector[0].weight.detach().norm())}


def test_looking_in_between_changes_nothing_about_the_run(config, crops, tmp_path):
    result, looks = pretrain_and_look(config, crops, weight)
    straight = pretrain(config.replace(output=str(tmp_path / "straight")), crops)
    assert result.finished
    np.testing.assert_allclose(result.losses, straight.losses, rtol=1e-6)
    for mine, theirs in zip(*(r.model.state_dict().values() for r in (result, straight)), strict=True):
        torch.testing.assert_close(mine, theirs)
    assert [look["epoch"] for look in looks] == [1, 2, 3]
    assert looks[-1]["weight"] == pytest.approx(weight(straight.model)["weight"])
    assert len({look["weight"] for look in looks}) == 3


def test_a_finished_run_is_read_back_with_what_was_measured(config, crops):
    first, looks = pretrain_and_look(config, crops, weight)

    def never(_):
        raise AssertionError("there is nothing left to look at")

    again, same = pretrain_and_look(config, crops, never)
    assert (again.losses, same) == (first.losses, looks)


def test_a_killed_run_goes_on_after_its_last_whole_epoch(config, crops):
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
    assert [look["epoch"] for look in looks] == [1, 2, 3]
    assert result.finished


def test_a_run_with_other_settings_starts_anew(config, crops):
    pretrain_and_look(config, crops, weight)
    result, looks = pretrain_and_look(config.replace(epochs=2, temperature=0.1), crops, weight)
    assert [look["epoch"] for look in looks] == [1, 2]
    assert result.config.temperature == 0.1
    assert json.loads((result.checkpoint.parent / LOOKS).read_text()) == looks


def test_a_run_that_was_trained_elsewhere_starts_anew(config, crops):
    pretrain(config, crops)
    _, looks = pretrain_and_look(config, crops, weight)
    assert len({look["weight"] for look in looks}) == 3


def test_the_run_so_far_is_shown_after_every_epoch(config, crops):
    shown = []
    pretrain_and_look(config, crops, weight, lambda run: shown.append(len(run.losses)))
    assert shown == [2, 4, 6]


def test_a_run_without_a_folder_is_refused(config, crops):
    with pytest.raises(ValueError, match="output folder"):
        pretrain_and_look(config.replace(output=""), crops, weight)
