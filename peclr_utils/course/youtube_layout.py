"""A small set of rendered hands in YouTube3DHands' layout. Appendix A1 writes it and opens it again.

**Convention.** Vertices are x and y in pixels of the frame, and depth in metres.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from peclr_utils.camera import project
from peclr_utils.datasets import SyntheticHands
from peclr_utils.datasets.images import write_jpeg
from peclr_utils.hands import load_hand_mesh
from peclr_utils.hands.scene import scene_surface

VERTICES = 778  # of MANO's mesh, which the real labels have


def write_youtube_set(folder: Path, frames: int, seed: int) -> dict[str, Any]:
    """Write frames with a right hand beside a left one, and their labels, over earlier files.

    Returns what `youtube_train.json` now holds: "images" and "annotations".
    """
    sets = [SyntheticHands(frames, seed + is_left, left_fraction=is_left) for is_left in (0, 1)]
    size = sets[0].size
    labels: dict[str, Any] = {"images": [], "annotations": []}
    for k in range(frames):
        name = f"youtube/video/frames/{k}.jpg"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_jpeg(folder / name, np.hstack([hands[k].image for hands in sets]))
        labels["images"].append({"id": k, "name": name, "width": 2 * size, "height": size})
        for is_left, hands in enumerate(sets):
            vertices = _vertices(hands, k) + [is_left * size, 0, 0]
            one = {"id": 2 * k + is_left, "image_id": k, "is_left": is_left}
            labels["annotations"].append(one | {"vertices": vertices.round(4).tolist()})
    (folder / "youtube_train.json").write_text(json.dumps(labels), encoding="utf-8")
    return labels


def _vertices(hands: SyntheticHands, k: int) -> np.ndarray:
    """(`VERTICES`, 3): as many of our own mesh's, evenly spread over its list."""
    scene, count = hands.scene(k), len(load_hand_mesh().vertices)
    points = scene_surface(scene)[0].vertices[np.linspace(0, count - 1, VERTICES).astype(int)]
    return np.column_stack([project(points, scene.K), points[:, 2]])
