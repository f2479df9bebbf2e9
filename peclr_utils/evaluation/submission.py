"""FreiHAND's submission file `pred.json`, and the labels that it is scored against.

`python -m peclr_utils.evaluation` scores one. It is a JSON list of two lists: xyz with (21, 3) for each hand,
and verts with (778, 3), the vertices of MANO's mesh, which are zeros here.

**Convention.** Metres, camera frame, FreiHAND's keypoint order, hands in the order of the evaluation set.
"""

import json
from pathlib import Path

import numpy as np

from peclr_utils import files
from peclr_utils.evaluation.checks import ArrayLike, as_float64
from peclr_utils.skeleton import NUM_KEYPOINTS

HAND = (NUM_KEYPOINTS, 3)
ZEROS = json.dumps([[0.0] * 3] * 778, separators=(",", ":"))


def write_submission(path: str | Path, xyz: ArrayLike) -> Path:
    """Write `pred.json` atomically; float64 reads back exactly.

    Args:
        path: the file, ending in `.json`, or a folder for `pred.json`; folders are made if necessary.
        xyz: (N, 21, 3) metres, one for each hand of the evaluation set (FreiHAND's has 3,960), in its order.

    Raises:
        TypeError, ValueError: if these aren't numbers, on another shape, and on NaN or infinity.
    """
    path = Path(path).expanduser()
    path = path if path.suffix == ".json" else path / "pred.json"
    keypoints = json.dumps(as_float64(xyz, "xyz", HAND).tolist(), separators=(",", ":"))
    meshes = ",".join([ZEROS] * len(xyz))
    return files.write_text(path, f"[{keypoints},[{meshes}]]")


def read_submission(path: str | Path) -> np.ndarray:
    """Read the keypoints of a submission, (N, 21, 3) float64 metres, from its file or the folder with it.

    FileNotFoundError if there is no such file, ValueError if it isn't two lists, the first with (N, 21, 3)
    finite numbers.
    """
    return _read(path, "pred.json", "[xyz, verts]")


def load_truth(path: str | Path) -> np.ndarray:
    """Read the evaluation set's keypoints, (N, 21, 3) float64 metres; errors as in `read_submission`.

    `path` is `evaluation_xyz.json` or FreiHAND's folder with it; data/README.md says where to get it.
    """
    return _read(path, "evaluation_xyz.json", "xyz")


def _read(path: str | Path, name: str, expected: str) -> np.ndarray:
    path = Path(path).expanduser()
    path = path / name if path.is_dir() else path
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file. Expected the JSON list {expected}")
    try:
        content = json.loads(path.read_bytes())
        if expected == "[xyz, verts]":
            content, _ = content
        return as_float64(content, "xyz", HAND)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: expected the JSON list {expected}: {error}") from None
