"""The renderer on spheres, where every answer is known."""

import numpy as np
import pytest

from peclr_utils.camera import project
from peclr_utils.hands.rasteriser import rasterise
from peclr_utils.hands.renderer import Light, Surface, Texture, _interpolate, render

K = np.array([[480.0, 0, 111.5], [0, 480.0, 111.5], [0, 0, 1]])
SIZE = (224, 224)


def sphere(centre=(0.0, 0.0, 0.6), radius=0.05, rings=24, sectors=48):
    """Vertices, normals and outward-wound faces of a sphere."""
    polar, azimuth = np.linspace(0, np.pi, rings + 1), np.linspace(0, 2 * np.pi, sectors, endpoint=False)
    polar, azimuth = (g.ravel() for g in np.meshgrid(polar, azimuth, indexing="ij"))
    normals = np.stack(
        [np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], axis=1
    )
    i, j = (g.ravel() for g in np.meshgrid(np.arange(rings), np.arange(sectors), indexing="ij"))
    a, b = i * sectors + j, i * sectors + (j + 1) % sectors
    faces = np.concatenate([np.stack([a, a + sectors, b], 1), np.stack([b, a + sectors, b + sectors], 1)])
    return normals * radius + centre, normals, faces


def draw(mesh, colour=(1.0, 1.0, 1.0), uv=None, **options):
    return render(Surface(*mesh, np.tile(colour, (len(mesh[0]), 1)), uv), K, SIZE, **options)


def alpha_centroid(alpha):
    y, x = np.indices(alpha.shape)
    weight = alpha.astype(np.float64)
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()


@pytest.mark.parametrize("centre", [(0.0, 0.0, 0.6), (0.0213, -0.0377, 0.55), (-0.061, 0.047, 0.71)])
def test_a_small_sphere_is_drawn_where_its_centre_projects(centre):
    alpha = draw(sphere(centre, radius=0.01)).alpha
    assert np.abs(alpha_centroid(alpha) - project(np.array([centre]), K)[0]).max() < 0.1


def test_a_sphere_has_its_area_and_its_depth():
    hand = draw(sphere(radius=0.05, rings=60, sectors=120))
    # A sphere's outline on the axis is a circle of radius f r / sqrt(z^2 - r^2).
    expected = np.pi * (480 * 0.05) ** 2 / (0.6**2 - 0.05**2)
    assert hand.alpha.sum() / 255 == pytest.approx(expected, rel=5e-3)
    assert hand.alpha.max() == 255 and hand.depth[0, 0] == 0
    assert hand.depth[112, 112] == pytest.approx(0.55, abs=2e-4)


def test_the_nearer_of_two_spheres_hides_the_other_whatever_their_order():
    far, near = sphere((0.0, 0.0, 0.7), 0.05), sphere((0.03, 0.0, 0.55), 0.03)
    vertices, normals = (np.concatenate([far[k], near[k]]) for k in range(2))
    faces = near[2], near[2] + len(far[0])
    paint = np.repeat([[1.0, 0, 0], [0, 0, 1.0]], len(far[0]), axis=0)
    images = [
        render(Surface(vertices, normals, np.concatenate(order), paint), K, SIZE, Light(specular=0.0))
        for order in (faces, faces[::-1])
    ]
    x, y = np.rint(project(np.array([[0.03, 0.0, 0.55]]), K)[0]).astype(int)
    middle = images[0].image[y, x]
    assert middle[2] > 100 and middle[0] == 0
    assert images[0].image[y, int(111.5 - 480 * 0.04 / 0.7)][0] > 100
    assert np.abs(images[0].image.astype(int) - images[1].image).max() <= 1
    assert np.array_equal(images[0].alpha, images[1].alpha)


def test_triangles_seen_from_behind_are_not_drawn():
    vertices, normals, faces = sphere()
    inside_out = draw((vertices, normals, faces[:, ::-1]))
    # Only the far half of the shell faces the camera then.
    assert inside_out.depth[112, 112] > 0.6
    # Seen from the camera (b - a) x (c - a) must point to it, along -z.
    triangle = np.array([[0, 0, 0.5], [0, 0.05, 0.5], [0.05, 0, 0.5]])
    for corners, shown in (([0, 1, 2], True), ([0, 2, 1], False)):
        assert draw((triangle, np.tile([0, 0, -1.0], (3, 1)), np.array([corners]))).alpha.any() == shown


