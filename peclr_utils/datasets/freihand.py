"""FreiHAND (Zimmermann et al., ICCV 2019, arXiv 1909.04349), and anything exported in its layout.

Chapter 01 shows it beside the other data sets. Layout, with N photographs:

    training/rgb/%08d.jpg      N x 1 to 4 versions; file = id + N * version
    training/mask/%08d.jpg     N masks, one for all versions of a photograph
    evaluation/rgb/%08d.jpg    one version
    {training,evaluation}_{K,xyz,scale}.json

The versions are one photograph with other backgrounds: green screen, homogenised, auto-sampled, auto.

**Convention.** As in `HandSample`; FreiHAND's own order of keypoints is this package's. All hands are right
hands.
"""

from collections.abc import Iterable, Sequence
from numbers import Integral
from pathlib import Path

import numpy as np

from peclr_utils.camera import project
from peclr_utils.datasets.arguments import fraction, whole_number
from peclr_utils.datasets.images import read_image, read_mask
from peclr_utils.datasets.labels import explain_root, is_root, load_labels
from peclr_utils.datasets.sample import HandSample

SPLITS = ("train", "val", "training", "evaluation")
MAX_VERSIONS = 4


class FreiHAND:
    """FreiHAND's samples: all versions of the first id after one another are N apart, as in its files.

    Sample i of `len(ids) * len(versions)` is version `i // len(ids)` of photograph `ids[i % len(ids)]`; its
    identity is the photograph's id. "train" and "val" part the photographs, so no photograph is in both.
    FreiHAND was recorded with several cameras at once and its files don't say which photographs belong
    together, if any: the same hand at the same moment, from another side, could be in both.

    Args:
        root: the folder that holds `training/` and `training_K.json`.
        split: "training" for all labelled photographs, "train" or "val" for a part of them, or "evaluation".
            Where the evaluation's xyz and scale are not there, its samples come without.
        versions: how many versions of each photograph, or which ones, e.g. (1, 2, 3); None takes those found
            in `training/rgb`.
        val_fraction: share of the photographs in "val".
        split_seed: another number gives another division into "train" and "val".
        cache: folder for the parsed labels; None puts them into `.peclr_utils` in the root or, where that
            can't be written to, into the user's cache.

    Attributes:
        ids: (M,) int64, the photographs of this split.
        versions: the versions, numbers from 0 to 3.

    Raises:
        FileNotFoundError: if the folder, a label file or all pictures are missing.
        ValueError: if a label file is damaged, or an argument is of another type or out of range.
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
        cache: Path | str | None = None,
    ):
        if split not in SPLITS:
            raise ValueError(f"FreiHAND: split must be one of {', '.join(SPLITS)}, found {split!r}")
        val_fraction = fraction("FreiHAND", "val_fraction", val_fraction)
        split_seed = whole_number("FreiHAND", "split_seed", split_seed, 0, 2**32 - 1)
        self.root = Path(root).expanduser()
        self.split = split
        self.part = "evaluation" if split == "evaluation" else "training"
        if not is_root(self.root):
            raise FileNotFoundError(f"{self.root}: {explain_root(self.root)}")
        self.labels = load_labels(self.root, self.part, cache)
        self.count = len(self.labels.K)
        self.versions = self._versions(versions)
        self.ids = self._ids(val_fraction, split_seed)
        self.has_masks = (self.root / self.part / "mask").is_dir()

    def __len__(self) -> int:
        return len(self.ids) * len(self.versions)

    @property
    def identities(self) -> np.ndarray:
        return np.tile(self.ids, len(self.versions))

    def image_path(self, index: int) -> Path:
        """Path of a sample's picture."""
        identity, version = self._position(index)
        return self.root / self.part / "rgb" / f"{identity + self.count * version:08d}.jpg"

    def __getitem__(self, index: int) -> HandSample:
        identity, _ = self._position(index)
        path = self.image_path(index)
        # A sample is its owner's: what is done to it must not reach the labels.
        K, scale = self.labels.K[identity].copy(), self.labels.scale
        xyz = None if self.labels.xyz is None else self.labels.xyz[identity].copy()
        mask = self.root / self.part / "mask" / f"{identity:08d}.jpg"
        return HandSample(
            image=read_image(path),
            identity=identity,
            source=self.source,
            keypoints_3d=xyz,
            keypoints_2d=None if xyz is None else _projected(xyz, K),
            K=K,
            bone_length=None if scale is None else float(scale[identity]),
            mask=read_mask(mask) if self.has_masks else None,
            name=path.relative_to(self.root).as_posix(),
        )

    def _position(self, index: int) -> tuple[int, int]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"freihand {self.split}: index {index} outside 0..{len(self) - 1}")
        version, position = divmod(index % len(self), len(self.ids))
        return int(self.ids[position]), self.versions[version]

    def _ids(self, val_fraction: float, seed: int) -> np.ndarray:
        if self.split in ("training", "evaluation"):
            return np.arange(self.count)
        in_val = round(self.count * val_fraction)
        if not 0 < in_val < self.count:
            raise ValueError(
                f"FreiHAND: val_fraction {val_fraction} of {self.count} photographs leaves a part empty; "
                "choose another fraction, or split='training'"
            )
        # The old generator, because its stream is frozen: the division must never depend on NumPy's version.
        shuffled = np.random.RandomState(seed).permutation(self.count)
        return np.sort(shuffled[:in_val] if self.split == "val" else shuffled[in_val:]).astype(np.int64)

    def _versions(self, versions: int | Sequence[int] | None) -> tuple[int, ...]:
        if self.part == "evaluation":
            versions = 1 if versions is None else versions
        elif versions is None:
            return found_versions(self.root, self.count)
        limit = 1 if self.part == "evaluation" else MAX_VERSIONS
        chosen = _listed(versions, limit)
        if not chosen or len(set(chosen)) < len(chosen) or not all(0 <= v < limit for v in chosen):
            raise ValueError(
                f"FreiHAND {self.split}: versions must be a count from 1 to {limit} or different numbers "
                f"from 0 to {limit - 1}, found {versions!r}"
            )
        return chosen


