"""Draw a mesh: per-pixel light on interpolated normals and colours, and an antialiased mask.

Chapter 01 shows what it draws. Light is evaluated for each pixel, so that two thousand triangles look smooth.

**Convention.** That of `rasteriser`: pixel centres at integers.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np

from peclr_utils.hands.rasteriser import FAST, NEAR, Samples, rasterise


@dataclass(frozen=True, eq=False)
class Surface:
    """A triangle mesh ready to render."""

    vertices: np.ndarray  # (V, 3) metres
    normals: np.ndarray  # (V, 3) unit, outward
    faces: np.ndarray  # (F, 3) vertex indices, wound outwards; triangles seen from behind are not drawn
    colours: np.ndarray  # (V, 3) sRGB in 0..1, multiplied with the texture
    uv: np.ndarray | None = None  # (V, 2) texture coordinates in 0..1, x right and y down; for a texture


@dataclass(frozen=True, eq=False)
class Light:
    """One soft directional light over a sky-and-ground ambient; colours are linear, 1 makes white white."""

    # From the surface towards the light, camera frame.
    direction: np.ndarray = field(default_factory=lambda: np.float32([0.3, -0.6, -1.0]))
    # Of the directional light, its strength included; of the ambient on what faces up, and faces down.
    colour: np.ndarray = field(default_factory=lambda: np.float32([0.75, 0.75, 0.75]))
    sky: np.ndarray = field(default_factory=lambda: np.float32([0.3, 0.3, 0.3]))
    ground: np.ndarray = field(default_factory=lambda: np.float32([0.2, 0.2, 0.2]))
    # How far each channel bleeds around the edge of the shadow; 0 is Lambert. Red goes furthest through skin.
    wrap: np.ndarray = field(default_factory=lambda: np.float32([0.45, 0.3, 0.25]))
    specular: float = 0.12  # strength of the highlight
    shininess: float = 18.0  # exponent of the highlight; larger is sharper


@dataclass(frozen=True, eq=False)
class RenderedHand:
    """What the renderer returns."""

    image: np.ndarray  # (H, W, 3) uint8 RGB of the body alone, not premultiplied by alpha; 0 off the body
    alpha: np.ndarray  # (H, W) uint8, the share of each pixel that the body covers; 255 inside
    depth: np.ndarray  # (H, W) float32 metres, mean over the covered samples; 0 where there is none


@dataclass(frozen=True, eq=False)
class Texture:
    """A texel's sRGB colour is maps @ palette; it multiplies the vertex colours."""

    maps: np.ndarray  # (h, w, M) float32, shared by all hands
    palette: np.ndarray  # (M, 3) float32, one hand's


def _occlusion(depth: np.ndarray, covered: np.ndarray, radius: int) -> np.ndarray:
    """How much nearer a pixel's surroundings are than the pixel, 0 to 1: creases and gaps between fingers."""
    # Luft, Colditz and Deussen 2006, "Image enhancement by unsharp masking the depth buffer", ACM TOG 25(3).
    kernel = (2 * radius + 1, 2 * radius + 1)
    weight = cv2.blur(covered, kernel)
    nearer = depth / np.maximum(covered, 1e-6) - cv2.blur(depth, kernel) / np.maximum(weight, 1e-6)
    return np.clip(nearer * (1.0 / 0.012), 0.0, 1.0)


def _shade(
    normals: np.ndarray, halfway: np.ndarray, colours: np.ndarray, open_sky: np.ndarray, light: Light
) -> np.ndarray:
    """(3, N) linear RGB, not clipped: wrapped diffuse, ambient by direction, Blinn-Phong highlight."""
    normals = normals / np.sqrt(np.einsum("cn,cn->n", normals, normals))
    cosine = _unit(light.direction) @ normals
    up = (0.5 - 0.5 * normals[1]) * open_sky
    gloss = np.maximum(np.einsum("cn,cn->n", halfway, normals), 0.0)
    gloss = light.specular * open_sky * gloss ** np.float32(light.shininess)
    # Shadows in the gaps are mostly missing ambient light; the lamp itself loses less.
    direct = 0.4 + 0.6 * open_sky
    shaded = np.empty_like(colours)
    for i in range(3):
        wrap, lamp = float(light.wrap[i]), float(light.colour[i])
        ground, sky = float(light.ground[i]), float(light.sky[i])
        received = np.maximum(cosine + wrap, 0.0) * direct * (lamp / (1.0 + wrap))
        received += ground * open_sky + (sky - ground) * up
        shaded[i] = received * colours[i] + gloss * lamp
    return shaded


