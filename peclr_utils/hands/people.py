"""Paint people for backgrounds: heads and bare arms, which are easily taken for hands, and clothes.

**Convention.** As in `painting`: (height, width), (H, W, 3) uint8 RGB. A person is drawn in units of half the
head's width `r`, with the face's middle at (0, 0), x right and y down.
"""

import cv2
import numpy as np

from peclr_utils.hands.appearance import LIGHTNESS, skin_tone
from peclr_utils.hands.painting import paint_cloth, paint_wall, sample_colours, soften

BANDS = 5
"""Colours from the shaded edge of a limb or head to its lit middle."""


class _Canvas:
    """An image to draw a person on: where it is, how large, and where the light comes from."""

    def __init__(self, rng: np.random.Generator, image: np.ndarray):
        self.rng, self.image = rng, image
        height, width = image.shape[:2]
        self.r = rng.uniform(0.13, 0.6) * min(height, width)
        self.side = rng.choice([-1, 1])  # of the arm
        # What is in view: the face, or the shoulder with its arm.
        middle = (0.0, 0.0) if rng.random() < 0.65 else (self.side * rng.uniform(1, 3), 3.0)
        self.place = rng.uniform(0.0, 1.0, 2) * (width, height) - self.r * np.array(middle)
        self.light = rng.choice([-1, 1]) * rng.uniform(0.15, 0.4)

    def point(self, x: float, y: float) -> tuple[int, int]:
        """Pixels, in sixteenths, of a point of the person."""
        return tuple((16 * (self.place + self.r * np.array([x, y]))).astype(int).tolist())

    def axes(self, rx: float, ry: float) -> tuple[int, int]:
        """The half axes of an ellipse in sixteenths of a pixel."""
        return max(1, int(16 * self.r * rx)), max(1, int(16 * self.r * ry))

    def ellipse(
        self, x: float, y: float, rx: float, ry: float, colour: np.ndarray, line: float = 0, arc: float = 360
    ) -> None:
        """Draw an ellipse, filled or as a line `line` wide."""
        width, place, axes = max(1, round(line * self.r)) if line else -1, self.point(x, y), self.axes(rx, ry)
        cv2.ellipse(self.image, place, axes, 0, 0, arc, colour.tolist(), width, cv2.LINE_AA, 4)

    def ball(self, x: float, y: float, rx: float, ry: float, colours: np.ndarray) -> None:
        """Draw an ellipse that is shaded as if it were round."""
        for k, colour in enumerate(_between(colours)):
            shrunk, moved = 1 - 0.8 * k / BANDS, self.light * rx * k / BANDS
            self.ellipse(x + moved, y - 0.1 * ry * k / BANDS, rx * shrunk, ry * shrunk, colour)

    def limb(
        self, start: np.ndarray, end: np.ndarray, wide: float, narrow: float, colours: np.ndarray
    ) -> None:
        """Draw a limb that tapers from one point to another, shaded as if it were round."""
        along = (end - start) / max(np.linalg.norm(end - start), 1e-6)
        across = np.array([-along[1], along[0]])
        across = across if across[0] >= 0 else -across  # towards the same light as everything else
        for k, colour in enumerate(_between(colours)):
            moved, shrunk = self.light * across * k / BANDS, 1 - 0.9 * k / BANDS
            first, last = start + moved * wide, end + moved * narrow
            one, other = across * wide * shrunk, across * narrow * shrunk
            corners = (first + one, last + other, last - other, first - one)
            outline = np.array([self.point(*corner) for corner in corners], dtype=np.int32)
            cv2.fillConvexPoly(self.image, outline, colour.tolist(), cv2.LINE_AA, 4)
            self.ellipse(*first, wide * shrunk, wide * shrunk, colour)
            self.ellipse(*last, narrow * shrunk, narrow * shrunk, colour)


def _between(colours: np.ndarray) -> np.ndarray:
    """(BANDS, 3) from the shaded to the lit of two colours."""
    return colours[0] + np.linspace(0, 1, BANDS)[:, None] * (colours[1] - colours[0])


