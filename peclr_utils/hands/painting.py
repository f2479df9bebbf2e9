"""Paint backgrounds: textures, rooms, objects and leaves; `people` paints people.

Painted images vary in colour, scale, sharpness and layout, so that two images of one pose share nothing but
the hand. For speed, waves are looked up in a table of 256 phases, noise is built from coarse to fine, and
colour comes last.

**Convention.** Every painter takes a generator and (height, width) and returns (H, W, 3) uint8 RGB.
"""

import cv2
import numpy as np

_PHASE = np.arange(256) * (2 * np.pi / 256)


def _noise(
    rng: np.random.Generator, size: tuple[int, int], cells: float, octaves: int = 1, stretch: float = 1.0
) -> np.ndarray:
    """(H, W) float32 in about 0..1: random values on grids ever finer than `cells` per side, ever weaker."""
    total = None
    for k in range(octaves):
        rows, columns = (max(2, round(c * 2**k) + 1) for c in (cells / stretch, cells * stretch))
        grid = rng.random((rows, columns), dtype=np.float32) * np.float32(0.5**k / (2 - 0.5 ** (octaves - 1)))
        total = grid if total is None else grid + cv2.resize(total, (columns, rows))
    return cv2.resize(total, size[::-1], interpolation=cv2.INTER_CUBIC)


def sample_colours(
    rng: np.random.Generator, count: int, bright: tuple[float, float] = (0.1, 0.95)
) -> np.ndarray:
    """(count, 3) float32 RGB in 0..255: mostly muted, sometimes vivid."""
    hsv = rng.uniform(0, 360, count), rng.beta(1.2, 2.6, count), rng.uniform(*bright, count)
    return cv2.cvtColor(np.stack(hsv, axis=-1).astype(np.float32)[None], cv2.COLOR_HSV2RGB)[0] * 255


