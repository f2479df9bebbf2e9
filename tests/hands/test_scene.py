"""Scenes: views, placement, forearm, skin, and what two images of one hand share."""

import dataclasses

import numpy as np
import pytest

from peclr_utils.camera import project
from peclr_utils.hands.appearance import sample_appearance
from peclr_utils.hands.arm import ArmPose, _wrist_rim, with_arm
from peclr_utils.hands.kinematics import pose_hand
from peclr_utils.hands.mesh import load_hand_mesh
from peclr_utils.hands.scene import (
    ViewRange,
    _place,
    render_hand,
    render_scene,
    sample_scene,
    scene_surface,
)
from peclr_utils.hands.skin import MAPS, skin_maps

MESH = load_hand_mesh()
AT_REST = pose_hand(MESH, np.tile(np.eye(3), (25, 1, 1)))


def same(a, b):
    """Whether two nested values are equal, arrays included."""
    if dataclasses.is_dataclass(a):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    return np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b


def test_views_stay_within_the_angle_and_show_palm_and_back(rng):
    rotations = np.stack([ViewRange(30.0, 180.0).sample(rng) for _ in range(600)])
    assert np.allclose(rotations @ rotations.transpose(0, 2, 1), np.eye(3), atol=1e-9)
    assert np.allclose(np.linalg.det(rotations), 1)
    # The angle between the camera's axis and the palm's normal or the back's, whichever is nearer.
    assert np.degrees(np.arccos(np.abs(rotations[:, 2, 2]))).max() <= 30.0 + 1e-6
    assert 0.4 < (rotations[:, 2, 2] > 0).mean() < 0.6


def test_directions_are_uniform_over_the_sphere_when_anywhere(rng):
    normals = np.stack([ViewRange.anywhere().sample(rng)[:, 2] for _ in range(3000)])
    # Archimedes: each coordinate of a uniform direction is itself uniform over -1..1.
    for coordinate in normals.T:
        share = np.histogram(coordinate, bins=5, range=(-1, 1))[0] / 3000
        assert np.abs(share - 0.2).max() < 0.04


def test_roll_turns_the_image_by_no_more_than_asked(rng):
    for _ in range(100):
        fingers = ViewRange(0.0, 25.0, back_fraction=0.0).sample(rng) @ (0, -1, 0)
        assert np.degrees(np.arctan2(np.abs(fingers[0]), -fingers[1])) <= 25 + 1e-6
    assert np.allclose(ViewRange(0.0, 0.0, 0.0).sample(rng), np.eye(3))


def test_a_hand_is_placed_where_and_as_large_as_asked(rng):
    K = np.array([[480.0, 0, 110], [0, 480.0, 115], [0, 0, 1]])
    for _ in range(50):
        keypoints = rng.normal(0, 0.04, (21, 3)) * (1, 1, 0.5)
        keypoints -= keypoints[0]
        centre, extent = rng.uniform(95, 130, 2), rng.uniform(90, 170)
        uv = project(keypoints + _place(keypoints, K, centre, extent, bone=0.04), K)
        assert np.abs((uv.min(0) + uv.max(0)) / 2 - centre).max() < 0.5
        assert np.ptp(uv, axis=0).max() == pytest.approx(extent, abs=0.5)


def test_versions_share_the_hand_and_differ_in_light_and_background():
    first, second = (sample_scene(3, 7, version) for version in (0, 1))
    for name in (field.name for field in dataclasses.fields(first)):
        differs = name in ("light", "sensor", "background")
        assert same(getattr(first, name), getattr(second, name)) != differs, name
    images = render_scene(first), render_scene(second)
    assert np.array_equal(images[0].mask, images[1].mask)
    assert np.array_equal(images[0].keypoints_3d, images[1].keypoints_3d)
    off = images[0].mask == 0
    assert np.abs(images[0].image[off].astype(int) - images[1].image[off]).mean() > 8


