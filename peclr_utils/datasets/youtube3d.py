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

from peclr_utils.datasets.images import read_image
from peclr_utils.datasets.mirror import mirror
from peclr_utils.datasets.sample import HandSample
from peclr_utils.datasets.youtube_index import VERTICES, open_index
from peclr_utils.skeleton import reorder

SPLITS = ("train", "val", "test")
FINGER_TIPS = (744, 320, 443, 555, 672)
"""Vertices at the tips of thumb, index, middle, ring and little finger."""

JOINTS = 16
"""Joints of MANO's regressor: wrist; index, middle, little and ring finger, thumb, three each."""

SUFFIXES = (".png", ".jpg", ".jpeg")


class YouTube3DHands:
    """The hands of one split whose frames are there; each annotated hand is an identity of its own.

    The first opening reads the label file in a stream into compact files, which takes minutes for the
    training split. Frames that are missing, as many are since videos disappear, are left out and counted in
    one warning.

    Args:
        root: the folder that holds `youtube_train.json` and `youtube/`.
        split: "train", "val" or "test".
        regressor: (16, 778) joint regressor, or the path of a .npy file with it; with it the samples have
            keypoints_2d.
        mirror_left: whether left hands are shown as right ones.
        cache: folder for the compact label files; None puts them into `.peclr_utils` in the root or, where
            that can't be written to, into the user's cache.

    Attributes:
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
        if split not in SPLITS:
            raise ValueError(f"YouTube3DHands: split must be one of {', '.join(SPLITS)}, found {split!r}")
        self.root = Path(root).expanduser()
        self.split = split
        self.mirror_left = mirror_left
        self.regressor = None if regressor is None else load_regressor(regressor)
        self.index = open_index(find_labels(self.root, split), self.root, cache)
        self._suffixes = self._find_frames()
        self.annotations = np.flatnonzero(self._suffixes[self.index.image] >= 0)
        self.is_left = self.index.is_left[self.annotations]
        self._report_missing()

    def __len__(self) -> int:
        return len(self.annotations)

    @property
    def identities(self) -> np.ndarray:
        return self.index.ids[self.annotations]

    @property
    def missing(self) -> list[str]:
        used = np.unique(self.index.image)
        return [self._name(image) for image in used[self._suffixes[used] < 0]]

    def image_path(self, index: int) -> Path:
        """Path of a sample's frame."""
        image = self.index.image[self.annotations[index]]
        return Path(_candidates(self.root, self._name(image))[self._suffixes[image]])

    def vertices(self, index: int) -> np.ndarray:
        """A sample's mesh (778, 3) float32 as labelled: pixels at the stated resolution, not mirrored."""
        return self.index.vertices(int(self.annotations[index]))

    def __getitem__(self, index: int) -> HandSample:
        path = self.image_path(index)
        image = read_image(path)
        annotation = self.annotations[index]
        stated = self.index.sizes[self.index.image[annotation]]
        scale = np.array(image.shape[1::-1]) / stated
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

    def _find_frames(self) -> np.ndarray:
        """For each image the position of the existing file among its candidates, or -1."""
        found = np.full(len(self.index.names), -1)
        for image in np.unique(self.index.image):
            paths = _candidates(self.root, self._name(image))
            found[image] = next((k for k, path in enumerate(paths) if os.path.isfile(path)), -1)
        return found

    def _report_missing(self) -> None:
        missing = self.missing
        if not missing:
            return
        used = len(np.unique(self.index.image))
        counted = f"{self.root}: {len(missing)} of {used} frames of the {self.split} split are missing"
        if len(missing) == used:
            raise FileNotFoundError(
                f"{counted}, among them {missing[0]}; extract the videos' frames into this folder "
                "(data/README.md says how)"
            )
        warnings.warn(
            f"{counted} (the first is {missing[0]}); left out are {len(self.index.image) - len(self)} of "
            f"{len(self.index.image)} hands",
            stacklevel=3,
        )


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


def load_regressor(regressor: np.ndarray | Path | str) -> np.ndarray:
    """Load and check a joint regressor.

    Args:
        regressor: an array or the path of a .npy file.

    Returns:
        (16, 778) float64.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the shape is another one or a row doesn't sum to one.
    """
    origin = "regressor"
    if isinstance(regressor, (str, Path)):
        origin = f"regressor {regressor}"
        if not Path(regressor).is_file():
            raise FileNotFoundError(f"{origin}: no such file; give a .npy file with a (16, 778) array")
        regressor = np.load(regressor)
    matrix = np.asarray(regressor, dtype=np.float64)
    if matrix.shape != (JOINTS, VERTICES):
        raise ValueError(f"{origin}: expected shape {(JOINTS, VERTICES)}, found {matrix.shape}")
    if not np.allclose(matrix.sum(1), 1, atol=1e-3):
        raise ValueError(f"{origin}: each row must sum to 1, found {matrix.sum(1).round(3).tolist()}")
    return matrix


def find_labels(root: Path, split: str) -> Path:
    """Find a split's label file.

    Raises:
        FileNotFoundError: if it isn't there; says what is, and where the right folder seems to be.
    """
    path = root / f"youtube_{split}.json"
    if path.is_file():
        return path
    if not root.is_dir():
        reason = "this is a file; name the folder it is in" if root.exists() else "there is no such folder"
        raise FileNotFoundError(f"{root}: {reason}")
    here = sorted(other.name for other in root.glob("youtube_*.json"))
    if here:
        raise FileNotFoundError(f"{path}: no such file, found {', '.join(here)}")
    below = [
        found.parent for pattern in ("*", "*/*") for found in sorted(root.glob(f"{pattern}/youtube_*.json"))
    ]
    above = [folder for folder in list(root.resolve().parents)[:4] if any(folder.glob("youtube_*.json"))]
    if below or above:
        right, where = (below[0], "below") if below else (above[0], "above")
        raise FileNotFoundError(f"{path}: no such file; YouTube3DHands' folder is {where}: {right}")
    raise FileNotFoundError(
        f"{path}: no such file; expected the folder that holds youtube_train.json and youtube/ "
        "(data/README.md says where to get them)"
    )


def _candidates(root: Path, name: str) -> list[str]:
    """Paths a frame may have: the stated one, or with another suffix. Text, for paths are slow to make."""
    stem, stated = os.path.splitext(f"{root}/{name}")
    return [stem + suffix for suffix in (stated, *(other for other in SUFFIXES if other != stated))]
