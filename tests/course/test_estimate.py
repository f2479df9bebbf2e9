"""The time that the course says it will take: fixed seconds, and images over the rate of this machine."""

import pytest
import torch

from peclr_utils.course import estimate as module
from peclr_utils.course.estimate import ELSE, FIXED, estimate, trained_images
from peclr_utils.course.runner import CHAPTERS, PROFILES
from peclr_utils.training import PretrainConfig
from peclr_utils.training.speed import images_per_second

THIRD, FOURTH = CHAPTERS[2:4]


@pytest.fixture(autouse=True)
def rate(monkeypatch):
    """This machine trains 50 images/s, and has no GPU."""
    monkeypatch.setattr(module, "images_per_second", lambda config: 50.0)
    monkeypatch.setattr(module, "choose_device", lambda: torch.device("cpu"))
    monkeypatch.setattr(module, "FIXED", dict.fromkeys(CHAPTERS, (60, 600)))


@pytest.mark.parametrize("profile", ["smoke", "laptop", "night"])
def test_the_time_is_what_the_chapters_always_take_and_the_images_over_the_rate(profile):
    plan = PROFILES[profile]
    minutes = round(5 * 60 / 60 + (5 * 600 + trained_images(plan)) / 50 / 60)
    assert estimate(plan) == f"This machine trains 50 images/s: about {minutes} minutes for the course."


def test_images_are_counted_by_methods_epochs_and_both_views_of_a_pair():
    plan = {THIRD: {"methods": ["simclr", "peclr"], "epochs": 3, "unlabelled_images": 100}}
    assert trained_images(plan) == 2 * 3 * 100 * 2
    numbers = {"methods": ["scratch", "peclr"], "steps": 10, "batch_size": 4, "label_counts": [8, 16]}
    full, frozen = (trained_images({FOURTH: {**numbers, "freeze_encoder": x}}) for x in (False, True))
    assert full == 2 * 2 * 10 * 4 and full / 2 < frozen < full


def test_nothing_is_said_where_nothing_is_known(monkeypatch):
    laptop = PROFILES["laptop"]
    assert estimate(PROFILES["paper"]) == estimate({CHAPTERS[0]: laptop[CHAPTERS[0]]}) == estimate({}) == ""
    assert estimate({FOURTH: laptop[FOURTH]}).endswith("minutes for these chapters.")
    monkeypatch.setattr(module, "choose_device", lambda: torch.device("cuda"))
    assert estimate(laptop) == ""


def test_every_chapter_has_its_numbers_and_an_appendix_the_others():
    assert tuple(FIXED) == CHAPTERS
    assert len(ELSE) == 2


def test_the_rate_counts_both_views_of_each_pair_and_is_that_of_this_machine():
    config = PretrainConfig(batch_size=2, image_size=32)
    assert 1 < images_per_second(config, 0.2) < 1e5
