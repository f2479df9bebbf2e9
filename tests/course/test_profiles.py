import pytest

from peclr_utils.course.labelled_hands import labelled_source
from peclr_utils.course.runner import APPENDICES, CHAPTERS, NEEDS_DATA, PROFILES
from peclr_utils.experiments.label_fractions import LABELLED_VIEWS
from peclr_utils.training import FinetuneConfig, PretrainConfig

CHAPTER_3 = (
    "arch",
    "image_size",
    "epochs",
    "batch_size",
    "rotation_degrees",
    "learning_rate",
    "random_frames",
    "temperature",
    "seed",
)
"""Parameters that chapter 03 puts into its `PretrainConfig`."""


def test_every_profile_sets_the_same_parameters_of_every_chapter():
    assert {"smoke", "laptop", "night", *NEEDS_DATA} == set(PROFILES)
    names = [{chapter: set(numbers) for chapter, numbers in profile.items()} for profile in PROFILES.values()]
    assert tuple(names[0]) == CHAPTERS + APPENDICES
    assert all(own == names[0] for own in names)


@pytest.mark.parametrize(
    ("profile", "pretrain", "finetune"),
    [
        ("paper", PretrainConfig.paper_rn50(), FinetuneConfig.paper_rn50()),
        ("paper_rn152", PretrainConfig.paper_rn152(), FinetuneConfig.paper_rn152()),
    ],
)
def test_the_papers_profiles_have_the_numbers_of_the_papers_presets(profile, pretrain, finetune):
    first, second, evaluation = (PROFILES[profile][chapter] for chapter in CHAPTERS[2:])
    # What the chapters begin with, which must not survive.
    begun = PretrainConfig(warmup_epochs=1.0, cache=pretrain.cache, output=pretrain.output)
    made = {name: first[name] for name in CHAPTER_3}
    assert begun.replace(**made, **first["further_settings"]) == pretrain
    begun = FinetuneConfig(
        augmentation=dict(LABELLED_VIEWS),
        warmup_steps=7,
        log_every=7,
        cache=finetune.cache,
        output=finetune.output,
    )
    made = {name: second[name] for name in ("arch", "image_size", "steps", "batch_size", "seed")}
    assert begun.replace(**made, **second["further_settings"]) == finetune
    assert (evaluation["image_size"], evaluation["test_images"]) == (finetune.image_size, 3960)


def test_the_nights_encoders_are_made_with_the_settings_of_their_preset():
    numbers = PROFILES["night"]["03_contrastive_pretraining"]
    preset = PretrainConfig.night()
    source = labelled_source([], "unlabelled", numbers["unlabelled_images"])
    made = PretrainConfig(sources=(source,), cache=preset.cache, output=preset.output)
    assert made.replace(**{name: numbers[name] for name in CHAPTER_3}) == preset
