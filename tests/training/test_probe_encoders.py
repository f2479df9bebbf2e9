"""Probing frozen encoders: which hands, which rows, and that the wrist is given."""

import json

import cv2
import numpy as np
import pytest
import torch

from peclr_utils.models import build_encoder
from peclr_utils.training import ProbeConfig, probe_encoders
from peclr_utils.training.engine import choose_machine
from peclr_utils.training.finetune import weak_augmentation
from peclr_utils.training.probe_encoders import main, markdown, probe_encoder
from peclr_utils.training.sources import open_crops

SOURCES = {"labelled": ("synthetic:16?seed=2&size=96",), "test": ("synthetic:8?seed=3&size=96",)}
SMALL = ProbeConfig(**SOURCES, image_size=32, device="cpu", progress=False)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Three encoders, two of which differ in their seeds alone."""
    folder = tmp_path_factory.mktemp("encoders")
    for number, name in enumerate(("mine-seed0", "mine-seed1", "other")):
        torch.manual_seed(number)
        (folder / name).mkdir()
        torch.save(build_encoder("resnet18").state_dict(), folder / name / "checkpoint.pt")
    return [str(folder / name / "checkpoint.pt") for name in ("mine-seed0", "mine-seed1", "other")]


def test_encoders_that_differ_in_their_seeds_share_a_row_and_all_are_in_the_file(checkpoints, tmp_path):
    file = tmp_path / "results" / "probes.json"
    results = probe_encoders(SMALL.replace(encoders=tuple(checkpoints), output=str(file)))
    assert json.loads(file.read_text()) == results
    assert [probe["name"] for probe in results["probes"]] == ["mine"] * 2 + ["other"] + ["untrained"] * 3
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in markdown(results).splitlines()]
    assert [row[0] for row in rows[2:]] == ["untrained", "mine", "other"]
    assert [row[1] for row in rows[2:]] == ["3", "2", "1"]
    errors = np.array([probe["epe_2d"] for probe in results["probes"][:2]])
    assert rows[3][rows[0].index("2D EPE (px)")] == f"{errors.mean():.2f} ± {errors.std(ddof=1):.2f}"


def test_an_encoder_has_the_same_errors_whoever_is_probed_beside_it(checkpoints):
    config = SMALL.replace(untrained_seeds=())
    together = probe_encoders(config.replace(encoders=tuple(checkpoints)))["probes"]
    alone = [probe_encoders(config.replace(encoders=(path,)))["probes"][0] for path in checkpoints]
    assert alone == together
    assert len({probe["epe_2d"] for probe in alone}) == 3


def test_the_wrist_is_given_and_the_other_keypoints_are_not():
    views = SMALL.views()
    labelled, test = (open_crops(views, weak_augmentation(views), names) for names in SOURCES.values())
    encoder = build_encoder("resnet18")
    found = probe_encoder(encoder, labelled, test, 32, SMALL.view_factor, choose_machine(views))
    assert found.per_joint_epe_mm[0] == pytest.approx(0, abs=1e-3)
    assert (found.per_joint_epe_mm[1:] > 1).all()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"encoders": ("gone.pt",)}, FileNotFoundError, "gone.pt: there is no such checkpoint"),
        ({"untrained_seeds": ()}, ValueError, "ProbeConfig.encoders: expected at least one checkpoint"),
        ({"encoders": "one.pt"}, ValueError, "ProbeConfig.encoders: expected a tuple of strings"),
        ({"image_size": 8}, ValueError, "image_size: expected a number of at least 32"),
    ],
)
def test_wrong_settings_are_errors_at_once(changes, error, message, tmp_path):
    with pytest.raises(error, match=message):
        probe_encoders(SMALL.replace(cache=str(tmp_path / "cache"), **changes))
    assert not (tmp_path / "cache").exists()


def test_an_encoder_of_another_architecture_is_an_error_that_names_both(checkpoints, tmp_path):
    config = SMALL.replace(encoders=(checkpoints[0],), arch="resnet34", cache=str(tmp_path / "cache"))
    with pytest.raises(ValueError, match="resnet18.*resnet34|resnet34.*resnet18"):
        probe_encoders(config)
    assert not (tmp_path / "cache").exists()


def test_hands_without_labels_are_an_error(tmp_path, capsys):
    (tmp_path / "hands").mkdir()
    cv2.imwrite(str(tmp_path / "hands" / "one.png"), np.zeros((64, 64, 3), np.uint8))
    assert main(["--test", f"folder:{tmp_path / 'hands'}", "--labelled", SOURCES["labelled"][0]]) == 2
    assert "lack 3D keypoints" in capsys.readouterr().err
