"""YouTube3DHands (Kulon et al., CVPR 2020, arXiv 2004.01946): hands in videos, with fitted meshes.

Appendix A1 shows it beside the other data sets. Layout:

    youtube_{train,val,test}.json
    youtube/VIDEO/video/frames/FRAME.png      as the file's `images` name them, or .jpg

The training label file is gigabytes large, too much for memory as Python objects. It is read once, in a
stream, into a file of vertices and a small table of everything else.

Pre-training needs no keypoints: the crop comes from the vertices. Keypoints need the joint regressor of MANO,
which has its own licence and isn't shipped here.

**Convention.** As in `HandSample`. The label file states a resolution for each frame; a frame kept at another
one is assumed to cover the same view, so pixel centres move as x -> (x + 1/2) * scale - 1/2. Left hands are
mirrored (x -> W - 1 - x): every sample shows a right hand.
"""

import hashlib
import os
import reprlib
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from peclr_utils.datasets.images import read_image, require_file
from peclr_utils.datasets.sample import HandSample, mirror
from peclr_utils.files import IMAGE_SUFFIXES, atomic, write_text
from peclr_utils.skeleton import reorder

SPLITS = ("train", "val", "test")
FINGER_TIPS = (744, 320, 443, 555, 672)
"""Vertices at the tips of thumb, index, middle, ring and little finger."""

JOINTS, VERTICES = 16, 778
"""Of MANO: wrist; index, middle, little and ring finger, thumb, three joints each. Vertices of its mesh."""


class YouTube3DHands:
    """The hands of one split whose frames are there; each annotated hand is an identity of its own.

    The first opening takes minutes for the training split. Hands whose frame is missing are skipped, with one
    warning that counts them, because videos disappear.

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
        ValueError: if the label file or the regressor is invalid.
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
        path = self.root / f"youtube_{split}.json"
        require_file(path, "YouTube3DHands")
        self.index = open_index(path, cache)
        self.regressor = np.load(regressor) if isinstance(regressor, (str, Path)) else regressor
        if self.regressor is not None:
            shape, sums = self.regressor.shape, self.regressor.sum(-1)
            if shape != (JOINTS, VERTICES) or not np.allclose(sums, 1, atol=1e-3):
                expected = f"shape {(JOINTS, VERTICES)} and rows that sum to 1"
                raise ValueError(f"YouTube3DHands: regressor must have {expected}, found {shape} and {sums}")
        names = [name.decode() for name in self.index.names]
        self._frames = [self._find_frame(name) for name in names]
        self.missing = [name for name, frame in zip(names, self._frames, strict=True) if not frame]
        found = np.array([bool(frame) for frame in self._frames])
        self.annotations = np.flatnonzero(found[self.index.image])
        self.is_left = self.index.is_left[self.annotations]
        if self.missing:
            missing = f"{len(self.missing)} of {len(names)} frames are missing, such as {self.missing[0]}"
            if not len(self):
                raise FileNotFoundError(f"{path}: {missing}; data/README.md says how to get the frames")
            hands = len(self.index.ids)
            warnings.warn(f"{path}: {missing}. Skipped {hands - len(self)} of {hands} hands.", stacklevel=2)

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
        numbers = VERTICES * 3  # 4 bytes each; the file is reopened, so that workers share nothing
        start = 4 * numbers * int(self.annotations[index])
        return np.fromfile(self.index.vertices_path, "<f4", numbers, offset=start).reshape(VERTICES, 3)

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

    def _find_frame(self, name: str) -> str:
        """The name of a frame's file, as stated or with another suffix; empty if there is none."""
        stem = os.path.splitext(name)[0]  # text, because making paths is slow
        candidates = (name, *(stem + suffix for suffix in IMAGE_SUFFIXES))
        return next((found for found in candidates if os.path.isfile(f"{self.root}/{found}")), "")


