"""From where a hand is seen, and where it goes in the picture.

Chapter 01 shows the range of views.

**Convention.** Camera frame with x right, y down, z forward, metres; angles in degrees, positive turns the
picture counter-clockwise as seen on the screen. The hand's own frame is `mesh`'s: palm to the camera,
fingers up.
"""

from dataclasses import dataclass

import cv2
import numpy as np

ROOT_DEPTH_BONES = (4.5, 48.0)  # inside the 4 to 50 that the 2.5D representation allows


@dataclass(frozen=True)
class ViewRange:
    """From where a hand is seen.

    Attributes:
        max_angle_degrees: largest angle between the camera's axis and the normal of the palm or of the back
            of the hand; directions are uniform over that cap of the sphere. 90 is any direction.
        roll_degrees: the hand is turned in the picture by a uniform angle between -roll and roll, starting
            with the fingers up; 180 is any.
        back_fraction: share of the hands seen from the back.
    """

    max_angle_degrees: float = 40.0
    roll_degrees: float = 30.0
    back_fraction: float = 0.5

    def __post_init__(self) -> None:
        for name, low, high in (
            ("max_angle_degrees", 0, 90),
            ("roll_degrees", 0, 180),
            ("back_fraction", 0, 1),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"ViewRange.{name} must lie in {low}..{high}, found {value}")

    @classmethod
    def anywhere(cls) -> "ViewRange":
        """Every direction and roll alike."""
        return cls(max_angle_degrees=90.0, roll_degrees=180.0)

    def sample(self, rng: np.random.Generator) -> np.ndarray:
        """(3, 3) rotation from the hand's own frame to the camera's."""
        cosine = rng.uniform(np.cos(np.radians(self.max_angle_degrees)), 1.0)
        azimuth = rng.uniform(0, 2 * np.pi)
        tilt = np.arccos(cosine) * np.array([np.cos(azimuth), np.sin(azimuth), 0.0])
        roll = np.radians(rng.uniform(-self.roll_degrees, self.roll_degrees))
        seen_from_back = rng.random() < self.back_fraction
        turn = np.diag([-1.0, 1.0, -1.0]) if seen_from_back else np.eye(3)
        # y points down, so a counter-clockwise turn on the screen is a negative one about z.
        return cv2.Rodrigues(np.array([0.0, 0.0, -roll]))[0] @ cv2.Rodrigues(tilt)[0] @ turn


def place(keypoints: np.ndarray, K: np.ndarray, centre: np.ndarray, extent: float, bone: float) -> np.ndarray:
    """Where to put a hand so that it has a given size and place in the picture.

    Args:
        keypoints: (21, 3) metres, turned as the camera sees them, wrist at the origin.
        K: (3, 3) intrinsics.
        centre: (2,) pixel that the middle of the keypoints' box shall have.
        extent: longer side of that box, pixels.
        bone: reference bone, metres; the wrist's depth is kept within `ROOT_DEPTH_BONES` of it.

    Returns:
        (3,) translation in metres. Converges to well under a pixel unless the depth bound holds it back.
    """
    low, high = bone * ROOT_DEPTH_BONES[0], bone * ROOT_DEPTH_BONES[1]
    low = max(low, 0.12 - keypoints[:, 2].min())
    focal, middle = K[[0, 1], [0, 1]], K[:2, 2]
    span = np.ptp(keypoints[:, :2], axis=0).max()
    translation = np.array([0.0, 0.0, np.clip(K[0, 0] * span / extent, low, high)])
    for _ in range(5):
        shifted = keypoints + translation
        uv = shifted[:, :2] / shifted[:, 2:] * focal + middle
        low_uv, high_uv = uv.min(axis=0), uv.max(axis=0)
        depth = translation[2] * (high_uv - low_uv).max() / extent
        translation[2] = min(max(depth, low), high)
        translation[:2] += (centre - (low_uv + high_uv) / 2) / focal * translation[2]
    return translation