def _ramp(values: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: values in 0..1, or uint8, looked up in (S, 3) colours spaced evenly along a line."""
    places = np.linspace(0, len(stops) - 1, 256)
    table = np.stack([np.interp(places, np.arange(len(stops)), channel) for channel in stops.T], axis=-1)
    if values.dtype != np.uint8:
        values = cv2.addWeighted(values, 255.0, values, 0.0, 0.0, dtype=cv2.CV_8U)
    return cv2.applyColorMap(values, np.clip(table, 0, 255).astype(np.uint8)[:, None])


def _wave(phase: np.ndarray, table: np.ndarray) -> np.ndarray:
    """(H, W) uint8: a periodic function of phase, one period from 0 to 1, from its 256 values in 0..1."""
    step = (phase * 256).astype(np.int32).astype(np.uint8)
    return cv2.LUT(step, (np.clip(table, 0, 1) * 255).astype(np.uint8))


def _plane(rng: np.random.Generator, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Turned and tilted coordinates, about one unit per image side, as of a table top seen at a slant."""
    x = np.linspace(-0.5, 0.5, size[1], dtype=np.float32)
    y = np.linspace(-0.5, 0.5, size[0], dtype=np.float32)[:, None]
    angle, tilt_x, tilt_y = rng.uniform(0, 2 * np.pi), rng.uniform(-0.6, 0.6), rng.uniform(-0.6, 0.6)
    scale = 1 / (tilt_x * x + tilt_y * y + 1)
    cosine, sine = float(np.cos(angle)), float(np.sin(angle))
    return (cosine * x + sine * y) * scale, (cosine * y - sine * x) * scale


def _gradient(rng, size):
    u, v = _plane(rng, size)
    values = u + 0.5
    if rng.random() < 0.4:
        values = 1.4 * np.sqrt((u - rng.uniform(-0.4, 0.4)) ** 2 + v * v)
    values = values + 0.15 * (_noise(rng, size, 3, 2) - 0.5)
    return _ramp(values, sample_colours(rng, rng.integers(2, 4)))


def _clouds(rng, size):
    values = _noise(rng, size, rng.uniform(1.5, 8), 5, rng.uniform(0.6, 1.6))
    contrast = rng.uniform(1.5, 3)
    return _ramp(values * contrast + (0.5 - 0.5 * contrast), sample_colours(rng, rng.integers(2, 5)))


def _wood(rng, size):
    u, v = _plane(rng, size)
    grain = _noise(rng, size, 3, 3)
    swell = 0.12 * np.sin(2 * np.pi * (v + rng.random()) * rng.uniform(0.5, 1.2))
    across = u + swell * rng.uniform(0.2, 1) + grain * rng.uniform(0.02, 0.12)
    rings = _wave(across * rng.uniform(5, 14), 0.35 + 0.3 * np.sin(_PHASE) ** 3)
    fibre = _wave(across * rng.uniform(24, 48), 0.15 + 0.15 * np.sin(_PHASE))
    tint = np.array([[158, 107, 64], [140, 120, 95], [190, 160, 120], [95, 60, 45]])[rng.integers(4)]
    base = tint * rng.uniform(0.6, 1.25) + rng.uniform(-12, 12, 3)
    image = _ramp(cv2.add(rings, fibre), np.stack([base * rng.uniform(0.55, 0.8), base]))
    if rng.random() < 0.6:
        plank = np.ones(256)
        plank[:7] = 0.4
        boards = _wave(v * rng.uniform(2, 6), plank)
        image = cv2.multiply(image, cv2.cvtColor(boards, cv2.COLOR_GRAY2RGB), scale=1 / 255)
    return image


def _fabric(rng, size):
    u, v = _plane(rng, size)
    fold = 0.04 * _noise(rng, size, 3, 2)
    stripe = 0.5 + 0.5 * np.tanh(rng.uniform(1, 6) * np.sin(_PHASE))
    across, along = (_wave((w + fold) * rng.uniform(4, 24), stripe) for w in (u, v))
    patterns = (across, cv2.addWeighted(across, 0.5, along, 0.5, 0), cv2.absdiff(across, along))
    values = patterns[rng.integers(3)]
    weave = cv2.add(_wave(u * 60, 0.05 + 0.05 * np.sin(_PHASE)), _wave(v * 60, 0.05 + 0.05 * np.sin(_PHASE)))
    return _ramp(cv2.addWeighted(values, 0.8, weave, 1.0, 0), sample_colours(rng, 2))


def _tiles(rng, size):
    u, v = _plane(rng, size)
    frequency, aspect = rng.uniform(3, 9), (1.0, 2.0, 2.5)[rng.integers(3)]
    row = ((v + 8) * (256 * frequency * aspect)).astype(np.int32)
    column = ((u + 8) * (256 * frequency)).astype(np.int32)
    if aspect > 1:
        column += (row >> 1) & 128
    shade = rng.integers(0, 180, 4096).astype(np.uint8)
    values = shade[((row >> 8) * 57 + (column >> 8) * 131) & 4095]
    values = cv2.addWeighted(values, 1.0, _noise(rng, size, 12, 3), 75.0, 0.0, dtype=cv2.CV_8U)
    joint = rng.uniform(5, 20)
    gaps = ((row & 255) < joint * aspect) | ((column & 255) < joint)
    palette = sample_colours(rng, 3)
    return np.where(gaps[..., None], palette[2].astype(np.uint8), _ramp(values, palette[:2]))


def _bokeh(rng, size):
    image = cv2.convertScaleAbs(_gradient(rng, size), alpha=rng.uniform(0.3, 0.8))
    glow = np.zeros_like(image)
    scale = size[0] / 224
    count = int(rng.integers(8, 24))
    lamps = sample_colours(rng, count, (0.5, 1.0)) * rng.uniform(0.2, 0.7, (count, 1))
    centres = (rng.uniform(0, 1, (count, 2)) * size[::-1]).astype(int)
    radii = np.maximum(2, rng.uniform(4, 24, count) * scale).astype(int)
    for centre, radius, lamp in zip(centres.tolist(), radii.tolist(), lamps.tolist(), strict=True):
        cv2.circle(glow, centre, radius, lamp, -1)
    return cv2.add(image, cv2.GaussianBlur(glow, (0, 0), 1.2 * scale))


def _room(rng, size):
    """A wall over a floor or table, a corner between two walls at times, frames, and a few objects."""
    height, width = size
    wall, floor = sample_colours(rng, 1, (0.4, 0.95))[0], sample_colours(rng, 1, (0.15, 0.8))[0]
    image = np.empty((*size, 3), dtype=np.uint8)
    image[:] = wall
    horizon, tilt = rng.uniform(0.35, 0.85) * height, rng.uniform(-0.12, 0.12) * height
    if rng.random() < 0.5:
        image[:, int(rng.uniform(0.15, 0.85) * width) :] = wall * rng.uniform(0.7, 0.95)
    for _ in range(rng.integers(0, 3)):
        x, y = rng.uniform(0, 0.8, 2) * (width, horizon)
        w, h = rng.uniform(0.1, 0.45, 2) * (width, height)
        top, bottom = [int(x), int(y)], [int(x + w), int(y + h)]
        cv2.rectangle(image, top, bottom, (wall * rng.uniform(0.5, 0.8)).tolist(), -1)
        inner = [v + 3 for v in top], [v - 3 for v in bottom]
        cv2.rectangle(image, *inner, sample_colours(rng, 1)[0].tolist(), -1)
    left, right = [0, int(horizon - tilt)], [width, int(horizon + tilt)]
    ground = np.array([left, right, [width, height], [0, height]], dtype=np.int32)
    cv2.fillConvexPoly(image, ground, floor.tolist(), cv2.LINE_AA)
    cv2.line(image, left, right, (wall * 0.6).tolist(), int(rng.integers(1, 5)), cv2.LINE_AA)
    return _objects(rng, image, int(rng.integers(0, 5)))


def _clutter(rng, size):
    image = _gradient(rng, size) if rng.random() < 0.5 else _clouds(rng, size)
    image = _objects(rng, image, int(rng.integers(8, 20)))
    image = soften(image, rng.uniform(0.4, 3) * size[0] / 224)
    return _objects(rng, image, int(rng.integers(2, 8)))


_TURN = np.linspace(0, 2 * np.pi, 20, endpoint=False)
_BOX = np.array([[-1, 1, 1, -1], [-1, -1, 1, 1]])
_STICK = np.array([[0, 3, 3, 0], [-0.2, -0.2, 0.2, 0.2]])
_OUTLINES = (_BOX, np.stack([np.cos(_TURN), np.sin(_TURN)]), _STICK)
_LEAF = np.stack([np.cos(_TURN), np.sin(_TURN) * (1 - 0.3 * np.cos(_TURN))])


def _leaves(rng, size):
    image = cv2.convertScaleAbs(_clouds(rng, size), alpha=0.4)
    green = np.array([64, 107, 38]) + rng.uniform(-30, 30, 3)
    count = int(rng.integers(30, 70))
    centres = rng.uniform(0, 1, (count, 2, 1)) * np.array(size[::-1])[:, None]
    extents = rng.uniform((0.04, 0.012), (0.14, 0.05), (count, 2))[..., None] * size[0]
    angles = rng.uniform(0, 2 * np.pi, count)
    turns = np.array([[np.cos(angles), -np.sin(angles)], [np.sin(angles), np.cos(angles)]])
    leaves = np.moveaxis(turns, 2, 0) @ (extents * _LEAF) + centres
    points = (leaves.transpose(0, 2, 1) * 16).astype(np.int32)
    shades = green * rng.uniform(0.3, 1.8, (count, 1))
    for leaf, shade in zip(points, shades.tolist(), strict=True):
        cv2.fillConvexPoly(image, leaf, shade, cv2.LINE_AA, 4)
    return image


def _objects(rng: np.random.Generator, image: np.ndarray, count: int) -> np.ndarray:
    """Boxes, discs and sticks, each over a darker copy of itself for a shadow; a new image."""
    if count == 0:
        return image
    image = image.copy()
    side = image.shape[0]
    paints = sample_colours(rng, count)
    centres = rng.uniform(-0.05, 1.05, (count, 2)) * image.shape[1::-1]
    extents = rng.uniform(0.02, 0.25, (count, 2)) * side
    kinds, angles = rng.integers(0, 3, count), rng.uniform(0, np.pi, count)
    for kind, paint, centre, extent, angle in zip(kinds, paints, centres, extents, angles, strict=True):
        outline = _OUTLINES[kind]
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        points = (turn @ (extent[:, None] * outline)).T + centre
        for offset, colour in ((0.02 * side, paint * 0.35), (0.0, paint)):
            corners = ((points + offset) * 16).astype(np.int32)
            cv2.fillConvexPoly(image, corners, colour.tolist(), cv2.LINE_AA, 4)
    return image


def soften(image: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur of a uint8 image; a wide one is done at half the size."""
    if sigma < 0.3:
        return image
    if sigma < 1.6:
        return cv2.GaussianBlur(image, (0, 0), sigma)
    height, width = image.shape[:2]
    small = cv2.resize(image, (-(-width // 2), -(-height // 2)), interpolation=cv2.INTER_AREA)
    return cv2.resize(cv2.GaussianBlur(small, (0, 0), sigma / 2), (width, height))


PAINTERS = (_gradient, _clouds, _wood, _fabric, _tiles, _bokeh, _room, _clutter, _leaves)
SHARES = np.array([1, 1, 1, 1, 1, 1, 2, 2, 1])
"""The painters of backgrounds without people, and how often each is chosen, relative to the others."""


def paint_wall(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """What may be behind a person: a plain wall, or a room."""
    return _gradient(rng, size) if rng.random() < 0.5 else _room(rng, size)


def paint_cloth(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """A cloth of one colour, or striped or chequered."""
    if rng.random() < 0.5:
        return _fabric(rng, size)
    return np.broadcast_to(sample_colours(rng, 1)[0].astype(np.uint8), (*size, 3))
