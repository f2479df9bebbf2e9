"""What the augmentation may draw from: one frozen record of ranges, and presets of it.

Chapter 02 shows every setting alone and the presets as sheets of pictures.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np


@dataclass(frozen=True)
class AugmentationConfig:
    """Ranges that view parameters are drawn from. The defaults change nothing.

    **Convention.** Degrees, positive turns the picture counter-clockwise on screen. Lengths are fractions of
    the view's side unless they say pixels. Grey levels are fractions of 255.

    Attributes:
        rotation: the angle is uniform in [-rotation, rotation] degrees, about the crop's centre.
        scale: (low, high); the content's magnification, log-uniform.
        shift: the content's motion along each axis is uniform in [-shift, shift].
        margin: how many times wider than a view of scale 1 the crops were cut; `full_margin` says how wide a
            crop no view ever looks beyond.
        colour: probability that a view's colour is jittered by the next five.
        brightness: gain of all channels, uniform in [1 - brightness, 1 + brightness].
        contrast: stretch about mid grey, uniform in [1 - contrast, 1 + contrast].
        saturation: distance from grey at equal luma, uniform in [1 - saturation, 1 + saturation].
        hue: turn about the grey axis (in YIQ), uniform in [-hue, hue] degrees.
        gain: gain of each channel alone, uniform in [1 - gain, 1 + gain].
        grey: probability of a grey picture.
        blur: probability of a Gaussian blur.
        blur_sigma: (low, high) of its sigma in output pixels, uniform.
        noise: probability of additive Gaussian noise.
        noise_sigma: (low, high) of its sigma, uniform.
        cutout: probability of a grey rectangle.
        cutout_side: (low, high) of its two sides, uniform.
        sobel: probability that the picture is replaced by the magnitude of its gradient.
        background: probability of another background, where the caller gives a mask and backgrounds.

    Raises:
        ValueError: if a range is reversed or a value makes no sense; it names the setting.
    """

    rotation: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    shift: float = 0.0
    margin: float = 1.0
    colour: float = 1.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    gain: float = 0.0
    grey: float = 0.0
    blur: float = 0.0
    blur_sigma: tuple[float, float] = (0.3, 1.5)
    noise: float = 0.0
    noise_sigma: tuple[float, float] = (0.01, 0.06)
    cutout: float = 0.0
    cutout_side: tuple[float, float] = (0.15, 0.35)
    sobel: float = 0.0
    background: float = 0.0

    def __post_init__(self) -> None:
        for name in ("colour", "grey", "blur", "noise", "cutout", "sobel", "background"):
            self._require(name, 0, 1, "a probability between 0 and 1")
        for name in ("brightness", "contrast", "saturation", "gain"):
            self._require(name, 0, 1, "between 0 (off) and 1")
        for name in ("rotation", "hue"):
            self._require(name, 0, 180, "between 0 and 180 degrees")
        self._require("shift", 0, 0.5, "between 0 and 0.5 of the side")
        self._require("margin", 1, np.inf, "at least 1")
        self._require_range("scale", 1e-3, "positive")
        self._require_range("blur_sigma", 0, "at least 0 pixels")
        self._require_range("noise_sigma", 0, "at least 0")
        self._require_range("cutout_side", 0, "at least 0")
        if self.cutout_side[1] > 1:
            raise ValueError(f"augmentation: cutout_side must end at 1 or below, found {self.cutout_side}")

    def _require(self, name: str, low: float, high: float, wanted: str) -> None:
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise ValueError(f"augmentation: {name} must be {wanted}, found {value!r}")

    def _require_range(self, name: str, low: float, wanted: str) -> None:
        value = getattr(self, name)
        if not isinstance(value, (tuple, list)) or len(value) != 2:
            raise ValueError(f"augmentation: {name} must be a pair (low, high), found {value!r}")
        if not all(isinstance(end, (int, float)) and low <= end < np.inf for end in value):
            raise ValueError(
                f"augmentation: both ends of {name} must be {wanted} and finite, found {value!r}"
            )
        if value[0] > value[1]:
            raise ValueError(f"augmentation: {name} is reversed: low {value[0]} is above high {value[1]}")

    @property
    def full_margin(self) -> float:
        """The `margin` with which no view looks beyond its crop, however it is turned, scaled and shifted."""
        turn = np.deg2rad(min(self.rotation, 45.0))
        return float(max(1.0, (np.cos(turn) + np.sin(turn)) * (1 + 2 * self.shift) / self.scale[0]))

    @classmethod
    def none(cls, **changes: object) -> "AugmentationConfig":
        """Nothing but the resize to the view's size."""
        return replace(cls(), **_known(changes))

    @classmethod
    def peclr(cls, rotation: float = 45.0, **changes: object) -> "AugmentationConfig":
        """Pre-training views as in the paper: rotation, scale, shift and colour.

        Rotation and shift are meant to be undone on the projection; without the undoing the same views teach
        invariance to rotation. The ranges keep the hand in view and skin the colour of skin. Where masks and
        backgrounds are given every background is exchanged: two views then share nothing but the hand, and no
        black frame beyond the picture's edge tells the angle.

        Args:
            rotation: largest angle in degrees.
            changes: any other setting.
        """
        preset = cls(
            rotation=rotation,
            scale=(0.8, 1.25),
            shift=0.1,
            colour=0.9,
            brightness=0.3,
            contrast=0.3,
            saturation=0.4,
            hue=12.0,
            gain=0.1,
            grey=0.1,
            background=1.0,
        )
        return replace(preset, **_known(changes))

    @classmethod
    def simclr(cls, **changes: object) -> "AugmentationConfig":
        """The same views without rotation: scale and shift stand for SimCLR's random crop, colour is equal.

        SimCLR on hands with rotation as one more invariance is `peclr()` trained without undoing.

        Args:
            changes: any setting.
        """
        return replace(cls.peclr(rotation=0.0), **_known(changes))

    @classmethod
    def weak(cls, **changes: object) -> "AugmentationConfig":
        """Mild views for fine-tuning on labels.

        Args:
            changes: any setting.
        """
        preset = cls(
            rotation=20.0,
            scale=(0.9, 1.1),
            shift=0.05,
            brightness=0.2,
            contrast=0.2,
            saturation=0.2,
            hue=5.0,
            gain=0.05,
            background=0.5,
        )
        return replace(preset, **_known(changes))

    @classmethod
    def preset(cls, name: str, **changes: object) -> "AugmentationConfig":
        """Look a preset up by its name.

        Args:
            name: one of `PRESETS`.
            changes: any setting.

        Raises:
            ValueError: if there is no such preset; it lists those there are.
        """
        if name not in PRESETS:
            raise ValueError(f"augmentation: unknown preset {name!r}; there are {', '.join(PRESETS)}")
        return PRESETS[name](**changes)


def _known(changes: dict[str, object]) -> dict[str, object]:
    names = [field.name for field in fields(AugmentationConfig)]
    for name in changes:
        if name not in names:
            raise ValueError(f"augmentation: unknown setting {name!r}; there are {', '.join(names)}")
    return changes


PRESETS: dict[str, Callable[..., AugmentationConfig]] = {
    "peclr": AugmentationConfig.peclr,
    "simclr": AugmentationConfig.simclr,
    "weak": AugmentationConfig.weak,
    "none": AugmentationConfig.none,
}
"""The presets by name."""
