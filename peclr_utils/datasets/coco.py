"""Hands labelled in the image, in COCO's keypoint format: what labelling tools write.

Chapter 05 measures networks on such photographs. Layout of the label file::

    images       id, file_name
    annotations  image_id, keypoints (21 x, y, visibility), bbox (x, y, width, height), and the hand's side as
                 is_right, side, handedness or attributes.side; or COCO-WholeBody's lefthand_kpts,
                 lefthand_box, lefthand_valid and the same for the right hand
    categories   id, name ("left hand" or "LeftHand" gives a side), keypoints (their names, which give their
                 order)

**Convention.** As in `HandSample`. Pixel centres lie at integers. A keypoint with visibility 0 is not known:
NaN in `keypoints_2d`. Nothing is known in 3D.
"""

import json
import posixpath
import re
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
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

    name: str  # its image in the label file
    place: str | None  # its image, relative to the folder; None if it isn't there
    points: np.ndarray  # (21, 2) float32 pixels, NaN where not known
    box: np.ndarray | None  # (4,) x1, y1, x2, y2
    side: str
    group: str  # equal for images of one hand in one pose; "" if not said


class CocoHands:
    """Images with 2D keypoints of hands; one sample for each labelled hand.

    One warning counts the hands that are skipped: those of images that aren't there, and those without two
    different known keypoints.

    Args:
        root: the folder of the images; names in the label file are relative to it. Elsewhere below it, an
            image is found by its file name if no other has that name, neither here nor in the label file.
        labels: the label file: a name in the folder, or a path.

    Attributes:
        identities: (N,) int64: equal for hands of one group if the file has groups, else all different.
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
        path = Path(labels).expanduser()
        file = next((place for place in (self.root / path, path) if place.is_file()), None)
        if file is None:
            raise FileNotFoundError(f"{labels}: no such file, nor in {self.root}; give ?labels=FILE")
        found = list(_read_hands(file, names))
        hands = [hand for hand in found if hand is not None]
        if not hands:
            raise ValueError(f"{file}: none of its annotations has two different known keypoints of a hand")
        self.skipped = sorted({hand.name for hand in hands if hand.place is None})
        self._hands = [hand for hand in hands if hand.place is not None]
        if not self._hands:
            raise FileNotFoundError(
                f"{self.root}: none of {file}'s images is here, such as {self.skipped[0]}"
            )
        doubts = []
        if self.skipped:
            counted = f"{len(self.skipped)} images of {file.name} are missing, such as {self.skipped[0]}"
            counted += " (names are relative to this folder)"
            doubts.append(f"{counted}, their hands are skipped")
        if few := len(found) - len(hands):
            counted = f"{few} hands of {file.name} have fewer than two different known keypoints"
            doubts.append(f"{counted} and are skipped")
        if doubts:
            warnings.warn(f"{self.root}: {'; '.join(doubts)}", stacklevel=2)
        self.sides_known = all(hand.side for hand in self._hands)
        if not self.sides_known:
            text = "some hands have no side (is_right, or side); they count as right hands"
            warnings.warn(f"{file}: {text}", stacklevel=2)
        groups = [hand.group or f"hand {number}" for number, hand in enumerate(self._hands)]
        self.identities = np.unique(groups, return_inverse=True)[1].astype(np.int64)
        self._doubted = False

    def __len__(self) -> int:
        return len(self._hands)

    def __getitem__(self, index: int) -> HandSample:
        number = range(len(self))[index]
        hand = self._hands[number]
        path = self.root / hand.place
        image = read_image(path)
        if hand.box is not None and not self._doubted:
            doubt = check_box(list(hand.box), image.shape[1::-1], f"{path}, its labels' box")
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
            name=hand.place,
        )


def _places(named: Iterable[str], names: Sequence[str]) -> dict[str, str | None]:
    """Where the images of a label file lie among those of the folder; None if that isn't certain."""
    plain = {name: _composed(name.replace("\\", "/").removeprefix("./")) for name in named}
    known = {_composed(name): name for name in names}
    here = Counter(map(posixpath.basename, known))
    labelled = Counter(map(posixpath.basename, set(plain.values())))
    by_file_name = {posixpath.basename(text): name for text, name in known.items()}

    def place(text: str) -> str | None:
        last = posixpath.basename(text)
        if text in known:
            return known[text]
        return by_file_name[last] if here[last] == labelled[last] == 1 else None

    return {name: place(text) for name, text in plain.items()}


