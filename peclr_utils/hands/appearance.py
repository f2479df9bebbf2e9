"""What a rendered hand looks like: skin of all kinds, nails, creases, and the light that falls on it.

Chapter 01 shows one pose in many skins. The skin is a texture made of a few maps that all hands share
(palm, redness, nails, creases, mottling), drawn once from the mesh itself, and a palette of one colour a
map, which is what differs from hand to hand.

Skin tones are drawn evenly over lightness, L* 26 to 78. Their a* and b* were chosen by hand to look like
skin; they are no table of measurements. All six classes of the individual typology angle occur: ITA =
atan((L* - 50) / b*), very light above 55 degrees, dark below -30 (Chardon, Cretois and Hourseau 1991, "Skin
colour typology and suntanning pathways", doi:10.1111/j.1467-2494.1991.tb00561.x; Del Bino, Duval and Bernerd
2018, "Clinical and biological characterization of skin pigmentation diversity and its consequences on UV
impact", doi:10.3390/ijms19092668).
"""

from dataclasses import dataclass

import cv2
import numpy as np

from peclr_utils.hands.mesh import HandMesh
from peclr_utils.hands.renderer import Light, Texture
from peclr_utils.hands.skin import MAPS, skin_maps

SLEEVED = 0.45  # share of the arms
VARNISHED = 0.08  # share of the hands
LIGHTNESS = (26.0, 78.0)
# Lightness, a*, b* from dark to very light skin; the hue turns yellow in the middle.
_TONES = np.array(
    [[26, 8, 9], [34, 11, 13], [45, 13, 18], [57, 12, 19.5], [67, 10.5, 17], [78, 7, 13]], dtype=np.float64
)


@dataclass(frozen=True, eq=False)
class Appearance:
    """One hand's skin and sleeve.

    Attributes:
        tone: (3,) CIE L*, a*, b* of the back of the hand.
        palette: (len(MAPS), 3) float32 sRGB colour that each map of `skin_maps` adds.
        sleeve: (3,) sRGB colour of the sleeve, or None for a bare arm.
        sleeve_start: metres from the wrist's rim to the sleeve.
    """

    tone: np.ndarray
    palette: np.ndarray
    sleeve: np.ndarray | None
    sleeve_start: float


def lab_to_rgb(lab: np.ndarray) -> np.ndarray:
    """Convert colours.

    Args:
        lab: (..., 3) CIE L*a*b*, D65.

    Returns:
        (..., 3) float32 sRGB, cut to 0..1.
    """
    flat = np.asarray(lab, dtype=np.float32).reshape(-1, 1, 3)
    return np.clip(cv2.cvtColor(flat, cv2.COLOR_LAB2RGB), 0, 1).reshape(np.shape(lab))


def hsv_to_rgb(hue: float, saturation: float, value: float) -> np.ndarray:
    """Convert one colour.

    Args:
        hue: degrees.
        saturation: 0..1.
        value: 0..1.

    Returns:
        (3,) float32 sRGB in 0..1.
    """
    return cv2.cvtColor(np.array([[[hue, saturation, value]]], dtype=np.float32), cv2.COLOR_HSV2RGB)[0, 0]


def sample_tone(rng: np.random.Generator) -> np.ndarray:
    """Draw a skin tone, even in lightness.

    Args:
        rng: source of all randomness.

    Returns:
        (3,) float64 CIE L*, a*, b*.
    """
    lightness = rng.uniform(*LIGHTNESS)
    a = np.interp(lightness, _TONES[:, 0], _TONES[:, 1]) + rng.normal(0, 1.5)
    b = np.interp(lightness, _TONES[:, 0], _TONES[:, 2]) + rng.normal(0, 1.7)
    return np.array([lightness, a, b])


def sample_appearance(rng: np.random.Generator) -> Appearance:
    """Draw one hand's skin: tone, palm, nails, redness, creases, mottling, sleeve.

    Args:
        rng: source of all randomness.

    Returns:
        An `Appearance`.
    """
    tone = sample_tone(rng)
    darkness = float(np.interp(tone[0], LIGHTNESS, (1.0, 0.0)))
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
    colours = dict(zip(changes, lab_to_rgb(tone + np.array(list(changes.values()))), strict=True))
    if rng.random() < VARNISHED:
        colours["nail"] = hsv_to_rgb(rng.uniform(0, 360), 0.8, 0.7)
    skin = colours["skin"]
    palette = {name: colour - skin for name, colour in colours.items()} | {"plain": np.ones(3), "skin": skin}

    sleeve = None
    if rng.random() < SLEEVED:
        sleeve = hsv_to_rgb(rng.uniform(0, 360), rng.beta(1.2, 2.5), rng.uniform(0.1, 0.95))
    palette = np.stack([palette[name] for name in MAPS]).astype(np.float32)
    return Appearance(tone, palette, sleeve, float(rng.uniform(0.0, 0.12)))


def sample_light(rng: np.random.Generator) -> Light:
    """Draw a light: from the camera's side, warm to cool, hard to soft, with a matching ambient.

    Args:
        rng: source of all randomness.

    Returns:
        A `Light`.
    """
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


def hand_texture(mesh: HandMesh, appearance: Appearance) -> Texture:
    """Make the texture to render one hand with.

    Args:
        mesh: the rigged hand, whose maps all hands share.
        appearance: this hand's skin.

    Returns:
        A `Texture`.
    """
    return Texture(skin_maps(mesh), appearance.palette)
