"""The kinds of procedural background: noise, wood, fabric, tiles, blurred lamps, rooms, clutter, leaves.

Chapter 01 shows a sheet of them.

**Convention**: a painter takes a generator and (height, width) and returns (H, W, 3) RGB.
"""

from collections.abc import Callable

import cv2
import numpy as np

Painter = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]


def noise(rng: np.random.Generator, size: tuple[int, int], cells: float, stretch: float = 1.0) -> np.ndarray:
    """(H, W) float32 in 0..1: random values on a grid of `cells` per picture side, smoothly joined."""
    rows, columns = max(2, round(cells / stretch) + 1), max(2, round(cells * stretch) + 1)
    grid = rng.random((rows, columns), dtype=np.float32)
    return np.clip(cv2.resize(grid, size[::-1], interpolation=cv2.INTER_CUBIC), 0, 1)


def _octaves(rng: np.random.Generator, size: tuple[int, int], cells: float, count: int, stretch: float = 1.0):
    """(H, W) float32 in about 0..1: noise at doubling frequencies and halving strengths."""
    total = np.zeros(size, dtype=np.float32)
    for k in range(count):
        total += noise(rng, size, cells * 2**k, stretch) * np.float32(0.5 ** (k + 1))
    return total / np.float32(1 - 0.5**count)


def _colour(rng: np.random.Generator, bright: tuple[float, float] = (0.1, 0.95)) -> np.ndarray:
    """(3,) float32 RGB: mostly muted, sometimes vivid."""
    hue, saturation, value = rng.uniform(0, 360), rng.beta(1.3, 2.2), rng.uniform(*bright)
    hsv = np.array([[[hue, saturation, value]]], dtype=np.float32)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0]


def _ramp(values: np.ndarray, colours: list[np.ndarray]) -> np.ndarray:
    """(H, W, 3): values in 0..1 looked up in colours spaced evenly along a line."""
    stops = np.linspace(0, 255, len(colours))
    table = np.stack(
        [np.interp(np.arange(256), stops, channel) for channel in zip(*colours, strict=True)], axis=-1
    )
    index = np.clip(values * 255, 0, 255).astype(np.intp)
    return table.astype(np.float32).take(index, axis=0)


