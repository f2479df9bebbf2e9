"""What photographs are worth: every method is measured alike, and cells that are finished are kept."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from peclr_utils.datasets.images import write_jpeg
from peclr_utils.experiments import transfer
from peclr_utils.experiments.photographs import labelled_samples
from peclr_utils.experiments.transfer import (
    MEASURES,
    METHODS,
    TransferConfig,
    load_transfer,
    main,
    run_transfer,
    transfer_markdown,
)
from tests.inference.test_finding import CIRCLE, DiscNetwork, picture


@pytest.fixture
def photographs(tmp_path):
    """Four discs in a folder, and a label file for them."""
    folder, images, annotations = tmp_path / "photographs", [], []
    folder.mkdir()
    for number in range(4):
        x, y = 60 + number, 62 - number
        write_jpeg(folder / f"{number}.jpg", picture((x, y, 30, "right"), width=120, height=120))
        points = np.column_stack([np.array([x, y]) + 30 * CIRCLE, np.full(21, 2)]).ravel().tolist()
        images.append({"id": number, "file_name": f"{number}.jpg"})
        annotations.append({"image_id": number, "keypoints": points, "is_right": True})
    (tmp_path / "labels.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    return {"photographs": str(folder), "test": f"coco:{folder}?labels={tmp_path / 'labels.json'}"}


def test_the_table_is_filled_kept_and_printed(photographs, tmp_path, capsys):
    config = TransferConfig.smoke(output=str(tmp_path / "run"), **photographs)
    results = run_transfer(config)
    assert {(c["method"], c["tuning"]) for c in results["cells"]} == {
        (method, tuning) for method in METHODS for tuning in ("frozen", "full")
    }
    assert all(0 < c["error_upright"] < 5 and 0 <= c["pck_turned"] <= 1 for c in results["cells"])
    again = run_transfer(config)
    assert again["cells"] == results["cells"] == load_transfer(tmp_path / "run" / "results.json")["cells"]
    assert "minus from scratch" in transfer_markdown(again)
    flags = ["--output", config.output, "--photographs", config.photographs, "--test", config.test]
    assert main(["--preset", "smoke", *flags]) == 0
    assert "PeCLR: renders, photographs" in capsys.readouterr().out


def test_a_network_that_draws_every_hand_upright_errs_on_turned_ones(photographs):
    network = DiscNetwork()
    network.any_angle = True  # so `predict` would take the mean of turned copies, which errs upright, too
    measured = transfer._measure(network, labelled_samples(photographs["test"]))
    assert measured["error_upright"] < 0.05 and measured["pck_upright"] == 1
    assert measured["error_turned"] > 0.5 and measured["pck_turned"] < 0.2


def test_levels_are_what_one_pose_for_all_hands_reaches(photographs):
    levels = transfer._levels(labelled_samples(photographs["test"]))
    # All four hands are one circle: their mean is right, and wrong where they are turned. From the middle
    # every keypoint is a radius away, half of the box's side.
    assert levels["mean_pose"]["error_upright"] < 0.01 and levels["mean_pose"]["error_turned"] > 0.5
    centre = levels["centre"]
    assert centre["error_upright"] == pytest.approx(0.5, abs=0.01) == centre["error_turned"]
    assert centre["pck_upright"] == centre["pck_turned"] == 0


@pytest.fixture
def stopped(monkeypatch):
    """Trainings that train nothing; those named in the set that is returned stop early."""
    names = set()
    for name in ("pretrain", "finetune"):

        def train(config, name=name):
            return SimpleNamespace(finished=name not in names, model=None)

        monkeypatch.setattr(transfer, name, train)
    monkeypatch.setattr(transfer, "_measure", lambda *_: dict.fromkeys(MEASURES.values(), 0.5))
    return names


def test_a_training_that_stopped_early_fills_no_cell(photographs, tmp_path, stopped, capsys):
    config = TransferConfig.smoke(output=str(tmp_path / "run"), methods=("scratch", "peclr"), **photographs)
    stopped.add("pretrain")
    assert [cell["method"] for cell in run_transfer(config)["cells"]] == ["scratch", "scratch"]
    assert "Pre-training stopped early" in capsys.readouterr().out
    stopped.symmetric_difference_update({"pretrain", "finetune"})
    assert [cell["method"] for cell in run_transfer(config)["cells"]] == ["scratch", "scratch"]
    assert "Fine-tuning stopped early" in capsys.readouterr().out
    stopped.clear()
    assert [cell["method"] for cell in run_transfer(config)["cells"]] == ["scratch"] * 2 + ["peclr"] * 2
    assert "stopped early" not in capsys.readouterr().out


def test_a_table_does_not_mix_cells_of_different_settings(photographs, tmp_path, stopped):
    config = TransferConfig.smoke(output=str(tmp_path / "run"), methods=("scratch",), **photographs)
    run_transfer(config)
    with pytest.raises(ValueError, match=r"made with other settings \(finetune\); choose another output"):
        run_transfer(config.replace(finetune={**config.finetune, "steps": 5}))
    more = run_transfer(config.replace(seeds=(0, 1), labels=(4, 8), cache=str(tmp_path)))
    assert {(cell["seed"], cell["labels"]) for cell in more["cells"]} == {(0, 4), (0, 8), (1, 4), (1, 8)}
    (tmp_path / "run" / "results.json").write_text('{"format": "other"}')
    with pytest.raises(ValueError, match="expected a file of format 'peclr_utils transfer 1'"):
        load_transfer(tmp_path / "run")


def test_methods_differ_in_their_unlabelled_images_alone_and_see_equally_many(photographs):
    config = TransferConfig(**photographs)
    renders, beside = (config.pretrain_config(name, 3) for name in ("peclr", "peclr_photographs"))
    assert renders.replace(sources=(), output="") == beside.replace(sources=(), output="")
    count = [int(source.split(":")[1].split("?")[0]) for source in (config.renders, config.renders_beside)]
    assert count[0] - count[1] == 2168 and beside.sources[1].endswith("?disc=1")
    scratch, peclr = (config.finetune_config(name, "full", 64, 3) for name in ("scratch", "peclr"))
    assert scratch.encoder == "" and scratch == peclr.replace(encoder="")


def test_intervals_are_paired_by_seed():
    rng, cells = np.random.default_rng(0), []
    for seed in range(3):
        start = rng.normal()
        for method, gain in (("scratch", 0.0), ("peclr_photographs", -0.1)):
            values = dict.fromkeys(("error_upright", "error_turned"), start + gain)
            values |= {"pck_upright": start, "pck_turned": start}
            cells.append({"method": method, "tuning": "full", "labels": 64, "seed": seed, **values})
    row = transfer_markdown({"cells": cells}).splitlines()[-1]
    assert "-0.100 ± 0.000*" in row and "+0.000 ± 0.000 " in row


def test_photographs_must_be_named(photographs):
    with pytest.raises(ValueError, match="photographs"):
        run_transfer(TransferConfig(test=photographs["test"]))
    with pytest.raises(ValueError, match="test"):
        run_transfer(TransferConfig(photographs=photographs["photographs"]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"output": ""}, "TransferConfig.output: expected a folder"),
        ({"encoders": {"simclr": "a.pt"}}, "TransferConfig.encoders: expected some of .*'peclr'"),
        ({"encoders": {"scratch": "a.pt"}}, "TransferConfig.encoders"),
    ],
)
def test_a_wrong_setting_is_named(photographs, change, message):
    with pytest.raises(ValueError, match=message):
        TransferConfig(**photographs).replace(**change).validate()


def test_test_photographs_need_labels(photographs, tmp_path, stopped):
    unlabelled = {**photographs, "test": f"folder:{photographs['photographs']}"}
    with pytest.raises(ValueError, match="0.jpg has no 2D keypoints"):
        run_transfer(TransferConfig.smoke(output=str(tmp_path / "run"), **unlabelled))