def joints(regressor: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """(21, C) float32 keypoints of a mesh (778, C): 16 joints by the regressor, five vertices as tips."""
    points = np.concatenate([regressor @ vertices, vertices[list(FINGER_TIPS)]])
    return reorder(points, "mano", "freihand").astype(np.float32)


@dataclass(frozen=True)
class YouTubeIndex:
    """The content of one label file, I images and A annotations."""

    names: np.ndarray  # (I,) bytes, the frames' file names in UTF-8
    sizes: np.ndarray  # (I, 2) int32, width and height that the vertices refer to
    image: np.ndarray  # (A,) int64, position of each annotation's image
    is_left: np.ndarray  # (A,) bool
    ids: np.ndarray  # (A,) int64, the annotations' ids
    vertices_path: Path  # of (A, 778, 3) float32 and nothing else: image pixels, and depth at the same scale


def open_index(path: Path, cache: Path | str | None = None) -> YouTubeIndex:
    """Open the compact files made from a label file, or make them; see `YouTube3DHands`."""
    folder, state = path.parent.resolve(), path.stat()
    name = f"{path.stem}_{state.st_size}_{state.st_mtime_ns}.npz"
    place = folder / ".peclr_utils" if cache is None else Path(cache).expanduser()
    if cache is None and not (place / name).is_file() and not os.access(folder, os.W_OK):
        key = hashlib.blake2b(str(folder).encode(), digest_size=6).hexdigest()
        place = Path.home() / ".cache" / "peclr_utils" / f"{folder.name}-{key}"
    table = place / name
    vertices = table.with_suffix(".vertices")
    if not table.is_file():
        write_text(place / ".gitignore", "*\n")  # keeps the folder out of a repository around it
        with atomic(vertices) as temporary:
            arrays = _stream(path, temporary)
        with atomic(table) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)
        for stale in {*place.glob(f"{path.stem}_*")} - {table, vertices}:
            stale.unlink(missing_ok=True)
    with np.load(table) as arrays:
        return YouTubeIndex(**arrays, vertices_path=vertices)


def _stream(path: Path, vertices: Path) -> dict[str, np.ndarray]:
    """Write the vertices into a file and return the table."""
    import ijson

    entry, positions, names, sizes, hands = None, {}, [], [], []
    total = path.stat().st_size
    bar = {"total": total, "desc": path.name, "leave": False, "disable": total < 50_000_000}
    try:
        expected = "an image with an id of its own, a file name as name, and a positive width and height"
        with path.open("rb") as file:  # is read no further than the end of this list
            for entry in next(ijson.items(file, "images", use_float=True), []):
                size = int(entry["width"]), int(entry["height"])
                if entry["id"] in positions or min(size) <= 0:
                    raise ValueError
                positions[entry["id"]] = len(names)
                names.append(entry["name"].encode())
                sizes.append(size)
        expected = f"an annotation with id, image_id, is_left 0 or 1, and {VERTICES} x 3 finite vertices"
        with path.open("rb") as raw, tqdm.wrapattr(raw, "read", **bar) as file, vertices.open("wb") as out:
            for entry in ijson.items(file, "annotations.item", use_float=True):
                mesh = np.array(entry["vertices"], "<f4")
                valid = mesh.shape == (VERTICES, 3) and np.isfinite(mesh).all()
                if not valid or entry["is_left"] not in (0, 1):
                    raise ValueError
                hands.append((positions[entry["image_id"]], entry["is_left"], int(entry["id"])))
                out.write(mesh.tobytes())
    except (ijson.JSONError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path}: not valid JSON, probably cut short ({reason}); copy it again") from None
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{path}: expected {expected}, found {reprlib.repr(entry)}") from error
    if not hands:
        raise ValueError(f"{path}: expected lists named 'images' and 'annotations', found no annotations")
    image, is_left, ids = np.array(hands, np.int64).T
    table = {"names": np.array(names), "sizes": np.array(sizes, np.int32)}
    return {**table, "image": image, "is_left": is_left.astype(bool), "ids": ids}
