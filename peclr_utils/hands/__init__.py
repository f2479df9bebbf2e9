"""The hands this package renders: a rigged mesh, its kinematics, shapes, poses, looks and views.

Chapter 01 introduces them.
"""

from peclr_utils.hands.articulation import ANGLE_NAMES, JOINT_LIMITS, HandPose, constrain, local_rotations
from peclr_utils.hands.kinematics import HandShape, forward_kinematics, pose_hand, sample_shape
from peclr_utils.hands.mesh import KEYPOINT_JOINTS, load_hand_mesh
from peclr_utils.hands.poses import GESTURES, gesture, sample_pose
from peclr_utils.hands.scene import HandScene, ViewRange, render_scene, sample_scene

__all__ = [
    "ANGLE_NAMES",
    "GESTURES",
    "JOINT_LIMITS",
    "KEYPOINT_JOINTS",
    "HandPose",
    "HandScene",
    "HandShape",
    "ViewRange",
    "constrain",
    "forward_kinematics",
    "gesture",
    "load_hand_mesh",
    "local_rotations",
    "pose_hand",
    "render_scene",
    "sample_pose",
    "sample_scene",
    "sample_shape",
]
