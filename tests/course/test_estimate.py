"""The time that the course says it will take: fixed seconds, and images over the rate of this machine."""

import pytest
import torch

from peclr_utils.course import runner
from peclr_utils.course.runner import CHAPTERS, PROFILES, estimate
from peclr_utils.training import device

THIRD, FOURTH = CHAPTERS[2:4]


@pytest.fixture(autouse=True)
def rate(monkeypatch):
    """This machine trains 1 image/s, has no GPU, and takes 100 seconds and 20 images for a chapter."""
    monkeypatch.setattr(device, "images_per_second", lambda: 1.0)
    monkeypatch.setattr(device, "choose_device", lambda: torch.device("cpu"))
    monkeypatch.setattr(runner, "FIXED", dict.fromkeys(CHAPTERS, (100, 20)))


def minutes(plan):
    start, _, text = estimate(plan).partition(": about ")
    assert start == "This machine trains 1 images/s"
    return int(text.split()[0])


@pytest.mark.parametrize("profile", ["smoke", "laptop", "night"])
def test_a_faster_machine_needs_less_time_for_the_images_alone(profile, monkeypatch):
    plan = {chapter: PROFILES[profile][chapter] for chapter in CHAPTERS}
    monkeypatch.setattr(device, "images_per_second", lambda: 1e9)
    assert estimate(plan) == "This machine trains 1000000000 images/s: about 8 minutes for the course."
    monkeypatch.setattr(device, "images_per_second", lambda: 1.0)
    assert minutes(plan) > 10


def test_images_are_counted_by_methods_epochs_and_both_views_of_a_pair():
    size = {"arch": "resnet18", "image_size": 64}
    plan = {THIRD: {**size, "methods": ["simclr", "peclr"], "epochs": 3, "unlabelled_images": 100}}
    assert minutes(plan) == round((120 + 2 * 3 * 100 * 2) / 60)
    numbers = {**size, "methods": ["scratch", "peclr"], "steps": 60, "batch_size": 4, "label_counts": [8, 16]}
    for frozen, cost in ((False, 1), (True, runner.FROZEN)):
        plan = {FOURTH: {**numbers, "freeze_encoder": frozen}}
        assert minutes(plan) == round((120 + 2 * (1 + cost) * 60 * 4) / 60)


def test_nothing_is_said_where_nothing_is_known(monkeypatch):
    laptop = PROFILES["laptop"]
    assert estimate(PROFILES["paper"]) == estimate({CHAPTERS[0]: laptop[CHAPTERS[0]]}) == estimate({}) == ""
    assert estimate({FOURTH: laptop[FOURTH]}).endswith("minutes for these chapters.")
    monkeypatch.setattr(device, "choose_device", lambda: torch.device("cuda"))
    assert estimate(laptop) == ""


def test_the_rate_is_that_of_this_machine(monkeypatch):
    monkeypatch.undo()
    assert 1 < device.images_per_second(0.1) < 1e5
