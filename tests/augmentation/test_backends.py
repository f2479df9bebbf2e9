import dataclasses

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from peclr_utils.augmentation import (
    AugmentationConfig,
    ViewParameters,
    affine,
    apply_batch,
    apply_opencv,
    apply_opencv_batch,
    normalise,
    sample_parameters,
    to_batch,
    transform_keypoints,
)
from peclr_utils.augmentation.batch import sampling_grid, theta
from peclr_utils.augmentation.photometry import gaussian_taps, noise_field

OFTEN = {"blur": 0.5, "noise": 0.5, "cutout": 0.5, "sobel": 0.3, "background": 0.5}
EVERYTHING = AugmentationConfig.peclr(blur_sigma=(0, 3), **OFTEN)


def views(count: int = 1, **changes) -> ViewParameters:
    plain = ViewParameters.identity(count)
    return dataclasses.replace(plain, **{name: np.asarray(value) for name, value in changes.items()})


def texture(size: int = 96, seed: int = 0) -> np.ndarray:
    """An asymmetric, colourful, fairly sharp image that reaches from black to white."""
    noise = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 1.0), None, 0, 255, cv2.NORM_MINMAX)


def disc(size: int = 96) -> np.ndarray:
    return cv2.circle(np.zeros((size, size), np.uint8), (40, 50), 28, 255, -1, cv2.LINE_AA)


def apply_torch(images, params, out_size, masks=None, backgrounds=None) -> np.ndarray:
    masks = None if masks is None else torch.as_tensor(np.stack(masks))
    batch = torch.as_tensor(np.stack(images)).permute(0, 3, 1, 2)
    return apply_batch(batch, params, out_size, masks, backgrounds).permute(0, 2, 3, 1).numpy() * 255


ONE_STEP = {
    "resize": {},
    "rotation": {"rotation": 180},
    "scale": {"scale": (0.4, 2.5)},
    "shift": {"shift": 0.3},
    "colour": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 30, "gain": 0.2},
    "grey": {"grey": 1.0},
    "blur": {"blur": 1.0, "blur_sigma": (0, 4)},
    "noise": {"noise": 1.0},
    "cutout": {"cutout": 1.0},
    "sobel": {"sobel": 1.0},
    "background": {"background": 1.0, "rotation": 90},
}


@pytest.mark.parametrize("out_size", [96, 72, 40, 21])
@pytest.mark.parametrize("step", [*ONE_STEP, "everything"])
def test_both_backends_make_the_same_image(step, out_size):
    """Mean difference under 1 grey level in every view, largest under 5."""
    config = EVERYTHING if step == "everything" else AugmentationConfig(**ONE_STEP[step])
    params = sample_parameters(config, 12, np.random.default_rng(1))
    images = [texture(seed=seed) for seed in range(12)]
    masks = [disc()] * 12
    backgrounds = np.stack([texture(30, seed) for seed in range(5)])
    by_opencv = apply_opencv_batch(images, params, out_size, masks, backgrounds)
    difference = np.abs(apply_torch(images, params, out_size, masks, backgrounds) - by_opencv)
    assert difference.mean(axis=(1, 2, 3)).max() < 1
    assert difference.max() < 5


BACKENDS = {"opencv": apply_opencv_batch, "batch": apply_torch}


@pytest.mark.parametrize("backend", BACKENDS)
def test_identity_parameters_change_nothing(backend):
    image = texture()
    found = BACKENDS[backend]([image], views(), 96)[0]
    np.testing.assert_allclose(found, image, atol=0 if backend == "opencv" else 1e-3)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("angle", [33, 90, -120])
def test_a_view_rotates_as_opencv_rotates(angle, backend):
    image = texture(65)
    expected = cv2.warpAffine(image, cv2.getRotationMatrix2D((32, 32), angle, 1), (65, 65)).astype(float)
    found, opposite = (BACKENDS[backend]([image], views(angle=[s * float(angle)]), 65)[0] for s in (1, -1))
    assert np.abs(found - expected).max() <= 1
    assert np.abs(opposite - expected).mean() > 10
    if angle == 90:
        assert np.abs(found - np.rot90(image).astype(float)).max() <= 1


