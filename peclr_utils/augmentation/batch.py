"""Apply view parameters to a whole batch with torch: the GPU backend, one `grid_sample` per batch.

Appendix A2 shows that both backends make the same image from the same parameters.

**Convention.** (B, 3, H, W). `grid_sample(align_corners=False)` measures positions from -1 to 1 between the
outer edges of the border pixels, so the matrix from output to input positions is theta = N(in) M^-1 N(out)^-1
with N(W) = [[2/W, 0, 1/W - 1], [0, 2/W, 1/W - 1], [0, 0, 1]]. Everything is float32 whatever autocast says:
in bfloat16 or TF32 positions are off by up to half a pixel.
"""

from functools import cache

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor

from peclr_utils.augmentation.parameters import ViewParameters, affine
from peclr_utils.augmentation.photometry import (
    CUTOUT_GREY,
    changes_colour,
    gaussian_taps,
    noise_start,
    noise_table,
)
from peclr_utils.crops.cropping import antialias, shrink

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def normalise(images: Tensor) -> Tensor:
    """Subtract ImageNet's mean from (B, 3, H, W) images in [0, 1] and divide by its standard deviation."""
    mean = _upload(IMAGENET_MEAN, images.device, images.dtype).view(1, 3, 1, 1)
    std = _upload(IMAGENET_STD, images.device, images.dtype).view(1, 3, 1, 1)
    return (images - mean) / std


def to_batch(images: np.ndarray | Tensor, device: torch.device | str | None = None) -> Tensor:
    """Turn uint8 images into a normalised batch; the device is sent bytes, not floats of four times the size.

    Args:
        images: (B, S, S, 3) uint8.
        device: device of the batch; None leaves it where it is.

    Returns:
        (B, 3, S, S) float32, normalised as by `normalise`, in channels_last memory order.
    """
    batch = torch.as_tensor(images)
    if batch.dtype != torch.uint8 or batch.ndim != 4 or batch.shape[3] != 3:
        raise ValueError(f"to_batch: expected (B, S, S, 3) uint8, found {tuple(batch.shape)} {batch.dtype}")
    batch = batch if device is None else batch.to(device, non_blocking=True)
    if batch.device.type != "cpu":
        return normalise(batch.permute(0, 3, 1, 2).float() / 255)
    # Image by image, which stays in the processor's cache: six times as fast as on the whole batch.
    mean, std = np.array(IMAGENET_MEAN), np.array(IMAGENET_STD)
    matrix = np.column_stack([np.diag(1 / (255 * std)), -mean / std])
    result = np.empty(batch.shape, dtype=np.float32)
    for image, normalised in zip(batch.numpy(), result, strict=True):
        cv2.transform(image.astype(np.float32), matrix, normalised)
    return torch.from_numpy(result).permute(0, 3, 1, 2)


def theta(matrix: np.ndarray, in_size: tuple[int, int], out_size: int) -> np.ndarray:
    """(B, 2, 3) for `affine_grid`, from (B, 3, 3) source to output pixels; `in_size` is (height, width)."""
    (height, width), size = in_size, out_size
    source = np.array([[2 / width, 0, 1 / width - 1], [0, 2 / height, 1 / height - 1], [0, 0, 1]])
    output = np.array([[2 / size, 0, 1 / size - 1], [0, 2 / size, 1 / size - 1], [0, 0, 1]])
    return (source @ np.linalg.inv(matrix) @ np.linalg.inv(output))[:, :2]


def sampling_grid(matrix: np.ndarray, in_size: tuple[int, int], out_size: int, device=None) -> Tensor:
    """(B, S, S, 2) float32 as `affine_grid(theta(...))`, without a matrix product, which TF32 would round."""
    rows = _upload(theta(matrix, in_size, out_size), device, torch.float32)
    centres = (torch.arange(out_size, dtype=torch.float32, device=device) * 2 + 1) / out_size - 1
    x, y = centres.view(1, 1, -1, 1), centres.view(1, -1, 1, 1)
    along_x, along_y, offset = (rows[:, None, None, :, k] for k in range(3))
    return along_x * x + (along_y * y + offset)


