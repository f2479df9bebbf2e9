"""One image of one hand: everything in it sampled as a value, then rendered.

Chapter 01 builds one by hand and then shows sheets of them, and the range of views.

**Convention.** Camera frame with x right, y down, z forward, metres; pixel centres at integers; degrees,
positive counter-clockwise on screen. The hand's own frame is `mesh`'s. Pose, shape, skin, view and camera
come from (seed, identity); background, light and sensor from (seed, identity, version).
"""

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from peclr_utils.camera import project
from peclr_utils.hands.appearance import (
    Appearance,
    Sensor,
    expose,
    sample_appearance,
    sample_light,
    sample_sensor,
)
from peclr_utils.hands.arm import ArmPose, sample_arm, with_arm
from peclr_utils.hands.articulation import HandPose, local_rotations
from peclr_utils.hands.backgrounds import composite, photo_background, sample_background
from peclr_utils.hands.kinematics import HandShape, forward_kinematics, pose_hand, sample_shape
from peclr_utils.hands.mesh import KEYPOINT_JOINTS, load_hand_mesh
from peclr_utils.hands.poses import sample_pose
from peclr_utils.hands.renderer import Light, RenderedHand, Surface, Texture, render
from peclr_utils.hands.skin import skin_maps
from peclr_utils.skeleton import FINGERS, REFERENCE_BONE

FILL = (0.34, 0.60)  # the longer side of the keypoints' box, as a share of the image's side
CROP = 1.6  # a crop's side over that of the keypoints' box, roughly: crops should stay within the image
FOCAL = (1.6, 2.8)  # focal length as a share of the image's side; FreiHAND's is about 480 / 224 = 2.1
ROOT_DEPTH_BONES = (4.5, 48.0)  # inside the 4 to 50 that the 2.5D representation allows


@dataclass(frozen=True)
class ViewRange:
    """From where a hand is seen.

    Attributes:
        max_angle_degrees: largest angle between the camera's axis and the normal of the palm or of the back
            of the hand; directions are uniform over that cap of the sphere. 90 is any direction.
        roll_degrees: the hand is turned in the image by a uniform angle between -roll and roll, starting
            with the fingers up; 180 is any.
        back_fraction: share of the hands seen from the back.
    """

    max_angle_degrees: float = 40.0
    roll_degrees: float = 30.0
    back_fraction: float = 0.5

    def __post_init__(self) -> None:
        for name, high in (("max_angle_degrees", 90), ("roll_degrees", 180), ("back_fraction", 1)):
            if not 0 <= getattr(self, name) <= high:
                raise ValueError(f"ViewRange.{name} must lie in 0..{high}, found {getattr(self, name)}")

    @classmethod
    def anywhere(cls) -> "ViewRange":
        """Every direction and roll, equally likely."""
        return cls(max_angle_degrees=90.0, roll_degrees=180.0)

    def sample(self, rng: np.random.Generator) -> np.ndarray:
        """(3, 3) rotation from the hand's own frame to the camera's."""
        cosine = rng.uniform(np.cos(np.radians(self.max_angle_degrees)), 1.0)
        azimuth = rng.uniform(0, 2 * np.pi)
        tilt = np.arccos(cosine) * np.array([np.cos(azimuth), np.sin(azimuth), 0.0])
        roll = np.radians(rng.uniform(-self.roll_degrees, self.roll_degrees))
        seen_from_back = rng.random() < self.back_fraction
        turn = np.diag([-1.0, 1.0, -1.0]) if seen_from_back else np.eye(3)
        # y points down, so a counter-clockwise turn on screen is a negative one about z.
        return cv2.Rodrigues(np.array([0.0, 0.0, -roll]))[0] @ cv2.Rodrigues(tilt)[0] @ turn


@dataclass(frozen=True, eq=False)
class HandScene:
    """Everything in one image."""

    pose: HandPose
    shape: HandShape
    appearance: Appearance
    arm: ArmPose
    handedness: str  # "right" or "left"
    rotation: np.ndarray  # (3, 3) from the hand's own frame to the camera's
    translation: np.ndarray  # (3,) of the wrist, metres
    K: np.ndarray  # (3, 3) intrinsics
    size: int  # side of the square image, pixels
    light: Light  # with sensor and background, what differs from version to version
    sensor: Sensor
    background: tuple[int, ...]  # seeds of the background's generator
    background_folder: str | Path | None = None  # photographs to use instead of painted backgrounds


@dataclass(frozen=True, eq=False)
class RenderedScene:
    """An image and its labels."""

    image: np.ndarray  # (H, W, 3) uint8 RGB
    mask: np.ndarray  # (H, W) uint8, 255 on hand and arm, antialiased
    keypoints_3d: np.ndarray  # (21, 3) float32 metres, camera frame
    keypoints_2d: np.ndarray  # (21, 2) float32 pixels
    K: np.ndarray  # (3, 3) float32
    bone_length: float  # metres, keypoints 9 to 10


def _flip(handedness: str) -> np.ndarray:
    """(3,) factors of the axes: a left hand is a right hand mirrored in x."""
    return np.array([-1.0 if handedness == "left" else 1.0, 1.0, 1.0])


