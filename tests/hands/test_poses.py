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
    penetration,
    pose_hand,
    rest_pose,
    sample_pose,
    sample_shape,
)

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


def bend(a, b, c):
    """Angle in degrees between the bones a-b and b-c."""
    u, v = b - a, c - b
    return np.degrees(np.arccos(u @ v / np.linalg.norm(u) / np.linalg.norm(v)))


def test_flexion_brings_fingertips_to_the_palm_side():
    straight = keypoints(with_angle("arch", 0))
    for finger, tip in zip(("index", "middle", "ring", "little"), TIPS, strict=True):
        for joint in ("mcp", "pip", "dip"):
            assert keypoints(with_angle(f"{finger}_{joint}_flexion", 30))[tip, 2] < straight[tip, 2] - 0.005
            assert keypoints(with_angle(f"{finger}_{joint}_flexion", -5))[tip, 2] > straight[tip, 2]


def test_closing_the_fist_brings_fingertips_ever_nearer_to_the_palm():
    opened, closed = GESTURES["spread"], GESTURES["fist"]
    distance = []
    for weight in np.linspace(0, 1, 12):
        k = keypoints(opened.blend(closed, weight))
        palm = k[[0, 5, 9, 13, 17]].mean(0)
        distance.append(np.linalg.norm(k[TIPS] - palm, axis=1))
    assert (np.diff(distance, axis=0) < 0).all()
    assert (distance[-1] < 0.06).all()


def test_flexion_is_the_angle_between_the_bones():
    for angle in (20, 60, 90):
        for first, finger in ((5, "index"), (9, "middle"), (13, "ring"), (17, "little")):
            k = keypoints(with_angle(f"{finger}_pip_flexion", angle))
            assert bend(*k[[first, first + 1, first + 2]]) == pytest.approx(angle, abs=4)


def test_abduction_spreads_the_fingers_and_carries_the_middle_one_to_the_thumb():
    rest = keypoints(with_angle("arch", 0))
    assert keypoints(with_angle("index_abduction", 10))[8, 0] > rest[8, 0] + 0.01
    assert keypoints(with_angle("middle_abduction", 5))[12, 0] > rest[12, 0] + 0.005
    assert keypoints(with_angle("ring_abduction", 10))[16, 0] < rest[16, 0] - 0.01
    assert keypoints(with_angle("little_abduction", 10))[20, 0] < rest[20, 0] - 0.01


def test_thumb_crosses_the_palm_lifts_from_it_and_turns_its_pad_to_the_fingers():
    rest = keypoints(with_angle("arch", 0))
    assert keypoints(with_angle("thumb_cmc_flexion", 25))[4, 0] < rest[4, 0] - 0.02
    assert keypoints(with_angle("thumb_abduction", 20))[4, 2] < rest[4, 2] - 0.015
    nail = [
        forward_kinematics(MESH, local_rotations(with_angle("thumb_opposition", angle)))[4, :3, 1]
        for angle in (0, 15)
    ]
    assert nail[1][2] < nail[0][2]  # the nail turns to the viewer's side, the pad to the palm and fingers


def test_arch_hollows_the_palm_on_the_little_finger_s_side():
    flat, hollow = keypoints(with_angle("arch", 0)), keypoints(with_angle("arch", 15))
    lift = flat[[5, 9, 13, 17], 2] - hollow[[5, 9, 13, 17], 2]
    np.testing.assert_allclose(lift[:2], 0, atol=1e-12)
    assert 0.002 < lift[2] < lift[3]


def test_wrist_never_turns():
    for pose in SAMPLES[:20]:
        np.testing.assert_array_equal(local_rotations(pose)[0], np.eye(3))


def test_local_rotations_are_rotations():
    for pose in SAMPLES[:20]:
        r = local_rotations(pose)
        np.testing.assert_allclose(r @ r.transpose(0, 2, 1), np.broadcast_to(np.eye(3), r.shape), atol=1e-12)
        np.testing.assert_allclose(np.linalg.det(r), 1)


def test_sampled_angles_and_gestures_lie_within_the_limits():
    for pose in [*SAMPLES, *GESTURES.values(), constrain(rest_pose())]:
        assert (pose.angles >= LOW).all() and (pose.angles <= HIGH).all()


def test_constrain_leaves_possible_poses_alone():
    for pose in [*SAMPLES, *GESTURES.values()]:
        np.testing.assert_allclose(constrain(pose).angles, pose.angles, atol=1e-12)


def test_end_joint_follows_the_middle_joint():
    pip, dip = (np.array([pose.flexion[1:, k] for pose in SAMPLES]) for k in (1, 2))
    assert np.abs(dip - pip * 2 / 3).max() <= 20 + 1e-9
    assert np.corrcoef(pip.ravel(), dip.ravel())[0, 1] > 0.9
    lone = np.zeros((5, 3))
    lone[1, 2] = 70
    assert constrain(HandPose(lone, np.zeros(5))).flexion[1, 2] == 20


