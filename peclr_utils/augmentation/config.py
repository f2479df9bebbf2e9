"""The ranges that view parameters are drawn from: one frozen dataclass, and presets of it.

Chapter 02 shows each setting alone and the presets as sheets of images.
"""

from dataclasses import dataclass, fields, replace

import numpy as np

_LIMITS = {
    "rotation": (0, 180),
    "scale": (1e-3, 1e3),
    "shift": (0, 0.5),
    "margin": (1, 1e3),
    "hue": (0, 180),
    "blur_sigma": (0, 1e3),
    "noise_sigma": (0, 1e3),
}
"""Lowest and highest value of each setting; 0 and 1 for all others."""

PRESETS = ("peclr", "simclr", "weak", "none")
"""The names of the presets, which are class methods of `AugmentationConfig`."""


@dataclass(frozen=True)
class AugmentationConfig:
    """Ranges that view parameters are drawn from. With the defaults, views are only resized.

    **Convention.** Degrees, positive turns the image counter-clockwise on screen. Lengths are fractions of
    the view's side unless they say pixels. Grey levels are fractions of 255.

    Attributes:
        rotation: the angle is uniform in [-rotation, rotation] degrees, about the crop's centre.
        scale: (low, high) of the content's magnification, log-uniform.
        shift: the content's motion along each axis is uniform in [-shift, shift].
        margin: how many times wider than a view of scale 1 the crops were cut; see `full_margin`.
        colour: probability that a view's colour is jittered by the next five.
        brightness: gain of all channels, uniform in [1 - brightness, 1 + brightness].
        contrast: stretch about mid grey, uniform in [1 - contrast, 1 + contrast].
        saturation: distance from grey at equal luma, uniform in [1 - saturation, 1 + saturation].
        hue: rotation about the grey axis (in YIQ), uniform in [-hue, hue] degrees.
        gain: gain of each channel alone, uniform in [1 - gain, 1 + gain].
        grey, blur, noise: probability of a grey image, of Gaussian blur, of additive Gaussian noise.
        blur_sigma, noise_sigma: (low, high) of their sigmas, uniform; the blur's in output pixels.
        cutout, cutout_side: probability of a grey rectangle; (low, high) of its two sides, uniform.
        sobel: probability that the image is replaced by the magnitude of its gradient.
        background: probability of another background, where the caller gives a mask and backgrounds.

    Raises:
        ValueError: if a value is out of range or a range is reversed; it names the setting.
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
        for field in fields(self):
            value, (low, high) = getattr(self, field.name), _LIMITS.get(field.name, (0, 1))
            numbers = np.asarray(value)
            fits = numbers.dtype.kind in "iuf" and numbers.shape == np.shape(field.default)
            if not fits or not low <= numbers.flat[0] <= numbers.flat[-1] <= high:
                expected = "a pair of ascending numbers" if np.shape(field.default) else "a number"
                raise ValueError(
                    f"augmentation: {field.name} must be {expected} from {low:g} to {high:g}, found {value!r}"
                )

    @property
    def full_margin(self) -> float:
        """The `margin` with which no view looks beyond its crop, however it is turned, scaled and shifted."""
        turn = np.deg2rad(min(self.rotation, 45.0))
        return float(max(1.0, (np.cos(turn) + np.sin(turn)) * (1 + 2 * self.shift) / self.scale[0]))

    @classmethod
    def none(cls, **changes: object) -> "AugmentationConfig":
        """Nothing but the resize to the view's size; here and below, `changes` are any other settings."""
        return _changed(cls(), changes)

    @classmethod
    def peclr(cls, rotation: float = 45.0, **changes: object) -> "AugmentationConfig":
        """Pre-training views as in the paper: rotation, scale, shift and colour.

        Rotation and shift are meant to be undone on the projection; without the undoing the same views teach
        invariance to rotation. Where masks and backgrounds are given every background is exchanged: two views
        then share nothing but the hand, and no black frame beyond the image's edge shows the angle.
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
        return _changed(preset, changes)

    @classmethod
    def simclr(cls, **changes: object) -> "AugmentationConfig":
        """The same views without rotation: scale and shift replace SimCLR's random crop."""
        return _changed(cls.peclr(rotation=0.0), changes)

    @classmethod
    def weak(cls, **changes: object) -> "AugmentationConfig":
        """Mild views for fine-tuning on labels."""
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
        return _changed(preset, changes)

    @classmethod
    def preset(cls, name: str, **changes: object) -> "AugmentationConfig":
        """Look up one of `PRESETS`, and change any settings; ValueError names an unknown one."""
        if name not in PRESETS:
            raise ValueError(f"augmentation: unknown preset {name!r}; expected one of {', '.join(PRESETS)}")
        return getattr(cls, name)(**changes)


def _changed(preset: AugmentationConfig, changes: dict[str, object]) -> AugmentationConfig:
    names = [field.name for field in fields(preset)]
    unknown = [name for name in changes if name not in names]
    if unknown:
        raise ValueError(f"augmentation: unknown setting {unknown[0]!r}; expected one of {', '.join(names)}")
    changes = {name: tuple(value) if isinstance(value, list) else value for name, value in changes.items()}
    return replace(preset, **changes)
