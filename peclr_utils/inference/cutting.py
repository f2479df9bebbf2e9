"""Which square of an image a network sees: as the authors crop, and as this project's training does.

Chapter 05 predicts with both.

The authors' networks learned from crops around a hand's *box*, ours from squares around its *mean keypoint*
(`crops.crop_box`): half a view's side is `view_factor` times the distance of the farthest keypoint. Each gets
the crops it learned from. Ours follow from what a box says about the hand inside it:

- Keypoints that span a box of side L have one that lies at least L / 2 from their mean. So no view of such a
  hand is smaller than `view_factor` L, and no second crop is made smaller, however small the predicted hand
  is. Networks trained on few labels predict hands a tenth too small; one that puts all points into the middle
  would get an almost empty crop.
- In the rendered hands of `data/sample` the farthest keypoint lies at 0.63 L (median; 0.53 L to 0.79 L). The
  first crop of a given box fits a hand of that size.
- Without a box, the hand is assumed to be as large as a third of the image's square, which is the authors'
  guess, up to all of it. The first crop is the geometric mean of the two, so it is at most 1.6 times too
  large or too small.

**Convention.** A box is (x1, y1, x2, y2) in pixels of the image, x2 and y2 on the far side. An affine is a
3x3 matrix from image to crop pixels. The centre goes to (size - 1) / 2, as in `peclr_utils.crops`; in the
authors' crops to size / 2, half a pixel further, because the published weights were trained with that.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from peclr_utils.camera import transform_points
from peclr_utils.crops.cropping import WHOLE_IMAGE, crop_matrix
from peclr_utils.inference.inputs import HandImage

FIRST_SHARE = 0.33
"""Share of an image's side in which the hand is first looked for, about the centre."""

HAND_SHARE = 0.7
"""Share of an authors' crop's side that the larger side of a hand's box takes."""

SMALLEST_REACH, USUAL_REACH = 0.5, 0.63
"""Distance of the farthest keypoint from the mean one over the larger side of the keypoints' box."""


class Cut(NamedTuple):
    """One crop of an image."""

    box: np.ndarray  # (4,) that the crop was made around
    affine: np.ndarray  # (3, 3) image to crop pixels


def square_cut(centre: np.ndarray, side: float, size: int) -> Cut:
    """Crop a square to `size` pixels; its centre and side are pixels of the image."""
    box = np.concatenate([centre - side / 2, centre + side / 2])
    return Cut(box, crop_matrix(centre, side, size))


def first_box(given: HandImage) -> np.ndarray:
    """The given box, or the middle third of the image's largest central square: (4,) float64."""
    if given.box is not None:
        return np.asarray(given.box, dtype=np.float64)
    height, width = given.image.shape[:2]
    centre, half = np.array([width, height]) / 2, FIRST_SHARE * min(height, width) / 2
    return np.concatenate([centre - half, centre + half])


@dataclass(frozen=True)
class AuthorsCuts:
    """Crops as the authors' evaluation makes them: a box's larger side takes `HAND_SHARE` of the crop's."""

    size: int  # side of a crop in pixels

    def first(self, given: HandImage) -> Cut:
        """Crop around the given box, or the middle third."""
        return self._around(first_box(given))

    def second(self, given: HandImage, keypoints_2d: np.ndarray, first: Cut) -> Cut | None:
        """Crop around the box of the predicted keypoints, the palm's included; None if it has no size."""
        if not np.isfinite(keypoints_2d).all():
            return None
        # The authors truncate the box to whole pixels of the crop before they move it back to the image.
        corners = np.stack([keypoints_2d.min(axis=0), keypoints_2d.max(axis=0)])
        corners = np.trunc(corners.astype(np.float64))
        if not (corners[1] > corners[0]).any():
            return None
        return self._around(transform_points(np.linalg.inv(first.affine), corners).ravel())

    def _around(self, box: np.ndarray) -> Cut:
        x1, y1, x2, y2 = box
        scale = HAND_SHARE * self.size / max(x2 - x1, y2 - y1)
        x, y = self.size / 2 - scale * (x1 + x2) / 2, self.size / 2 - scale * (y1 + y2) / 2
        return Cut(box, np.array([[scale, 0, x], [0, scale, y], [0, 0, 1]]))


@dataclass(frozen=True)
class TrainingCuts:
    """Crops as this project's training makes them."""

    size: int  # side of a crop in pixels
    view_factor: float  # half a crop's side over the distance of the farthest keypoint from the mean one

    def first(self, given: HandImage) -> Cut:
        """Crop around the given box, as large as its hand usually needs; without one, around the middle."""
        smallest = self.smallest(given)
        if given.box is not None:
            centre = (given.box[:2] + given.box[2:]) / 2
            cut = square_cut(centre, smallest * USUAL_REACH / SMALLEST_REACH, self.size)
            return cut._replace(box=given.box)
        height, width = given.image.shape[:2]
        largest = min(height, width) * self.view_factor / WHOLE_IMAGE
        return square_cut(np.array([width - 1, height - 1]) / 2, (smallest * largest) ** 0.5, self.size)

    def second(self, given: HandImage, keypoints_2d: np.ndarray, first: Cut) -> Cut | None:
        """Crop as training would if the prediction were the label; None if it is within a pixel."""
        if not np.isfinite(keypoints_2d).all() or np.ptp(keypoints_2d, axis=0).max() < 1:
            return None
        points = transform_points(np.linalg.inv(first.affine), keypoints_2d.astype(np.float64))
        centre = points.mean(axis=0)
        reach = np.linalg.norm(points - centre, axis=1).max()
        side = max(2 * self.view_factor * reach, self.smallest(given))
        box = np.concatenate([points.min(axis=0), points.max(axis=0)])
        return square_cut(centre, side, self.size)._replace(box=box)

    def smallest(self, given: HandImage) -> float:
        """Side of the smallest crop that a hand in its box can need, in pixels of the image."""
        x1, y1, x2, y2 = first_box(given)
        return 2 * self.view_factor * SMALLEST_REACH * max(x2 - x1, y2 - y1)