def blob(centre: np.ndarray, sigma: float, size: int) -> np.ndarray:
    y, x = np.mgrid[:size, :size]
    grey = 255 * np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * sigma**2))
    return np.repeat(np.rint(grey).astype(np.uint8)[..., None], 3, axis=2)


def centroid(view: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[: view.shape[0], : view.shape[1]]
    grey = view[..., 0].astype(np.float64)
    return np.array([(x * grey).sum(), (y * grey).sum()]) / grey.sum()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("out_size", [224, 128, 64])
def test_warp_then_detect_is_detect_then_move(backend, out_size):
    rng = np.random.default_rng(out_size)
    config = AugmentationConfig(rotation=180, scale=(0.8, 1.25), shift=0.1)
    params = sample_parameters(config, 12, rng)
    centres = 111.5 + rng.uniform(-25, 25, (12, 1, 2))
    images = [blob(centre[0], 8, 224) for centre in centres]
    found = np.stack([centroid(view) for view in BACKENDS[backend](images, params, out_size)])
    expected = transform_keypoints(params, centres, 224, out_size)[:, 0]
    assert np.abs(found - expected).max() < 0.05


@pytest.mark.parametrize("height, width", [(40, 40), (30, 50)])
def test_the_grid_is_affine_grids_and_reads_where_the_inverse_matrix_points(height, width):
    matrices = affine(sample_parameters(AugmentationConfig.peclr(), 3, np.random.default_rng(0)), 40, 16)
    grid = sampling_grid(matrices, (height, width), 16)
    rows = torch.tensor(theta(matrices, (height, width), 16), dtype=torch.float32)
    assert torch.allclose(grid, F.affine_grid(rows, [3, 3, 16, 16], align_corners=False), atol=1e-5)
    pixels = (grid.double().numpy() + 1) * np.array([width, height]) / 2 - 0.5
    rows, columns = np.mgrid[:16, :16]
    expected = np.linalg.inv(matrices) @ np.stack([columns.ravel(), rows.ravel(), np.ones(256)])
    assert pixels.reshape(3, 256, 2) == pytest.approx(expected[:, :2].swapaxes(1, 2), abs=1e-4)


def test_views_are_the_same_under_autocast_and_from_float_images():
    params = sample_parameters(EVERYTHING, 4, np.random.default_rng(0))
    batch = torch.as_tensor(np.stack([texture()] * 4)).permute(0, 3, 1, 2)
    masks, bank = torch.as_tensor(np.stack([disc()] * 4)), np.stack([texture(40)])
    plain = apply_batch(batch, params, 40, masks, bank)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(plain, apply_batch(batch, params, 40, masks, bank))
    from_float = apply_batch(batch / 255, params, 40, masks / 255, torch.as_tensor(bank))
    assert torch.allclose(plain, from_float, atol=1e-5)
    rounded = apply_batch((batch / 255).bfloat16(), params, 40, (masks / 255).bfloat16(), bank)
    assert rounded.dtype == torch.float32 and (rounded - plain).abs().mean() < 1 / 255


def test_a_view_does_not_depend_on_its_batch():
    params = sample_parameters(dataclasses.replace(EVERYTHING, scale=(0.3, 1.5)), 9, np.random.default_rng(3))
    images = [texture(seed=seed) for seed in range(9)]
    masks, backgrounds = [disc()] * 9, np.stack([texture(40, seed) for seed in range(3)])
    for apply, tolerance in ((apply_opencv_batch, 0), (apply_torch, 1e-2)):
        together = apply(images, params, 40, masks, backgrounds)
        for k in range(9):
            alone = apply([images[k]], params[k], 40, [masks[k]], backgrounds)[0]
            np.testing.assert_allclose(alone, together[k], atol=tolerance)


def test_the_background_is_exchanged_under_the_hand_and_beyond_the_crop():
    image, mask = np.full((64, 64, 3), 200, np.uint8), disc(64)
    bank = np.stack([np.full((64, 64, 3), level, np.uint8) for level in (10, 50)])
    params = views(2, background=[0, 3], scale=[0.5, 1.0])
    for apply in BACKENDS.values():
        result = apply([image] * 2, params, 64, [mask] * 2, bank)
        assert result[0, 0, 0] == pytest.approx([10] * 3, abs=0.01)  # outside the shrunk crop
        assert result[0, 35, 35] == pytest.approx([200] * 3, abs=0.01)  # on the hand
        assert result[1, 2, 2] == pytest.approx([50] * 3, abs=0.01)  # 3 modulo 2 backgrounds
    assert np.array_equal(apply_opencv(image, params[1], 64), image)  # no mask, no exchange
    assert np.array_equal(apply_opencv(image, params[1], 64, mask), image)  # no backgrounds, no exchange
    some = apply_opencv_batch([image] * 2, params, 64, [None, mask], bank)
    assert some[0, 32, 32] == pytest.approx([200] * 3) and some[1, 2, 2] == pytest.approx([50] * 3)


def test_gaussian_taps_have_their_sigma_and_keep_the_mean():
    for sigma in (0.8, 1.5, 3):
        taps = gaussian_taps(sigma, 100)
        position = np.arange(len(taps)) - len(taps) // 2
        assert taps.sum() == 1 and (taps >= 0).all() and np.array_equal(taps, taps[::-1])
        assert (taps * position**2).sum() == pytest.approx(sigma**2, rel=0.06)
    assert len(gaussian_taps(0, 10)) == 1 and len(gaussian_taps(9, 8)) == 15


def test_noise_is_normal_reproducible_and_its_own_for_each_seed():
    one, same, other = noise_field(123, 128), noise_field(123, 128), noise_field(2**31 - 5, 128)
    assert np.array_equal(one, same)
    assert abs(one.mean()) < 0.02 and one.std() == pytest.approx(1, abs=0.02)
    assert np.mean(np.abs(one) < 1) == pytest.approx(0.683, abs=0.01)
    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.02
    flat = np.full((128, 128, 3), 128, np.uint8)
    noisy = apply_opencv(flat, views(noise=[0.04], noise_seed=[7]), 128)
    assert noisy.std() == pytest.approx(0.04 * 255, rel=0.03) and noisy.mean() == pytest.approx(128, abs=0.2)


def test_cut_out_is_the_rectangle_of_the_parameters():
    image = np.zeros((40, 40, 3), np.uint8)
    result = apply_opencv(image, views(cutout=[[0.25, 0.5, 0.5, 0.6]]), 40)
    expected = image.copy()
    expected[20:24, 10:20] = 128
    assert np.array_equal(result, expected)


def test_sobel_is_the_exact_magnitude_which_opencvs_own_is_not():
    """`cv2.magnitude` rounds differently from one memory address to the next."""
    image = texture(64)
    wide = np.pad(image.astype(float), ((1, 1), (1, 1), (0, 0)), "reflect")
    x = sum(w * (wide[k : k + 64, 2:] - wide[k : k + 64, :-2]) for k, w in enumerate((1, 2, 1)))
    y = sum(w * (wide[2:, k : k + 64] - wide[:-2, k : k + 64]) for k, w in enumerate((1, 2, 1)))
    expected = np.rint(np.sqrt(x * x + y * y) / 4).clip(0, 255)
    assert np.array_equal(apply_opencv(image, views(sobel=[True]), 64), expected)


def test_inputs_are_not_modified():
    given = image, mask, bank = texture(), disc(), np.stack([texture(40)])
    batch = torch.as_tensor(image.copy()).permute(2, 0, 1)[None] / 255
    copies, batch_copy = [array.copy() for array in given], batch.clone()
    config = dataclasses.replace(EVERYTHING, blur=1, noise=1, cutout=1, sobel=1)
    for params in (sample_parameters(config, 1, np.random.default_rng(0)), views(cutout=[[0, 0, 0.5, 0.5]])):
        for size in (96, 40):
            apply_opencv(image, params, size, mask, bank)
            apply_batch(batch, params, size)
    assert all(map(np.array_equal, given, copies)) and torch.equal(batch, batch_copy)


def test_to_batch_is_normalise_of_the_images():
    images = np.stack([texture(32, seed) for seed in range(3)])
    expected = normalise(torch.as_tensor(images).permute(0, 3, 1, 2) / 255)
    for given in (images, torch.as_tensor(images)):
        batch = to_batch(given)
        assert batch.shape == (3, 3, 32, 32) and batch.dtype == torch.float32
        assert torch.allclose(batch, expected, atol=1e-5)
        assert batch.is_contiguous(memory_format=torch.channels_last)
    grey = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    assert torch.allclose(normalise(grey), torch.zeros(1, 3, 2, 2))