def _composed(name: str) -> str:
    """A name with accents as most systems write them; folders from a Mac have them apart."""
    return unicodedata.normalize("NFC", name)


def _read_hands(file: Path, names: Sequence[str]) -> Iterator[_Hand | None]:
    """Read all hands of a label file; None for those without two different known keypoints."""
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
    places = _places([name for name in images.values() if isinstance(name, str)], names)
    categories = {row.get("id"): row for row in content.get("categories") or [] if isinstance(row, dict)}
    for number, row in enumerate(parts[1]):
        where = f"{file}, annotation {number}"
        name = images.get(row.get("image_id"))
        if not isinstance(name, str):
            raise ValueError(f"{where}: its image_id {row.get('image_id')!r} is not among the images")
        image = (name, places[name])
        for side, prefix in WHOLE_BODY.items():
            if f"{prefix}_kpts" in row and row.get(f"{prefix}_valid", True):
                yield _hand(row, f"{prefix}_kpts", f"{prefix}_box", {}, image, side, where)
        if "keypoints" in row and not any(f"{prefix}_kpts" in row for prefix in WHOLE_BODY.values()):
            category = categories.get(row.get("category_id"), {})
            yield _hand(row, "keypoints", "bbox", category, image, _side(row, category, where), where)


def _hand(
    row: Mapping[str, Any],
    points: str,
    box: str,
    category: Mapping[str, Any],
    image: tuple[str, str | None],
    side: str,
    where: str,
) -> _Hand | None:
    """The hand of an annotation; None without two different known keypoints."""
    values = _numbers(row[points])
    if values is None:
        raise ValueError(f"{where}: {points} must be numbers, found {row[points]!r}")
    if values.size != 3 * NUM_KEYPOINTS:
        expected = f"expected 21 keypoints of a hand, 63 numbers x, y, visibility, found {values.size}"
        body = " (17 keypoints are a body's)" if values.size == 51 else ""
        raise ValueError(f"{where}: {points}: {expected}{body}")
    values = values.reshape(NUM_KEYPOINTS, 3)[_order(category.get("keypoints"), where)]
    known = (values[:, 2] > 0) & np.isfinite(values).all(axis=1)
    found, corners = np.where(known[:, None], values[:, :2], np.nan).astype(np.float32), None
    if known.sum() < 2 or not np.ptp(found[known], axis=0).any():
        return None
    if (size := row.get(box)) is not None:
        size = _numbers(size)
        if size is None or size.shape != (4,) or not np.isfinite(size).all():
            raise ValueError(f"{where}: {box} must be x, y, width, height, found {row[box]!r}")
        if (size[2:] > 0).all():
            corners = np.concatenate([size[:2], size[:2] + size[2:]])
    group = row.get("group")
    return _Hand(*image, found, corners, side, "" if group is None else str(group))


def _numbers(value: Any) -> np.ndarray | None:
    """A JSON value as float64; None if it isn't numbers."""
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        return None


def _order(names: Any, where: str) -> np.ndarray:
    """Positions of FreiHAND's keypoints by their names or numbers; as they are if those say nothing."""
    words = [str(name).lower() for name in names or ()]
    if not any(re.search("[a-z]{3}", word) for word in words):
        numbers = [int(digits[-1]) for word in words if (digits := re.findall(r"\d+", word))]
        counted = len(words) == len(set(numbers)) == NUM_KEYPOINTS
        return np.argsort(numbers) if counted else np.arange(NUM_KEYPOINTS)
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
    if "ip" in name:
        return 2.5
    numbers = re.findall(r"\d+", name)
    return float(numbers[-1]) if numbers else 0.0


def _side(row: Mapping[str, Any], category: Mapping[str, Any], where: str) -> str:
    """ "right", "left", or "" if nothing says it."""
    if isinstance(row.get("is_right"), bool | int | float):
        return "right" if row["is_right"] else "left"
    attributes = row.get("attributes") if isinstance(row.get("attributes"), dict) else {}
    for holder in (row, attributes):
        for key in ("side", "handedness", "hand", "hand_side"):
            if holder.get(key) not in (None, ""):
                text = str(holder[key]).strip().lower()
                if text[:1] not in ("r", "l"):
                    raise ValueError(f"{where}: {key} must be 'right' or 'left', found {holder[key]!r}")
                return "right" if text[0] == "r" else "left"
    name = str(category.get("name", "")).lower()
    sides = [side for side in ("right", "left") if side in name]
    return sides[0] if len(sides) == 1 else ""
