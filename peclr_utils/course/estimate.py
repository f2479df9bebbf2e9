"""How long the course will take on this machine, said before it starts.

The model is simple: a chapter takes its seconds of `FIXED`, and the images that it trains, divided by the
images that this machine trains in a second (`training.speed`). To calibrate it, run the course on two
machines, one fast and one slow, and compare with the seconds in their `course.json`.
"""

from collections.abc import Mapping
from typing import Any

from peclr_utils.training import PretrainConfig
from peclr_utils.training.device import choose_device
from peclr_utils.training.speed import images_per_second

FIXED = {
    "01_data_loading": (20, 0),
    "02_equivariant_augmentation": (20, 0),
    "03_contrastive_pretraining": (60, 0),
    "04_finetuning": (15, 0),
    "05_evaluation": (75, 0),
}
"""By chapter: seconds on any machine, and images for work that takes longer on a slower one, such as features
and small networks: as many as could be trained meanwhile."""

ELSE = (30, 0)
"""The same for a chapter without numbers above: an appendix."""

FROZEN = 1 / 3
"""Cost of an image in fine-tuning with a frozen encoder, which has no backward pass, over one trained."""

MEASURED = PretrainConfig(batch_size=16)
"""What is timed; every profile for CPUs trains this network at this size."""

Plan = Mapping[str, Mapping[str, Any]]
"""Parameters of the chapters to run, by chapter."""


def trained_images(plan: Plan) -> float:
    """Count the images that chapters 03 and 04 train by their parameters, each view as one."""
    images = 0.0
    if numbers := plan.get("03_contrastive_pretraining"):
        images += 2 * len(numbers["methods"]) * numbers["epochs"] * numbers["unlabelled_images"]
    if numbers := plan.get("04_finetuning"):
        other = FROZEN if numbers["freeze_encoder"] else 1
        runs = sum(1 if method == "scratch" else other for method in numbers["methods"])
        images += len(numbers["label_counts"]) * runs * numbers["steps"] * numbers["batch_size"]
    return images


def estimate(plan: Plan) -> str:
    """Measure this machine for three seconds, and say how long the chapters will take.

    "" on a GPU, without training among the chapters, and for other networks, because nothing is known then.
    """
    sizes = {(numbers["arch"], numbers["image_size"]) for numbers in plan.values() if "arch" in numbers}
    if sizes != {(MEASURED.arch, MEASURED.image_size)} or choose_device().type != "cpu":
        return ""
    rate = images_per_second(MEASURED)
    fixed = [FIXED.get(chapter, ELSE) for chapter in plan]
    images = trained_images(plan) + sum(images for _, images in fixed)
    minutes = max(1, round((sum(seconds for seconds, _ in fixed) + images / rate) / 60))
    what = "the course" if set(FIXED) <= set(plan) else "these chapters"
    return f"This machine trains {rate:.0f} images/s: about {minutes} minute{'s' * (minutes > 1)} for {what}."
