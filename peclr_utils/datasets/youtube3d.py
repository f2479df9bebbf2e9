"""YouTube3DHands (Kulon et al., CVPR 2020, arXiv 2004.01946): hands in videos, with fitted meshes.

Chapter 01 shows it beside the other data sets. Layout:

    youtube_{train,val,test}.json
    youtube/VIDEO/video/frames/FRAME.png      as the file's `images` name them; .jpg also does

Pre-training needs no keypoints: the crop comes from the vertices. The finger tips are vertices themselves;
the other joints need the joint regressor of MANO, which has its own licence and isn't shipped here.

**Convention.** As in `HandSample`. The label file states a resolution for each frame; a frame kept at another
one is taken to cover the same view, so pixel centres move as x -> (x + 1/2) * scale - 1/2. Left hands are
mirrored (x -> W - 1 - x): every sample shows a right hand.
"""

import os
import warnings
from pathlib import Path

import numpy as np

from peclr_utils.datasets.images import IMAGE_SUFFIXES, read_image, require_file
from peclr_utils.datasets.sample import HandSample, mirror
from peclr_utils.datasets.youtube_index import VERTICES, open_index
from peclr_utils.skeleton import reorder

SPLITS = ("train", "val", "test")
FINGER_TIPS = (744, 320, 443, 555, 672)
"""Vertices at the tips of thumb, index, middle, ring and little finger."""

JOINTS = 16
"""Joints of MANO's regressor: wrist; index, middle, little and ring finger, thumb, three each."""


class YouTube3DHands:
    """The hands of one split whose frames are there; each annotated hand is an identity of its own.

    The first opening reads the label file in a stream into compact files, which takes minutes for the
    training split. Hands whose frame is missing are skipped, with one warning that counts them: videos
    disappear.

    Args:
        root: the folder that holds `youtube_train.json` and `youtube/`.
        split: "train", "val" or "test".
        regressor: (16, 778) joint regressor, or the path of a .npy file with it; with it the samples have
            keypoints_2d.
        mirror_left: whether left hands are shown as right ones.
        cache: folder for the compact label files; None puts them into `.peclr_utils` in the root or, where
            that can't be written to, into the user's cache.

    Attributes:
        index: the label file's content, a `YouTubeIndex`.
        annotations: (N,) int64, each sample's position in it.
        is_left: (N,) bool, which hand was filmed, whether or not it is shown mirrored.
        missing: names of the frames that were not found.

    Raises:
        FileNotFoundError: if the folder, the label file or all frames are missing.
        ValueError: if the label file or the regressor is not as it should be.
    """

    source = "youtube"

    def __init__(
        self,
        root: Path | str,
        split: str = "train",
        *,
        regressor: np.ndarray | Path | str | None = None,
        mirror_left: bool = True,
        cache: Path | str | None = None,
    ):
        self.root = Path(root).expanduser()
        self.split = split
        self.mirror_left = mirror_left
        if split not in SPLITS:
            raise ValueError(f"YouTube3DHands: split must be one of {', '.join(SPLITS)}, found {split!r}")
        path = self.root / f"youtube_{split}.json"
        require_file(path, "YouTube3DHands")
        self.index = open_index(path, cache)
        self.regressor = np.load(regressor) if isinstance(regressor, (str, Path)) else regressor
        if self.regressor is not None:
            shape, sums = self.regressor.shape, self.regressor.sum(-1)
            if shape != (JOINTS, VERTICES) or not np.allclose(sums, 1, atol=1e-3):
                expected = f"shape {(JOINTS, VERTICES)} and rows that sum to 1"
                raise ValueError(f"YouTube3DHands: regressor must have {expected}, found {shape} and {sums}")
        used = np.unique(self.index.image)
        self._frames = {int(image): self._find_frame(image) for image in used}
        self.missing = [self._name(image) for image, frame in self._frames.items() if not frame]
        self.annotations = np.flatnonzero([bool(self._frames[image]) for image in self.index.image.tolist()])
        self.is_left = self.index.is_left[self.annotations]
        if self.missing:
            counted = (
                f"{self.root}: {len(self.missing)} of {len(used)} frames of the {split} split are missing"
            )
            if len(self.missing) == len(used):
                raise FileNotFoundError(
                    f"{counted}, among them {self.missing[0]}; extract the videos' frames into this folder "
                    "(data/README.md says how)"
                )
            skipped, hands = len(self.index.image) - len(self), len(self.index.image)
            warnings.warn(
                f"{counted} (the first is {self.missing[0]}). Skipped {skipped} of {hands} hands.",
                stacklevel=2,
            )

    def __len__(self) -> int:
        return len(self.annotations)

    @property
    def identities(self) -> np.ndarray:
        return self.index.ids[self.annotations]

    def image_path(self, index: int) -> Path:
        """Path of a sample's frame."""
        return self.root / self._frames[int(self.index.image[self.annotations[index]])]

    def vertices(self, index: int) -> np.ndarray:
        """A sample's mesh (778, 3) float32 as labelled: pixels at the stated resolution, not mirrored."""
        return self.index.vertices(int(self.annotations[index]))

    def __getitem__(self, index: int) -> HandSample:
        path = self.image_path(index)
        image = read_image(path)
        annotation = self.annotations[index]
        scale = np.array(image.shape[1::-1]) / self.index.sizes[self.index.image[annotation]]
        outline = (self.vertices(index)[:, :2] + 0.5) * scale - 0.5
        sample = HandSample(
            image=image,
            identity=int(self.index.ids[annotation]),
            source=self.source,
            handedness="left" if self.is_left[index] else "right",
            keypoints_2d=None if self.regressor is None else joints(self.regressor, outline),
            outline=outline.astype(np.float32),
            name=path.relative_to(self.root).as_posix(),
        )
        return mirror(sample) if self.is_left[index] and self.mirror_left else sample

    def _name(self, image: int) -> str:
        return self.index.names[image].decode()

    def _find_frame(self, image: int) -> str:
        """The name of a frame's file, as stated or with another suffix; empty if there is none."""
        name = self._name(image)
        stem = os.path.splitext(name)[0]  # text, because making paths is slow
        candidates = (name, *(stem + suffix for suffix in IMAGE_SUFFIXES))
        return next((found for found in candidates if os.path.isfile(f"{self.root}/{found}")), "")


def joints(regressor: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """Take 21 keypoints from a mesh: 16 joints by the regressor, and five vertices as finger tips.

    Args:
        regressor: (16, 778), rows in the order of MANO's joints.
        vertices: (778, C) of a hand in MANO's order.

    Returns:
        (21, C) float32 in FreiHAND's order.
    """
    points = np.concatenate([regressor @ vertices, vertices[list(FINGER_TIPS)]])
    return reorder(points, "mano", "freihand").astype(np.float32)
