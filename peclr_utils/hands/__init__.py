"""The hands this package renders: a rigged mesh, its kinematics, shapes, poses, looks and views.

Chapter 01 introduces them.
"""

from peclr_utils.hands.articulation import (
    ANGLE_NAMES,
    JOINT_LIMITS,
    HandPose,
    constrain,
    local_rotations,
    rest_pose,
)
from peclr_utils.hands.kinematics import HandShape, PosedHand, forward_kinematics, pose_hand, sample_shape
from peclr_utils.hands.mesh import KEYPOINT_JOINTS, HandMesh, load_hand_mesh
from peclr_utils.hands.poses import GESTURES, gesture, penetration, sample_pose
from peclr_utils.hands.renderer import RenderedHand, render
from peclr_utils.hands.scene import HandScene, ViewRange, render_scene, sample_scene

__all__ = [
    "ANGLE_NAMES",
    "GESTURES",
    "JOINT_LIMITS",
    "KEYPOINT_JOINTS",
    "HandMesh",
    "HandPose",
    "HandScene",
    "HandShape",
    "PosedHand",
    "RenderedHand",
    "ViewRange",
    "constrain",
    "forward_kinematics",
    "gesture",
    "load_hand_mesh",
    "local_rotations",
    "penetration",
    "pose_hand",
    "render",
    "render_scene",
    "rest_pose",
    "sample_pose",
    "sample_scene",
    "sample_shape",
]