def apply_batch(
    images: Tensor,
    params: ViewParameters,
    out_size: int,
    masks: Tensor | None = None,
    backgrounds: Tensor | np.ndarray | None = None,
) -> Tensor:
    """Make one view of each image of a batch, on the batch's device.

    Args:
        images: (B, 3, S, S) uint8, or floating point in [0, 1].
        params: B views.
        out_size: side of the views.
        masks: (B, S, S), of the same dtype as the images; 1 or 255 on the hand.
        backgrounds: (N, T, T, 3) uint8; resized if T is not `out_size`. Exchanged only where masks are given.

    Returns:
        (B, 3, out_size, out_size) float32 in [0, 1], not normalised.
    """
    count, side = len(params), images.shape[-1]
    if images.shape != (count, 3, side, side):
        raise ValueError(f"apply_batch: expected ({count}, 3, S, S) images, found {tuple(images.shape)}")
    if masks is not None and (masks.shape != (count, side, side) or masks.dtype != images.dtype):
        raise ValueError(
            f"apply_batch: expected masks {(count, side, side)} {images.dtype} like the images, "
            f"found {tuple(masks.shape)} {masks.dtype}"
        )
    exchanged = np.flatnonzero(params.background >= 0)
    exchanges = masks is not None and backgrounds is not None and len(exchanged) > 0
    with torch.autocast(images.device.type, enabled=False):
        source = torch.cat([images.float(), masks[:, None].float()], dim=1) if exchanges else images.float()
        views = _warp(source, affine(params, side, out_size), out_size)
        if images.dtype == torch.uint8:
            views = views / 255
        if exchanges:
            views = _exchange(views, torch.as_tensor(backgrounds), params.background, exchanged)
        views = _recolour(views, params.colour)
        views = _on(views, np.flatnonzero(params.blur > 0), _blur, params.blur)
        views = _on(views, np.flatnonzero(params.noise > 0), _add_noise, params.noise, params.noise_seed)
        views = _on(views, np.flatnonzero(~np.isnan(params.cutout[:, 0])), _cut_out, params.cutout)
        return _on(views, np.flatnonzero(params.sobel), _sobel)


def _upload(values: ArrayLike, device: torch.device | str | None, dtype: torch.dtype | None = None) -> Tensor:
    """Send small numbers to a device; to a GPU through pinned memory, so that the CPU doesn't wait."""
    tensor = torch.as_tensor(values, dtype=dtype)
    if device is not None and torch.device(device).type == "cuda":
        tensor = tensor.pin_memory()
    return tensor if device is None else tensor.to(device, non_blocking=True)


def _warp(images: Tensor, matrices: np.ndarray, size: int) -> Tensor:
    """Antialiased warp, black outside; the smoothing of `crops.cropping`."""
    smoothing = np.array([antialias(factor) for factor in shrink(matrices).tolist()]).reshape(-1, 2)
    reductions, sides = smoothing[:, 0].astype(int), smoothing[:, 1]
    if len(set(reductions)) == 1:
        return _warp_equally(images, matrices, size, int(reductions[0]), sides)
    views = images.new_empty(len(images), images.shape[1], size, size)
    for reduce in np.unique(reductions):
        group = np.flatnonzero(reductions == reduce)
        rows = _upload(group, images.device)
        views[rows] = _warp_equally(images[rows], matrices[group], size, int(reduce), sides[group])
    return views


def _warp_equally(images: Tensor, matrices: np.ndarray, size: int, reduce: int, sides: np.ndarray) -> Tensor:
    """Average over boxes of `reduce` pixels, smooth by taps (side, 1 - 2 side, side), and sample."""
    if reduce > 1:
        height, width = images.shape[2:]
        images = F.avg_pool2d(F.pad(images, (0, -width % reduce, 0, -height % reduce)), reduce)
        middle = (reduce - 1) / 2
        matrices = matrices @ np.array([[reduce, 0, middle], [0, reduce, middle], [0, 0, 1]])
    if sides.any():
        side = _upload(sides, images.device, torch.float32).view(-1, 1, 1, 1)
        for axis in (2, 3):
            last = images.shape[axis] - 1
            smooth = images * (1 - 2 * side)
            smooth.narrow(axis, 1, last).addcmul_(side, images.narrow(axis, 0, last))
            smooth.narrow(axis, 0, last).addcmul_(side, images.narrow(axis, 1, last))
            images = smooth
    grid = sampling_grid(matrices, tuple(images.shape[2:]), size, images.device)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _exchange(views: Tensor, bank: Tensor, background: np.ndarray, exchanged: np.ndarray) -> Tensor:
    """Put other backgrounds behind the hand; the fourth channel is the mask."""
    rows = _upload(exchanged, views.device)
    chosen = _upload(background[exchanged] % len(bank), bank.device)
    under = bank[chosen].to(views.device).permute(0, 3, 1, 2) / 255
    if under.shape[2:] != views.shape[2:]:
        under = F.interpolate(under, size=views.shape[2:], mode="bilinear", align_corners=False)
    result = views[:, :3].clone()
    over = views[rows]
    result[rows] = under + (over[:, :3] - under) * over[:, 3:]
    return result