def _listed(versions: object, limit: int) -> tuple[int, ...]:
    """The versions that a count or some numbers stand for; none if it is neither."""
    if isinstance(versions, Integral) and not isinstance(versions, bool):
        versions = range(min(versions, limit + 1))
    if not isinstance(versions, Iterable):
        return ()
    given = list(versions)
    whole = all(isinstance(version, Integral) and not isinstance(version, bool) for version in given)
    return tuple(int(version) for version in given) if whole else ()


def found_versions(root: Path, count: int) -> tuple[int, ...]:
    """Find which versions of the photographs are in `training/rgb`, by looking for a few files of each.

    Args:
        root: FreiHAND's folder.
        count: number of photographs, N.

    Raises:
        FileNotFoundError: if there are none.
        ValueError: if there are more pictures than four versions of N photographs.
    """
    folder = root / "training" / "rgb"

    def exists(version: int) -> bool:
        probes = (0, count // 2, count - 1)
        return any((folder / f"{probe + count * version:08d}.jpg").is_file() for probe in probes)

    found = tuple(version for version in range(MAX_VERSIONS) if exists(version))
    if not found:
        raise FileNotFoundError(
            f"{folder}: no pictures, expected 00000000.jpg and so on; unpack FreiHAND's archive again, "
            "or give versions=... to open the labels alone"
        )
    if exists(MAX_VERSIONS):
        raise ValueError(
            f"{folder}: holds more pictures than {MAX_VERSIONS} versions of the {count} photographs in the "
            "label files; pictures and labels are of different releases"
        )
    return found


def _projected(xyz: np.ndarray, K: np.ndarray) -> np.ndarray:
    return project(xyz.astype(np.float64), K.astype(np.float64)).astype(np.float32)