def _place(points: np.ndarray, K: np.ndarray, centre: np.ndarray, extent: float, bone: float) -> np.ndarray:
    """(3,) metres that put the keypoints' box at a (2,) centre, with a longer side of `extent`, in pixels."""
    low, high = bone * ROOT_DEPTH_BONES[0], bone * ROOT_DEPTH_BONES[1]  # the wrist stays in between
    low = max(low, 0.12 - points[:, 2].min())
    focal, middle = K[[0, 1], [0, 1]], K[:2, 2]
    span = np.ptp(points[:, :2], axis=0).max()
    translation = np.array([0.0, 0.0, np.clip(K[0, 0] * span / extent, low, high)])
    for _ in range(5):
        shifted = points + translation
        uv = shifted[:, :2] / shifted[:, 2:] * focal + middle
        low_uv, high_uv = uv.min(axis=0), uv.max(axis=0)
        depth = translation[2] * (high_uv - low_uv).max() / extent
        translation[2] = min(max(depth, low), high)
        translation[:2] += (centre - (low_uv + high_uv) / 2) / focal * translation[2]
    return translation


def sample_scene(
    seed: int,
    identity: int,
    version: int = 0,
    *,
    size: int = 224,
    border: float = 0.0,
    view: ViewRange | None = None,
    left_fraction: float = 0.0,
    counting: float = 0.0,
    backgrounds: str | Path | None = None,
) -> HandScene:
    """Draw everything in one image.

    Args:
        seed: of the whole set.
        identity: which hand and pose.
        version: which background, light and sensor; images of one identity differ in nothing else.
        size: side of the square image without its border, pixels.
        border: how much farther the image reaches on each side, as a share of `size`. The hand looks as large
            as without it.
        view: from where the hand is seen; `ViewRange()` by default.
        left_fraction: share of left hands.
        counting: share of hands whose fingers are each stretched or folded; see `poses.sample_pose`.
        backgrounds: folder of photographs, or None for painted backgrounds.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0, identity)))
    pose, shape, skin = sample_pose(rng, counting), sample_shape(rng), sample_appearance(rng)
    handedness = "left" if rng.random() < left_fraction else "right"
    rotation = (view or ViewRange()).sample(rng)
    focal = size * rng.uniform(*FOCAL)
    middle = (size - 1) / 2 + rng.normal(0, 0.015 * size, 2)
    K = np.array([[focal, 0, middle[0]], [0, focal, middle[1]], [0, 0, 1]], dtype=np.float32)

    joints = forward_kinematics(load_hand_mesh(), local_rotations(pose), shape)
    to_camera = rotation * _flip(handedness)
    keypoints = joints[KEYPOINT_JOINTS, :3, 3] @ to_camera.T
    bone = float(np.linalg.norm(np.subtract(*keypoints[list(REFERENCE_BONE)])))
    # A fist is smaller than an open hand, so it should look smaller too, but by less.
    reach = np.linalg.norm(np.diff(keypoints[[0, *FINGERS["middle"]]], axis=0), axis=1).sum()
    closed = np.sqrt(min(1.0, np.ptp(keypoints[:, :2], axis=0).max() / reach))
    fill = max(FILL[0], closed * rng.uniform(*FILL))
    room = np.clip((1 - CROP * fill) / 2, 0.0, 0.12)
    centre = (size - 1) / 2 + size * room * rng.uniform(-1, 1, 2)
    translation = _place(keypoints, K.astype(np.float64), centre, fill * size, bone)
    arm = sample_arm(rng, to_camera, translation[2])

    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1 + version, identity)))
    light, sensor = sample_light(rng), sample_sensor(rng)
    margin = round(border * size)
    K[:2, 2] += margin
    size += 2 * margin
    seeds = tuple(int(v) for v in rng.integers(0, 1 << 32, 2))
    return HandScene(
        pose, shape, skin, arm, handedness, rotation, translation, K, size, light, sensor, seeds, backgrounds
    )


def scene_surface(scene: HandScene) -> tuple[Surface, np.ndarray]:
    """The hand with its arm, and its (21, 3) keypoints, in the camera's frame, metres."""
    mesh, look = load_hand_mesh(), scene.appearance
    posed = pose_hand(mesh, local_rotations(scene.pose), scene.shape)
    body = with_arm(mesh, posed, scene.arm, look.sleeve, look.sleeve_start)
    to_camera = (scene.rotation * _flip(scene.handedness)).T
    surface = replace(
        body,
        vertices=body.vertices @ to_camera + scene.translation,
        normals=body.normals @ to_camera,
        faces=body.faces[:, ::-1] if scene.handedness == "left" else body.faces,
    )
    return surface, posed.keypoints @ to_camera + scene.translation


def render_hand(scene: HandScene, surface: Surface) -> RenderedHand:
    """Draw the surface of a scene, without background and sensor."""
    texture = Texture(skin_maps(load_hand_mesh()), scene.appearance.palette)
    return render(surface, scene.K, (scene.size, scene.size), scene.light, texture)


def render_scene(scene: HandScene) -> RenderedScene:
    """Draw a scene, and work out its labels."""
    surface, keypoints = scene_surface(scene)
    hand, size = render_hand(scene, surface), (scene.size, scene.size)
    rng = np.random.default_rng(scene.background)
    if scene.background_folder is None:
        background = sample_background(rng, size)
    else:
        background = photo_background(rng, scene.background_folder, size)
    keypoints = keypoints.astype(np.float32)
    return RenderedScene(
        image=expose(composite(hand.image, hand.alpha, background), scene.sensor),
        mask=hand.alpha,
        keypoints_3d=keypoints,
        keypoints_2d=project(keypoints, scene.K),
        K=scene.K,
        bone_length=float(np.linalg.norm(np.subtract(*keypoints[list(REFERENCE_BONE)]))),
    )
