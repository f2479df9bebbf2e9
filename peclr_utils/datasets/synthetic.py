"""`SyntheticHands`: rendered, labelled hands, made when asked for. Nothing is downloaded or stored.

Chapter 01 shows them beside the real data sets.
"""

from numbers import Integral
from pathlib import Path

import numpy as np

from peclr_utils.datasets.sample import HandSample
from peclr_utils.hands.backgrounds import list_photos
from peclr_utils.hands.scene import HandScene, ViewRange, render_scene, sample_scene

UPRIGHT, TURNED = (f"view=40,{roll}&size=128&border=0.62" for roll in (15, 180))
"""Options of two kinds of rendered hands: upright, as most photographs show them, and turned by any angle.

Both tilt by up to 40°. Their images reach beyond the widest view of training."""


class SyntheticHands:
    """Images of random hands with exact labels.

    Sample i shows hand i mod N in version i div N, with N = length / versions: FreiHAND's layout. A sample
    depends on (seed, hand, version) alone, whichever worker makes it and in whatever order.

    Args:
        length: number of images.
        seed: of the whole set; sets of different seeds share nothing.
        size: side of the square images without their border, pixels.
        border: how much farther they reach on each side, as a share of `size`, for views that turn: where an
            image ends, a forearm is cut, and a turned cut would show the angle. 0.62 fits `peclr` views.
        versions: images of each hand: same pose, skin and camera, another background and light.
        view: the directions that the hands are seen from, `ViewRange()` by default.
        left_fraction: share of left hands. FreiHAND has none.
        counting: share of hands whose fingers are each stretched or folded, as in counting. With more than 0
            the other hands are drawn anew, too.
        backgrounds: folder of photographs to put behind the hands, or None for procedural ones.

    Raises:
        ValueError: if a number is of another type or out of range.
        FileNotFoundError: if there is no folder `backgrounds`.
    """

    source = "synthetic"

    def __init__(
        self,
        length: int,
        seed: int = 0,
        *,
        size: int = 224,
        border: float = 0.0,
        versions: int = 1,
        view: ViewRange | None = None,
        left_fraction: float = 0.0,
        counting: float = 0.0,
        backgrounds: str | Path | None = None,
    ):
        numbers = {"length": (length, 0), "seed": (seed, 0), "size": (size, 16), "versions": (versions, 1)}
        for name, (value, least) in numbers.items():
            if not isinstance(value, Integral) or value < least:
                expected = f"{name} must be a whole number of at least {least}"
                raise ValueError(f"SyntheticHands: {expected}, found {value!r}")
        self.length, self.seed, self.size, self.versions = int(length), int(seed), int(size), int(versions)
        if self.length % self.versions:
            raise ValueError(f"SyntheticHands: length {length} must be a multiple of versions, {versions}")
        for name, value, most in [
            ("left_fraction", left_fraction, 1),
            ("counting", counting, 1),
            ("border", border, 2),
        ]:
            if not 0 <= value <= most:
                raise ValueError(f"SyntheticHands: {name} must be from 0 to {most}, found {value}")
        self.view = view or ViewRange()
        self.left_fraction, self.counting, self.border = left_fraction, counting, border
        if backgrounds is not None:
            list_photos(backgrounds)
        self.backgrounds = backgrounds

    def __len__(self) -> int:
        return self.length

    @property
    def identities(self) -> np.ndarray:
        """(length,) int64: which hand each sample shows."""
        return np.arange(self.length, dtype=np.int64) % max(1, self.length // self.versions)

    def scene(self, index: int) -> HandScene:
        """Everything in image `index`, as a value, before it is drawn; raises IndexError past the end."""
        version, identity = divmod(range(self.length)[index], self.length // self.versions)
        names = ("size", "border", "view", "left_fraction", "counting", "backgrounds")
        options = {name: getattr(self, name) for name in names}
        return sample_scene(self.seed, identity, version, **options)

    def __getitem__(self, index: int) -> HandSample:
        scene, index = self.scene(index), range(self.length)[index]
        rendered = render_scene(scene)
        return HandSample(
            image=rendered.image,
            identity=index % (self.length // self.versions),
            source=self.source,
            handedness=scene.handedness,
            keypoints_3d=rendered.keypoints_3d,
            keypoints_2d=rendered.keypoints_2d,
            K=rendered.K,
            bone_length=rendered.bone_length,
            mask=rendered.mask,
            name=f"seed {self.seed}, index {index}",
        )
