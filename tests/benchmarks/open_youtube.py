"""How much memory it takes to open YouTube3DHands' labels: 47,125 meshes of 778 vertices.

    python tests/benchmarks/open_youtube.py            a tenth of them, 0.2 GB of JSON
    PART=1 python tests/benchmarks/open_youtube.py     all of them, 2 GB, for which json.load needs 9 GB

Makes the label file with random numbers in a temporary folder, its frames as empty files. Each way of opening
it runs in a process of its own; printed is by how much its peak lies above what it had after its imports.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from harness import Row, main

HANDS, VERTICES = round(float(os.environ.get("PART", "0.1")) * 47_125), 778
DIFFERENT = 16
"""Different meshes: enough that nothing is the same twice in a row, and quickly written."""

CHILD = """\
import resource, sys
{imports}
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
before, root = peak(), sys.argv[1]
{opening}
print(peak() - before)
"""
WAYS = {
    "json.load": ("import json", "labels = json.load(open(root + '/youtube_train.json'))"),
    "YouTube3DHands, first time": (
        "import ijson, tqdm.auto\nfrom peclr_utils.datasets import YouTube3DHands",
        "hands = YouTube3DHands(root)",
    ),
    "YouTube3DHands, afterwards": (
        "from peclr_utils.datasets import YouTube3DHands",
        "hands = YouTube3DHands(root)",
    ),
}


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
            comma = ", " if k else ""
            labels = f'"is_left": {k % 2}, "image_id": {k}, "id": {k}'
            file.write(f'{comma}{{"vertices": {texts[k % DIFFERENT]}, {labels}}}')
        file.write("]}")


def peak_bytes(way: str, root: Path) -> int:
    """Peak of a process that opens the labels, above what it had after its imports."""
    imports, opening = WAYS[way]
    command = [sys.executable, "-c", CHILD.format(imports=imports, opening=opening), str(root)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout)


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        write_labels(Path(folder), HANDS)
        plain, first, second = (peak_bytes(way, Path(folder)) for way in WAYS)
    return [
        Row(
            f"opening {HANDS:,} labels of YouTube3DHands, {when} time: peak memory",
            f"{peak / 2**20:,.0f} MiB",
            f"json.load: {plain / 2**20:,.0f} MiB",
            peak / plain,
            at_most=1 / 10,
        )
        for when, peak in (("first", first), ("second", second))
    ]


if __name__ == "__main__":
    main(measure)
