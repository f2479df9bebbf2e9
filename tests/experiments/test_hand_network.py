"""The recipe of the network for photographs: its rounds follow one another, and resume."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from peclr_utils.datasets.images import write_jpeg
from peclr_utils.experiments import hand_network, own_labels
from peclr_utils.experiments.hand_network import HandNetworkConfig, main, train_hand_network
from peclr_utils.weights import load_pose_network
from tests.inference.test_finding import picture


def folder_of_discs(folder, discs):
    for number, disc in enumerate(discs):
        write_jpeg(folder / f"{number}.jpg", picture(disc, width=120, height=120))
    return folder


@pytest.mark.parametrize("stopped", ["pretrain", *hand_network.STEPS])
def test_no_step_starts_from_one_that_stopped_early(stopped, tmp_path, monkeypatch, capsys):
    started = []

    def train(config):
        started.append(Path(config.output).name)
        return SimpleNamespace(finished=started[-1] != stopped, model=None)

    monkeypatch.setattr(hand_network, "pretrain", train)
    monkeypatch.setattr(hand_network, "finetune", train)
    monkeypatch.setattr(hand_network, "label_photographs", lambda *_: 1)
    monkeypatch.setattr(hand_network, "load_pose_network", lambda path: None)
    flags = ["--output", str(tmp_path), "--photographs", str(tmp_path)]
    assert main(flags) == 0
    steps = ["pretrain", *hand_network.STEPS]
    assert started == steps[: steps.index(stopped) + 1] and not list(tmp_path.glob("*.safetensors"))
    assert "stopped early; the same command resumes it" in capsys.readouterr().out


def test_the_steps_follow_one_another_and_are_read_back(tmp_path, monkeypatch):
    # The network of a smoke run is sure of nothing.
    for name, limit in (("SURE", -1.0), ("ONE_SIDED", 0.0), ("AGREED", np.inf)):
        monkeypatch.setattr(own_labels, name, limit)
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    folder_of_discs(photographs, [(60, 60, 30, "right")] * 8)
    config = HandNetworkConfig.smoke(output=str(tmp_path / "run"), photographs=str(photographs))
    network = load_pose_network(train_hand_network(config))
    assert json.loads(config.own_labels.read_text())["annotations"]
    assert network.knows_presence and network.any_angle and network.image_size == 32
    monkeypatch.setattr(hand_network, "label_photographs", None)  # labels are read back
    again = load_pose_network(train_hand_network(config)).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in network.state_dict().items())


def test_each_round_starts_from_the_one_before_and_the_last_has_larger_views():
    config = HandNetworkConfig(output="here", photographs="there")
    starts = [config.finetune_config(step) for step in hand_network.STEPS]
    assert [(one.encoder or one.network).split("/")[1] for one in starts] == [
        "pretrain",
        *hand_network.STEPS[:-1],
    ]
    assert [one.image_size for one in starts] == [64, 64, 64, 96, 96, 96]
    assert starts[5].sources == (*starts[4].sources, f"coco:there?labels={config.own_labels}")
    rendered = [source for one in (starts[0], *starts[2:5]) for source in one.sources]
    seeds = [source.split("seed=")[1].split("&")[0] for source in rendered]
    assert len(set(seeds)) == len(seeds)  # new hands each time


def test_without_photographs_the_last_round_is_left_out(tmp_path):
    config = HandNetworkConfig.smoke(output=str(tmp_path))
    assert load_pose_network(train_hand_network(config)).knows_presence
    assert (tmp_path / "fifth").is_dir() and not (tmp_path / "sixth").exists()


def test_a_network_that_is_sure_of_no_photograph_leaves_out_the_last_round(tmp_path, monkeypatch):
    monkeypatch.setattr(hand_network, "label_photographs", lambda *_: 0)
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    folder_of_discs(photographs, [(60, 60, 30, "right")] * 4)
    config = HandNetworkConfig.smoke(output=str(tmp_path / "run"), photographs=str(photographs))
    with pytest.warns(UserWarning, match="sure of no hand in these photographs"):
        assert load_pose_network(train_hand_network(config)).knows_presence
    assert not (tmp_path / "run" / "sixth").exists()
