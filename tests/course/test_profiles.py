from pathlib import Path

import pytest

from peclr_utils.course.profiles import CHAPTERS, NEEDS_DATA, PROFILES, chapter_parameters
from peclr_utils.training import FinetuneConfig, PretrainConfig
from peclr_utils.training.label_fractions import LABELLED_VIEWS


def plain(value):
    if isinstance(value, list):
        return all(map(plain, value))
    if isinstance(value, dict):
        return all(type(name) is str and plain(item) for name, item in value.items())
    return value is None or type(value) in (str, int, float, bool)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_names_every_chapter_and_holds_plain_literals(profile):
    assert tuple(PROFILES[profile]) == CHAPTERS
    for parameters in PROFILES[profile].values():
        assert all(plain(value) for value in parameters.values())


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_all_profiles_set_the_same_parameters_of_a_chapter(chapter):
    names = {profile: set(PROFILES[profile][chapter]) for profile in PROFILES}
    assert len({frozenset(own) for own in names.values()}) == 1, names


def test_the_papers_profile_has_the_numbers_of_the_papers_command():
    paper = PROFILES["paper"]
    pretraining, finetuning, evaluation = (paper[chapter] for chapter in CHAPTERS[2:])
    first, second = PretrainConfig.paper_rn50(), FinetuneConfig.paper_rn50()
    for name in ("arch", "image_size", "epochs", "batch_size", "temperature", "seed"):
        assert pretraining[name] == getattr(first, name), name
    for name in ("arch", "image_size", "steps", "batch_size", "seed"):
        assert finetuning[name] == getattr(second, name), name
    assert (pretraining["image_size"], pretraining["epochs"], finetuning["image_size"]) == (128, 100, 224)
    rest = pretraining["further_settings"]
    assert (rest["encoder"], rest["warmup_epochs"]) == ("imagenet", 10)
    assert (rest["grad_cache"], rest["accumulate"] * pretraining["batch_size"]) == (True, 2048)
    # What the chapters begin with, which must not survive.
    begun = PretrainConfig(warmup_epochs=1.0, cache=first.cache, output=first.output, method="peclr")
    made = {name: pretraining[name] for name in ("arch", "image_size", "epochs", "batch_size", "temperature")}
    assert begun.replace(**made, **rest) == first
    begun = FinetuneConfig(
        augmentation=dict(LABELLED_VIEWS),
        warmup_steps=7,
        log_every=7,
        cache=second.cache,
        output=second.output,
    )
    made = {name: finetuning[name] for name in ("arch", "image_size", "steps", "batch_size")}
    assert begun.replace(**made, **finetuning["further_settings"]) == second
    assert (evaluation["image_size"], evaluation["test_images"]) == (224, 3960)


def test_the_larger_network_differs_in_nothing_but_its_size():
    for chapter in CHAPTERS[2:4]:
        changed = {**PROFILES["paper"][chapter], "arch": "resnet152"}
        assert PROFILES["paper_rn152"][chapter] == changed


def test_the_promised_profiles_exist():
    assert {"smoke", "laptop", "paper", "paper_rn152"} <= set(PROFILES)
    assert set(NEEDS_DATA) <= set(PROFILES)


def test_a_chapter_gets_the_run_folder_and_the_data_with_its_numbers():
    given = chapter_parameters("smoke", CHAPTERS[2], Path("runs/x"), ["folder:/p"])
    assert given == {**PROFILES["smoke"][CHAPTERS[2]], "run_dir": str(Path("runs/x")), "data": ["folder:/p"]}


def test_an_unknown_profile_or_chapter_is_an_error():
    with pytest.raises(ValueError, match="profile 'huge'"):
        chapter_parameters("huge", CHAPTERS[0], Path(), [])
    with pytest.raises(ValueError, match="chapter '06'"):
        chapter_parameters("smoke", "06", Path(), [])
