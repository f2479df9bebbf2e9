"""One picture of one hand: everything in it sampled as a value, then rendered.

Chapter 01 builds one by hand and then shows sheets of them.

**Convention.** Camera frame with x right, y down, z forward, metres; pixel centres at integers; angles in
degrees, positive turns the picture counter-clockwise as seen on the screen. All randomness comes from
(seed, identity, version): what belongs to the hand (pose, shape, skin, view, camera) from (seed, identity),
the rest (background, light, sensor) from all three.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from peclr_utils.camera import project
from peclr_utils.hands.appearance import Appearance, hand_texture, sample_appearance, sample_light
from peclr_utils.hands.arm import ArmPose, Surface, arm_directions, with_arm
from peclr_utils.hands.articulation import HandPose, local_rotations
from peclr_utils.hands.backgrounds import composite, photo_background, sample_background
from peclr_utils.hands.kinematics import forward_kinematics, pose_hand
from peclr_utils.hands.mesh import KEYPOINT_JOINTS, load_hand_mesh
from peclr_utils.hands.poses import sample_pose
from peclr_utils.hands.renderer import Light, render
from peclr_utils.hands.sensor import Sensor, expose
from peclr_utils.hands.shape import HandShape, sample_shape
from peclr_utils.hands.view import ViewRange, place
from peclr_utils.skeleton import FINGERS, REFERENCE_BONE

FILL = (0.34, 0.60)  # the longer side of the keypoints' box, as a share of the picture's side
CROP = 1.6  # a crop's side over that of the keypoints' box, about: crops shall not look beyond the picture
FOCAL = (1.6, 2.8)  # focal length as a share of the picture's side; FreiHAND's is about 480 / 224 = 2.1


@dataclass(frozen=True, eq=False)
class HandScene:
    """Everything in one picture.

    Attributes:
        pose, shape, appearance, arm: the hand.
        handedness: "right" or "left".
        rotation: (3, 3) from the hand's own frame to the camera's.
        translation: (3,) of the wrist, metres.
        K: (3, 3) float32 intrinsics.
        size: side of the square picture.
        light, sensor: what differs from version to version, with the background.
        background: seeds of the background's generator.
        background_folder: photographs to use instead of procedural ones, or None.
    """

    pose: HandPose
    shape: HandShape
    appearance: Appearance
    arm: ArmPose
    handedness: str
    rotation: np.ndarray
    translation: np.ndarray
    K: np.ndarray
    size: int
    light: Light
    sensor: Sensor
    background: tuple[int, ...]
    background_folder: str | Path | None = None


@dataclass(frozen=True, eq=False)
class RenderedScene:
    """A picture and its labels.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) uint8, 255 on hand and arm, antialiased.
        keypoints_3d: (21, 3) float32 metres, camera frame.
        keypoints_2d: (21, 2) float32 pixels.
        K: (3, 3) float32.
        bone_length: metres, keypoints 9 to 10.
        depth: (H, W) float32 metres, 0 off the hand.
    """

    image: np.ndarray
    mask: np.ndarray
    keypoints_3d: np.ndarray
    keypoints_2d: np.ndarray
    K: np.ndarray
    bone_length: float
    depth: np.ndarray


def _generator(seed: int, *key: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


def _flip(handedness: str) -> np.ndarray:
    """The factors that make a right hand a left one."""
    return np.array([-1.0 if handedness == "left" else 1.0, 1.0, 1.0])


def _sample_arm(rng: np.random.Generator, rotation: np.ndarray, wrist_depth: float) -> ArmPose:
    """Bend the wrist so that the arm keeps out of the camera's way, and end it before it gets near."""
    bends = np.clip(rng.normal((0, 0), (22, 10), (6, 2)), (-50, -22), (50, 28))
    depth = arm_directions(*bends.T) @ rotation[2]
    clear = np.flatnonzero(depth > -0.4)
    chosen = int(clear[0]) if len(clear) else int(depth.argmax())
    length = 0.32 if depth[chosen] > 0 else min(0.32, 0.3 * wrist_depth / -depth[chosen])
    flexion, deviation = bends[chosen].tolist()
    return ArmPose(flexion, deviation, float(length))


