"""The numbers each chapter runs with, by profile: from a quick try to a paper's worth.

A profile gives every chapter a dict of plain literals. The runner adds `run_dir` and `data` and hands all
of it to papermill, which writes it below the chapter's cell tagged `parameters`. So each name here must
stand in that cell too, with the value a reader gets who simply opens the chapter.

Sizes are chosen for two cores and no GPU, except for `paper` and `paper_rn152`: their settings are those of
the presets that `python -m peclr_utils.training.paper` runs with. Only, chapter 03 keeps a few pictures out
to look at, and chapter 04 keeps some for validation.
"""

import dataclasses
import json
from pathlib import Path

from peclr_utils.evaluation.published import EVALUATION_HANDS
from peclr_utils.training.config import FinetuneConfig, PretrainConfig
from peclr_utils.settings import RunSettings

Literal = str | int | float | bool | list | dict | None

CHAPTERS: tuple[str, ...] = (
    "01_data_loading",
    "02_equivariant_augmentation",
    "03_contrastive_pretraining",
    "04_finetuning",
    "05_evaluation",
)

_OWN = "arch image_size epochs steps batch_size temperature sources test_sources".split()
"""Fields that chapters have parameters for, beside those of machine and run."""


def _further(preset: RunSettings, *settled: str) -> dict[str, Literal]:
    """The rest of a preset: whatever it says of the training that a chapter does not settle by itself."""
    left_out = {*_OWN, *settled, *(field.name for field in dataclasses.fields(RunSettings))}
    return json.loads(json.dumps({name: v for name, v in vars(preset).items() if name not in left_out}))


def _paper(pretrain: PretrainConfig, finetune: FinetuneConfig) -> dict[str, dict[str, Literal]]:
    """The chapters at the paper's setting."""
    return {
        "01_data_loading": {"seed": 0},
        "02_equivariant_augmentation": {"seed": 0},
        "03_contrastive_pretraining": {
            "arch": pretrain.arch,
            "image_size": pretrain.image_size,
            "unlabelled_images": 200_000,  # more than FreiHAND and YouTube3DHands have: all
            "methods": ["simclr_no_rotation", "simclr", "peclr"],
            "epochs": pretrain.epochs,
            "batch_size": pretrain.batch_size,
            "temperature": pretrain.temperature,
            "probe_images": 3000,
            "ablation_epochs": 10,
            "further_settings": _further(pretrain, "method", "rotation_degrees", "equivariance_pictures"),
            "seed": pretrain.seed,
        },
        "04_finetuning": {
            "arch": finetune.arch,
            "image_size": finetune.image_size,
            "methods": ["scratch", "simclr_no_rotation", "simclr", "peclr"],
            "label_counts": [2965, 29652],  # of the part that is not kept for validation: a tenth, and all
            "steps": finetune.steps,
            "batch_size": finetune.batch_size,
            "validation_images": 3000,
            "further_settings": _further(finetune, "encoder", "labels"),
            "seed": finetune.seed,
        },
        "05_evaluation": {
            "image_size": finetune.image_size,
            "test_images": EVALUATION_HANDS,
            "seed": finetune.seed,
        },
    }


PROFILES: dict[str, dict[str, dict[str, Literal]]] = {
    # Does everything work? As small as can be; the numbers mean nothing yet.
    "smoke": {
        "01_data_loading": {"seed": 0},
        "02_equivariant_augmentation": {"seed": 0},
        "03_contrastive_pretraining": {
            "arch": "resnet18",
            "image_size": 64,
            "unlabelled_images": 128,
            "methods": ["simclr_no_rotation", "simclr", "peclr"],
            "epochs": 2,
            "batch_size": 64,
            "temperature": 0.2,
            "probe_images": 64,
            "ablation_epochs": 1,
            "further_settings": {},
            "seed": 0,
        },
        "04_finetuning": {
            "arch": "resnet18",
            "image_size": 64,
            "methods": ["scratch", "simclr_no_rotation", "simclr", "peclr"],
            "label_counts": [64],
            "steps": 6,
            "batch_size": 32,
            "validation_images": 64,
            "further_settings": {},
            "seed": 0,
        },
        "05_evaluation": {"image_size": 64, "test_images": 64, "seed": 0},
    },
    # For a laptop: a quarter of an hour. The README says what it shows and what it does not.
    "laptop": {
        "01_data_loading": {"seed": 0},
        "02_equivariant_augmentation": {"seed": 0},
        "03_contrastive_pretraining": {
            "arch": "resnet18",
            "image_size": 64,
            "unlabelled_images": 2048,
            "methods": ["simclr_no_rotation", "simclr", "peclr"],
            "epochs": 4,
            "batch_size": 128,
            "temperature": 0.2,
            "probe_images": 1024,
            "ablation_epochs": 0,
            "further_settings": {},
            "seed": 0,
        },
        "04_finetuning": {
            "arch": "resnet18",
            "image_size": 64,
            "methods": ["scratch", "simclr_no_rotation", "simclr", "peclr"],
            "label_counts": [64],
            "steps": 180,
            "batch_size": 32,
            "validation_images": 512,
            "further_settings": {},
            "seed": 0,
        },
        "05_evaluation": {"image_size": 64, "test_images": 1024, "seed": 0},
    },
    # Real photographs (give DATA), a GPU and time.
    "paper": _paper(PretrainConfig.paper_rn50(), FinetuneConfig.paper_rn50()),
    "paper_rn152": _paper(PretrainConfig.paper_rn152(), FinetuneConfig.paper_rn152()),
}

NEEDS_DATA = ("paper", "paper_rn152")
"""Profiles that make no sense on rendered hands."""


def chapter_parameters(profile: str, chapter: str, run_dir: Path, data: list[str]) -> dict[str, Literal]:
    """Everything the runner passes to one chapter.

    Args:
        profile: One of `PROFILES`.
        chapter: One of `CHAPTERS`.
        run_dir: Where the chapter leaves its artefacts, and looks for those of earlier chapters.
        data: Source names as `peclr_utils.datasets.open_source` takes them; empty for rendered hands.

    Returns:
        The profile's literals for this chapter, with `run_dir` and `data` added.

    Raises:
        ValueError: There is no such profile or chapter.
    """
    if profile not in PROFILES:
        raise ValueError(f"There is no profile {profile!r}; choose one of {', '.join(PROFILES)}.")
    if chapter not in CHAPTERS:
        raise ValueError(f"There is no chapter {chapter!r}; choose one of {', '.join(CHAPTERS)}.")
    return {**PROFILES[profile][chapter], "run_dir": str(run_dir), "data": list(data)}
