"""The hands this package renders: a rigged mesh, its kinematics, shapes and poses.

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
from peclr_utils.hands.collision import penetration
from peclr_utils.hands.gestures import GESTURES, gesture
from peclr_utils.hands.kinematics import PosedHand, forward_kinematics, mirror, pose_hand
from peclr_utils.hands.mesh import KEYPOINT_JOINTS, HandMesh, load_hand_mesh, vertex_normals
from peclr_utils.hands.poses import sample_pose
from peclr_utils.hands.renderer import RenderedHand, render
from peclr_utils.hands.scene import HandScene, render_scene, sample_scene
from peclr_utils.hands.shape import HandShape, sample_shape
from peclr_utils.hands.view import ViewRange

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
    "mirror",
    "penetration",
    "pose_hand",
    "render",
    "render_scene",
    "rest_pose",
    "sample_pose",
    "sample_scene",
    "sample_shape",
    "vertex_normals",
]