def sample_scene(
    seed: int,
    identity: int,
    version: int = 0,
    *,
    size: int = 224,
    view: ViewRange | None = None,
    left_fraction: float = 0.0,
    backgrounds: str | Path | None = None,
) -> HandScene:
    """Draw everything of one picture.

    Args:
        seed: of the whole set.
        identity: which hand and pose.
        version: which background and light; pictures of one identity differ in nothing else.
        size: side of the square picture, pixels.
        view: from where; `ViewRange()` by default.
        left_fraction: share of left hands.
        backgrounds: folder of photographs, or None for procedural backgrounds.

    Returns:
        A `HandScene`.
    """
    rng = _generator(seed, 0, identity)
    pose, shape, appearance = sample_pose(rng), sample_shape(rng), sample_appearance(rng)
    handedness = "left" if rng.random() < left_fraction else "right"
    rotation = (view or ViewRange()).sample(rng)
    focal = size * rng.uniform(*FOCAL)
    middle = (size - 1) / 2 + rng.normal(0, 0.015 * size, 2)
    K = np.array([[focal, 0, middle[0]], [0, focal, middle[1]], [0, 0, 1]], dtype=np.float32)

    joints = forward_kinematics(load_hand_mesh(), local_rotations(pose), shape)
    keypoints = joints[KEYPOINT_JOINTS, :3, 3] @ (rotation * _flip(handedness)).T
    bone = float(np.linalg.norm(np.subtract(*keypoints[list(REFERENCE_BONE)])))
    # A fist is smaller than an open hand, so it should look smaller too, though not by all the difference.
    reach = np.linalg.norm(np.diff(keypoints[[0, *FINGERS["middle"]]], axis=0), axis=1).sum()
    closed = np.sqrt(min(1.0, np.ptp(keypoints[:, :2], axis=0).max() / reach))
    fill = max(FILL[0], closed * rng.uniform(*FILL))
    room = np.clip((1 - CROP * fill) / 2, 0.0, 0.12)
    centre = (size - 1) / 2 + size * room * rng.uniform(-1, 1, 2)
    translation = place(keypoints, K.astype(np.float64), centre, fill * size, bone)
    arm = _sample_arm(rng, rotation * _flip(handedness), translation[2])

    rng = _generator(seed, 1 + version, identity)
    light = sample_light(rng)
    sensor = Sensor(
        blur=float(rng.choice([0.0, rng.uniform(0.3, 0.9)])),
        noise=float(rng.gamma(1.2, 1.8)),
        noise_offset=tuple(int(v) for v in rng.integers(0, 1 << 16, 2)),
        quality=int(rng.integers(40, 95)) if rng.random() < 0.25 else None,
    )
    background = tuple(int(v) for v in rng.integers(0, 1 << 32, 2))
    return HandScene(
        pose,
        shape,
        appearance,
        arm,
        handedness,
        rotation,
        translation,
        K,
        size,
        light,
        sensor,
        background,
        backgrounds,
    )


def scene_surface(scene: HandScene) -> tuple[Surface, np.ndarray]:
    """The hand with its arm, and its (21, 3) keypoints, in the camera's frame, metres."""
    mesh, look = load_hand_mesh(), scene.appearance
    posed = pose_hand(mesh, local_rotations(scene.pose), scene.shape)
    body = with_arm(mesh, posed.vertices, posed.normals, scene.arm, look.sleeve, look.sleeve_start)
    to_camera = (scene.rotation * _flip(scene.handedness)).T
    surface = Surface(
        vertices=body.vertices @ to_camera + scene.translation,
        normals=body.normals @ to_camera,
        faces=body.faces[:, ::-1] if scene.handedness == "left" else body.faces,
        uv=body.uv,
        colours=body.colours,
    )
    return surface, posed.keypoints @ to_camera + scene.translation


def render_scene(scene: HandScene) -> RenderedScene:
    """Draw a scene.

    Args:
        scene: as `sample_scene` gives it.

    Returns:
        A `RenderedScene`.
    """
    surface, keypoints = scene_surface(scene)
    size = (scene.size, scene.size)
    texture = hand_texture(load_hand_mesh(), scene.appearance)
    hand = render(
        surface.vertices, surface.normals, surface.faces, surface.colours, scene.K, size, scene.light,
        uv=surface.uv, texture=texture,
    )  # fmt: skip
    rng = np.random.Generator(np.random.PCG64(scene.background))
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
        depth=hand.depth,
    )
