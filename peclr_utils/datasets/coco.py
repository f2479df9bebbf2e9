"""Hands labelled in the image, in COCO's keypoint format: what labelling tools write.

Chapter 05 measures networks on such photographs. Layout of the label file::

    images       id, file_name
    annotations  image_id, keypoints (21 x, y, visibility), bbox (x, y, width, height), and the hand's side as
                 is_right, side, handedness or attributes.side; or COCO-WholeBody's lefthand_kpts,
                 lefthand_box, lefthand_valid and the same for the right hand
    categories   id, name ("left hand" gives a side), keypoints (their names, which give their order)

**Convention.** As in `HandSample`. Pixel centres lie at integers. A keypoint with visibility 0 is not known:
NaN in `keypoints_2d`. Nothing is known in 3D.
"""

import json
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from peclr_utils.boxes import check_box
from peclr_utils.datasets.images import find_images, read_image
from peclr_utils.datasets.sample import HandSample
from peclr_utils.skeleton import NUM_KEYPOINTS

FINGER_WORDS = (("thumb",), ("index", "fore"), ("middle",), ("ring",), ("little", "pinky", "small"))
"""Words for the fingers in names of keypoints, in FreiHAND's order."""

WHOLE_BODY = {"left": "lefthand", "right": "righthand"}


@dataclass(frozen=True)
class _Hand:
    """One labelled hand."""

    name: str  # of its image, relative to the folder
    points: np.ndarray  # (21, 2) float32 pixels, NaN where not known
    box: np.ndarray | None  # (4,) x1, y1, x2, y2
    side: str
    group: str  # equal for images of one hand in one pose; "" if not said


class CocoHands:
    """Images with 2D keypoints of hands; one sample for each labelled hand.

    Hands without a known keypoint are skipped. So are hands of images that aren't there, with one warning.

    Args:
        root: the folder of the images; names in the label file are relative to it.
        labels: the label file, or its name in the folder.

    Attributes:
        skipped: names of images that aren't there.
        sides_known: whether the file says of every hand which side it is; otherwise it counts as right.

    Raises:
        FileNotFoundError: if the folder, the label file or all images are missing.
        ValueError: if the file holds something else; says where, what was expected and what was found.
    """

    source = "coco"

    def __init__(self, root: Path | str, labels: Path | str = "keypoints.json"):
        self.root = Path(root).expanduser()
        names = find_images(self.root)[0]
        file = next((p for p in (Path(labels).expanduser(), self.root / labels) if p.is_file()), None)
        if file is None:
            raise FileNotFoundError(f"{labels}: no such file, nor in {self.root}; give ?labels=FILE")
        hands = list(_read_hands(file))
        if not hands:
            raise ValueError(f"{file}: none of its annotations has a known keypoint of a hand")
        places = {Path(name).name: name for name in names} | {name: name for name in names}
        self.skipped = sorted({hand.name for hand in hands if _place(hand.name, places) is None})
        self._hands = [hand for hand in hands if _place(hand.name, places) is not None]
        self._places = places
        if not self._hands:
            raise FileNotFoundError(
                f"{self.root}: none of {file}'s images is here, such as {self.skipped[0]}"
            )
        if self.skipped:
            counted = f"{len(self.skipped)} images of {file.name} are missing, such as {self.skipped[0]}"
            warnings.warn(f"{self.root}: {counted}; their hands are skipped", stacklevel=2)
        self.sides_known = all(hand.side for hand in self._hands)
        if not self.sides_known:
            text = "some hands have no side (is_right, or side); they count as right hands"
            warnings.warn(f"{file}: {text}", stacklevel=2)
        self._doubted = False

    def __len__(self) -> int:
        return len(self._hands)

    @property
    def identities(self) -> np.ndarray:
        """(N,) int64: equal for hands of one group if the file has groups, else all different."""
        groups = [hand.group or f"hand {number}" for number, hand in enumerate(self._hands)]
        return np.unique(groups, return_inverse=True)[1].astype(np.int64)

    def __getitem__(self, index: int) -> HandSample:
        number = range(len(self))[index]
        hand = self._hands[number]
        name = _place(hand.name, self._places)
        image = read_image(self.root / name)
        if hand.box is not None and not self._doubted:
            doubt = check_box(list(hand.box), image.shape[1::-1], f"{self.root / name}, its labels' box")
            if doubt:
                self._doubted = True
                warnings.warn(doubt, stacklevel=2)
        return HandSample(
            image,
            int(self.identities[number]),
            self.source,
            hand.side or "right",
            keypoints_2d=hand.points,
            box=hand.box,
            name=name,
        )


def _place(name: str, places: Mapping[str, str]) -> str | None:
    """Where an image of the label file lies: as named, or in any folder below if it is only a file's name."""
    plain = name.replace("\\", "/").removeprefix("./")
    return places.get(plain, places.get(Path(plain).name))