def test_spread_goes_down_as_the_knuckle_bends():
    spread = []
    for angle in (0, 30, 60, 90):
        flexion = np.zeros((5, 3))
        flexion[1:, 0] = angle
        spread.append(constrain(HandPose(flexion, np.full(5, 90.0))).abduction[1:])
    assert (np.diff(spread, axis=0) < 0).all()
    assert (np.array(spread[-1]) < 4).all()


def test_neighbouring_fingers_move_together():
    mcp = np.array(
        [
            sample_pose(np.random.default_rng([1, k]), gesture_share=0, blend_share=0).flexion[1:, 0]
            for k in range(250)
        ]
    )
    correlation = np.corrcoef(mcp.T)
    assert correlation[0, 1] > 0.4 and correlation[1, 2] > 0.4 and correlation[2, 3] > 0.4
    assert correlation[0, 1] > correlation[0, 2] > correlation[0, 3]


def test_samples_are_diverse():
    angles = np.array([pose.angles for pose in SAMPLES])
    flexion = [k for k, name in enumerate(ANGLE_NAMES) if name.endswith(("mcp_flexion", "pip_flexion"))]
    assert (angles[:, flexion].std(0) > 10).all()
    assert (angles.std(0) > 2).all()


def test_same_seed_same_pose_and_other_seed_another():
    a, b, c = (sample_pose(np.random.default_rng(seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(a.angles, b.angles)
    assert not np.array_equal(a.angles, c.angles)


def test_a_gesture_cannot_be_changed_by_its_user():
    with pytest.raises(ValueError, match="read-only"):
        gesture("fist").flexion[0, 0] = 0


def test_without_looseness_a_gesture_is_itself():
    pose = sample_pose(np.random.default_rng(0), gesture_share=1, blend_share=0, looseness=0)
    assert any(np.allclose(pose.angles, known.angles) for known in GESTURES.values())


def test_overlap_is_zero_at_rest_and_seen_when_fingers_cross():
    assert penetration(rest_pose()) == 0
    crossed = rest_pose().angles
    crossed[ANGLE_NAMES.index("index_abduction")] = -15
    assert penetration(HandPose.from_angles(crossed)) > 0.003
    through = GESTURES["fist"].angles
    through[:3] = [30, 40, 40]
    through[ANGLE_NAMES.index("thumb_abduction")] = 0
    assert penetration(HandPose.from_angles(through)) > 0.003


def test_gestures_and_samples_hardly_overlap():
    for pose in [*SAMPLES, *GESTURES.values()]:
        assert penetration(pose) <= 0.0005


def test_when_no_try_is_free_the_pose_is_eased_open():
    for seed in range(30):
        pose = sample_pose(np.random.default_rng([9, seed]), looseness=4, tries=1)
        assert penetration(pose) <= 0.0005
        assert (pose.angles >= LOW).all() and (pose.angles <= HIGH).all()


def test_pinch_brings_thumb_and_index_together():
    k = keypoints(gesture("pinch"))
    assert np.linalg.norm(k[4] - k[8]) < 0.012
    k = keypoints(gesture("open"))
    assert np.linalg.norm(k[4] - k[8]) > 0.06


def test_pointing_keeps_only_the_index_straight():
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
    finger = np.array(
        [-1] + [0] * 4 + [-1, 1, 1, 1, 1] + [-1, 2, 2, 2, 2] + [-1, 3, 3, 3, 3] + [-1, 4, 4, 4, 4]
    )
    part = finger[MESH.weights.argmax(1)]
    face_part = np.median(part[MESH.faces], axis=1)
    buried = []
    for seed in range(40):
        rng = np.random.default_rng([2, seed])
        posed = pose_hand(MESH, local_rotations(sample_pose(rng)), sample_shape(rng))
        count = 0
        for k in range(5):
            triangles = posed.vertices[posed.faces[face_part == k]]
            low, high = triangles.min((0, 1)), triangles.max((0, 1))
            near = (part >= 0) & (part != k) & ((posed.vertices > low) & (posed.vertices < high)).all(1)
            count += inside(posed.vertices[near], triangles).sum()
        buried.append(count / len(part))
    assert np.mean(buried) < 0.005
    assert np.mean(np.array(buried) > 0.01) < 0.15


def test_unknown_gestures_and_bad_shares_are_named():
    with pytest.raises(ValueError, match="expected one of open, relaxed.*found 'wave'"):
        gesture("wave")
    with pytest.raises(ValueError, match="expected shares"):
        sample_pose(np.random.default_rng(0), gesture_share=0.8, blend_share=0.4)
    with pytest.raises(ValueError, match="expected 22 angles"):
        HandPose.from_angles(np.zeros(21))