def _unit(vectors: np.ndarray) -> np.ndarray:
    """(3, ...) vectors of length one, float32."""
    x, y, z = np.square(vectors)
    return (vectors / np.sqrt(x + y + z)).astype(np.float32)


def render(
    surface: Surface,
    K: np.ndarray,
    size: tuple[int, int],
    light: Light | None = None,
    texture: Texture | None = None,
) -> RenderedHand:
    """Draw a surface, lit for each sample, with an antialiased mask.

    Args:
        surface: in the camera's frame.
        K: (3, 3) intrinsics in pixels.
        size: (H, W) of the image.
        light: the light; the default is a white lamp above the camera.
        texture: multiplies the surface's colours; the nearest texel is taken.
    """
    light = light or Light()
    vertices, K = np.asarray(surface.vertices, dtype=np.float64), np.asarray(K, dtype=np.float64)
    samples = rasterise(vertices, surface.faces, K, size)
    # The direction to the camera hardly changes within a triangle: take the halfway vector at the corners.
    halfway = _unit(_unit(light.direction)[:, None] - _unit(np.ascontiguousarray(vertices.T)))
    attributes = [surface.normals.T, halfway, surface.colours.T]
    if texture is not None:
        attributes.append(surface.uv.T)
    values = _interpolate(np.concatenate(attributes, dtype=np.float32), samples)
    colours = values[6:9]
    if texture is not None:
        colours = colours * _texels(texture, values[9], values[10])

    # Rounding may make the sum slightly more than one.
    coverage = np.minimum(samples.sum(np.ones_like(samples.share)), 1.0)
    depth = samples.sum(samples.depth) / coverage
    # A radius of about one centimetre at the body's distance.
    radius = max(1, round(0.010 * K[0, 0] / max(float(vertices[:, 2].mean()), NEAR)))
    shadow = _occlusion(samples.spread(depth * coverage), samples.spread(coverage), radius)
    open_sky = 1.0 - 0.6 * shadow.take(samples.pixel).take(samples.slot)

    # Squares approximate the sRGB curve: cheap, and close enough for images that are jittered anyway.
    shaded = _shade(values[:3], values[3:6], colours * colours, open_sky, light)
    shaded = np.sqrt(np.clip(shaded, 0.0, 1.0))
    image = np.stack([samples.sum(channel) for channel in shaded]) / coverage
    image = np.rint(image * 255.0).clip(0, 255).astype(np.uint8)
    return RenderedHand(
        image=cv2.merge([_paste(samples, channel, size) for channel in image]),
        alpha=_paste(samples, np.rint(coverage * 255.0).astype(np.uint8), size),
        depth=_paste(samples, depth, size),
    )


def _paste(samples: Samples, values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W) image of the samples' (P,) values, 0 elsewhere."""
    top, left, height, width = samples.box
    image = np.zeros(size, dtype=values.dtype)
    image[top : top + height, left : left + width] = samples.spread(values)
    return image


def _texels(texture: Texture, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """(3, N) colour of the nearest texel at texture coordinates in 0..1."""
    height, width, channels = texture.maps.shape
    column = np.clip(u * width, 0, width - 1).astype(np.intp)
    line = np.clip(v * height, 0, height - 1).astype(np.intp)
    colours = texture.maps.reshape(-1, channels).take(line * width + column, axis=0) @ texture.palette
    return np.clip(colours, 0.0, 1.0, out=colours).T


def _interpolate(attributes: np.ndarray, samples: Samples) -> np.ndarray:
    """(C, N) values of (C, V) vertex attributes at the samples, between those of a triangle's corners.

    The centre of a pixel may lie a little outside the triangle that covers most of it. Seen edge-on, that is
    far outside, and normals extrapolated there would sparkle.
    """
    weights = np.maximum(samples.weights, 0.0)
    weights /= weights.sum(axis=0)
    total = None
    for corner, weight in zip(samples.corners, weights, strict=True):
        # In place, because fresh memory costs more than the arithmetic.
        part = attributes.take(corner, axis=1, mode=FAST)
        part *= weight
        total = part if total is None else np.add(total, part, out=total)
    return total
