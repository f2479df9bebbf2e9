"""Probing frozen encoders: which hands, which rows, and that the wrist is given."""

import json

import numpy as np
import pytest
import torch

from peclr_utils.crops import open_crops
from peclr_utils.experiments.probes import ProbeConfig, probe_encoder, probe_encoders
from peclr_utils.experiments.results import probes_markdown
from peclr_utils.models import build_encoder

SOURCES = {"labelled": ("synthetic:16?seed=2&size=96",), "test": ("synthetic:8?seed=3&size=96",)}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    cache = str(tmp_path_factory.mktemp("cache"))
    return ProbeConfig(**SOURCES, image_size=32, device="cpu", progress=False, cache=cache)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Three encoders, two of which differ in their seeds alone."""
    files = [tmp_path_factory.mktemp(name, False) / "checkpoint.pt" for name in ("a-seed0", "a-seed1", "b")]
    for number, file in enumerate(files):
        torch.manual_seed(number)
        torch.save(build_encoder("resnet18").state_dict(), file)
    return [str(file) for file in files]


def test_encoders_that_differ_in_their_seeds_share_a_row(small, checkpoints, tmp_path):
    file = tmp_path / "results" / "probes.json"
    results = probe_encoders(small.replace(encoders=tuple(checkpoints), output=str(file)))
    assert json.loads(file.read_text()) == results
    assert [probe["name"] for probe in results["probes"]] == ["a", "a", "b"] + ["untrained"] * 3
    lines = probes_markdown(results["probes"]).splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [row[:2] for row in rows[2:]] == [["untrained", "3"], ["a", "2"], ["b", "1"]]
    errors = np.array([probe["epe_2d"] for probe in results["probes"][:2]])
    assert rows[3][rows[0].index("2D EPE (px)")] == f"{errors.mean():.2f} ± {errors.std(ddof=1):.2f}"
    alone = probe_encoders(small.replace(encoders=(checkpoints[1],), untrained_seeds=()))
    assert alone["probes"] == results["probes"][1:2]  # whatever is probed beside it


def test_the_wrist_is_given_and_the_other_keypoints_are_not(small):
    labelled, test = (open_crops(names, 32, small.view_factor, 1.5) for names in SOURCES.values())
    found = probe_encoder(build_encoder("resnet18"), labelled, test, 32, small.view_factor)
    assert found.per_joint_epe_mm[0] == pytest.approx(0, abs=1e-3)
    assert (found.per_joint_epe_mm[1:] > 1).all()


def test_a_mistake_is_reported_before_anything_is_cropped(small, checkpoints, tmp_path):
    config = small.replace(encoders=(checkpoints[0],), cache=str(tmp_path / "cache"))
    with pytest.raises(FileNotFoundError, match="gone.pt"):
        probe_encoders(config.replace(encoders=("gone.pt",)))
    assert not (tmp_path / "cache").exists()