def test_a_left_hand_is_the_right_one_mirrored():
    right = dataclasses.replace(sample_scene(1, 2), rotation=np.eye(3), translation=np.array([0, 0, 0.6]))
    left = dataclasses.replace(right, handedness="left")
    K = right.K.copy()
    K[0, 2] = (right.size - 1) / 2
    masks = [render_scene(dataclasses.replace(s, K=K)).mask.astype(int) for s in (right, left)]
    assert masks[0].any() and np.abs(masks[0][:, ::-1] - masks[1]).max() <= 64
    assert np.mean(masks[0][:, ::-1] != masks[1]) < 1e-3


def test_the_arm_closes_the_wrist_s_cut():
    body, edges = _wrist_rim(MESH)
    assert len(body) < len(MESH.faces)
    assert np.array_equal(MESH.weld[edges[:, 1]], MESH.weld[np.roll(edges[:, 0], -1)])
    for sleeve in (None, np.array([0.2, 0.3, 0.8])):
        arm = with_arm(MESH, AT_REST, ArmPose(30, 10), sleeve, 0.03)
        assert np.array_equal(arm.vertices[: len(MESH.vertices)], AT_REST.vertices)
        assert np.allclose(np.linalg.norm(arm.normals, axis=1), 1, atol=1e-5)
        a, b, c = arm.vertices[arm.faces[len(body) :]].swapaxes(0, 1)
        outward, smooth = np.cross(b - a, c - a), arm.normals[arm.faces[len(body) :]].mean(axis=1)
        sizes = np.linalg.norm(outward, axis=1)
        cosine = ((outward * smooth).sum(axis=1) / np.maximum(sizes, 1e-12))[sizes > 1e-9]
        assert (cosine > 0.5).mean() > 0.8 and not (cosine < -0.5).any()


def test_skin_tones_reach_all_six_classes_evenly_in_lightness(rng):
    looks = [sample_appearance(rng) for _ in range(2000)]
    lightness, _, b = np.stack([look.tone for look in looks]).T
    typology_angle = np.degrees(np.arctan2(lightness - 50, b))
    shares = np.bincount(np.digitize(typology_angle, [-30, 10, 28, 41, 55]), minlength=6) / len(looks)
    assert (shares > 0.03).all()
    counts = np.histogram(lightness, bins=5)[0]
    assert counts.min() > 0.8 * counts.max()
    # Skin of any tone is redder than green and greener than blue.
    colours = np.stack([look.palette[MAPS.index("skin")] for look in looks])
    assert (np.diff(colours, axis=1) < 0).mean() > 0.98


def test_skin_maps_tell_palm_from_back_and_put_nails_on_the_back():
    maps = skin_maps(MESH)
    texel = np.minimum((MESH.uv * maps.shape[:2][::-1]).astype(int), 511)
    values = dict(zip(MAPS, maps[texel[:, 1], texel[:, 0]].T, strict=True))
    fingers, towards = MESH.vertices[:, 1] < -0.03, MESH.normals[:, 2]
    assert values["palm"][fingers & (towards < -0.9)].mean() > 0.9
    assert values["palm"][fingers & (towards > 0.9)].mean() < 0.1
    assert (values["skin"] > 0.9).mean() > 0.95
    nails = values["nail"] > 0.5
    assert nails.any() and (values["palm"][nails] < 0.5).all()
    tips = MESH.keypoints[[4, 8, 12, 16, 20]]
    nearest = np.linalg.norm(MESH.vertices[nails][:, None] - tips, axis=2).min(axis=1)
    assert nearest.max() < 0.022
    assert maps[0, 0].tolist() == [1.0] + [0.0] * (len(MAPS) - 1)


def test_the_surface_has_the_keypoints_inside_it():
    scene = sample_scene(0, 5)
    surface, keypoints = scene_surface(scene)
    hand = render_hand(scene, surface)
    uv = np.rint(project(keypoints, scene.K)).astype(int)
    depth = hand.depth[uv[:, 1], uv[:, 0]]
    assert (hand.alpha[uv[:, 1], uv[:, 0]] > 0).mean() > 0.9
    # No keypoint floats in front of the skin by more than a few millimetres.
    assert (keypoints[:, 2] > depth - 0.004)[depth > 0].all()
