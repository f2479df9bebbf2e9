"""Poses: what each angle does, limits, gestures, random poses, and fingers that do not go through fingers."""

import numpy as np
import pytest

from peclr_utils.hands import (
    ANGLE_NAMES,
    GESTURES,
    JOINT_LIMITS,
    KEYPOINT_JOINTS,
    HandPose,
    constrain,
    forward_kinematics,
    gesture,
    load_hand_mesh,
    local_rotations,
    pose_hand,
    sample_pose,
    sample_shape,
)
from peclr_utils.hands.articulation import rest_pose
from peclr_utils.hands.poses import SOFTNESS, penetration

MESH = load_hand_mesh()
LOW, HIGH = np.array([JOINT_LIMITS[name] for name in ANGLE_NAMES]).T
TIPS = np.array([8, 12, 16, 20])
SAMPLES = [sample_pose(np.random.default_rng([0, k])) for k in range(150)]


def keypoints(pose):
    return forward_kinematics(MESH, local_rotations(pose))[KEYPOINT_JOINTS, :3, 3]


def with_angle(name, value):
    angles = np.zeros(len(ANGLE_NAMES))
    angles[ANGLE_NAMES.index(name)] = value
    return HandPose.from_angles(angles)


# Angle, degrees, keypoint, axis (x: to the thumb's side, z: to the back of the hand), least motion in metres.
MOTIONS = [
    *(
        (f"{finger}_{joint}_flexion", 30, tip, 2, -0.005)
        for finger, tip in zip(("index", "middle", "ring", "little"), TIPS, strict=True)
        for joint in ("mcp", "pip", "dip")
    ),
    ("index_mcp_flexion", -5, 8, 2, 0.001),
    ("index_abduction", 10, 8, 0, 0.01),
    ("middle_abduction", 5, 12, 0, 0.005),
    ("ring_abduction", 10, 16, 0, -0.01),
    ("little_abduction", 10, 20, 0, -0.01),
    ("thumb_cmc_flexion", 25, 4, 0, -0.02),
    ("thumb_abduction", 20, 4, 2, -0.015),
    ("arch", 15, 13, 2, -0.002),
    ("arch", 15, 17, 2, -0.004),
]


@pytest.mark.parametrize(("name", "degrees", "keypoint", "axis", "least"), MOTIONS)
def test_each_angle_moves_its_keypoints_the_way_it_is_named_for(name, degrees, keypoint, axis, least):
    moved = keypoints(with_angle(name, degrees)) - keypoints(with_angle(name, 0))
    assert moved[keypoint, axis] / least > 1
    below = [keypoint - k for k in range(4)] if name != "arch" else [13, 14, 15, 16, 17, 18, 19, 20]
    np.testing.assert_allclose(np.delete(moved, below, axis=0), 0, atol=1e-12)


def test_flexion_is_the_angle_between_the_bones():
    for angle in (20, 60, 90):
        for first, finger in ((5, "index"), (9, "middle"), (13, "ring"), (17, "little")):
            bones = np.diff(keypoints(with_angle(f"{finger}_pip_flexion", angle))[first : first + 3], axis=0)
            u, v = bones / np.linalg.norm(bones, axis=1, keepdims=True)
            assert np.degrees(np.arccos(u @ v)) == pytest.approx(angle, abs=4)


def test_opposition_turns_the_thumb_s_pad_to_the_fingers():
    rotations = np.stack([local_rotations(with_angle("thumb_opposition", angle)) for angle in (0, 15)])
    nails = forward_kinematics(MESH, rotations)[:, KEYPOINT_JOINTS[4], :3, 1]
    assert nails[1, 2] < nails[0, 2]  # the nail turns to the viewer's side, the pad to the palm and fingers


def test_samples_and_gestures_are_possible():
    for pose in [*SAMPLES, *GESTURES.values()]:
        assert (pose.angles >= LOW).all() and (pose.angles <= HIGH).all()
        np.testing.assert_allclose(constrain(pose).angles, pose.angles, atol=1e-12)
        assert penetration(pose) <= SOFTNESS


