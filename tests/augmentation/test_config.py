import dataclasses

import numpy as np
import pytest

from peclr_utils.augmentation import PRESETS, AugmentationConfig, affine, sample_parameters

WRONG = {"rotation": "45", "scale": (1.2, 0.8), "hue": float("nan"), "sobbel": 1}


@pytest.mark.parametrize("setting", WRONG)
def test_wrong_settings_are_named(setting):
    with pytest.raises(ValueError, match=setting):
        AugmentationConfig.peclr(**{setting: WRONG[setting]})


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
