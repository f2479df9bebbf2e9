"""What both backends share about colour, blur and noise, so that they make the same image.

Appendix A2 derives the colour matrix.

Steps of a view, in this order: (1) one warp of the image, and of its mask if (2) the background behind the
hand is exchanged; (3) one affine colour matrix; (4) Gaussian blur; (5) noise; (6) cut-out; (7) Sobel.
Values are clipped to [0, 255] after (3), (5) and (7). Inside the colour matrix: brightness and gains,
contrast, saturation, hue, grey.
"""

from functools import cache

import numpy as np

LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in luma (ITU-R BT.601)."""

CUTOUT_GREY = 128
"""Grey level of a cut-out."""

_NOISE_LENGTH, _NOISE_SEED = 1 << 21, 20210

_YIQ = np.stack([LUMA, [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])
_RGB_OF_YIQ = np.linalg.inv(_YIQ)


def colour_matrix(
    brightness: np.ndarray,
    contrast: np.ndarray,
    saturation: np.ndarray,
    hue: np.ndarray,
    gain: np.ndarray,
    grey: np.ndarray,
) -> np.ndarray:
    """Compose a view's colour changes into one affine map of RGB.

    Saturation, hue and grey keep luma and don't change grey pixels, so the offset comes from contrast only.
    Colours are clipped once, at the end, not between these steps.

    Args:
        brightness, contrast, saturation: (B,) gain of all channels, stretch about mid grey, and distance from
            grey; 1 for none.
        hue: (B,) degrees about the grey axis, 0 for none.
        gain: (B, 3) gain of each channel, 1 for none.
        grey: (B,) bool.

    Returns:
        (B, 3, 4) float64: [linear part | offset] for RGB in [0, 1].
    """
    greying = np.broadcast_to(LUMA, (3, 3))
    saturation = np.where(grey, 0.0, saturation)[:, None, None]
    saturate = saturation * np.eye(3) + (1 - saturation) * greying
    cos, sin = np.cos(np.deg2rad(hue)), np.sin(np.deg2rad(hue))
    turn = np.zeros((len(hue), 3, 3))
    turn[:, 0, 0] = 1
    turn[:, 1, 1] = turn[:, 2, 2] = cos
    turn[:, 1, 2], turn[:, 2, 1] = -sin, sin
    gains = (contrast * brightness)[:, None] * gain
    linear = _RGB_OF_YIQ @ turn @ _YIQ @ saturate * gains[:, None, :]
    offset = np.broadcast_to((0.5 * (1 - contrast))[:, None, None], (len(hue), 3, 1))
    return np.concatenate([linear, offset], axis=2)


def changes_colour(colour: np.ndarray) -> np.ndarray:
    """Which of (B, 3, 4) colour matrices change anything that 8 bits can show: (B,) bool."""
    return (np.abs(colour - np.eye(3, 4)) > 1e-6).any(axis=(1, 2))


def gaussian_taps(sigma: float, size: int) -> np.ndarray:
    """Taps of a Gaussian, (2r + 1,): multiples of 1/256 that sum to one, as 8-bit filters keep them."""
    radius = min(int(np.ceil(3 * sigma)), size - 1)  # as far as a reflection at the border of `size` reaches
    if radius <= 0:
        return np.ones(1)
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    taps = np.rint(taps / taps.sum() * 256)
    taps[radius] += 256 - taps.sum()
    return taps / 256


def noise_field(seed: int, size: int) -> np.ndarray:
    """(size, size, 3) standard normal noise: a window of one fixed table, which costs less than drawing."""
    start = noise_start(seed, size)
    return noise_table()[start : start + 3 * size * size].reshape(size, size, 3)


def noise_start(seed: int, size: int) -> int:
    """Where in `noise_table` a view's noise starts."""
    left = _NOISE_LENGTH - 3 * size * size
    if left < 0:
        largest = int((_NOISE_LENGTH / 3) ** 0.5)
        raise ValueError(f"noise: expected views of at most {largest} pixels, found {size}")
    return int(seed) % (left + 1)


@cache
def noise_table() -> np.ndarray:
    """The fixed table of standard normal numbers, float32, made on first use."""
    table = np.random.default_rng(_NOISE_SEED).standard_normal(_NOISE_LENGTH, dtype=np.float32)
    table.setflags(write=False)
    return table
