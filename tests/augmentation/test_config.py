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
        preset = AugmentationConfig.preset(name)
        assert AugmentationConfig.preset(name, blur=0.5) == dataclasses.replace(preset, blur=0.5)
    with pytest.raises(ValueError, match="unknown preset 'byol'; expected one of peclr, simclr, weak, none"):
        AugmentationConfig.preset("byol")


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("rotation", "45", "rotation must be a number from 0 to 180, found '45'"),
        ("scale", (1.2, 0.8), r"scale must be a pair of ascending numbers .* found \(1.2, 0.8\)"),
        ("scale", (0, 1), "scale must be"),
        ("scale", 0.8, "scale must be a pair"),
        ("hue", float("nan"), "hue must be"),
        ("blur", 2, "blur must be a number from 0 to 1, found 2"),
        ("noise_sigma", (0, float("inf")), "noise_sigma must be"),
        ("sobbel", 1, "unknown setting 'sobbel'; expected one of rotation, "),
    ],
)
def test_wrong_settings_are_named(setting, value, message):
    with pytest.raises(ValueError, match=message):
        AugmentationConfig.peclr(**{setting: value})


@pytest.mark.parametrize("preset", PRESETS)
def test_with_the_full_margin_no_view_looks_beyond_its_crop(preset):
    config = AugmentationConfig.preset(preset)
    corners = np.array([[-0.5, 63.5, -0.5, 63.5], [-0.5, -0.5, 63.5, 63.5], [1, 1, 1, 1]])

    def shown(margin: float) -> np.ndarray:
        wide = dataclasses.replace(config, margin=margin)
        params = sample_parameters(wide, 2000, np.random.default_rng(0))
        return (np.linalg.inv(affine(params, 128, 64)) @ corners)[:, :2]

    source = shown(config.full_margin)
    assert source.min() >= -0.5 - 1e-9 and source.max() <= 127.5 + 1e-9
    if config.rotation:
        assert shown(max(1, 0.85 * config.full_margin)).max() > 127.5
