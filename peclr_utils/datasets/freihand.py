"""FreiHAND (Zimmermann et al., ICCV 2019, arXiv 1909.04349), and anything exported in its layout.

Appendix A1 shows it beside the other data sets. Layout, with N photographs:

    training/rgb/%08d.jpg      N x 1 to 4 versions; file = id + N * version
    training/mask/%08d.jpg     N masks, one for all versions of a photograph
    evaluation/rgb/%08d.jpg    one version
    {training,evaluation}_{K,xyz,scale}.json

The versions are one photograph with other backgrounds: green screen, homogenised, auto-sampled, auto. Images
may also be .png. The evaluation's xyz and scale come in an archive of their own, and may stay in the folder
beside this one that it unpacks to, `NAME_eval`.

**Convention.** As in `HandSample`. All hands are right hands.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path

import numpy as np

from peclr_utils.camera import project
from peclr_utils.datasets.images import read_image, read_mask, require_file
from peclr_utils.datasets.sample import HandSample

PARTS = ("training", "evaluation")
SPLITS = ("train", "val", *PARTS)
MAX_VERSIONS = 4
SHAPES: dict[str, tuple[int, ...]] = {"K": (3, 3), "xyz": (21, 3), "scale": ()}
"""Shape of one entry of each label file."""


@dataclass(frozen=True)
class Labels:
    """One part's labels by id, float32: K (N, 3, 3) pixels, xyz (N, 21, 3) and scale (N,) metres or None."""

    K: np.ndarray
    xyz: np.ndarray | None = None
    scale: np.ndarray | None = None


