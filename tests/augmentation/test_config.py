import dataclasses

import numpy as np
import pytest

from peclr_utils.augmentation import PRESETS, AugmentationConfig, affine, sample_parameters


def test_presets_are_what_their_names_say():
    assert AugmentationConfig.none() == AugmentationConfig()
    assert AugmentationConfig.peclr().rotation == 45
    assert AugmentationConfig.peclr(rotation=90).rotation == 90
    assert AugmentationConfig.simclr() == AugmentationConfig.peclr(rotation=0)
    weak, strong = AugmentationConfig.weak(), AugmentationConfig.peclr()
    for name in ("rotation", "shift", "brightness", "contrast", "saturation", "hue", "gain"):
        assert getattr(weak, name) < getattr(strong, name)
    for name in PRESETS:
        assert AugmentationConfig.preset(name, blur=0.5) == dataclasses.replace(PRESETS[name](), blur=0.5)


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("rotation", -1, "rotation must be between 0 and 180 degrees, found -1"),
        ("rotation", "45", "rotation must be .* found '45'"),
        ("scale", (1.2, 0.8), "scale is reversed: low 1.2 is above high 0.8"),
        ("scale", (0, 1), "both ends of scale must be positive"),
        ("scale", 0.8, r"scale must be a pair \(low, high\), found 0.8"),
        ("shift", 0.6, "shift must be between 0 and 0.5"),
        ("margin", 0.9, "margin must be at least 1"),
        ("brightness", 1.5, "brightness must be"),
        ("hue", float("nan"), "hue must be"),
        ("blur", 2, "blur must be a probability"),
        ("grey", True, "grey must be a probability"),
        ("blur_sigma", (-1, 1), "both ends of blur_sigma must be at least 0"),
        ("noise_sigma", (0, float("inf")), "noise_sigma must be at least 0 and finite"),
        ("cutout_side", (0.5, 1.5), "cutout_side must end at 1"),
        ("sobbel", 1, "unknown setting 'sobbel'; there are rotation, "),
    ],
)
def test_senseless_settings_are_named(setting, value, message):
    with pytest.raises(ValueError, match=message):
        AugmentationConfig.peclr(**{setting: value})


def test_unknown_presets_are_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="unknown preset 'byol'; there are peclr, simclr, weak, none"):
        AugmentationConfig.preset("byol")


@pytest.mark.parametrize("preset", ["peclr", "simclr", "weak", "none"])
def test_with_the_full_margin_no_view_looks_beyond_its_crop(preset):
    config = AugmentationConfig.preset(preset)
    wide = dataclasses.replace(config, margin=config.full_margin)
    params = sample_parameters(wide, 2000, np.random.default_rng(0))
    corners = np.array([[-0.5, 63.5, -0.5, 63.5], [-0.5, -0.5, 63.5, 63.5], [1, 1, 1, 1]])
    source = np.linalg.inv(affine(params, 128, 64)) @ corners
    assert source[:, :2].min() >= -0.5 - 1e-9 and source[:, :2].max() <= 127.5 + 1e-9
    if config.rotation:
        narrow = dataclasses.replace(config, margin=max(1, 0.85 * config.full_margin))
        source = np.linalg.inv(affine(sample_parameters(narrow, 2000, np.random.default_rng(0)), 128, 64))
        assert (source @ corners)[:, :2].max() > 127.5
