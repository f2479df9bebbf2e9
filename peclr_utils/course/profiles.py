"""The numbers each chapter runs with, by profile; `profiles.toml` holds and explains them."""

import tomllib
from pathlib import Path
from typing import Any

CHAPTERS: tuple[str, ...] = (
    "01_data_loading",
    "02_equivariant_augmentation",
    "03_contrastive_pretraining",
    "04_finetuning",
    "05_evaluation",
)

PROFILES: dict[str, Any] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
PROFILES["paper_rn152"] = {
    chapter: {**numbers, "arch": "resnet152"} if "arch" in numbers else numbers
    for chapter, numbers in PROFILES["paper"].items()
}

NEEDS_DATA = ("paper", "paper_rn152")  # they make no sense on rendered hands