def _plane(rng: np.random.Generator, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Turned and tilted coordinates, about one unit per picture side, as of a table top seen at a slant."""
    y, x = np.mgrid[-0.5 : 0.5 : size[0] * 1j, -0.5 : 0.5 : size[1] * 1j].astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    tilt = rng.uniform(-0.6, 0.6, 2).astype(np.float32)
    depth = 1 / (1 + tilt[0] * x + tilt[1] * y)
    return (cosine * x + sine * y) * depth, (cosine * y - sine * x) * depth


def _gradient(rng, size):
    u, v = _plane(rng, size)
    values = u + 0.5 if rng.random() < 0.6 else 1.4 * np.sqrt((u - rng.uniform(-0.4, 0.4)) ** 2 + v * v)
    values = values + 0.15 * (_octaves(rng, size, 3, 2) - 0.5)
    return _ramp(values, [_colour(rng) for _ in range(rng.integers(2, 4))])


def _clouds(rng, size):
    values = _octaves(rng, size, rng.uniform(1.5, 8), 5, rng.uniform(0.6, 1.6))
    values = (values - 0.5) * rng.uniform(1.5, 3) + 0.5
    return _ramp(values, [_colour(rng) for _ in range(rng.integers(2, 5))])


def _wood(rng, size):
    u, v = _plane(rng, size)
    grain = _octaves(rng, size, 3, 3)
    rings = np.sin((u * rng.uniform(8, 25) + grain * rng.uniform(2, 6)) * 2 * np.pi / 2) * 0.5 + 0.5
    fibre = np.sin(u * rng.uniform(150, 300) + 8 * grain) * 0.5 + 0.5
    values = 0.6 * rings + 0.2 * fibre + 0.2 * grain
    base = np.array([0.62, 0.42, 0.25], dtype=np.float32) * rng.uniform(0.5, 1.35) + rng.uniform(
        -0.06, 0.06, 3
    )
    picture = _ramp(values, [base * rng.uniform(0.55, 0.8), base])
    if rng.random() < 0.6:
        gap = np.abs(np.mod(v * rng.uniform(2, 6) + 10, 1) - 0.5) < 0.012
        picture[gap] *= 0.4
    return picture


def _fabric(rng, size):
    u, v = _plane(rng, size)
    wobble = 0.04 * _octaves(rng, size, 3, 2)
    frequency = rng.uniform(4, 24)
    sharpness = rng.uniform(1, 6)
    stripes_u = np.tanh(sharpness * np.sin(2 * np.pi * frequency * (u + wobble))) * 0.5 + 0.5
    stripes_v = np.tanh(sharpness * np.sin(2 * np.pi * frequency * (v + wobble))) * 0.5 + 0.5
    pattern = rng.choice(3)
    values = (stripes_u, 0.5 * (stripes_u + stripes_v), np.abs(stripes_u - stripes_v))[pattern]
    picture = _ramp(values, [_colour(rng), _colour(rng)])
    weave = np.sin(2 * np.pi * 70 * u) * np.sin(2 * np.pi * 70 * v)
    return picture * (1 + 0.08 * weave)[..., None]


def _tiles(rng, size):
    u, v = _plane(rng, size)
    frequency, aspect = rng.uniform(3, 9), rng.choice([1.0, 2.0, 2.5])
    row = v * frequency * aspect + 50
    column = u * frequency + 50 + 0.5 * (np.floor(row) % 2) * (aspect > 1)
    shade = rng.random(4096, dtype=np.float32)
    which = (np.floor(row) * 57 + np.floor(column) * 131).astype(np.intp) % 4096
    values = 0.7 * shade[which] + 0.3 * _octaves(rng, size, 12, 3)
    picture = _ramp(values, [_colour(rng), _colour(rng)])
    joint = rng.uniform(0.02, 0.08)
    gaps = (np.mod(row, 1) < joint * aspect) | (np.mod(column, 1) < joint)
    picture[gaps] = _colour(rng)
    return picture


def _bokeh(rng, size):
    picture = _gradient(rng, size) * rng.uniform(0.3, 0.8)
    glow = np.zeros((*size, 3), dtype=np.float32)
    scale = size[0] / 224
    for _ in range(rng.integers(8, 30)):
        centre = tuple(int(c) for c in rng.uniform(0, 1, 2) * size[::-1])
        disc = np.zeros(3) + _colour(rng, (0.5, 1.0)) * rng.uniform(0.2, 0.7)
        layer_radius = max(2, int(rng.uniform(4, 24) * scale))
        cv2.circle(glow, centre, layer_radius, [float(c) for c in disc], -1, cv2.LINE_AA)
    return picture + cv2.GaussianBlur(glow, (0, 0), 1.5 * scale)


def _room(rng, size):
    """A wall over a floor or table, a corner between two walls at times, and a few boxes on the ground."""
    height, width = size
    picture = np.empty((*size, 3), dtype=np.float32)
    wall, floor = _colour(rng, (0.4, 0.95)), _colour(rng, (0.15, 0.8))
    horizon = rng.uniform(0.35, 0.85) * height
    tilt = rng.uniform(-0.12, 0.12) * height
    picture[:] = wall
    if rng.random() < 0.5:
        corner = int(rng.uniform(0.15, 0.85) * width)
        picture[:, corner:] = wall * rng.uniform(0.7, 0.95)
    for _ in range(rng.integers(0, 3)):
        x, y = rng.uniform(0, 0.8, 2) * (width, horizon)
        w, h = rng.uniform(0.1, 0.45, 2) * (width, height)
        box = [int(v) for v in (x, y, x + w, y + h)]
        cv2.rectangle(picture, box[:2], box[2:], _floats(wall * rng.uniform(0.5, 0.8)), -1, cv2.LINE_AA)
        cv2.rectangle(picture, [v + 3 for v in box[:2]], [v - 3 for v in box[2:]], _floats(_colour(rng)), -1)
    ground = np.array([[0, horizon - tilt], [width, horizon + tilt], [width, height], [0, height]])
    cv2.fillConvexPoly(picture, ground.astype(np.int32), _floats(floor), cv2.LINE_AA)
    edge = ground[:2].astype(np.int32)
    cv2.line(
        picture, edge[0].tolist(), edge[1].tolist(), _floats(wall * 0.6), int(rng.integers(1, 5)), cv2.LINE_AA
    )
    picture *= (0.9 + 0.2 * _octaves(rng, size, 6, 4))[..., None]
    return _objects(rng, picture, int(rng.integers(0, 5)))


def _clutter(rng, size):
    picture = _gradient(rng, size) if rng.random() < 0.5 else _clouds(rng, size)
    picture = _objects(rng, np.ascontiguousarray(picture), int(rng.integers(8, 24)))
    picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 3) * size[0] / 224)
    return _objects(rng, picture, int(rng.integers(2, 8)))


def _leaves(rng, size):
    picture = _clouds(rng, size) * 0.4
    green = np.array([0.25, 0.42, 0.15]) + rng.uniform(-0.12, 0.12, 3)
    for _ in range(rng.integers(40, 90)):
        centre = [int(c) for c in rng.uniform(0, 1, 2) * size[::-1]]
        axes = [max(1, int(a * size[0])) for a in rng.uniform((0.04, 0.01), (0.14, 0.05))]
        colour = _floats(green * rng.uniform(0.3, 1.8))
        cv2.ellipse(picture, centre, axes, float(rng.uniform(0, 360)), 0, 360, colour, -1, cv2.LINE_AA)
    return picture


def _floats(colour: np.ndarray) -> list[float]:
    return [float(c) for c in colour]


def _objects(rng: np.random.Generator, picture: np.ndarray, count: int) -> np.ndarray:
    """Boxes, discs and sticks, each with a darker copy beneath it for a shadow."""
    side = picture.shape[0]
    for _ in range(count):
        centre = rng.uniform(-0.05, 1.05, 2) * picture.shape[1::-1]
        extent = rng.uniform(0.02, 0.25, 2) * side
        angle = float(rng.uniform(0, 180))
        shape, colour = rng.choice(3), _colour(rng)
        for offset, paint in ((0.02 * side, colour * 0.35), (0.0, colour)):
            middle = centre + offset
            if shape == 0:
                corners = cv2.boxPoints((middle.tolist(), (2 * extent).tolist(), angle))
                cv2.fillConvexPoly(picture, corners.astype(np.int32), _floats(paint), cv2.LINE_AA)
            elif shape == 1:
                axes = [max(1, int(a)) for a in extent]
                place = [int(m) for m in middle]
                cv2.ellipse(picture, place, axes, angle, 0, 360, _floats(paint), -1, cv2.LINE_AA)
            else:
                end = middle + 3 * extent * (np.cos(angle), np.sin(angle))
                ends = [[int(c) for c in p] for p in (middle, end)]
                cv2.line(picture, *ends, _floats(paint), max(1, int(extent[0] * 0.3)), cv2.LINE_AA)
    return picture


KINDS: dict[str, Painter] = {
    "gradient": _gradient,
    "clouds": _clouds,
    "wood": _wood,
    "fabric": _fabric,
    "tiles": _tiles,
    "bokeh": _bokeh,
    "room": _room,
    "clutter": _clutter,
    "leaves": _leaves,
}
SHARES = np.array([1, 1, 1, 1, 1, 1, 2, 2, 1]) / 11