def test_end_joint_follows_the_middle_joint():
    pip, dip = (np.array([pose.flexion[1:, k] for pose in SAMPLES]) for k in (1, 2))
    assert np.abs(dip - pip * 2 / 3).max() <= 20 + 1e-9
    assert np.corrcoef(pip.ravel(), dip.ravel())[0, 1] > 0.9
    assert constrain(with_angle("index_dip_flexion", 70)).flexion[1, 2] == 20


def test_spread_goes_down_as_the_knuckle_bends():
    bent = [np.outer([0, 1, 1, 1, 1], [angle, 0, 0]) for angle in (0, 30, 60, 90)]
    spread = [constrain(HandPose(flexion, np.full(5, 90.0))).abduction[1:] for flexion in bent]
    assert (np.diff(spread, axis=0) < 0).all()
    assert (spread[-1] < 4).all()


def test_overlap_is_zero_at_rest_and_seen_when_fingers_cross():
    assert penetration(rest_pose()) == 0
    crossed = rest_pose().angles
    crossed[ANGLE_NAMES.index("index_abduction")] = -15
    assert penetration(HandPose.from_angles(crossed)) > 0.003
    through = GESTURES["fist"].angles
    through[:3] = [30, 40, 40]
    through[ANGLE_NAMES.index("thumb_abduction")] = 0
    assert penetration(HandPose.from_angles(through)) > 0.003


def test_gestures_are_what_they_are_named_for():
    gap = [np.linalg.norm(np.subtract(*keypoints(gesture(name))[[4, 8]])) for name in ("pinch", "open")]
    assert gap[0] < 0.012 and gap[1] > 0.06
    k = keypoints(gesture("point"))
    reach = np.linalg.norm(k[TIPS] - k[[5, 9, 13, 17]], axis=1)
    assert reach[0] > 0.08 and (reach[1:] < 0.05).all()


def inside(points, triangles):
    """Winding number of the triangles about each point, the slow exact way (van Oosterom & Strackee 1983)."""
    a, b, c = (triangles[None, :, k] - points[:, None] for k in range(3))
    la, lb, lc = (np.linalg.norm(x, axis=2) for x in (a, b, c))
    triple = np.einsum("pfi,pfi->pf", a, np.cross(b, c))
    below = la * lb * lc + (a * b).sum(2) * lc + (b * c).sum(2) * la + (c * a).sum(2) * lb
    return 2 * np.arctan2(triple, below).sum(1) / (4 * np.pi) > 0.6


def test_few_fingers_go_through_fingers():
    finger = np.array([-1, *[0] * 4, *(f for k in (1, 2, 3, 4) for f in (-1, k, k, k, k))])
    part = finger[MESH.weights.argmax(1)]
    face_part = np.median(part[MESH.faces], axis=1)
    buried = []
    for seed in range(40):
        rng = np.random.default_rng([2, seed])
        posed = pose_hand(MESH, local_rotations(sample_pose(rng)), sample_shape(rng))
        count = 0
        for k in range(5):
            triangles = posed.vertices[MESH.faces[face_part == k]]
            low, high = triangles.min((0, 1)), triangles.max((0, 1))
            near = (part >= 0) & (part != k) & ((posed.vertices > low) & (posed.vertices < high)).all(1)
            count += inside(posed.vertices[near], triangles).sum()
        buried.append(count / len(part))
    assert np.mean(buried) < 0.005
    assert np.mean(np.array(buried) > 0.01) < 0.15


def test_counting_hands_hold_every_finger_stretched_or_folded_in_all_ways():
    poses = [sample_pose(np.random.default_rng([1, k]), counting=1.0) for k in range(150)]
    bend = np.array([pose.flexion[1:, :2].sum(axis=1) for pose in poses])
    assert ((bend < 50) | (bend > 120)).mean() > 0.95
    fingers = (bend < 85) @ [1, 2, 4, 8]
    assert len(np.unique(fingers)) == 16
    angles = np.array([pose.angles for pose in poses])
    assert (angles >= LOW - 1e-9).all() and (angles <= HIGH + 1e-9).all()
    assert max(map(penetration, poses)) <= SOFTNESS


def test_counting_is_a_share_of_the_hands():
    alone = [sample_pose(np.random.default_rng([2, k]), counting=0.5) for k in range(200)]
    bend = np.array([pose.flexion[1:, :2].sum(axis=1) for pose in alone])
    assert 0.35 < ((bend < 50) | (bend > 120)).all(axis=1).mean() < 0.75
