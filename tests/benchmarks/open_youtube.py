"""How much memory it takes to open YouTube3DHands' labels: 47,125 meshes of 778 vertices.

    python tests/benchmarks/open_youtube.py            a tenth of them, 0.2 GB of JSON
    PART=1 python tests/benchmarks/open_youtube.py     all of them, 2 GB, for which json.load needs 9 GB

The labels are random, the frames empty files. Each way of opening them runs in its own process; its memory is
the peak beyond what it had after its imports.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from harness import Row, main, mebibytes

HANDS, VERTICES = round(float(os.environ.get("PART", "0.1")) * 47_125), 778
DIFFERENT = 16  # meshes, repeated

CHILD = """\
import resource, sys
{imports}
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
before, root = peak(), sys.argv[1]
{opening}
print(peak() - before)
"""
JSON = ("import json", "labels = json.load(open(root + '/youtube_train.json'))")
OURS = (
    "import ijson, tqdm.auto\nfrom peclr_utils.datasets import YouTube3DHands",
    "hands = YouTube3DHands(root)",
)


def write_labels(root: Path, hands: int) -> None:
    """Write the label file, one hand a frame, and empty frames."""
    names = [f"youtube/VIDEO{k // 1000}/video/frames/{k}.png" for k in range(hands)]
    for k, name in enumerate(names):
        if k % 1000 == 0:
            (root / name).parent.mkdir(parents=True)
        (root / name).touch()
    images = [{"name": name, "width": 640, "height": 360, "id": k} for k, name in enumerate(names)]
    meshes = np.random.default_rng(0).uniform(0, 360, (DIFFERENT, VERTICES, 3))
    texts = [json.dumps(mesh.tolist()) for mesh in meshes]
    with (root / "youtube_train.json").open("w") as file:
        file.write(f'{{"images": {json.dumps(images)}, "annotations": [')
        for k in range(hands):
            labels = f'"is_left": {k % 2}, "image_id": {k}, "id": {k}'
            file.write(f'{", " if k else ""}{{"vertices": {texts[k % DIFFERENT]}, {labels}}}')
        file.write("]}")


def peak_bytes(imports: str, opening: str, root: str) -> int:
    """Peak of a process that opens the labels, above what it had after its imports."""
    command = [sys.executable, "-c", CHILD.format(imports=imports, opening=opening), root]
    return int(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        write_labels(Path(folder), HANDS)
        plain, first, second = (peak_bytes(*way, folder) for way in (JSON, OURS, OURS))
    return [
        Row(
            f"opening {HANDS:,} labels of YouTube3DHands, {when} time: peak memory",
            mebibytes(peak),
            f"json.load: {mebibytes(plain)}",
            peak / plain,
            at_most=1 / 10,
        )
        for when, peak in (("first", first), ("second", second))
    ]


if __name__ == "__main__":
    main(measure)
