"""View parameters as a value: sampled first, applied second, undone third.

Chapter 02 moves an image, its keypoints and its camera by the same parameters.

**Convention.** Pixels (x, y), centres at integers. A view rotates its crop by `angle` degrees (positive is
counter-clockwise on screen, as in `cv2.getRotationMatrix2D`) about the crop's centre, magnifies it by
`scale`, and then moves the *content* by `shift` (right and down positive, a fraction of the view's side).
With the resize this is one matrix from crop to view pixels.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log

import numpy as np

from peclr_utils.augmentation.config import AugmentationConfig
from peclr_utils.augmentation.photometry import colour_matrix
from peclr_utils.camera import transform_points

_SHAPES: dict[str, tuple[int, ...]] = {"shift": (2,), "colour": (3, 4), "cutout": (4,)}
_SEEDS = 2**31


@dataclass(frozen=True, eq=False)
class ViewParameters:
    """The sampled parameters of B views.

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
            expected = (count, *_SHAPES.get(name, ()))
            if value.shape != expected:
                raise ValueError(f"view parameters: {name} must be {expected}, found {value.shape}")

    def __len__(self) -> int:
        return len(self.angle)

    def __getitem__(self, index: int | slice | np.ndarray | Sequence[int]) -> "ViewParameters":
        """Some of the views; a single index gives one view, with the leading axis kept."""
        index = [index] if isinstance(index, (int, np.integer)) else index
        return ViewParameters(**{name: value[index] for name, value in vars(self).items()})

    @classmethod
    def identity(cls, count: int) -> "ViewParameters":
        """Views that are only resized."""
        return sample_parameters(AugmentationConfig(), count, np.random.default_rng(0))


def sample_parameters(config: AugmentationConfig, count: int, rng: np.random.Generator) -> ViewParameters:
    """Draw the parameters of `count` views.

    Every view takes the same number of draws whatever the settings, so changing one setting does not change
    what the others give. Drawing n views and then m gives the n + m views drawn at once.
    """
    ranges = _ranges(config)
    drawn = dict(zip(ranges, draw_uniformly(ranges.values(), count, rng), strict=True))
    width, height = drawn["cutout_width"], drawn["cutout_height"]
    left, top = drawn["cutout_x"] * (1 - width), drawn["cutout_y"] * (1 - height)
    background = np.where(drawn["background?"] < config.background, drawn["background"], -1)
    return ViewParameters(
        angle=drawn["angle"],
        scale=config.margin * np.exp(drawn["log_scale"]),
        shift=np.stack([drawn["shift_x"], drawn["shift_y"]], axis=1),
        colour=_colour(config, drawn),
        blur=np.where(drawn["blur?"] < config.blur, drawn["blur"], 0.0),
        noise=np.where(drawn["noise?"] < config.noise, drawn["noise"], 0.0),
        noise_seed=drawn["noise_seed"].astype(np.int64),
        cutout=np.where(drawn["cutout?"] < config.cutout, [left, top, left + width, top + height], np.nan).T,
        sobel=drawn["sobel?"] < config.sobel,
        background=background.astype(np.int64),
    )


def draw_uniformly(ranges: Iterable[tuple[float, float]], count: int, rng: np.random.Generator) -> np.ndarray:
    """(R, count) float64, uniform in R ranges (low, high); drawn view by view."""
    low, high = np.array(list(ranges), dtype=np.float64).T
    return (low + (high - low) * rng.random((count, len(low)))).T


def _ranges(config: AugmentationConfig) -> dict[str, tuple[float, float]]:
    """What is drawn uniformly for a view; a name with a question mark is compared with a probability."""
    gain = (1 - config.gain, 1 + config.gain)
    return {
        "angle": (-config.rotation, config.rotation),
        "log_scale": (log(config.scale[0]), log(config.scale[1])),
        "shift_x": (-config.shift, config.shift),
        "shift_y": (-config.shift, config.shift),
        "colour?": (0, 1),
        "brightness": (1 - config.brightness, 1 + config.brightness),
        "contrast": (1 - config.contrast, 1 + config.contrast),
        "saturation": (1 - config.saturation, 1 + config.saturation),
        "hue": (-config.hue, config.hue),
        "red": gain,
        "green": gain,
        "blue": gain,
        "grey?": (0, 1),
        "blur?": (0, 1),
        "blur": config.blur_sigma,
        "noise?": (0, 1),
        "noise": config.noise_sigma,
        "noise_seed": (0, _SEEDS),
        "cutout?": (0, 1),
        "cutout_width": config.cutout_side,
        "cutout_height": config.cutout_side,
        "cutout_x": (0, 1),
        "cutout_y": (0, 1),
        "sobel?": (0, 1),
        "background?": (0, 1),
        "background": (0, _SEEDS),
    }


def _colour(config: AugmentationConfig, drawn: dict[str, np.ndarray]) -> np.ndarray:
    jittered = drawn["colour?"] < config.colour
    return colour_matrix(
        brightness=np.where(jittered, drawn["brightness"], 1.0),
        contrast=np.where(jittered, drawn["contrast"], 1.0),
        saturation=np.where(jittered, drawn["saturation"], 1.0),
        hue=np.where(jittered, drawn["hue"], 0.0),
        gain=np.where(jittered, [drawn["red"], drawn["green"], drawn["blue"]], 1.0).T,
        grey=drawn["grey?"] < config.grey,
    )


def affine(params: ViewParameters, in_size: int, out_size: int) -> np.ndarray:
    """Matrices from crop to view pixels: p' = (out / in) scale R(angle) (p - c) + c' + shift out.

    c = (in - 1) / 2 and c' = (out - 1) / 2 are the centres of crop and view in pixels; the resize is
    x' = (x + 0.5) out / in - 0.5.

    Args:
        params: B views.
        in_size: side of the crop in pixels.
        out_size: side of the view in pixels.

    Returns:
        (B, 3, 3) float64.
    """
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
    The 3D keypoints stay: A K projects the same points of the camera's frame to where A moves their pixels.
    K' then has entries below the diagonal, which all code here allows.

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
        raise ValueError(f"transform_keypoints: expected ({len(params)}, N, 2), found {keypoints.shape}")
    return transform_points(affine(params, in_size, out_size), keypoints)
