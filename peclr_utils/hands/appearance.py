"""What an image of a hand looks like: skin of all kinds, sleeves, light, and what the camera adds.

Chapter 01 shows one pose in many skins. All hands share a few maps (palm, redness, nails, creases, mottling);
each has a palette with one colour per map.

Skin tones are even in lightness, L* 26 to 78; a* and b* were chosen by eye. All six classes of the individual
typology angle occur: ITA = atan((L* - 50) / b*), very light above 55 degrees, dark below -30 (Chardon et al.
1991, doi:10.1111/j.1467-2494.1991.tb00561.x; Del Bino et al. 2018, doi:10.3390/ijms19092668).
"""

import functools
from dataclasses import dataclass

import cv2
import numpy as np

from peclr_utils.hands.renderer import Light
from peclr_utils.hands.skin import MAPS

LIGHTNESS = (26.0, 78.0)
# Lightness, a*, b* from dark to very light skin; the hue turns yellow in the middle.
_TONES = np.array([[26, 8, 9], [34, 11, 13], [45, 13, 18], [57, 12, 19.5], [67, 10.5, 17], [78, 7, 13]])


@dataclass(frozen=True, eq=False)
class Appearance:
    """One hand's skin and sleeve."""

    tone: np.ndarray  # (3,) CIE L*, a*, b* of the back of the hand
    palette: np.ndarray  # (len(MAPS), 3) float32 sRGB colour that each map of `skin_maps` adds
    sleeve: np.ndarray | None  # (3,) sRGB colour of the sleeve; None for a bare arm
    sleeve_start: float  # metres from the wrist's rim to the sleeve


def _hsv_to_rgb(hue: float, saturation: float, value: float) -> np.ndarray:
    """(3,) float32 sRGB in 0..1, from degrees and two shares."""
    return cv2.cvtColor(np.array([[[hue, saturation, value]]], dtype=np.float32), cv2.COLOR_HSV2RGB)[0, 0]


def skin_tone(lightness: float) -> np.ndarray:
    """(3,) CIE L*, a*, b* of usual skin of this lightness L*."""
    return np.array([lightness, *(np.interp(lightness, _TONES[:, 0], _TONES[:, k]) for k in (1, 2))])


def sample_appearance(rng: np.random.Generator) -> Appearance:
    """Draw one hand's skin and sleeve."""
    lightness = rng.uniform(*LIGHTNESS)
    tone = skin_tone(lightness) + [0, rng.normal(0, 1.5), rng.normal(0, 1.7)]
    darkness = float(np.interp(lightness, LIGHTNESS, (1.0, 0.0)))
    # What each map changes in L*, a*, b*. The palm has little melanin: the darker the back, the larger.
    changes = {
        "skin": (0, 0, 0),
        "palm": (3 + 20 * darkness**1.3 * rng.uniform(0.6, 1.1), 4 - 3 * darkness, -2 + 2 * darkness),
        "red": (-3 - 2 * darkness, rng.uniform(4, 11) * (1 - 0.6 * darkness), rng.uniform(-1, 2)),
        "nail": (4 + 14 * darkness, 5 - 2 * darkness, -5),
        "nail edge": (-10, 3, 0),
        "crease": (-rng.uniform(5, 12), 3 - 2 * darkness, 0),
        "mottled": (rng.uniform(0.8, 2.2), -1.2, 0),
        "blotched": (rng.uniform(-2, 2), rng.uniform(0.5, 2), 0),
        "tendon": (rng.uniform(0.5, 4), 0, 0),
    }
    lab = (tone + np.array(list(changes.values()))).astype(np.float32)
    rgb = np.clip(cv2.cvtColor(lab[:, None], cv2.COLOR_LAB2RGB), 0, 1)[:, 0]  # D65
    colours = dict(zip(changes, rgb, strict=True))
    if rng.random() < 0.08:  # varnished
        colours["nail"] = _hsv_to_rgb(rng.uniform(0, 360), 0.8, 0.7)
    skin = colours["skin"]
    palette = {name: colour - skin for name, colour in colours.items()} | {"plain": np.ones(3), "skin": skin}

    sleeve = None
    if rng.random() < 0.45:
        sleeve = _hsv_to_rgb(rng.uniform(0, 360), rng.beta(1.2, 2.5), rng.uniform(0.1, 0.95))
    palette = np.stack([palette[name] for name in MAPS]).astype(np.float32)
    return Appearance(tone, palette, sleeve, float(rng.uniform(0.0, 0.12)))