def _read_hands(file: Path) -> Iterator[_Hand]:
    """Read all hands of a label file that have a known keypoint."""
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: expected JSON in COCO's keypoint format, {error}") from None
    parts = [content.get(name) if isinstance(content, dict) else None for name in ("images", "annotations")]
    if not all(isinstance(part, list) and all(isinstance(row, dict) for row in part) for part in parts):
        kind = f"an object with {', '.join(list(content)[:5])}" if isinstance(content, dict) else "a list"
        raise ValueError(
            f"{file}: expected COCO's keypoint format, an object with the lists images and annotations, "
            f"found {kind}; export it from your tool as 'COCO keypoints'"
        )
    images = {row.get("id"): row.get("file_name") for row in parts[0]}
    categories = {row.get("id"): row for row in content.get("categories") or [] if isinstance(row, dict)}
    for number, row in enumerate(parts[1]):
        where = f"{file}, annotation {number}"
        name = images.get(row.get("image_id"))
        if not isinstance(name, str):
            raise ValueError(f"{where}: its image_id {row.get('image_id')!r} is not among the images")
        for side, prefix in WHOLE_BODY.items():
            if row.get(f"{prefix}_valid", f"{prefix}_kpts" in row):
                yield from _hand(row, f"{prefix}_kpts", f"{prefix}_box", {}, name, side, where)
        if "keypoints" in row and not any(f"{prefix}_kpts" in row for prefix in WHOLE_BODY.values()):
            category = categories.get(row.get("category_id"), {})
            yield from _hand(row, "keypoints", "bbox", category, name, _side(row, category, where), where)


def _hand(
    row: Mapping[str, Any],
    points: str,
    box: str,
    category: Mapping[str, Any],
    name: str,
    side: str,
    where: str,
) -> Iterator[_Hand]:
    """The hand of an annotation, if any of its keypoints is known."""
    try:
        values = np.asarray(row[points], dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{where}: {points} must be numbers, found {row[points]!r}") from None
    if values.size != 3 * NUM_KEYPOINTS:
        expected = f"expected 21 keypoints of a hand, 63 numbers x, y, visibility, found {values.size}"
        body = " (17 keypoints are a body's)" if values.size == 51 else ""
        raise ValueError(f"{where}: {points}: {expected}{body}")
    values = values.reshape(NUM_KEYPOINTS, 3)[_order(category.get("keypoints"), where)]
    known = (values[:, 2] > 0) & np.isfinite(values).all(axis=1)
    if not known.any():
        return
    found, corners = np.where(known[:, None], values[:, :2], np.nan), None
    if (size := row.get(box)) is not None:
        size = np.asarray(size, dtype=np.float64)
        if size.shape != (4,) or not np.isfinite(size).all():
            raise ValueError(f"{where}: {box} must be x, y, width, height, found {row[box]!r}")
        if (size[2:] > 0).all():
            corners = np.concatenate([size[:2], size[:2] + size[2:]])
    yield _Hand(name, found.astype(np.float32), corners, side, str(row.get("group") or ""))


def _order(names: Any, where: str) -> np.ndarray:
    """Positions of FreiHAND's keypoints by their names; as they are if these tell nothing."""
    words = [str(name).lower() for name in names or ()]
    if not any(re.search("[a-z]{3}", word) for word in words):  # none, or numbers
        return np.arange(NUM_KEYPOINTS)
    order = [[k for k, word in enumerate(words) if "wrist" in word or "palm" in word]]
    for fingers in FINGER_WORDS:
        own = [k for k, word in enumerate(words) if any(finger in word for finger in fingers)]
        order.append(sorted(own, key=lambda k: _along(words[k])))
    if len(words) != NUM_KEYPOINTS or [len(own) for own in order] != [1, 4, 4, 4, 4, 4]:
        raise ValueError(
            f"{where}: its category names {len(words)} keypoints, {', '.join(words[:6])}, ...; expected the "
            "wrist and four of thumb, index, middle, ring and little finger each; rename them in your tool"
        )
    return np.concatenate(order).astype(int)


def _along(name: str) -> float:
    """How far along its finger a keypoint lies, by its name: a number, or cmc/mcp, pip/ip, dip, tip."""
    for place, words in enumerate((("cmc",), ("mcp",), ("pip",), ("dip",), ("tip",))):
        if any(word in name for word in words):
            return place
    if re.search(r"(?<![a-z])ip(?![a-z])", name):
        return 2.5
    numbers = re.findall(r"\d+", name)
    return float(numbers[-1]) if numbers else 0.0


def _side(row: Mapping[str, Any], category: Mapping[str, Any], where: str) -> str:
    """ "right", "left", or "" if nothing says it."""
    if isinstance(row.get("is_right"), bool | int):
        return "right" if row["is_right"] else "left"
    attributes = row.get("attributes") if isinstance(row.get("attributes"), dict) else {}
    for holder in (row, attributes):
        for key in ("side", "handedness", "hand", "hand_side"):
            if key in holder:
                text = str(holder[key]).strip().lower()
                if text[:1] not in ("r", "l"):
                    raise ValueError(f"{where}: {key} must be 'right' or 'left', found {holder[key]!r}")
                return "right" if text[0] == "r" else "left"
    words = re.split(r"[^a-z]+", str(category.get("name", "")).lower())
    return next((side for side in ("right", "left") if side in words), "")