def paint_person(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Paint a head, shoulders, and often a bare arm before a wall, near or far, turned by any angle."""
    lab = skin_tone(rng.uniform(*LIGHTNESS))
    lab = np.stack([lab - [rng.uniform(6, 20), -3, 0], lab, lab + [-6, 9, 2]]).astype(np.float32)
    shadow, skin, lips = np.clip(cv2.cvtColor(lab[:, None], cv2.COLOR_LAB2RGB), 0, 1)[:, 0] * 255
    canvas = _Canvas(rng, paint_wall(rng, size))
    colours = np.stack([shadow, skin])
    _paint_trunk(canvas, colours, paint_cloth(rng, size))
    _paint_head(canvas, colours, lips)
    if rng.random() < 0.7:
        _paint_arm(canvas, colours)
    image = soften(canvas.image, rng.uniform(0.01, 0.05) * canvas.r)
    height, width = size
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(0, 360), 1.0)
    return cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REFLECT)


def _paint_trunk(canvas: _Canvas, colours: np.ndarray, cloth: np.ndarray) -> None:
    """Shoulders and chest in a cloth (H, W, 3); the neck, and at times a collar, over them."""
    worn = np.zeros(canvas.image.shape[:2], np.uint8)
    cv2.ellipse(worn, canvas.point(0, 3.6), canvas.axes(2.4, 2.2), 0, 0, 360, 255, -1, cv2.LINE_8, 4)
    canvas.image[worn > 0] = cloth[worn > 0]
    canvas.limb(np.array([0.0, 0.7]), np.array([0.0, 1.9]), 0.55, 0.65, 0.9 * colours)
    if canvas.rng.random() < 0.5:
        canvas.ellipse(0, 1.9, 0.75, 0.35, sample_colours(canvas.rng, 1)[0], 0.2, 180)


def _paint_head(canvas: _Canvas, colours: np.ndarray, lips: np.ndarray) -> None:
    """A face with hair, and at times with a beard or glasses."""
    rng = canvas.rng
    hair = sample_colours(rng, 1, (0.05, 0.4))[0]
    middle = colours.mean(axis=0)
    canvas.ellipse(0, -0.35, 1.1, 1.2, hair)
    for ear in (-1.0, 1.0):
        canvas.ellipse(ear, 0.0, 0.18, 0.3, middle)
    canvas.ball(0, 0, 1.0, 1.3, colours)
    if rng.random() < 0.35:
        canvas.ellipse(0, 0.8, 0.75, 0.55, 0.6 * hair + 0.4 * middle)
        canvas.ellipse(0, 0.45, 0.6, 0.35, middle)
    canvas.ellipse(0, -1.1, 0.9, rng.uniform(0.2, 0.5), hair if rng.random() < 0.85 else colours[1])
    for eye in (-0.4, 0.4):
        canvas.ellipse(eye, -0.15, 0.18, 0.09, np.array([230.0, 225.0, 220.0]))
        canvas.ellipse(eye, -0.15, 0.08, 0.08, np.array([40.0, 30.0, 30.0]))
        canvas.ellipse(eye, -0.38, 0.24, 0.05, hair)
    canvas.ellipse(0, 0.3, 0.17, 0.12, colours[0])
    canvas.ellipse(0, 0.15, 0.09, 0.25, middle)
    canvas.ellipse(0, 0.7, 0.35, 0.1, lips)
    if rng.random() < 0.3:
        frame = sample_colours(rng, 1, (0.05, 0.3))[0]
        for eye in (-0.42, 0.42):
            canvas.ellipse(eye, -0.12, 0.32, 0.25, frame, 0.06)
        canvas.ellipse(0, -0.15, 0.12, 0.05, frame, 0.06)


def _paint_arm(canvas: _Canvas, colours: np.ndarray) -> None:
    """An arm that is bent at the elbow, bare below a sleeve; it ends without a hand."""
    rng, side = canvas.rng, canvas.side
    shoulder = np.array([side * rng.uniform(1.6, 2.2), rng.uniform(2.0, 2.6)])
    angle, bend = rng.uniform(-0.6, 1.3), rng.uniform(-2.6, 2.6)
    elbow = shoulder + rng.uniform(1.8, 2.6) * np.array([side * np.sin(angle), np.cos(angle)])
    wrist = elbow + rng.uniform(2.5, 6) * np.array([side * np.sin(angle + bend), np.cos(angle + bend)])
    canvas.limb(elbow, wrist, 0.5, 0.32, colours)
    canvas.limb(shoulder, elbow, 0.62, 0.5, colours)
    if rng.random() < 0.7:
        worn = sample_colours(rng, 1)[0]
        sleeve = shoulder + rng.uniform(0.3, 1.0) * (elbow - shoulder)
        canvas.limb(shoulder, sleeve, 0.75, 0.68, np.stack([0.6 * worn, worn]))
