"""Appendix A2: photographs that end beside the hand, and how well two kinds of views undo their shift there.

**Convention.** Images (H, W, 3) uint8 RGB; pixels (x, y). Both errors are pixels of a view 128 pixels wide:
a dot is painted on the mean keypoint, the view is made, the shift that it records is taken back, and the
dot's distance from the view's middle is what is left.
"""

import numpy as np

from peclr_utils.augmentation import ViewParameters, apply_opencv
from peclr_utils.augmentation.authors_views import AuthorsParameters, apply_authors
from peclr_utils.course.moving_hands import centre_of_mass, paint_dot
from peclr_utils.crops import crop
from peclr_utils.datasets import HandSample

SIDE = 128
MIDDLE = (SIDE - 1) / 2


def cut_off(sample: HandSample, where: str) -> HandSample:
    """The photograph without what lies to the "left" or to the "right" of the hand, or "whole"."""
    x, width = sample.keypoints_2d[:, 0], sample.image.shape[1]
    left = max(int(x.min()) - 5, 0) if where == "left" else 0
    right = min(int(x.max()) + 5, width) if where == "right" else width
    points = sample.keypoints_2d - np.float32([left, 0])
    return HandSample(sample.image[:, left:right], 0, "", keypoints_2d=points)


def _dot(sample: HandSample) -> np.ndarray:
    return paint_dot(sample.keypoints_2d.mean(axis=0), sample.image.shape[:2])


def off_by_theirs(sample: HandSample, views: AuthorsParameters, k: int) -> float:
    """Pixels from the middle once the shift of the authors' view `k` is taken back."""
    view, motion = apply_authors(_dot(sample), sample.keypoints_2d, views, k)
    return float(np.linalg.norm(centre_of_mass(view) - motion - MIDDLE))


def off_by_ours(sample: HandSample, views: ViewParameters, k: int) -> float:
    """Pixels from the middle once the shift of this package's view `k` is taken back."""
    square = crop(HandSample(_dot(sample), 0, "", keypoints_2d=sample.keypoints_2d), 224, 1.25)
    view = apply_opencv(square.image, views[k], SIDE)
    return float(np.linalg.norm(centre_of_mass(view) - SIDE * views.shift[k] - MIDDLE))
