"""FreiHAND's submission file, out and in, and its score against the evaluation set's labels.

Chapter 05 writes one and scores it.

The file is what the evaluation server took while it was open: `pred.json`, a list of two lists, and a zip
that holds it. The first list has one (21, 3) entry a hand, the second one (778, 3) entry, the vertices of
MANO's mesh. Only keypoints are scored here, neither mesh error nor F-score; the vertices may be zeros.

**Convention.** Metres, camera frame, FreiHAND's keypoint order, hands in the order of the evaluation set.
"""

import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from peclr_utils.datasets.cache import atomic
from peclr_utils.datasets.labels import explain_root, label_path, read_array
from peclr_utils.evaluation.checks import ArrayLike, as_float64, check_hand_size
from peclr_utils.evaluation.metrics import Evaluation, evaluate_keypoints
from peclr_utils.skeleton import NUM_KEYPOINTS

PRED_NAME = "pred.json"
"""What the official evaluator calls the file, also inside the zip."""

NUM_VERTICES = 778
"""Vertices of MANO's hand mesh."""

HAND = (NUM_KEYPOINTS, 3)
MESH = (NUM_VERTICES, 3)

_ZEROS = json.dumps([[0.0] * 3] * NUM_VERTICES, separators=(",", ":"))


def write_submission(
    path: str | Path, xyz: ArrayLike, verts: ArrayLike | None = None, *, check_units: bool = True
) -> Path:
    """Write `pred.json` and its zip in the official shape; both files are always whole.

    They are written under other names first and then take their places. Numbers are written in full: float64
    reads back exactly.

    Args:
        path: a folder, made when missing, for `pred.json` and `pred.zip`; or a file ending with .json or
            .zip: then both files have its name. In the zip it is always `pred.json`.
        xyz: (N, 21, 3) metres, one for each hand of the evaluation set (FreiHAND's has 3,960), in its order.
        verts: (N, 778, 3) metres; None writes zeros.
        check_units: refuse hands that are far too large for metres.

    Returns:
        Path of the JSON file.

    Raises:
        TypeError: if these aren't numbers.
        ValueError: on a wrong shape, no hands, NaN or infinity, values that aren't metres, or another ending
            of `path`.
    """
    target = _target(Path(path).expanduser())
    keypoints = as_float64(xyz, "xyz")
    if keypoints.ndim != 3 or keypoints.shape[1:] != HAND or not len(keypoints):
        raise ValueError(f"write_submission: xyz: expected shape (N, 21, 3), found {keypoints.shape}")
    if check_units:
        check_hand_size(keypoints, "write_submission: xyz")
    vertices = None if verts is None else as_float64(verts, "verts")
    if vertices is not None and vertices.shape != (len(keypoints), *MESH):
        raise ValueError(
            f"write_submission: verts: expected shape {(len(keypoints), *MESH)}, found {vertices.shape}; "
            "leave it out to write zeros"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic(target) as plain, atomic(target.with_suffix(".zip")) as packed:
        _write_json(plain, keypoints, vertices)
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(plain, PRED_NAME)
    return target


def read_submission(
    path: str | Path,
    truth: str | Path | ArrayLike,
    *,
    proper_rotation: bool = False,
    check_units: bool = True,
) -> Evaluation:
    """Score a submission against the evaluation set's labels, after checking all of it.

    Args:
        path: `pred.json`, its zip, or a folder with either.
        truth: `evaluation_xyz.json`, FreiHAND's folder that holds it, or (N, 21, 3) metres.
        proper_rotation: align without mirroring; not official.
        check_units: refuse hands that are far too large for metres.

    Returns:
        The measures; `published_table` prints them beside published ones.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a file is damaged, or something in it is not as the official shape has it: number of
            hands, shapes, numbers, units. Names the file and the first entry.
    """
    true = load_truth(truth)
    if check_units:
        check_hand_size(true, str(truth) if isinstance(truth, str | Path) else "truth")
    predicted = load_submission(path, len(true))
    try:
        return evaluate_keypoints(predicted, true, proper_rotation=proper_rotation, check_units=check_units)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def load_submission(path: str | Path, count: int | None = None) -> np.ndarray:
    """Read and check a submission.

    Args:
        path: `pred.json`, its zip, or a folder with either.
        count: the number of hands expected, or None for any.

    Returns:
        (N, 21, 3) float64 predicted keypoints. The vertices are checked, not returned.

    Raises:
        FileNotFoundError, ValueError: as `read_submission`.
    """
    where, text = _open(Path(path).expanduser())
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{where}: not valid JSON ({error}); expected the list [xyz, verts]. Write it with "
            "write_submission, or copy the file again if it is cut short"
        ) from None
    keypoints, vertices = _two_lists(content, where)
    found = {"xyz": len(keypoints), "verts": len(vertices)}
    expected = found["xyz"] if count is None else count
    for name, number in found.items():
        if number != expected:
            against = "xyz has" if count is None else "the labels have"
            raise ValueError(
                f"{where}: {name}: wrong number of hands: expected {expected}, as many as {against}, found "
                f"{number}; predict every picture of the evaluation set once, in its order"
            )
    _stack(vertices, MESH, "verts", where)
    return _stack(keypoints, HAND, "xyz", where)