def _recolour(views: Tensor, colour: np.ndarray) -> Tensor:
    if not changes_colour(colour).any():
        return views
    matrix = _upload(colour, views.device, torch.float32)[:, :, :, None, None]
    result = matrix[:, :, 3] + matrix[:, :, 0] * views[:, 0:1]
    result = result.addcmul_(matrix[:, :, 1], views[:, 1:2]).addcmul_(matrix[:, :, 2], views[:, 2:3])
    return result.clamp_(0, 1)


def _on(views: Tensor, chosen: np.ndarray, step, *values: np.ndarray) -> Tensor:
    """Apply a step to some views."""
    if not len(chosen):
        return views
    if len(chosen) == len(views):
        return step(views, *values)
    rows = _upload(chosen, views.device)
    return views.index_copy(0, rows, step(views[rows], *(value[chosen] for value in values)))


def _blur(views: Tensor, sigma: np.ndarray) -> Tensor:
    size = views.shape[-1]
    all_taps = [gaussian_taps(value, size) for value in sigma]
    longest = max(map(len, all_taps))
    taps = np.stack([np.pad(values, (longest - len(values)) // 2) for values in all_taps])
    kernel = _upload(taps, views.device, torch.float32).repeat_interleave(3, dim=0)[:, None, None, :]
    reach, groups = longest // 2, 3 * len(views)
    flat = views.reshape(1, groups, size, size)
    flat = F.conv2d(F.pad(flat, (reach, reach, 0, 0), mode="reflect"), kernel, groups=groups)
    flat = F.conv2d(F.pad(flat, (0, 0, reach, reach), mode="reflect"), kernel.transpose(2, 3), groups=groups)
    return flat.reshape(views.shape)


@cache
def _noise_table_on(device: torch.device) -> Tensor:
    return torch.tensor(noise_table(), device=device)


def _add_noise(views: Tensor, sigma: np.ndarray, seed: np.ndarray) -> Tensor:
    table, size = _noise_table_on(views.device), views.shape[-1]
    starts = [noise_start(value, size) for value in seed]
    field = torch.stack([table[start : start + 3 * size * size] for start in starts])
    field = field.view(-1, size, size, 3).permute(0, 3, 1, 2)
    strength = _upload(sigma, views.device, torch.float32).view(-1, 1, 1, 1)
    return (views + strength * field).clamp_(0, 1)


def _cut_out(views: Tensor, cutout: np.ndarray) -> Tensor:
    size = views.shape[-1]
    bounds = _upload(np.rint(cutout * size), views.device, torch.float32)
    left, top, right, bottom = (bounds[:, k].view(-1, 1, 1, 1) for k in range(4))
    pixel = torch.arange(size, dtype=torch.float32, device=views.device)
    x, y = pixel.view(1, 1, 1, -1), pixel.view(1, 1, -1, 1)
    inside = (x >= left) & (x < right) & (y >= top) & (y < bottom)
    return torch.where(inside, CUTOUT_GREY / 255, views)


def _sobel(views: Tensor) -> Tensor:
    wide = F.pad(views, (1, 1, 1, 1), mode="reflect")
    smooth_y = wide[:, :, :-2] + 2 * wide[:, :, 1:-1] + wide[:, :, 2:]
    smooth_x = wide[..., :-2] + 2 * wide[..., 1:-1] + wide[..., 2:]
    along_x = smooth_y[..., 2:] - smooth_y[..., :-2]
    along_y = smooth_x[:, :, 2:] - smooth_x[:, :, :-2]
    return (0.25 * torch.hypot(along_x, along_y)).clamp_(0, 1)
