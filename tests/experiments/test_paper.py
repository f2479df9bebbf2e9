"""The paper's run: its numbers, what it checks before it trains, the way from raw folders to the table."""

import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from peclr_utils.datasets import SyntheticHands, export_freihand
from peclr_utils.experiments.paper import PaperConfig, main
from peclr_utils.training import PretrainConfig

SIZE = 96


def _write_youtube(root, hands) -> None:
    """YouTube3DHands' layout, by hand: 778 points on the keypoints, every third hand a left one."""
    folder = root / "youtube/video/video/frames"
    folder.mkdir(parents=True)
    images, annotations = [], []
    for k in range(len(hands)):
        sample, name = hands[k], f"youtube/video/video/frames/{k}.png"
        vertices = np.pad(sample.keypoints_2d[np.arange(778) % 21], ((0, 0), (0, 1))).tolist()
        cv2.imwrite(str(root / name), sample.image[..., ::-1])
        images.append({"name": name, "width": SIZE, "height": SIZE, "id": k})
        annotations.append({"vertices": vertices, "is_left": int(k % 3 == 0), "image_id": k, "id": k})
    labels = {"images": images, "annotations": annotations}
    (root / "youtube_train.json").write_text(json.dumps(labels))


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """A folder with both data sets in their own layouts, made of rendered hands."""
    root = tmp_path_factory.mktemp("raw")
    export_freihand(SyntheticHands(12, seed=1, size=SIZE, versions=2), root / "FreiHAND_pub_v2")
    export_freihand(SyntheticHands(6, seed=2, size=SIZE), root / "FreiHAND_pub_v2", part="evaluation")
    _write_youtube(root / "youtube_3d_hands", SyntheticHands(8, seed=3, size=SIZE))
    return root


@pytest.fixture
def small(raw, tmp_path):
    """Arguments of a small run."""
    common = {"image_size": 32, "batch_size": 4, "device": "cpu", "progress": False}
    pretrain = {"epochs": 2, "warmup_epochs": 1.0, "accumulate": 2, "encoder": "", **common}
    finetune = {"steps": 4, "warmup_steps": 1, "augmentation": {"background": 0.0}, **common}
    return [
        *("--data", str(raw), "--output", str(tmp_path / "run"), "--cache", str(tmp_path / "cache")),
        *("--arch", "resnet18", "--pretrain", json.dumps(pretrain), "--finetune", json.dumps(finetune)),
    ]


@pytest.mark.parametrize(("preset", "arch"), [("paper_rn50", "resnet50"), ("paper_rn152", "resnet152")])
def test_both_trainings_have_the_papers_numbers(raw, preset, arch):
    config = getattr(PaperConfig, preset)(data=str(raw))
    config.validate()
    pretraining, finetuning = config.pretrain_config(), config.finetune_config()
    expected = {
        "method": "peclr", "arch": arch, "encoder": "imagenet", "image_size": 128, "rotation_degrees": 45.0,
        "temperature": 0.5, "projector_hidden": 512, "projection_size": 128, "epochs": 100,
        "warmup_epochs": 10.0, "weight_decay": 1e-6, "learning_rate": 1e-4, "optimiser": "adam",
        "batch_size": 128, "accumulate": 16, "compared_pairs": 2048, "authors_exact": False,
    }  # fmt: skip
    assert {name: getattr(pretraining, name) for name in expected} == expected
    assert pretraining.peak_learning_rate == pytest.approx(1e-4 * 2048**0.5)
    assert (finetuning.arch, finetuning.image_size, finetuning.labels) == (arch, 224, 0)
    freihand, youtube = raw / "FreiHAND_pub_v2", raw / "youtube_3d_hands"
    assert pretraining.sources == (f"freihand:{freihand}?split=training", f"youtube:{youtube}?split=train")
    assert finetuning.sources == pretraining.sources[:1]
    assert finetuning.test_sources == (f"freihand:{freihand}?split=evaluation",)


def test_missing_evaluation_labels_are_reported_before_anything_is_trained(raw, tmp_path, capsys):
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in (raw / "FreiHAND_pub_v2").iterdir():
        if path.name not in ("evaluation_xyz.json", ".peclr_utils"):
            (copy / path.name).symlink_to(path)
    alone = json.dumps({"sources": [f"freihand:{copy}"]})
    assert main(["--data", str(copy), "--output", str(tmp_path / "run"), "--pretrain", alone]) == 2
    assert "expected evaluation_xyz.json" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_one_data_set_is_not_silently_taken_for_both(raw, tmp_path, capsys):
    freihand = raw / "FreiHAND_pub_v2"
    assert main(["--data", str(freihand), "--output", str(tmp_path / "run")]) == 2
    assert "PaperConfig.data: expected a folder with FreiHAND and YouTube" in capsys.readouterr().err
    PaperConfig(data=str(freihand), pretrain={"sources": [f"freihand:{freihand}"]}).validate()


def test_two_processes_pre_train_and_rank_0_continues_to_the_table(small, tmp_path, capsys):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*torchrun, "-m", "peclr_utils.experiments.paper", *small]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)
    assert done.returncode == 0, done.stderr
    table = (tmp_path / "run/table.md").read_text()
    assert done.stdout.count(table) == 1
    for number in ("0.71", "0.860", "4.71", "0.357", "0.66", "0.868", "4.56", "0.360"):
        assert number in table
    assert "resnet18, crops around the true keypoints" in table
    assert "here on 6 hands, published on 3,960" in table
    assert "as the paper says, 2 epochs on freihand and youtube." in table

    assert main(small) == 0  # everything is read back
    assert capsys.readouterr().out == table


def test_one_command_does_it_as_the_authors_code_does(small, tmp_path, capsys):
    assert main([*small, "--authors_exact"]) == 0
    assert "as the authors' code does it, 2 epochs on freihand and youtube." in capsys.readouterr().out
    assert PretrainConfig.load(tmp_path / "run/pretrain/config.json").authors_exact