def load_truth(truth: str | Path | ArrayLike) -> np.ndarray:
    """Read the evaluation set's keypoints.

    Args:
        truth: `evaluation_xyz.json`, FreiHAND's folder that holds it, or the keypoints themselves.

    Returns:
        (N, 21, 3) float64 metres.

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if it is damaged or has another shape.
    """
    if not isinstance(truth, str | Path):
        array = as_float64(truth, "truth")
        if array.ndim != 3 or array.shape[1:] != HAND or not len(array):
            raise ValueError(f"truth: expected shape (N, 21, 3), found {array.shape}")
        return array
    path = Path(truth).expanduser()
    file = label_path(path, "evaluation", "xyz") if path.is_dir() else path
    if not file.is_file():
        hint = explain_root(path) if path.is_dir() else "there is no such file or folder"
        raise FileNotFoundError(
            f"{file}: the evaluation set's labels are missing ({hint}); they come in an archive of their "
            "own, data/README.md says where to get it"
        )
    return read_array(file, HAND)


def _target(path: Path) -> Path:
    if path.is_dir() or not path.suffix:
        return path / PRED_NAME
    if path.suffix not in (".json", ".zip"):
        raise ValueError(f"{path}: expected a folder, or a file that ends with .json or .zip")
    return path.with_suffix(".json")


def _write_json(path: Path, keypoints: np.ndarray, vertices: np.ndarray | None) -> None:
    """Write hand by hand, for the vertices of all hands as one text take hundreds of megabytes."""
    with path.open("w", encoding="ascii") as file:
        file.write("[" + json.dumps(keypoints.tolist(), separators=(",", ":")) + ",[")
        for hand in range(len(keypoints)):
            mesh = _ZEROS if vertices is None else json.dumps(vertices[hand].tolist(), separators=(",", ":"))
            file.write("," * (hand > 0) + mesh)
        file.write("]]")


def _open(path: Path) -> tuple[str, bytes]:
    """Find the JSON in a file, a zip or a folder: what to call it in messages, and its bytes."""
    if path.is_dir():
        files = sorted(file.name for file in path.iterdir() if file.suffix in (".json", ".zip"))
        preferred = [name for name in (PRED_NAME, "pred.zip") if name in files] or files
        if not preferred or (len(preferred) > 1 and PRED_NAME not in preferred):
            listed = ", ".join(files[:4]) or "none"
            raise FileNotFoundError(
                f"{path}: expected {PRED_NAME} in this folder, found {listed}; name the file"
            )
        path = path / preferred[0]
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file; write_submission makes one")
    if not zipfile.is_zipfile(path):
        if path.suffix == ".zip":
            raise ValueError(f"{path}: not a zip, or cut short; copy the file again")
        return str(path), path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        # A Mac adds a hidden shadow of each file it packs.
        names = [n for n in archive.namelist() if n.endswith(".json") and not n.startswith("__MACOSX")]
        named = [n for n in names if Path(n).name == PRED_NAME] or names
        if len(named) != 1:
            raise ValueError(f"{path}: expected one {PRED_NAME} in the zip, found {archive.namelist()[:4]}")
        try:
            return f"{path}: {named[0]}", archive.read(named[0])
        except (zipfile.BadZipFile, zlib.error, RuntimeError, OSError, EOFError) as error:
            raise ValueError(f"{path}: damaged ({error}); copy the file again") from None


def _two_lists(content: Any, where: str) -> tuple[list, list]:
    shape = "expected a list of two lists, [xyz, verts]"
    if not isinstance(content, list):
        raise ValueError(f"{where}: {shape}, found {_describe(content)}; write it with write_submission")
    if len(content) != 2:
        hint = "; put the list of vertices beside it" if content and _shape(content[0]) == HAND else ""
        raise ValueError(f"{where}: {shape}, found a list of {len(content)}{hint}")
    for name, part in zip(("xyz", "verts"), content, strict=True):
        if not isinstance(part, list) or not part:
            raise ValueError(
                f"{where}: {name}: expected a list with one entry a hand, found {_describe(part)}"
            )
    keypoints, vertices = content
    if _shape(keypoints[0]) == MESH and _shape(vertices[0]) == HAND:
        raise ValueError(f"{where}: {shape}, found [verts, xyz]; exchange the two")
    return keypoints, vertices


def _stack(entries: list, shape: tuple[int, int], name: str, where: str) -> np.ndarray:
    """Turn a list of hands into one array, or say which hand is wrong."""
    try:
        array = np.array(entries)
    except ValueError:  # entries of different shapes
        array = np.empty(0, object)
    if array.dtype.kind in "iuf" and array.shape[1:] == shape and np.isfinite(array).all():
        return array.astype(np.float64, copy=False)
    for hand, entry in enumerate(entries):
        found = _shape(entry)
        if found != shape:
            raise ValueError(
                f"{where}: {name}: hand {hand}: expected numbers of shape {shape}, found "
                f"{_describe(entry) if found is None else found}"
            )
        bad = np.argwhere(~np.isfinite(np.array(entry, np.float64)))
        if len(bad):
            raise ValueError(
                f"{where}: {name}: hand {hand}, row {bad[0][0]}: expected metres, found NaN or infinity; the "
                "protocol leaves no hand out: write a guess, for example the mean hand, or zeros"
            )
    return np.array(entries, np.float64)


def _shape(entry: Any) -> tuple[int, ...] | None:
    """Shape of nested lists of numbers; None if they are something else."""
    try:
        array = np.array(entry)
    except ValueError:
        return None
    return array.shape if array.dtype.kind in "iuf" else None


def _describe(content: Any) -> str:
    if isinstance(content, dict):
        return f"an object with the keys {list(content)[:4]}"
    if isinstance(content, list):
        return "an empty list" if not content else f"a list that begins with {str(content[0])[:40]}"
    return "null" if content is None else f"{type(content).__name__} {str(content)[:40]}"