def test_neighbouring_triangles_leave_no_crack_and_cover_no_sample_twice():
    rng = np.random.default_rng(3)
    grid = np.stack(np.meshgrid(np.linspace(-0.1, 0.1, 14), np.linspace(-0.1, 0.1, 14)), axis=-1)
    grid[1:-1, 1:-1] += rng.uniform(-0.005, 0.005, grid[1:-1, 1:-1].shape)
    vertices = np.concatenate([grid.reshape(-1, 2), np.full((196, 1), 0.6)], axis=1)
    i = (np.arange(13)[:, None] * 14 + np.arange(13)).ravel()
    faces = np.concatenate([np.stack([i, i + 14, i + 1], 1), np.stack([i + 1, i + 14, i + 15], 1)])
    samples = rasterise(vertices, faces, K, SIZE, supersample=1)
    assert len(np.unique(samples.pixel)) == len(samples.pixel)
    assert len(samples.slot) == len(samples.pixel) == 160 * 160


def test_weights_reproduce_the_points_they_stand_for():
    vertices, _, faces = sphere((0.02, -0.01, 0.5), 0.06)
    samples = rasterise(vertices, faces, K, SIZE)
    points = np.einsum("kn,knc->nc", samples.weights, vertices[samples.corners])
    uv = project(points, K)
    top, left, _, width = samples.box
    pixel = np.stack(np.divmod(samples.pixel, width)[::-1], axis=1)[samples.slot] + (left, top)
    whole = samples.share == 1
    assert whole.mean() > 0.5
    assert np.abs(uv - pixel)[whole].max() < 1e-3
    assert np.abs(np.abs(uv - pixel)[~whole] - 0.25).max() < 1e-3
    assert np.allclose(points[:, 2], samples.depth, atol=1e-6)


def test_a_surface_seen_edge_on_is_shaded_between_its_corners():
    """Normals that are extrapolated beyond a triangle sparkle at the outline of fingers."""
    vertices, normals, faces = sphere((0.02, -0.01, 0.5), 0.06)
    samples = rasterise(vertices, faces, K, SIZE)
    assert samples.weights.min() < -0.1
    lengths = np.linalg.norm(_interpolate(normals.T.astype(np.float32), samples), axis=0)
    assert lengths.max() < 1 + 1e-5
    ones = _interpolate(np.ones((1, len(vertices)), dtype=np.float32), samples)
    assert np.allclose(ones, 1, atol=1e-5)


def test_more_light_is_brighter_until_white():
    means = []
    for strength in (0.25, 0.5, 1.0):
        ambient = np.full(3, strength / 4)
        light = Light(colour=np.full(3, strength), sky=ambient, ground=ambient)
        hand = draw(sphere(), colour=(0.5, 0.5, 0.5), light=light)
        means.append(hand.image[hand.alpha == 255].mean())
    assert means[0] < means[1] < means[2] <= 255
    # Twice the light is the root of two on the square-root scale that approximates sRGB.
    assert means[1] / means[0] == pytest.approx(np.sqrt(2), rel=0.02)


@pytest.mark.parametrize(
    ("direction", "brighter", "darker"),
    [((1, 0, -0.3), (112, 125), (112, 98)), ((0, -1, -0.3), (98, 112), (125, 112))],
)
def test_light_comes_from_its_direction(direction, brighter, darker):
    image = draw(sphere(), light=Light(np.array(direction), sky=np.zeros(3), ground=np.zeros(3))).image
    assert int(image[brighter].sum()) > int(image[darker].sum()) + 60


def test_colours_and_texture_multiply():
    maps = np.zeros((4, 4, 2), dtype=np.float32)
    maps[..., 0], maps[3, 3] = 1, (0, 1)
    texture = Texture(maps, np.array([[0, 0, 0], [1.0, 0.5, 0.0]], dtype=np.float32))
    uv = np.full((len(sphere()[0]), 2), 0.9)
    painted = draw(sphere(), uv=uv, texture=texture).image
    assert np.array_equal(painted, draw(sphere(), colour=(1, 0.5, 0)).image)


def test_what_is_outside_or_behind_the_camera_is_not_drawn():
    for centre in ((0.0, 0.0, -0.6), (5.0, 0.0, 0.6), (0.0, 0.0, 0.0)):
        assert not draw(sphere(centre)).alpha.any()
    cut = draw(sphere((0.14, 0.14, 0.6))).alpha
    assert cut[-1, -1] == 255 and not cut[:100].any()