class FreiHAND:
    """FreiHAND's samples: all photographs in their first version, then all in their second, as in its files.

    A sample's identity is its photograph's id. No photograph is in both "train" and "val". But FreiHAND was
    recorded with several cameras at once and its files don't say which photographs belong together, if any:
    the same hand at the same moment, from another side, could be in both.

    Args:
        root: the folder that holds `training/` and `training_K.json`.
        split: "training" for all labelled photographs, "train" or "val" for a part of them, or "evaluation".
            Where the evaluation's xyz and scale files are missing, its samples have neither.
        versions: how many versions of each photograph, or which ones, e.g. (1, 2, 3); None takes those found
            in `training/rgb`.
        val_fraction: share of the photographs in "val".
        split_seed: another number gives another division into "train" and "val".

    Attributes:
        labels: `Labels` of all photographs of the part.
        ids: (M,) int64, the photographs of this split.
        versions: the versions, numbers from 0 to 3.

    Raises:
        FileNotFoundError: if the folder, a label file or all images are missing.
        ValueError: if a label file is damaged, an argument is out of range, or there are too many images.
    """

    source = "freihand"

    def __init__(
        self,
        root: Path | str,
        split: str = "train",
        *,
        versions: int | Sequence[int] | None = None,
        val_fraction: float = 0.1,
        split_seed: int = 0,
    ):
        if split not in SPLITS:
            raise ValueError(f"FreiHAND: split must be one of {', '.join(SPLITS)}, found {split!r}")
        self.root = Path(root).expanduser()
        self.split = split
        self.part = "evaluation" if split == "evaluation" else "training"
        self.labels = load_labels(self.root, self.part)
        self.count = len(self.labels.K)
        self.versions = self._versions(versions)
        self.ids = self._ids(val_fraction, split_seed)
        rgb, mask = (self.root / self.part / kind for kind in ("rgb", "mask"))
        self.has_masks = mask.is_dir()
        self._suffixes = image_suffix(rgb), image_suffix(mask)

    def __len__(self) -> int:
        return len(self.ids) * len(self.versions)

    @property
    def identities(self) -> np.ndarray:
        return np.tile(self.ids, len(self.versions))

    def image_path(self, index: int) -> Path:
        """Path of a sample's image."""
        version, position = divmod(range(len(self))[index], len(self.ids))
        number = self.ids[position] + self.count * self.versions[version]
        return self.root / self.part / "rgb" / f"{number:08d}{self._suffixes[0]}"

    def __getitem__(self, index: int) -> HandSample:
        path = self.image_path(index)
        identity = int(self.ids[index % len(self.ids)])
        # Copies, because what a caller does to a sample must not reach the labels.
        K, xyz, scale = (None if v is None else v[identity].copy() for v in vars(self.labels).values())
        mask = self.root / self.part / "mask" / f"{identity:08d}{self._suffixes[1]}"
        return HandSample(
            image=read_image(path),
            identity=identity,
            source=self.source,
            keypoints_3d=xyz,
            keypoints_2d=None if xyz is None else project(xyz.astype(float), K.astype(float)).astype("f4"),
            K=K,
            bone_length=None if scale is None else float(scale),
            mask=read_mask(mask) if self.has_masks else None,
            name=path.relative_to(self.root).as_posix(),
        )

    def _ids(self, val_fraction: float, seed: int) -> np.ndarray:
        if self.split in PARTS:
            return np.arange(self.count)
        in_val = round(self.count * val_fraction)
        if not 0 < in_val < self.count:
            found = f"val_fraction {val_fraction} of {self.count} photographs"
            raise ValueError(f"FreiHAND: {found} leaves a part empty; take another, or split='training'")
        # The old generator, because its stream is frozen: the division must never depend on NumPy's version.
        shuffled = np.random.RandomState(seed).permutation(self.count)
        return np.sort(shuffled[:in_val] if self.split == "val" else shuffled[in_val:]).astype(np.int64)

    def _versions(self, versions: int | Sequence[int] | None) -> tuple[int, ...]:
        limit = 1 if self.part == "evaluation" else MAX_VERSIONS
        if versions is None:
            versions = self._found_versions() if limit > 1 else 1
        chosen = list(range(versions) if isinstance(versions, Integral) else versions)
        if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(range(limit)):
            expected = f"a count from 1 to {limit} or different numbers below {limit}"
            raise ValueError(f"FreiHAND {self.split}: versions must be {expected}, found {versions!r}")
        return tuple(int(version) for version in chosen)

    def _found_versions(self) -> list[int]:
        """The versions whose images are there, judged by a few files of each."""
        folder = self.root / "training" / "rgb"
        found = []
        for version in range(MAX_VERSIONS + 1):
            numbers = (k + self.count * version for k in (0, self.count // 2, self.count - 1))
            if any((folder / f"{number:08d}{image_suffix(folder)}").is_file() for number in numbers):
                found.append(version)
        if not found:
            found = min(os.listdir(folder), default="nothing") if folder.is_dir() else "no such folder"
            raise FileNotFoundError(f"{folder}: expected 00000000.jpg or .png and so on, found {found}")
        if MAX_VERSIONS in found:
            expected = f"at most {MAX_VERSIONS} versions of {self.count} images"
            raise ValueError(f"{folder}: expected {expected}; take images and labels from one release")
        return found


def label_path(root: Path, part: str, kind: str) -> Path:
    """Path of one label file, here or in `NAME_eval`; `part` is one of PARTS, `kind` a key of SHAPES."""
    path = root / f"{part}_{kind}.json"
    for here in (root.absolute(), root.resolve()):  # of a link, and of what it links to
        beside = here.with_name(f"{here.name}_eval") / path.name
        if part == "evaluation" and not path.is_file() and beside.is_file():
            return beside
    return path


def image_suffix(folder: Path) -> str:
    """Suffix of a folder's images: ".png" if the first is one, otherwise ".jpg" as in FreiHAND."""
    return (
        ".jpg" if (folder / "00000000.jpg").is_file() or not (folder / "00000000.png").is_file() else ".png"
    )


def load_labels(root: Path, part: str) -> Labels:
    """Load the labels of "training", which needs all three files, or of "evaluation", which needs K."""
    arrays = {}
    for kind, shape in SHAPES.items():
        path = label_path(root, part, kind)
        if kind == "K" or part == "training":
            require_file(path, "FreiHAND")
        if path.is_file():
            arrays[kind] = _read_array(path, shape).astype(np.float32)
    if len({len(array) for array in arrays.values()}) > 1:
        found = ", ".join(f"{len(array)} in {part}_{kind}.json" for kind, array in arrays.items())
        raise ValueError(f"{root}: expected label files of one release and length, found {found} entries")
    return Labels(**arrays)


def _read_array(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Read a JSON list of N > 0 finite arrays of one shape as (N, *shape) float64."""
    expected = f"a JSON list of finite numbers of shape {' x '.join(map(str, ('N', *shape)))}"
    try:
        values = np.array(json.loads(path.read_bytes()), np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{path}: expected {expected}; is it cut short? ({error})") from None
    if not values.size or values.shape[1:] != shape or not np.isfinite(values).all():
        found = f"shape {values.shape} with {(~np.isfinite(values)).sum()} that are not finite"
        raise ValueError(f"{path}: expected {expected}, found {found}")
    return values
