import numpy as np

from peclr_utils.camera import project
from peclr_utils.datasets import mirror


def test_the_mirrored_camera_projects_onto_the_mirrored_pixels(memory_hands):
    sample = memory_hands(3)[2]
    turned = mirror(sample)
    assert turned.handedness == "left"
    np.testing.assert_allclose(project(turned.keypoints_3d, turned.K), turned.keypoints_2d, atol=1e-4)
    np.testing.assert_allclose(turned.keypoints_2d, sample.keypoints_2d * [-1, 1] + [31, 0], atol=1e-5)
    np.testing.assert_array_equal(turned.image[:, 0], sample.image[:, 31])
    np.testing.assert_array_equal(turned.mask, sample.mask[:, ::-1])
    assert turned.K[0, 0] > 0


def test_twice_mirrored_is_the_same_and_what_is_unknown_stays_unknown(memory_hands):
    sample = memory_hands(1)[0]
    again = mirror(mirror(sample))
    names = ("image", "mask", "keypoints_3d", "keypoints_2d", "K")
    for name in names:
        np.testing.assert_allclose(getattr(again, name), getattr(sample, name), rtol=1e-6)
    assert again.handedness == sample.handedness
    turned = mirror(memory_hands(1, **dict.fromkeys(names[1:]))[0])
    assert all(getattr(turned, name) is None for name in names[1:])