def sample_light(rng: np.random.Generator) -> Light:
    """Draw a light: from the camera's side, warm to cool, hard to soft, with a matching ambient."""
    direction = np.array([rng.normal(0, 0.8), rng.normal(-0.6, 0.6), -rng.uniform(0.25, 1.2)])
    warmth = rng.normal(0, 0.10)
    tint = np.array([1 + warmth, 1.0, 1 - warmth])
    softness = rng.uniform(0.2, 0.75)
    brightness = np.exp(rng.normal(0.0, 0.22))
    ambient_tint = 1 + rng.normal(0, 0.06, 3)
    sky = brightness * softness * rng.uniform(0.7, 1.0) * ambient_tint
    return Light(
        direction=(direction / np.linalg.norm(direction)).astype(np.float32),
        colour=(brightness * (1.15 - softness) * tint).astype(np.float32),
        sky=sky.astype(np.float32),
        ground=(sky * rng.uniform(0.35, 0.8) * (1 + rng.normal(0, 0.05, 3))).astype(np.float32),
        wrap=(rng.uniform(0.2, 0.45) + np.array([0.14, 0.0, -0.04])).astype(np.float32),
        specular=float(rng.uniform(0.03, 0.22)),
        shininess=float(np.exp(rng.uniform(np.log(8), np.log(45)))),
    )


@dataclass(frozen=True)
class Sensor:
    """What the camera adds."""

    blur: float  # standard deviation of a Gaussian blur, pixels of an image of 224
    noise: float  # standard deviation of the grain, grey levels
    noise_offset: tuple[int, int]  # where the grain is cut out of a fixed sheet of it
    quality: int | None  # JPEG quality; None for no compression


def sample_sensor(rng: np.random.Generator) -> Sensor:
    """Draw a camera's blur, grain and compression."""
    return Sensor(
        blur=float(rng.choice([0.0, rng.uniform(0.3, 0.9)])),
        noise=float(rng.gamma(1.2, 1.8)),
        noise_offset=tuple(int(v) for v in rng.integers(0, 1 << 16, 2)),
        quality=int(rng.integers(40, 95)) if rng.random() < 0.25 else None,
    )


@functools.cache
def _grain_sheet(side: int = 512) -> np.ndarray:
    """(side, side, 3) float32 standard normal grain; drawing it again would cost more than shading a hand."""
    return np.random.default_rng(20210).standard_normal((side, side, 3), dtype=np.float32)


def expose(image: np.ndarray, sensor: Sensor) -> np.ndarray:
    """Add blur, grain and compression to an (H, W, 3) uint8 RGB image; returns a new one."""
    height, width = image.shape[:2]
    if sensor.blur > 0:
        image = cv2.GaussianBlur(image, (0, 0), sensor.blur * height / 224)
    sheet = _grain_sheet()
    while len(sheet) < max(height, width):
        sheet = np.tile(sheet, (2, 2, 1))
    top, left = (o % (len(sheet) - s + 1) for o, s in zip(sensor.noise_offset, (height, width), strict=True))
    grain = sheet[top : top + height, left : left + width]
    image = cv2.addWeighted(image, 1.0, grain, sensor.noise, 0.0, dtype=cv2.CV_8U)
    if sensor.quality is not None:
        _, packed = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, sensor.quality])
        image = cv2.imdecode(packed, cv2.IMREAD_COLOR)
    return image
