"""View parameters as a value: sampled first, applied second, undone third.

Chapter 02 moves a picture, its keypoints and its camera by the same parameters.

**Convention.** Pixels (x, y), centres at integers. A view turns its crop by `angle` degrees (positive is
counter-clockwise on screen, as in `cv2.getRotationMatrix2D`) about the crop's centre, magnifies it by
`scale`, and then moves the *content* by `shift` (right and down positive, a fraction of the view's side).
With the resize this is one matrix from crop to view pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from peclr_utils.augmentation.config import AugmentationConfig
from peclr_utils.augmentation.photometry import colour_matrix
from peclr_utils.camera import transform_points

_SHAPES: dict[str, tuple[int, ...]] = {"shift": (2,), "colour": (3, 4), "cutout": (4,)}
_DRAWS = 26
_SEEDS = 2**31


@dataclass(frozen=True, eq=False)
class ViewParameters:
    """Everything that was sampled for B views.

    Attributes:
        angle: (B,) degrees.
        scale: (B,) magnification of the crop, the configuration's margin included.
        shift: (B, 2) motion of the content, fraction of the view's side.
        colour: (B, 3, 4) affine map of RGB in [0, 1].
        blur: (B,) sigma in output pixels, 0 for none.
        noise: (B,) sigma in fractions of 255, 0 for none.
        noise_seed: (B,) int64.
        cutout: (B, 4) left, top, right, bottom in fractions of the side; NaN for none.
        sobel: (B,) bool.
        background: (B,) int64, taken modulo the number of backgrounds; -1 for none.
    """

    angle: np.ndarray
    scale: np.ndarray
    shift: np.ndarray
    colour: np.ndarray
    blur: np.ndarray
    noise: np.ndarray
    noise_seed: np.ndarray
    cutout: np.ndarray
    sobel: np.ndarray
    background: np.ndarray

    def __post_init__(self) -> None:
        count = len(self.angle)
        for name, value in vars(self).items():
            if value.shape != (count, *_SHAPES.get(name, ())):
                raise ValueError(
                    f"view parameters: {name} must be {(count, *_SHAPES.get(name, ()))}, found {value.shape}"
                )

    def __len__(self) -> int:
        return len(self.angle)

    def __getitem__(self, index: int | slice | np.ndarray | Sequence[int]) -> "ViewParameters":
        """Some of the views; a single index gives one view, still with a leading axis."""
        if isinstance(index, (int, np.integer)):
            if not -len(self) <= index < len(self):
                raise IndexError(f"view {index} of {len(self)}")
            index = slice(int(index) % len(self), int(index) % len(self) + 1)
        return ViewParameters(**{name: value[index] for name, value in vars(self).items()})

    @classmethod
    def concatenate(cls, parts: Sequence["ViewParameters"]) -> "ViewParameters":
        """Join the views of several values, in order."""
        names = [field.name for field in fields(cls)]
        return cls(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})

    @classmethod
    def identity(cls, count: int) -> "ViewParameters":
        """Views that are nothing but resized."""
        return sample_parameters(AugmentationConfig(), count, np.random.default_rng(0))


def sample_parameters(config: AugmentationConfig, count: int, rng: np.random.Generator) -> ViewParameters:
    """Draw the parameters of some views.

    Every view takes the same number of draws, whatever the settings: views with another seed of the generator
    differ, and changing one setting leaves what the others gave as it was. Drawing n views and then m gives
    the n + m views drawn at once.

    Args:
        config: what to draw from.
        count: number of views.
        rng: the generator, which is moved on.

    Returns:
        Parameters of `count` views.
    """
    if count < 0:
        raise ValueError(f"sample_parameters: count must be at least 0, found {count}")
    draw = iter(rng.random((count, _DRAWS)).T)

    def uniform(low: float, high: float) -> np.ndarray:
        return low + (high - low) * next(draw)

    def around(centre: float, spread: float) -> np.ndarray:
        return uniform(centre - spread, centre + spread)

    def happens(probability: float) -> np.ndarray:
        return next(draw) < probability

    angle = around(0, config.rotation)
    scale = config.margin * np.exp(uniform(*np.log(config.scale)))
    shift = np.stack([around(0, config.shift), around(0, config.shift)], axis=1)
    return ViewParameters(
        angle=angle,
        scale=scale,
        shift=shift,
        colour=_draw_colour(config, happens, around),
        blur=np.where(happens(config.blur), uniform(*config.blur_sigma), 0.0),
        noise=np.where(happens(config.noise), uniform(*config.noise_sigma), 0.0),
        noise_seed=uniform(0, _SEEDS).astype(np.int64),
        cutout=_draw_cutout(config, happens, uniform),
        sobel=happens(config.sobel),
        background=np.where(happens(config.background), uniform(0, _SEEDS).astype(np.int64), -1),
    )


def _draw_colour(config: AugmentationConfig, happens, around) -> np.ndarray:
    jittered = happens(config.colour)

    def jitter(centre: float, spread: float) -> np.ndarray:
        return np.where(jittered, around(centre, spread), centre)

    return colour_matrix(
        brightness=jitter(1, config.brightness),
        contrast=jitter(1, config.contrast),
        saturation=jitter(1, config.saturation),
        hue=jitter(0, config.hue),
        gain=np.stack([jitter(1, config.gain) for _ in range(3)], axis=1),
        grey=happens(config.grey),
    )


def _draw_cutout(config: AugmentationConfig, happens, uniform) -> np.ndarray:
    there = happens(config.cutout)
    width, height = uniform(*config.cutout_side), uniform(*config.cutout_side)
    left, top = uniform(0, 1) * (1 - width), uniform(0, 1) * (1 - height)
    return np.where(there, [left, top, left + width, top + height], np.nan).T


def affine(params: ViewParameters, in_size: int, out_size: int) -> np.ndarray:
    """Matrices from crop to view pixels: p' = (out / in) scale R(angle) (p - c) + c' + shift out.

    c = (in - 1) / 2 and c' = (out - 1) / 2 are the pixel centres of crop and view, which is what a resize by
    x' = (x + 0.5) out / in - 0.5 makes of each other.

    Args:
        params: B views.
        in_size: side of the crop in pixels.
        out_size: side of the view in pixels.

    Returns:
        (B, 3, 3) float64.
    """
    if in_size < 1 or out_size < 1:
        raise ValueError(
            f"affine: sizes must be at least 1 pixel, found in_size={in_size}, out_size={out_size}"
        )
    radians = np.deg2rad(params.angle)
    factor = params.scale * (out_size / in_size)
    cos, sin = factor * np.cos(radians), factor * np.sin(radians)
    centre, target = (in_size - 1) / 2, (out_size - 1) / 2 + params.shift * out_size
    matrix = np.zeros((len(params), 3, 3))
    matrix[:, 0, 0] = matrix[:, 1, 1] = cos
    matrix[:, 0, 1], matrix[:, 1, 0] = sin, -sin
    matrix[:, 0, 2] = target[:, 0] - (cos + sin) * centre
    matrix[:, 1, 2] = target[:, 1] - (cos - sin) * centre
    matrix[:, 2, 2] = 1
    return matrix


def transform_keypoints(
    params: ViewParameters, keypoints: np.ndarray, in_size: int, out_size: int
) -> np.ndarray:
    """Move keypoints as the views move their crops.

    For a labelled crop: keypoints_2d move by A = affine(...), and K' = A K (`camera.transform_intrinsics`).
    The 3D
    keypoints stay as they are: a turned picture is not a turned camera, but A K projects the same points of
    the same camera frame exactly where A puts their pixels. K' then has entries below the diagonal, which
    everything here allows.

    Args:
        params: B views.
        keypoints: (B, N, 2) crop pixels.
        in_size: side of the crops.
        out_size: side of the views.

    Returns:
        (B, N, 2) view pixels, float64.
    """
    keypoints = np.asarray(keypoints, dtype=np.float64)
    if keypoints.ndim != 3 or len(keypoints) != len(params) or keypoints.shape[2] != 2:
        raise ValueError(
            f"transform_keypoints: expected ({len(params)}, N, 2) keypoints, found {keypoints.shape}"
        )
    return transform_points(affine(params, in_size, out_size), keypoints)
